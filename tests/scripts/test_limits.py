"""Limits per customer: what counts, what no longer does, and how a customer's entries are kept short."""

import pytest

from flashsale.model.outcomes import Reserve
from flashsale.model.reservation import State
from tests.support.shop import Shop


async def test_what_has_ended_no_longer_counts(shop: Shop) -> None:
    await shop.open({"car": 9}, limit=1, hold_seconds=10)
    cancelled = await shop.hold("ann")
    assert await shop.refused("ann") is Reserve.LIMIT_REACHED
    await shop.cancel(cancelled.token)
    await shop.hold("ann")
    shop.clock.advance(10)
    await shop.expire()
    await shop.hold("ann")
    assert [entry.units for entry in await shop.entries("ann")] == [0, 0, 1]


async def test_the_limit_of_an_item_counts_that_item_only(shop: Shop) -> None:
    await shop.open({"car": 9, "bus": 9}, item_limits={"car": 2})
    await shop.hold("ann", ("bus", 5), ("car", 1))
    await shop.hold("ann", ("bus", 3))
    refusal = await shop.refusal("ann", ("bus", 1), ("car", 2))
    assert (refusal.outcome, refusal.sku) == (Reserve.LIMIT_REACHED, "car")
    await shop.hold("ann", ("car", 1))
    assert (await shop.refusal("ann", ("car", 1))).sku == "car"


async def test_the_limit_of_the_sale_counts_all_items(shop: Shop) -> None:
    await shop.open({"car": 9, "bus": 9}, limit=3)
    assert (await shop.refusal("ann", ("car", 2), ("bus", 2))).outcome is Reserve.LIMIT_REACHED
    await shop.hold("ann", ("car", 1), ("bus", 1))
    assert await shop.refused("ann", ("car", 1), ("bus", 1)) is Reserve.LIMIT_REACHED
    await shop.hold("ann", ("bus", 1))
    await shop.hold("bob", ("car", 3))


@pytest.mark.parametrize("terms", [{"limit": 1}, {"item_limits": {"car": 1}}])
async def test_an_own_overdue_hold_counts_no_longer_though_nobody_swept_it(
    shop: Shop, terms: dict[str, object]
) -> None:
    await shop.open({"car": 9}, hold_seconds=10, **terms)
    overdue = await shop.hold("ann")
    await shop.hold("bob")
    shop.clock.advance(9.999)
    assert await shop.refused("ann") is Reserve.LIMIT_REACHED
    shop.clock.advance(0.001)
    held = await shop.hold("ann")
    assert [(e.token, e.units) for e in await shop.entries("ann")] == [(overdue.token, 0), (held.token, 1)]
    # Of the others nothing was touched: there was stock enough.
    assert await shop.fact_types(after=4) == ["reservation.expired", "reservation.held"]


async def test_an_own_overdue_hold_is_ended_even_if_the_limit_holds_on(shop: Shop) -> None:
    await shop.open({"car": 9}, limit=2, hold_seconds=10)
    overdue = await shop.hold("ann")
    shop.clock.advance(5)
    live = await shop.hold("ann")
    shop.clock.advance(5)
    refusal = await shop.refusal("ann", ("car", 2))
    assert refusal.outcome is Reserve.LIMIT_REACHED
    assert [(e.token, e.units) for e in refusal.entries] == [(overdue.token, 0), (live.token, 1)]
    (stored,) = (await shop.look(tokens=[overdue.token])).reservations
    assert stored is not None
    assert stored.state is State.EXPIRED


async def test_more_than_64_entries_drop_the_oldest_that_have_ended(shop: Shop) -> None:
    await shop.open({"car": 200})
    live = await shop.hold("ann")
    ended = []
    for _ in range(70):
        held = await shop.hold("ann")
        await shop.cancel(held.token)
        ended.append(held.token)
    entries = await shop.entries("ann")
    assert len(entries) == 64
    assert [entry.token for entry in entries] == [live.token, *ended[-63:]]
    assert [entry.units for entry in entries] == [1] + [0] * 63
    # What is dropped from the entries is still a reservation.
    (oldest,) = (await shop.look(tokens=ended[:1])).reservations
    assert oldest is not None


async def test_entries_that_count_are_never_dropped(shop: Shop) -> None:
    await shop.open({"car": 200}, item_limits={"car": 80})
    held = [await shop.hold("ann") for _ in range(80)]
    assert [entry.token for entry in await shop.entries("ann")] == [each.token for each in held]
    assert await shop.refused("ann") is Reserve.LIMIT_REACHED
    await shop.cancel(held[3].token)
    await shop.cancel(held[70].token)
    last = await shop.hold("ann")
    expected = [each.token for each in held if each not in (held[3], held[70])]
    assert [entry.token for entry in await shop.entries("ann")] == [*expected, last.token]
