"""The page on one origin, a CDN's say, and the API on another: everything works across."""

import pytest

from tests.pages.conftest import OpenDevice
from tests.support.shopping import pay, take
from tests.support.stage import PagesHouse, Stage

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.long]


async def test_a_page_of_another_origin_sells_all_the_same(
    stage: Stage, devices: OpenDevice, house: PagesHouse
) -> None:
    api = house.beside({"FLASHSALE_CORS_ORIGINS": "*"})
    pages = house.beside({"FLASHSALE_PAGES_API_URL": api.url})
    try:
        await stage.define(opens_in=3600)
        device = await devices()
        asked: list[str] = []
        device.context.on("request", lambda request: asked.append(f"{request.method} {request.url}"))
        tab = await device.open(f"{pages.url}/s/{stage.sale}")
        await tab.until("scheduled")
        await stage.define(opens_in=3)
        await take(tab)
        assert {sent.status for sent in device.reserves()} <= {201, 422}
        await tab.press("pay")
        await tab.page.wait_for_url("**/pay/pay_*")
        await tab.page.goto(f"{pages.url}/s/{stage.sale}")
        await tab.until("paying")
        await tab.press("other")
        await pay(tab, "alipay")
        await tab.shows("[data-code] >> visible=true")
        assert [url for url in asked if "/v1/" in url and f" {api.url}/" not in url] == []
        assert [url for url in asked if f" {api.url}/" in url and "/v1/" not in url] == []
        await stage.settled()
        await stage.verdict(orders=1)
        await tab.page.close()
    finally:
        pages.stop()
        api.stop()
