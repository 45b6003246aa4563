"""Bad lines, streams that are blocked, a server that is away, and names that would like to be scripts."""

import json
import re
import time
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.async_api import Dialog, Route, expect

from tests.pages.conftest import OpenDevice
from tests.support.browser import PATIENCE_MS, Device, Tab
from tests.support.stage import PagesHouse, Stage
from tests.support_http.client import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

VIEW = re.compile(r"/v1/sales/[^/]+$")
LIVE = re.compile(r"/v1/sales/[^/]+/live")
CONFIG = "**/pages/config.json"
SCRIPT = "<script>alert(1)</script>"
SPOIL = """() => {
  for (const key of Object.keys(localStorage)) localStorage[key] = localStorage[key].replaceAll(".", ".A");
}"""
"""Makes every token that the page keeps a forged one."""
IMAGE = "<img src=x onerror=alert(1)>"


async def watched(stage: Stage, device: Device) -> Tab:
    await stage.open()
    tab = await device.open(stage.url)
    await tab.until("open")
    return tab


async def follows(stage: Stage, tab: Tab) -> None:
    """The page learns what happens to the sale."""
    (await stage.shop.steer(stage.sale, "pause")).must(200)
    await tab.until("paused")
    (await stage.shop.steer(stage.sale, "resume")).must(200)
    await tab.until("open")


async def test_names_are_text(stage: Stage, devices: OpenDevice) -> None:
    item = {"sku": IMAGE, "title": IMAGE, "price": 100, "stock": 3}
    await stage.open(title=SCRIPT, items=[item, {**item, "sku": "'\"&", "title": "'\"&amp;"}])
    device = await devices()
    asked: list[Dialog] = []
    device.context.on("dialog", lambda dialog: asked.append(dialog))  # noqa: PLW0108  # a method of a list takes no notes of playwright
    tab = await device.open(stage.url)
    await tab.until("open")
    await tab.says(SCRIPT)
    await tab.says(IMAGE)
    await tab.says("'\"&amp;")
    assert await tab.page.locator('main script, main img[src="x"]').count() == 0
    assert asked == []


async def test_without_its_settings_the_page_offers_another_try(stage: Stage, devices: OpenDevice) -> None:
    """There are no texts then, and no languages to choose from."""
    device = await devices()
    device.expects_loss()
    device.expects("Failed to fetch")
    await stage.open()
    await device.context.route(CONFIG, lambda route: route.abort("connectionreset"))
    tab = await device.open(stage.url)
    again = tab.page.get_by_role("button", name="Reload")
    await expect(again).to_be_visible(timeout=PATIENCE_MS)
    await expect(tab.page.locator('[data-action="language"]')).to_be_hidden(timeout=PATIENCE_MS)
    await device.context.unroute(CONFIG)
    await tab.page.reload()
    await tab.until("open")
    await expect(tab.action("language")).to_be_visible(timeout=PATIENCE_MS)


async def test_offline_and_back(stage: Stage, devices: OpenDevice) -> None:
    device = await devices()
    device.expects_loss()
    tab = await watched(stage, device)
    await device.context.set_offline(True)
    await expect(tab.page.locator("body[data-offline]")).to_be_attached(timeout=PATIENCE_MS)
    (await stage.shop.steer(stage.sale, "pause")).must(200)
    await device.context.set_offline(False)
    await expect(tab.page.locator("body[data-offline]")).not_to_be_attached(timeout=PATIENCE_MS)
    await tab.until("paused")


@pytest.mark.long
async def test_a_press_while_offline_is_made_good(stage: Stage, devices: OpenDevice) -> None:
    """The line is lost with the request on its way; when it is back, the page has asked with the same key."""
    device = await devices()
    device.expects_loss()
    tab = await watched(stage, device)
    await device.context.set_offline(True)
    await tab.action("buy").dispatch_event("click")
    await expect(tab.page.locator("body[data-offline]")).to_be_attached(timeout=PATIENCE_MS)
    await device.context.set_offline(False)
    if await tab.until("held", "open") == "open":
        await tab.press("buy")
    await tab.until("held")
    counters = await stage.shop.counters(stage.sale)
    assert counters["items"][0]["held"] == 1


@pytest.mark.long
async def test_where_streams_are_blocked_the_page_asks(stage: Stage, devices: OpenDevice) -> None:
    device = await devices()
    device.expects_loss()
    await device.context.route(LIVE, lambda route: route.abort("connectionreset"))
    tab = await watched(stage, device)
    before = len(device.requests("GET", stage.sale))
    await follows(stage, tab)
    assert len(device.requests("GET", stage.sale)) > before


@pytest.mark.long
async def test_who_is_told_to_wait_waits(stage: Stage, devices: OpenDevice) -> None:
    """Streams are full, and the view says 503 with five seconds: nobody asks before they are over."""
    device = await devices()
    tab = await watched(stage, device)
    busy = {"status": 503, "headers": {"Retry-After": "5", "Content-Type": "application/problem+json"}}
    body = json.dumps(
        {"type": "/docs#busy", "title": "Busy", "status": 503, "code": "busy", "detail": "Later."}
    )

    async def full(route: Route) -> None:
        await route.fulfill(**busy, body=body)  # type: ignore[arg-type]  # status and headers, as fulfil takes them

    device.expects_loss()
    await device.context.route(LIVE, full)
    await device.context.route(VIEW, full)
    await tab.page.reload()
    start = time.monotonic()

    async def asked_thrice() -> bool:
        return len([each for each in device.requests("GET", stage.sale) if each.at > start]) >= 3

    await eventually(asked_thrice, "the page asks again")
    times = [each.at for each in device.requests("GET", stage.sale) if each.at > start]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert min(gaps) >= 4.5, gaps
    await device.context.unroute(VIEW)
    await tab.until("open")


@pytest.mark.long
async def test_a_stream_that_was_cut_is_taken_up_again(stage: Stage, devices: OpenDevice) -> None:
    """Twice the line is cut; afterwards the page has its stream again, and does not poll for ever."""
    device = await devices()
    device.expects_loss()
    tab = await watched(stage, device)
    for _ in range(2):
        await device.context.set_offline(True)
        await expect(tab.page.locator("body[data-offline]")).to_be_attached(timeout=PATIENCE_MS)
        await device.context.set_offline(False)
        await expect(tab.page.locator("body[data-offline]")).not_to_be_attached(timeout=PATIENCE_MS)
    await follows(stage, tab)


@pytest.mark.long
async def test_the_server_starts_again_while_people_wait(tmp_path: Path, devices: OpenDevice) -> None:
    """The page was open before, and buys afterwards; it was never loaded again."""
    with PagesHouse(tmp_path) as house:
        async with Stage(house) as stage:
            await stage.define(opens_in=3600)
            device = await devices()
            device.expects_loss()
            tab = await device.open(stage.url)
            await tab.until("scheduled")
            port = house.stop_server()
            house.start_server(port)
            await stage.define(opens_in=2)
            await tab.until("open")
            port = house.stop_server()
            await tab.action("buy").dispatch_event("click")
            house.start_server(port)
            if await tab.until("held", "open") == "open":
                await tab.press("buy")
            await tab.until("held")
            assert tab.loads == 1
            counters = await stage.shop.counters(stage.sale)
            assert counters["items"][0]["held"] == 1
            await stage.shop.audit(stage.sale)


@pytest.mark.long
async def test_a_guest_whose_token_is_no_longer_good_gets_another(stage: Stage, devices: OpenDevice) -> None:
    device = await devices()
    tab = await watched(stage, device)
    await tab.page.evaluate(SPOIL)
    await tab.page.reload()
    await tab.until("open")
    await tab.press("buy")
    await tab.until("held")


async def test_no_such_sale(stage: Stage, devices: OpenDevice) -> None:
    device = await devices()
    tab = await device.open(stage.url)
    await tab.until("unknown")
