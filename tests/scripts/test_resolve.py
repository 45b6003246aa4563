"""`cancel` and `extend`: each outcome in order of precedence, and what it writes."""

from collections.abc import Awaitable, Callable

import pytest

from flashsale.model.outcomes import Reserve, Resolve
from flashsale.model.reservation import Reservation, State
from flashsale.scripts.calls import Resolved
from tests.support.shop import Shop

Act = Callable[[Shop, str], Awaitable[Resolved]]
ACTS: dict[str, Act] = {
    "cancel": lambda shop, token: shop.cancel(token),
    "extend": lambda shop, token: shop.extend(token, 30),
}


@pytest.fixture(params=ACTS)
def act(request: pytest.FixtureRequest) -> Act:
    return ACTS[request.param]


@pytest.fixture
async def held(shop: Shop) -> Reservation:
    """ann's hold of a car and two buses, for ten seconds."""
    await shop.open({"car": 2, "bus": 2}, hold_seconds=10, limit=3)
    return await shop.hold("ann", ("car", 1), ("bus", 2))


async def test_cancelling_gives_the_units_and_the_limit_back(shop: Shop, held: Reservation) -> None:
    shop.clock.advance(1)
    resolved = await shop.cancel(held.token, "no longer wanted")
    assert (resolved.outcome, resolved.now_ms) == (Resolve.DONE, shop.now_ms)
    assert resolved.reservation is not None
    assert resolved.reservation.state is State.CANCELLED
    look = await shop.look(customers=["ann"], tokens=[held.token])
    assert look.reservations == (resolved.reservation,)
    assert look.ends_ms == (None,)
    assert [(entry.token, entry.units) for entry in look.entries[0]] == [(held.token, 0)]
    assert [(item.available, item.held) for item in (await shop.state()).stock] == [(2, 0), (2, 0)]
    fact = (await shop.facts())[-1]
    assert (fact.type, fact.token, fact.data[16:]) == (
        "reservation.cancelled",
        held.token,
        b"no longer wanted",
    )
    again = await shop.hold("bob", ("car", 1), ("bus", 2))
    assert again.place == 2


async def test_cancelling_one_of_many_leaves_the_others(shop: Shop) -> None:
    await shop.open({"car": 9}, limit=3)
    first, second, third = [await shop.hold("ann") for _ in range(3)]
    await shop.cancel(second.token)
    assert [(e.token, e.units) for e in await shop.entries("ann")] == [
        (first.token, 1),
        (second.token, 0),
        (third.token, 1),
    ]
    assert (await shop.state()).holds == 2


async def test_extending_moves_the_end_of_a_hold(shop: Shop, held: Reservation) -> None:
    shop.clock.advance(9.999)
    resolved = await shop.extend(held.token, 30)
    assert resolved.outcome is Resolve.DONE
    assert resolved.reservation is not None
    assert resolved.reservation.extended
    assert resolved.reservation.held_until_ms == held.held_until_ms + 30_000
    look = await shop.look(tokens=[held.token])
    assert look.reservations == (resolved.reservation,)
    assert look.ends_ms == (held.held_until_ms + 30_000,)
    fact = (await shop.facts())[-1]
    assert (fact.token, fact.extended_until_ms()) == (held.token, held.held_until_ms + 30_000)
    shop.clock.now_ms = held.held_until_ms + 29_999
    assert await shop.refused("bob", ("car", 2)) is Reserve.SOLD_OUT
    assert (await shop.expire()).expired == 0
    shop.clock.advance(0.001)
    assert (await shop.expire()).expired == 1


async def test_a_hold_is_extended_once_in_its_life(shop: Shop, held: Reservation) -> None:
    await shop.extend(held.token, 30)
    before = await shop.snapshot()
    resolved = await shop.extend(held.token, 30)
    assert resolved.outcome is Resolve.ALREADY_EXTENDED
    assert await shop.snapshot() == before
    assert (await shop.cancel(held.token)).outcome is Resolve.DONE


async def test_an_unknown_reservation_is_unknown(shop: Shop, held: Reservation, act: Act) -> None:
    before = await shop.snapshot()
    resolved = await act(shop, "x" * 16)
    assert (resolved.outcome, resolved.reservation) == (Resolve.UNKNOWN_RESERVATION, None)
    assert await shop.snapshot() == before


async def test_an_unknown_sale_has_no_reservations_and_gets_no_keys(shop: Shop, act: Act) -> None:
    assert (await act(shop, "x" * 16)).outcome is Resolve.UNKNOWN_RESERVATION
    assert await shop.store.redis.dbsize() == 0


async def test_what_has_ended_says_how(shop: Shop, held: Reservation, act: Act) -> None:
    other = await shop.hold("bob")
    await shop.cancel(held.token)
    shop.clock.advance(10)
    await shop.expire()
    before = await shop.snapshot()
    for token, outcome, state in [
        (held.token, Resolve.ALREADY_CANCELLED, State.CANCELLED),
        (other.token, Resolve.ALREADY_EXPIRED, State.EXPIRED),
    ]:
        resolved = await act(shop, token)
        assert resolved.outcome is outcome
        assert resolved.reservation is not None
        assert resolved.reservation.state is state
    assert await shop.snapshot() == before


async def test_an_overdue_hold_is_expired_instead(shop: Shop, held: Reservation, act: Act) -> None:
    shop.clock.advance(10)
    resolved = await act(shop, held.token)
    assert resolved.outcome is Resolve.ALREADY_EXPIRED
    assert resolved.reservation is not None
    assert resolved.reservation.state is State.EXPIRED
    assert [item.held for item in (await shop.state()).stock] == [0, 0]
    assert (await shop.fact_types())[-1] == "reservation.expired"
    assert (await act(shop, held.token)).outcome is Resolve.ALREADY_EXPIRED


async def test_a_hold_outlives_pause_and_close(shop: Shop, held: Reservation) -> None:
    await shop.set_state("pause")
    assert (await shop.extend(held.token, 30)).outcome is Resolve.DONE
    await shop.set_state("close")
    assert (await shop.cancel(held.token)).outcome is Resolve.DONE
