"""`inspect`: one consistent look, which changes nothing."""

from tests.support.sales import OPENS_MS, claim
from tests.support.shop import Shop


async def test_an_unknown_sale(shop: Shop) -> None:
    look = await shop.look(customers=["ann"], tokens=["x" * 16])
    assert (look.sale, look.entries, look.reservations, look.ends_ms) == (None, ((),), (None,), (None,))
    assert await shop.store.redis.dbsize() == 0


async def test_it_answers_in_the_order_asked_with_gaps_for_the_unknown(shop: Shop) -> None:
    await shop.open({"car": 9})
    ann, bob = await shop.hold("ann"), await shop.hold("bob")
    await shop.cancel(bob.token)
    before = await shop.snapshot()
    look = await shop.look(customers=["bob", "nobody", "ann"], tokens=[bob.token, "x" * 16, ann.token])
    assert [[entry.token for entry in each] for each in look.entries] == [[bob.token], [], [ann.token]]
    assert [each and each.customer for each in look.reservations] == ["bob", None, "ann"]
    assert look.ends_ms == (None, None, ann.held_until_ms)
    assert await shop.snapshot() == before


async def test_the_size_of_things(shop: Shop) -> None:
    await shop.open({"car": 9}, hold_seconds=10)
    first = await shop.hold("ann")
    shop.clock.advance(1)
    await shop.reserve(claim("bob"), claim("ann"))
    await shop.cancel(first.token)
    state = await shop.state()
    assert (state.customers, state.reservations, state.holds, state.place) == (2, 3, 2, 3)
    assert state.next_due_ms == OPENS_MS + 11_000


async def test_the_public_state_is_the_first_that_applies(shop: Shop) -> None:
    async def public() -> str:
        return (await shop.state()).public_state

    shop.clock.now_ms = OPENS_MS - 1
    await shop.open({"car": 1, "bus": 0}, closes_ms=OPENS_MS + 1000)
    assert await public() == "scheduled"
    shop.clock.advance(0.001)
    assert await public() == "open"
    held = await shop.hold("ann")
    assert await public() == "sold_out"
    await shop.set_state("pause")
    assert await public() == "paused"
    await shop.set_state("resume")
    await shop.cancel(held.token)
    assert await public() == "open"
    shop.clock.advance(1)
    assert await public() == "closed"


async def test_0_is_the_time_of_the_server(shop: Shop) -> None:
    await shop.open({"car": 1})
    seconds, microseconds = await shop.store.redis.time()
    look = await shop.sale_store.look(shop.sale)
    assert look.now_ms >= seconds * 1000 + microseconds // 1000
    seconds, _ = await shop.store.redis.time()
    assert look.now_ms < (seconds + 1) * 1000
