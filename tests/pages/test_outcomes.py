"""What can become of a sale and of a hold while the page is open: each is shown without a reload, and is the truth."""

import asyncio
import re

import pytest
from playwright.async_api import APIResponse, Route, expect

from tests.pages.conftest import OpenDevice, Visit
from tests.support.browser import PATIENCE_MS
from tests.support.shopping import back, choose, click, give_up, pay, take, within
from tests.support.stage import Stage
from tests.support_http.client import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

VIEW = re.compile(r"/v1/sales/[^/]+$")
LIVE = re.compile(r"/v1/sales/[^/]+/live$")


async def test_sold_out_and_a_unit_comes_back(stage: Stage, devices: OpenDevice) -> None:
    """The page says how many others hold, and offers the button again when one of them gives up."""
    await stage.open(stock=2)
    held = await stage.held_by_others(2)
    device = await devices()
    tab = await device.open(stage.url)
    await tab.until("sold_out")
    await tab.says("2")
    (await stage.shop.cancel(held[0], "other-0")).must(200)
    await tab.until("open")
    await tab.press("buy")
    await tab.until("held")
    assert tab.loads == 1


@pytest.mark.long
async def test_the_press_that_comes_too_late(stage: Stage, devices: OpenDevice) -> None:
    """The last unit goes between the look and the press: the page says so, and the button returns with the unit."""
    await stage.open(stock=1)
    device = await devices()
    await device.context.route("**/live", lambda route: route.abort())
    device.expects_loss()
    tab = await device.open(stage.url)
    await tab.until("open")
    reservation = await stage.hold("quicker")
    await tab.action("buy").dispatch_event("click")
    await tab.until("sold_out")
    (await stage.shop.cancel(reservation, "quicker")).must(200)
    await tab.until("open")
    await tab.press("buy")
    await tab.until("held")


@pytest.mark.long
async def test_paused_resumed_and_closed(stage: Stage, visit: Visit) -> None:
    tab = await visit()
    await tab.until("open")
    (await stage.shop.steer(stage.sale, "pause")).must(200)
    await tab.until("paused")
    (await stage.shop.steer(stage.sale, "resume")).must(200)
    await tab.until("open")
    (await stage.shop.steer(stage.sale, "close")).must(200)
    await tab.until("closed")
    assert tab.loads == 1
    assert tab.device.reserves() == []


@pytest.mark.long
async def test_a_hold_outlives_the_pause_of_its_sale(stage: Stage, visit: Visit) -> None:
    tab = await visit()
    await take(tab)
    (await stage.shop.steer(stage.sale, "pause")).must(200)
    await tab.page.reload()
    await tab.until("held")
    await pay(tab)
    await stage.settled()
    await stage.verdict(orders=1)


async def test_a_hold_that_ends(visit: Visit) -> None:
    """The timer runs out, the page says so, and the shopper may try again: the unit has come back."""
    tab = await visit(stock=1, hold_seconds=4)
    await tab.until("open")
    await tab.press("buy")
    await tab.until("expired")
    await tab.press("again")
    await tab.until("open")
    await tab.press("buy")
    # Who looks late sees that this one has ended as well.
    await tab.until("held", "expired")
    keys = [sent.key for sent in tab.device.reserves()]
    assert len(keys) == len(set(keys)) == 2


@pytest.mark.long
async def test_a_hold_that_ends_while_its_shopper_pays(stage: Stage, visit: Visit) -> None:
    """Away at the provider when it ended: whoever comes back without having paid reads that it is over."""
    tab = await visit(stock=1)
    await take(tab)
    await choose(tab)
    await stage.time_passes()
    await tab.page.goto(stage.url)
    await tab.until("expired")
    await stage.settled()
    await stage.verdict()


@pytest.mark.long
async def test_a_payment_that_comes_too_late_is_given_back(stage: Stage, visit: Visit) -> None:
    """The hold ended, somebody else has the unit, and then it was paid: the page must not say that it is bought."""
    tab = await visit(stock=1)
    await take(tab)
    await choose(tab)
    await stage.time_passes()
    await stage.hold("quicker")
    await click(tab)
    await stage.settled()
    await tab.page.goto(stage.url)
    assert await tab.until("expired", "refunded", "sold_out", "confirmed") != "confirmed"
    await stage.settled()


async def test_declined_and_then_paid(stage: Stage, visit: Visit) -> None:
    tab = await visit()
    await take(tab)
    await choose(tab)
    await click(tab, "decline")
    await back(tab)
    await tab.until("declined")
    await choose(tab, "alipay", action="retry")
    await click(tab)
    await back(tab)
    await tab.until("confirmed")
    await stage.settled()
    await stage.verdict(orders=1)


@pytest.mark.long
async def test_refused_for_good(stage: Stage, visit: Visit) -> None:
    tab = await visit()
    await take(tab)
    await choose(tab)
    await click(tab, "refuse")
    await back(tab)
    await tab.until("declined", "cancelled")
    await stage.settled()
    await stage.verdict()


@pytest.mark.long
async def test_cancelled_by_the_shopper(stage: Stage, visit: Visit) -> None:
    tab = await visit(stock=1)
    await take(tab)
    await give_up(tab)
    await tab.until("cancelled")
    counters = await stage.shop.counters(stage.sale)
    assert counters["items"][0]["available"] == 1
    await tab.press("again")
    if await tab.until("open", "held") == "open":
        await tab.press("buy")
    await tab.until("held")
    assert [sent.status for sent in tab.device.reserves()] == [201, 201]


@pytest.mark.long
async def test_refunded_by_the_support(stage: Stage, visit: Visit) -> None:
    tab = await visit(stock=1)
    await take(tab)
    await pay(tab)
    (bought,) = await stage.of(tab.device)
    await stage.refund(bought["id"])
    await tab.page.reload()
    await tab.until("refunded")
    await stage.settled()
    await stage.verdict(refunds=1)


@pytest.mark.long
async def test_moved_to_a_later_hour(stage: Stage, devices: OpenDevice) -> None:
    """The brand moves the opening while people wait."""
    await stage.define(opens_in=3600)
    device = await devices()
    tab = await device.open(stage.url)
    await tab.until("scheduled")
    await stage.define(opens_in=3)
    await tab.until("open")
    assert tab.loads == 1


@pytest.mark.long
async def test_the_shown_number_follows(stage: Stage, visit: Visit) -> None:
    """What others take is seen on a page that is only watched."""
    tab = await visit(stock=9)
    await tab.until("open")
    await tab.says("9")
    await asyncio.gather(*(stage.hold(f"other-{number}") for number in range(2)))
    await expect(tab.main).to_contain_text("7", timeout=PATIENCE_MS)


@pytest.mark.long
async def test_of_several_items_a_refusal_says_when_this_one_may_come_back(
    stage: Stage, devices: OpenDevice
) -> None:
    """The sale knows when its next hold of all ends, which says nothing of the others; who was refused knows more."""
    items = [
        {"sku": sku, "title": sku, "price": 100, "stock": stock} for sku, stock in (("one", 1), ("two", 2))
    ]
    await stage.open(items=items)
    device = await devices()
    device.expects_loss()
    early: list[APIResponse] = []

    async def view(route: Route) -> None:
        """As it was at first."""
        if not early:
            early.append(await route.fetch())
        await route.fulfill(response=early[0])

    await device.context.route(LIVE, lambda route: route.abort())
    await device.context.route(VIEW, view)
    tab = await device.open(stage.url)
    await tab.until("open")
    first, *others = [
        await held(stage, sku, name) for sku, name in (("one", "x"), ("two", "y"), ("two", "z"))
    ]
    await tab.page.locator('input[name="sku"][value="two"]').check()
    await tab.press("buy")
    await tab.until("sold_out")
    await device.context.unroute(VIEW)
    await tab.says("2 are held by others")
    await tab.says("The next may come back at")
    await stage.click_through(others[0], "y")
    await tab.says("1 is held by somebody")
    await expect(tab.main).not_to_contain_text("The next may come back", timeout=PATIENCE_MS)
    await tab.page.locator('input[name="sku"][value="one"]').check()
    await tab.says("1 is held by somebody")
    await expect(tab.main).not_to_contain_text("The next may come back", timeout=PATIENCE_MS)
    (await stage.shop.cancel(first, "x")).must(200)
    await tab.until("open")


async def held(stage: Stage, sku: str, customer: str) -> str:
    """A unit of this item that somebody else holds."""
    answer = await stage.shop.reserve(stage.sale, customer, {"items": [{"sku": sku, "quantity": 1}]})
    return str(answer.must(201)["id"])


@pytest.mark.long
async def test_what_ended_before_is_not_shown_after_what_ended_last(
    stage: Stage, devices: OpenDevice
) -> None:
    """Two holds have ended; whoever has gone back to the sale from one of them has done with both."""
    await stage.open()
    device = await devices()
    tab = await device.open(stage.url)
    await tab.until("open")
    path = f"/v1/sales/{stage.sale}/reservations"

    async def asked() -> bool:
        return any(sent.status == 200 for sent in device.requests("GET", "/mine"))

    await eventually(asked, "the page has asked for its reservations")
    for _ in range(2):
        body = {"items": [{"sku": "giulia", "quantity": 1}]}
        mine = (await stage.shop.ask("POST", path, bearer=device.bearer, json=body)).must(201)["id"]
        (await stage.shop.ask("DELETE", f"/v1/reservations/{mine}", bearer=device.bearer)).must(200)
    await tab.page.reload()
    await tab.until("cancelled")
    await tab.press("again")
    await tab.until("open")
    known = asyncio.Event()

    async def later(route: Route) -> None:
        await known.wait()
        await route.continue_()

    for each in (VIEW, LIVE):
        await device.context.route(each, later)
    async with tab.page.expect_response(lambda answer: answer.url.endswith("/mine")):
        await tab.page.reload()
    known.set()
    assert await tab.until("open", "cancelled") == "open"


async def test_what_was_read_is_known_where_storage_is_blocked(stage: Stage, devices: OpenDevice) -> None:
    tab = await (await devices()).open(stage.url)
    function = """({ ReadMarks }) => {
      const marks = [new ReadMarks("marks"), new ReadMarks("marks")];
      marks[0].add(["a", "b"]);
      const kept = [...marks[1].all()];
      Object.defineProperty(window, "localStorage", { get() { throw new DOMException("denied", "SecurityError"); } });
      marks[0].add(["c"]);
      return [kept, [...marks[0].all()]];
    }"""
    assert await within(tab, "shop/mine.js", function) == [["a", "b"], ["a", "b", "c"]]
