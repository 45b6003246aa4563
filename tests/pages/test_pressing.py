"""One press is one request, however often and on however many screens it is pressed, and whatever becomes of the answer."""

import asyncio
import re

import pytest
from playwright.async_api import Route

from tests.pages.conftest import OpenDevice
from tests.support.browser import Device, Tab
from tests.support.page_login import Login
from tests.support.shopping import PRESS, give_up, take
from tests.support.stage import Stage
from tests.support_http.client import eventually
from tests.support_http.server import Server

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

RESERVE = re.compile(r"/v1/sales/[^/]+/reservations$")
MINE = re.compile(r"/v1/sales/[^/]+/reservations/mine$")
DENIED = """const denied = () => new DOMException("denied", "SecurityError");
Object.defineProperty(window, "localStorage", { get() { throw denied(); } });
Object.defineProperty(Navigator.prototype, "locks", { get: () => ({ request: () => Promise.reject(denied()) }) });"""
"""What a browser does that lets the page keep nothing."""
UNREAD = """const written = new Map();
Storage.prototype.setItem = (key, value) => written.set(key, value);
Storage.prototype.getItem = (key) => written.get(key) ?? null;"""
"""What one tab writes, no other one reads."""
MANY = 5
"""Units that a customer may have: a second request would take a second one."""


async def opened(stage: Stage, device: Device) -> Tab:
    """The page of a sale that would let a customer have more than one unit."""
    await stage.open(stock=MANY, limit_per_customer=MANY)
    tab = await device.open(stage.url)
    await tab.until("open")
    return tab


async def one_is_held(stage: Stage) -> None:
    counters = await stage.shop.counters(stage.sale)
    assert [item["held"] for item in counters["items"]] == [1], counters


async def test_twenty_presses_in_one_tick_are_one_request(stage: Stage, devices: OpenDevice) -> None:
    device = await devices()
    tab = await opened(stage, device)
    await tab.page.evaluate(
        """() => {
          const button = document.querySelector('[data-action="buy"]');
          for (let press = 0; press < 20; press += 1) button.click();
        }"""
    )
    await tab.until("held")
    (sent,) = device.reserves()
    assert sent.status == 201
    assert sent.key
    await one_is_held(stage)


@pytest.mark.long
async def test_a_double_press_is_one_request(stage: Stage, devices: OpenDevice) -> None:
    device = await devices()
    tab = await opened(stage, device)
    await tab.action("buy").dblclick()
    await tab.until("held")
    assert [sent.status for sent in device.reserves()] == [201]
    await one_is_held(stage)


async def test_busy_and_lost_answers_are_asked_for_again_with_the_same_key(
    stage: Stage, devices: OpenDevice
) -> None:
    """Busy; then never arrived; then decided, but the answer is lost; then it is there, and one unit is held."""
    device = await devices()
    device.expects_loss()
    tab = await opened(stage, device)
    tries = 0

    async def trouble(route: Route) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            problem = (
                '{"type": "/docs#busy", "title": "Busy", "status": 503, "code": "busy", "detail": "Later."}'
            )
            headers = {"Retry-After": "1", "Content-Type": "application/problem+json"}
            await route.fulfill(status=503, headers=headers, body=problem)
        elif tries == 2:
            await route.abort("connectionrefused")
        elif tries == 3:
            decided = await route.fetch()
            assert decided.status == 201
            await route.abort("connectionreset")
        else:
            await route.continue_()

    await device.context.route(RESERVE, trouble)
    await tab.press("buy")
    assert await tab.until("reserving", "held") in {"reserving", "held"}
    await tab.until("held")
    sent = device.reserves()
    assert len(sent) == 4
    assert len({each.key for each in sent}) == 1
    assert sent[0].key
    assert sent[1].at - sent[0].at >= 0.9, "Retry-After was not heeded"
    assert sent[-1].status == 200
    await one_is_held(stage)


@pytest.mark.long
async def test_an_answer_that_does_not_come_is_asked_for_again_with_the_same_key(
    stage: Stage, devices: OpenDevice
) -> None:
    """The page of a shopper, which does not wait as long as those of the other tests do."""
    device = await devices(patient=False)
    tab = await opened(stage, device)
    kept = False

    async def keep_the_first(route: Route) -> None:
        nonlocal kept
        if kept:
            await route.continue_()
        else:
            kept = True  # and no answer comes

    await device.context.route(RESERVE, keep_the_first)
    await tab.press("buy")
    await tab.until("held")
    first, *_, last = device.reserves()
    assert first.status is None
    assert last.key == first.key
    await one_is_held(stage)


async def test_a_reload_while_the_answer_is_on_its_way(stage: Stage, devices: OpenDevice) -> None:
    device = await devices()
    device.expects_loss()
    tab = await opened(stage, device)
    decided = asyncio.Event()

    async def keep(route: Route) -> None:
        answer = await route.fetch()
        assert answer.status in {200, 201}  # 200 when the page has waited long enough to ask again
        decided.set()

    await device.context.route(RESERVE, keep)
    await tab.press("buy")
    await asyncio.wait_for(decided.wait(), 60)
    await tab.until("reserving")
    await device.context.unroute(RESERVE)
    await tab.page.reload()
    await tab.until("held")
    await one_is_held(stage)
    await tab.page.reload()
    await tab.until("held")
    await one_is_held(stage)


@pytest.mark.long
async def test_a_reload_before_the_request_left(stage: Stage, devices: OpenDevice) -> None:
    """Nothing was decided. The page asks again by itself, or offers the button; either way it is one unit."""
    device = await devices()
    device.expects_loss()
    tab = await opened(stage, device)
    asked = asyncio.Event()

    async def swallow(route: Route) -> None:
        asked.set()

    await device.context.route(RESERVE, swallow)
    await tab.press("buy")
    await asyncio.wait_for(asked.wait(), 60)
    await device.context.unroute(RESERVE)
    await tab.page.reload()
    if await tab.until("open", "held") == "open":
        await tab.press("buy")
    await tab.until("held")
    await one_is_held(stage)


async def test_a_second_tab_follows(stage: Stage, devices: OpenDevice) -> None:
    device = await devices()
    tab = await opened(stage, device)
    other = await device.open(stage.url)
    await other.until("open")
    await tab.press("buy")
    await tab.until("held")
    await other.until("held")
    assert other.loads == 1
    assert len(device.reserves()) == 1
    await one_is_held(stage)


@pytest.mark.long
async def test_two_tabs_that_press_at_once_have_one_unit(stage: Stage, devices: OpenDevice) -> None:
    device = await devices()
    tab = await opened(stage, device)
    other = await device.open(stage.url)
    await other.until("open")
    await asyncio.gather(tab.page.evaluate(PRESS), other.page.evaluate(PRESS))
    await asyncio.gather(tab.until("held"), other.until("held"))
    await one_is_held(stage)


@pytest.mark.long
async def test_two_tabs_are_one_guest_and_one_press_before_either_can_read_what_the_other_writes(
    stage: Stage, devices: OpenDevice
) -> None:
    """A browser with a process for each tab needs a while for that."""
    device = await devices(scripts=[UNREAD])
    await stage.open(stock=MANY, limit_per_customer=MANY)
    tabs = await asyncio.gather(device.open(stage.url), device.open(stage.url))
    await asyncio.gather(*(tab.until("open") for tab in tabs))
    await asyncio.gather(*(tab.page.evaluate(PRESS) for tab in tabs))
    await asyncio.gather(*(tab.until("held") for tab in tabs))
    assert len(device.requests("POST", "/v1/guests")) == 1
    assert len({sent.key for sent in device.reserves()}) == 1
    await one_is_held(stage)


@pytest.mark.long
async def test_another_device_with_the_same_login_resumes(
    stage: Stage, devices: OpenDevice, members: Server, login: Login
) -> None:
    await stage.open(stock=MANY)
    page = f"{members.url}/s/{stage.sale}"
    phone, laptop = await devices(cookies=True), await devices(cookies=True, size=(1280, 900))
    for device in (phone, laptop):
        await device.context.add_cookies([login.cookie("ann")])  # type: ignore[list-item]  # the shape is checked there
    early = await laptop.open(page)
    await early.until("open")
    tab = await phone.open(page)
    await take(tab)
    late = await laptop.open(page)
    await late.until("held")
    await early.page.evaluate(PRESS)
    await early.until("held")
    await one_is_held(stage)
    (mine,) = await stage.shop.mine(stage.sale, "ann")
    assert mine["status"] == "held"


async def test_an_older_list_of_reservations_does_not_erase_a_hold(stage: Stage, devices: OpenDevice) -> None:
    """The list was read before the press, and comes after its answer: it is asked for again."""
    device = await devices()
    read, release = asyncio.Event(), asyncio.Event()

    async def late(route: Route) -> None:
        if read.is_set():
            await route.continue_()
            return
        answer = await route.fetch()
        read.set()
        await release.wait()
        await route.fulfill(response=answer)

    await device.context.route(MINE, late)
    tab = await opened(stage, device)
    await asyncio.wait_for(read.wait(), 60)
    await tab.press("buy")
    await tab.until("held")
    release.set()

    async def asked_again() -> bool:
        return [sent.status for sent in device.requests("GET", "/mine")][:2] == [200, 200]

    await eventually(asked_again, "the page asks for its reservations again")
    await tab.until("held")
    await one_is_held(stage)


async def test_a_press_goes_out_where_storage_and_its_locks_are_denied(
    stage: Stage, devices: OpenDevice
) -> None:
    device = await devices(scripts=[DENIED])
    tab = await opened(stage, device)
    await take(tab)
    await one_is_held(stage)


@pytest.mark.long
async def test_a_press_of_long_ago_is_given_up(stage: Stage, devices: OpenDevice) -> None:
    """The device sleeps while the page tries: what was wanted then is not bought when it wakes up."""
    sleeps = "window.asleep = 0; const now = Date.now.bind(Date); Date.now = () => now() + window.asleep;"
    device = await devices(scripts=[sleeps])
    device.expects_loss()
    tab = await opened(stage, device)
    await device.context.route(RESERVE, lambda route: route.abort("connectionrefused"))
    await tab.press("buy")
    await tab.shows('.bar [data-action="cancel"]')
    await tab.page.evaluate("window.asleep = 6 * 60_000")
    await tab.until("open")
    await device.context.unroute(RESERVE)
    assert await stage.of(device) == []
    await take(tab)
    await one_is_held(stage)


class Line:
    """A line on which the first press is carried out, and no press is answered while it is cut."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.carried_out = asyncio.Event()
        device.expects_loss()

    async def cut(self) -> None:
        await self.device.context.route(RESERVE, self._reserve)

    async def _reserve(self, route: Route) -> None:
        if not self.carried_out.is_set():
            answer = await route.fetch()
            if answer.status in {200, 201}:  # 200 when the page has waited long enough to ask again
                self.carried_out.set()
        await route.abort("connectionreset")


async def given_up(tab: Tab, line: Line) -> None:
    """Presses, and gives up when that has been carried out."""
    await tab.press("buy")
    await asyncio.wait_for(line.carried_out.wait(), 60)
    await tab.press("cancel")


async def test_a_press_after_one_that_was_given_up_is_the_same_request(
    stage: Stage, devices: OpenDevice
) -> None:
    """What was given up had been carried out, and the page has not heard of it: nobody gets a second unit."""
    device = await devices()
    tab = await opened(stage, device)

    async def forgetful(route: Route) -> None:
        if any(sent.status == 200 for sent in device.reserves()):
            await route.continue_()
        else:
            await route.fulfill(json={"reservations": []})

    line = Line(device)
    await line.cut()
    await device.context.route(MINE, forgetful)
    await given_up(tab, line)
    await tab.until("open")
    await device.context.unroute(RESERVE)
    await take(tab)
    sent = device.reserves()
    assert len({each.key for each in sent}) == 1
    assert sent[-1].status == 200
    await one_is_held(stage)


@pytest.mark.long
async def test_a_press_after_what_was_given_up_has_ended_is_another_request(
    stage: Stage, devices: OpenDevice
) -> None:
    device = await devices()
    tab = await opened(stage, device)
    line = Line(device)
    await line.cut()
    await given_up(tab, line)
    await tab.until("held")
    await device.context.unroute(RESERVE)
    await give_up(tab)
    await tab.until("cancelled")
    await tab.press("again")
    await take(tab)
    first, *_, replayed, last = device.reserves()
    assert (replayed.key, replayed.status) == (first.key, 200)
    assert last.key != first.key
    assert last.status == 201
    await one_is_held(stage)
