"""`pace`: how many calls a provider gets, over simulated time."""

import random
from dataclasses import dataclass

import pytest

from flashsale.keys import PACE
from flashsale.scripts import payments
from tests.support.sales import Clock
from tests.support.shop import Shop

RATES = (1, 2, 3, 7, 9, 10, 19, 20, 21, 30, 99, 100, 333, 1000)


@dataclass
class Provider:
    """One that is called as often as it may be."""

    shop: Shop
    rate: int

    @property
    def clock(self) -> Clock:
        return self.shop.clock

    async def ask(self, wanted: int, name: str = "sim") -> tuple[int, int]:
        """Calls granted now, and the milliseconds until the next one."""
        return await payments.pace(
            self.shop.store.redis, name, rate=self.rate, wanted=wanted, now_ms=self.clock.now_ms
        )

    async def calls(self, seconds: float, chance: random.Random | None = None) -> list[int]:
        """The instant of each call when workers ask again as soon as they are told to, or at random."""
        end, found = self.clock.now_ms + round(seconds * 1000), []
        while self.clock.now_ms < end:
            granted, wait_ms = await self.ask(chance.randint(1, self.rate) if chance else 10_000)
            found += [self.clock.now_ms] * granted
            assert granted or wait_ms, "nothing is granted, and there is nothing to wait for"
            self.clock.now_ms += chance.randint(0, max(1, 2000 // self.rate)) if chance else max(1, wait_ms)
        return found


def most_in_a_second(instants: list[int]) -> int:
    """Calls of the busiest second, wherever it begins."""
    most = first = 0
    for at, instant in enumerate(instants):
        while instants[first] <= instant - 1000:
            first += 1
        most = max(most, at - first + 1)
    return most


@pytest.mark.parametrize("rate", RATES)
async def test_no_second_sees_more_calls_than_the_provider_takes(shop: Shop, rate: int) -> None:
    provider = Provider(shop, rate)
    seconds = 10 if rate < 100 else 2
    instants = await provider.calls(seconds)
    assert most_in_a_second(instants) <= rate
    assert len(instants) >= 0.94 * rate * seconds  # and hardly fewer


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("seed", range(3))
async def test_whenever_workers_ask_no_second_sees_more(shop: Shop, rate: int, seed: int) -> None:
    instants = await Provider(shop, rate).calls(5 if rate < 100 else 1.5, random.Random(seed))
    assert most_in_a_second(instants) <= rate


@pytest.mark.parametrize(("rate", "burst"), [(1, 1), (9, 1), (39, 1), (40, 2), (100, 5), (1000, 50)])
async def test_a_twentieth_of_a_second_goes_at_once_and_no_more(shop: Shop, rate: int, burst: int) -> None:
    provider = Provider(shop, rate)
    for _ in range(3):
        assert (await provider.ask(burst + 1))[0] == burst
        assert (await provider.ask(1))[0] == 0
        provider.clock.advance(60)  # however long nobody calls, it is never more


async def test_the_wait_is_exactly_until_the_next_call(shop: Shop) -> None:
    provider = Provider(shop, 3)
    granted, wait_ms = await provider.ask(1)
    assert (granted, wait_ms) == (1, 334)
    provider.clock.now_ms += 333
    assert await provider.ask(1) == (0, 1)
    provider.clock.now_ms += 1
    assert (await provider.ask(1))[0] == 1


async def test_what_is_not_wanted_is_left_for_others(shop: Shop) -> None:
    provider = Provider(shop, 100)
    assert await provider.ask(2) == (2, 0)
    assert await provider.ask(2) == (2, 0)
    granted, wait_ms = await provider.ask(2)
    assert (granted, wait_ms > 0) == (1, True)
    assert (await provider.ask(0))[0] == 0


async def test_each_provider_has_its_own_pace(shop: Shop) -> None:
    provider = Provider(shop, 1)
    assert [(await provider.ask(1, name))[0] for name in ("sim", "stripe", "sim")] == [1, 1, 0]
    assert set(await shop.store.redis.hkeys(PACE)) == {b"sim", b"stripe"}


async def test_a_clock_that_was_set_back_stops_nobody(shop: Shop) -> None:
    provider = Provider(shop, 10)
    await provider.calls(3)
    provider.clock.advance(-3600)
    assert (await provider.ask(1))[0] == 1
    assert most_in_a_second(await provider.calls(5)) <= 10


async def test_a_clock_that_was_set_back_a_little_makes_nobody_wait_for_long(shop: Shop) -> None:
    provider = Provider(shop, 10)
    assert (await provider.ask(1))[0] == 1
    provider.clock.now_ms -= 50
    granted, wait_ms = await provider.ask(1)
    assert granted == 0
    assert wait_ms == 150
