"""Calls that are gathered into one: each gets its own answer, and its own failure."""

import asyncio
from collections.abc import Sequence

import pytest

from flashsale.store.client import StoreRefusedError, StoreUnavailableError
from flashsale.store.gather import Gathers


class Calls:
    """What was sent. An item named `bad` fails its call; a call waits until `go` is set."""

    def __init__(self, error: Exception | None = None) -> None:
        self.sent: list[list[str]] = []
        self.go = asyncio.Event()
        self.go.set()
        self._error = error

    async def send(self, sale: str, items: Sequence[str]) -> Sequence[str]:
        self.sent.append(list(items))
        await self.go.wait()
        if self._error is not None and "bad" in items:
            raise self._error
        return [f"{sale}:{item}" for item in items]


async def test_calls_of_one_turn_go_together_and_each_gets_its_answer() -> None:
    calls = Calls()
    gathers = Gathers(calls.send, most=2)
    answers = await asyncio.gather(*(gathers.ask("s", item) for item in "abc"), gathers.ask("t", "d"))
    assert answers == ["s:a", "s:b", "s:c", "t:d"]
    assert sorted(calls.sent) == [["a", "b"], ["c"], ["d"]]


@pytest.mark.parametrize("error", [StoreRefusedError("no", applied=None), ValueError("no record")])
async def test_what_fails_for_the_sake_of_one_fails_for_it_alone(error: Exception) -> None:
    calls = Calls(error)
    gathers = Gathers(calls.send, most=8)
    asked = [gathers.ask("s", item) for item in ("a", "bad", "c")]
    assert await asyncio.gather(*asked, return_exceptions=True) == ["s:a", error, "s:c"]


async def test_a_store_that_is_away_is_not_asked_again() -> None:
    error = StoreUnavailableError("away", applied=None)
    calls = Calls(error)
    gathers = Gathers(calls.send, most=8)
    asked = [gathers.ask("s", item) for item in ("a", "bad")]
    assert await asyncio.gather(*asked, return_exceptions=True) == [error, error]
    assert calls.sent == [["a", "bad"]]


async def test_who_gives_up_keeps_nobody_else_from_an_answer() -> None:
    calls = Calls()
    calls.go.clear()
    gathers = Gathers(calls.send, most=8)
    first, second = (asyncio.ensure_future(gathers.ask("s", item)) for item in "ab")
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    third = asyncio.ensure_future(gathers.ask("s", "c"))
    await asyncio.sleep(0)
    calls.go.set()
    assert [await second, await third] == ["s:b", "s:c"]
    assert calls.sent == [["a", "b"], ["c"]]


async def test_one_call_about_a_sale_is_under_way_at_a_time() -> None:
    calls = Calls()
    gathers = Gathers(calls.send, most=8)

    async def ask_twice(item: str) -> None:
        await gathers.ask("s", item)
        calls.go.clear()
        await gathers.ask("s", item * 2)

    asking = [asyncio.ensure_future(ask_twice(item)) for item in "abc"]
    while len(calls.sent) < 2:  # noqa: ASYNC110 (they are sent in turns of this loop)
        await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(calls.sent) == 2, "the second call has not been answered"
    calls.go.set()
    await asyncio.gather(*asking)
    assert sorted(item for sent in calls.sent for item in sent) == ["a", "aa", "b", "bb", "c", "cc"]
