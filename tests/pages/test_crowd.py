"""Fifty pages in a browser, a thousand clients without one, one sale: nothing is sold twice, no page says what is not so."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.browser import Chromium, Device, Tab
from tests.support.shopping import pay
from tests.support.stage import PagesHouse, Stage

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.long, pytest.mark.timeout(600)]

PEOPLE = 25
"""In a browser, with two tabs each."""
CLIENTS = 1000
STOCK = 100
PRESS = """() => document.querySelector('[data-action="buy"]:not([disabled])')?.click()"""
"""As a finger does, on whatever is there."""
ENDS = ("held", "sold_out")


async def client(stage: Stage, number: int) -> tuple[int, str]:
    """One of the thousand: asks until it is told; every other one with a unit pays. The last status, and what it holds."""
    customer = name(number)
    while True:
        answer = await stage.shop.reserve(stage.sale, customer, key=f"key-{number}")
        if answer.status != 503 and answer.code != "not_open":
            break
        await asyncio.sleep(0.1 + number % 10 / 50)
    if answer.status == 409:
        return answer.status, ""
    reservation = str(answer.must(200, 201)["id"])
    if number % 2:
        await stage.click_through(reservation, customer)
    return answer.status, reservation


def name(number: int) -> str:
    return f"client-{number}"


async def person(tab: Tab) -> None:
    """Waits for the opening, and presses as long as there is something to press."""
    while await tab.until("open", *ENDS) == "open":
        await tab.page.evaluate(PRESS)
        await tab.until("reserving", *ENDS)
        await tab.until("open", *ENDS)


async def second_chance(tab: Tab) -> None:
    """The button has come back, and it is pressed: again, should the unit that it was for be another's by then."""
    while await tab.until("open", "held") == "open":
        await tab.page.evaluate(PRESS)
        await tab.until("reserving", *ENDS)
        await tab.until("open", *ENDS)


async def all_in_time(tabs: list[Tab], *states: str) -> None:
    await asyncio.gather(*(tab.until(*states) for tab in tabs))


async def tells_the_truth(stage: Stage, device: Device, tabs: list[Tab]) -> None:
    """Every tab of this device says what its shopper has."""
    mine = tuple(each["status"] for each in await stage.of(device))
    wanted = {(): "sold_out", ("held",): "held", ("confirmed",): "confirmed"}[mine]
    await all_in_time(tabs, wanted)


async def all_is_sold(stage: Stage) -> None:
    """Nothing is left, and nothing was sold twice."""
    (item,) = (await stage.shop.counters(stage.sale))["items"]
    assert (item["available"], item["held"] + item["sold"]) == (0, STOCK)
    await stage.shop.audit(stage.sale)


async def test_fifty_pages_and_a_thousand_clients(tmp_path: Path, chromium: Chromium) -> None:
    async with AsyncExitStack() as stack:
        house = stack.enter_context(PagesHouse(tmp_path))
        stage = await stack.enter_async_context(Stage(house))
        await stage.define(STOCK, opens_in=3600, hold_seconds=3600)
        phones = [await stack.enter_async_context(chromium.device()) for _ in range(PEOPLE)]
        tabs = [[await phone.open(stage.url), await phone.open(stage.url)] for phone in phones]
        everybody = list(zip(phones, tabs, strict=True))
        every = [tab for both in tabs for tab in both]
        await all_in_time(every, "scheduled")
        await stage.define(STOCK, opens_in=8, hold_seconds=3600)

        people = [asyncio.create_task(person(first)) for first, _ in tabs]
        clients = await asyncio.gather(*(client(stage, number) for number in range(CLIENTS)))
        await asyncio.gather(*people)
        await all_in_time(every, *ENDS)
        for phone, both in everybody:
            await tells_the_truth(stage, phone, both)
        winners = [both for _, both in everybody if await both[0].state() == "held"]
        assert len(winners) + sum(1 for _, reservation in clients if reservation) == STOCK
        await all_is_sold(stage)

        losers = [both for both in tabs if both not in winners][:10]
        unpaid = [(number, held) for number, (_, held) in enumerate(clients) if held and not number % 2]
        assert len(unpaid) >= len(losers), "the clients were too slow for this test"
        for number, reservation in unpaid[: len(losers)]:
            (await stage.shop.cancel(reservation, name(number))).must(200)
        await asyncio.gather(*(second_chance(first) for first, _ in losers))
        for first, _ in losers[:3]:
            await pay(first)
        await stage.settled()
        for phone, both in everybody:
            await tells_the_truth(stage, phone, both)
        assert all(both[1].loads == 1 for both in tabs), "a page was loaded again"
        await all_is_sold(stage)
