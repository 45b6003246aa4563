"""Overdue holds are taken back by `reserve` itself: with no sweeper at all, nothing is ever undersold."""

from flashsale.model.outcomes import Reserve
from flashsale.model.reservation import State
from flashsale.scripts.reserve import RECLAIM_LIMIT, Held, Refused
from tests.support.sales import claim
from tests.support.shop import Shop


async def test_a_unit_can_be_bought_at_the_instant_its_hold_ends(shop: Shop) -> None:
    await shop.open({"car": 1}, hold_seconds=10)
    first = await shop.hold("ann")
    shop.clock.advance(9.999)
    assert (await shop.refusal("bob")).next_release_ms == first.held_until_ms
    shop.clock.advance(0.001)
    second = await shop.hold("bob")
    assert second.place == 2
    assert await shop.fact_types(after=3) == ["reservation.expired", "reservation.held"]
    (stored,) = (await shop.look(tokens=[first.token])).reservations
    assert stored is not None
    assert stored.state is State.EXPIRED


async def test_nothing_is_taken_back_while_enough_is_left(shop: Shop) -> None:
    await shop.open({"car": 3}, hold_seconds=10)
    await shop.hold("ann")
    shop.clock.advance(10)
    await shop.hold("bob")
    await shop.hold("cem")
    assert "reservation.expired" not in await shop.fact_types()
    await shop.hold("dan")
    assert "reservation.expired" in await shop.fact_types()


async def test_a_short_item_takes_back_holds_of_all_items(shop: Shop) -> None:
    await shop.open({"car": 1, "bus": 2}, hold_seconds=10)
    await shop.hold("ann", ("bus", 1))
    await shop.hold("bob", ("car", 1), ("bus", 1))
    shop.clock.advance(10)
    await shop.hold("cem", ("bus", 2))
    assert (await shop.stock("car")).available == 1
    assert (await shop.state()).holds == 1


async def test_every_line_of_a_claim_may_take_back(shop: Shop) -> None:
    await shop.open({"car": 1, "bus": 1}, hold_seconds=10)
    await shop.hold("ann", ("bus", 1))
    shop.clock.advance(5)
    await shop.hold("bob", ("car", 1))
    shop.clock.advance(5)
    # ann's bus has come back, bob's car not yet: all or nothing, and the bus is left for others.
    assert await shop.refused("cem", ("bus", 1), ("car", 1)) is Reserve.SOLD_OUT
    assert (await shop.stock("bus")).available == 1
    shop.clock.advance(5)
    await shop.hold("cem", ("bus", 1), ("car", 1))


async def test_units_taken_back_in_a_batch_are_there_for_all_of_it(shop: Shop) -> None:
    await shop.open({"car": 3}, hold_seconds=10)
    for customer in "abc":
        await shop.hold(customer)
    shop.clock.advance(10)
    decisions = await shop.reserve(*[claim(customer) for customer in "defgh"])
    assert [type(decision) for decision in decisions] == [Held, Held, Held, Refused, Refused]


async def test_a_customer_takes_back_the_own_overdue_hold_when_all_is_sold(shop: Shop) -> None:
    await shop.open({"car": 1}, limit=1, hold_seconds=10)
    await shop.hold("ann")
    shop.clock.advance(10)
    await shop.hold("ann")
    assert [entry.units for entry in await shop.entries("ann")] == [0, 1]


async def test_one_call_takes_back_so_many_and_asks_to_be_asked_again(shop: Shop) -> None:
    """More holds are overdue than one call may end; the one whose unit is wanted is the last of them."""
    overdue = RECLAIM_LIMIT + 100
    await shop.open({"bus": overdue, "car": 1}, hold_seconds=10)
    for start in range(0, overdue, 100):
        await shop.reserve(*[claim(f"c{start + n}", ("bus", 1)) for n in range(100)])
    shop.clock.advance(1)
    await shop.hold("last", ("car", 1))
    shop.clock.advance(10)
    first, second, third = await shop.reserve(claim("ann"), claim("bob", ("bus", 1)), claim("cem"))
    assert isinstance(first, Refused)
    assert first.outcome is Reserve.RECLAIMING
    assert isinstance(second, Held)  # what came back can be had at once
    assert isinstance(third, Refused)
    assert third.outcome is Reserve.RECLAIMING
    assert (await shop.state()).holds == 102
    held, late = await shop.reserve(claim("ann"), claim("cem"))
    assert isinstance(held, Held)
    assert isinstance(late, Refused)
    assert late.outcome is Reserve.SOLD_OUT
