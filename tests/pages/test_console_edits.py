"""The console's form for a sale: what becomes of an answer that is lost, and what stays as it was."""

import re

import pytest
from playwright.async_api import Route, expect

from tests.pages.conftest import OpenDevice
from tests.support.browser import DESK, PATIENCE_MS, Device, Tab
from tests.support.console_views import fill_in, go, log_in
from tests.support.stage import Stage

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

SALE = re.compile(r"/v1/sales/[^/]+$")


async def inside(stage: Stage, device: Device) -> Tab:
    tab = await device.open(stage.console)
    await log_in(tab)
    return tab


@pytest.mark.parametrize("status", [0, 503])
async def test_a_sale_whose_answer_was_lost_can_be_sent_again(
    stage: Stage, devices: OpenDevice, status: int
) -> None:
    """It is there already, and it is the same: the page does not say that its id is used, in any language."""
    device = await devices(size=DESK)
    device.expects_loss()
    tab = await inside(stage, device)
    await go(tab, "#/new", "edit")
    await fill_in(tab.page, stage.sale)

    async def lose(route: Route) -> None:
        if route.request.method != "PUT":
            await route.continue_()
            return
        await route.fetch()
        if status:
            await route.fulfill(status=status, json={"code": "busy", "detail": "Later."})
        else:
            await route.abort("connectionreset")

    await device.context.route(SALE, lose)
    await tab.press("save")
    await tab.shows("[data-form-error] [role=alert]")
    assert (await stage.shop.view(stage.sale))["title"] == "Milano at night"
    await device.context.unroute(SALE)
    await tab.page.locator('select[data-action="language"]').select_option("de")
    await expect(tab.page.locator("html")).to_have_attribute("lang", "de", timeout=PATIENCE_MS)
    await expect(tab.page.locator("#f-id")).to_have_value(stage.sale)
    await tab.press("save")
    await tab.view("sale")
    await tab.says("Milano at night")


async def test_the_id_of_another_sale_is_not_taken(stage: Stage, devices: OpenDevice) -> None:
    await stage.define(opens_in=7200)
    before = await stage.shop.view(stage.sale)
    device = await devices(size=DESK)
    tab = await inside(stage, device)
    await go(tab, "#/new", "edit")
    await fill_in(tab.page, stage.sale)
    for _ in range(2):
        await tab.press("save")
        await expect(tab.page.locator("#f-id")).to_have_attribute("aria-invalid", "true", timeout=PATIENCE_MS)
        await expect(tab.action("save")).not_to_have_attribute("aria-disabled", "true")
    assert not device.requests("PUT", stage.sale)
    assert (await stage.shop.view(stage.sale))["title"] == before["title"]


async def test_the_ways_to_pay_keep_their_order(stage: Stage, devices: OpenDevice) -> None:
    """Shoppers find the first one chosen: saving does not make it another one."""
    terms = {"methods": ["paypal", "alipay", "card"], "deposit_percent": 10, "instalments": 36}
    await stage.define(opens_in=7200, payment=terms)
    tab = await inside(stage, await devices(size=DESK))
    await go(tab, f"#/sales/{stage.sale}/edit", "edit")
    await tab.page.locator('[id="f-method.alipay"]').uncheck()
    await tab.page.locator('[id="f-method.bank_transfer"]').check()
    await tab.press("save")
    await tab.view("sale")
    found = (await stage.shop.view(stage.sale))["payment"]
    assert found["methods"] == ["paypal", "card", "bank_transfer"]
