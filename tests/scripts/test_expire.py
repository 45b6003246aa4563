"""`expire` ends what is overdue, oldest first, and lets the clock open and close the sale."""

from tests.support.sales import OPENS_MS, claim
from tests.support.shop import Shop


async def test_holds_end_oldest_first_and_no_sooner(shop: Shop) -> None:
    await shop.open({"car": 5}, hold_seconds=10)
    held = []
    for customer in "abcde":
        held.append(await shop.hold(customer))
        shop.clock.advance(1)
    shop.clock.now_ms = held[2].held_until_ms
    sweep = await shop.expire(limit=2)
    assert (sweep.expired, sweep.next_due_ms, sweep.state) == (2, held[2].held_until_ms, "open")
    sweep = await shop.expire(limit=2)
    assert (sweep.expired, sweep.next_due_ms) == (1, held[3].held_until_ms)
    before = await shop.snapshot()
    assert (await shop.expire()).expired == 0
    assert await shop.snapshot() == before
    ended = [fact.token for fact in await shop.facts() if fact.type == "reservation.expired"]
    assert ended == [each.token for each in held[:3]]
    stock = await shop.stock()
    assert (stock.available, stock.held) == (3, 2)


async def test_one_customers_holds_may_end_together(shop: Shop) -> None:
    await shop.open({"car": 9, "bus": 9}, hold_seconds=10)
    await shop.reserve(claim("ann"), claim("ann", ("car", 2), ("bus", 1)), claim("bob", ("bus", 3)))
    shop.clock.advance(10)
    assert (await shop.expire()).expired == 3
    assert [entry.units for entry in await shop.entries("ann")] == [0, 0]
    assert [(item.available, item.held) for item in (await shop.state()).stock] == [(9, 0), (9, 0)]


async def test_an_unknown_sale_has_nothing_to_end_and_gets_no_keys(shop: Shop) -> None:
    sweep = await shop.expire()
    assert (sweep.expired, sweep.next_due_ms, sweep.state) == (0, 0, "")
    assert await shop.store.redis.dbsize() == 0


async def test_nothing_due_writes_nothing(shop: Shop) -> None:
    await shop.open({"car": 1}, opens_ms=OPENS_MS + 1000)
    before = await shop.snapshot()
    sweep = await shop.expire()
    assert (sweep.expired, sweep.next_due_ms, sweep.state) == (0, 0, "open")
    assert await shop.snapshot() == before


async def test_the_clock_closes_a_sale_once(shop: Shop) -> None:
    await shop.open({"car": 1}, closes_ms=OPENS_MS + 1000)
    shop.clock.advance(0.999)
    assert (await shop.expire()).state == "open"
    shop.clock.advance(0.001)
    assert (await shop.expire()).state == "closed"
    assert (await shop.expire()).state == "closed"
    assert (await shop.fact_types())[1:] == ["sale.opened", "sale.closed"]


async def test_a_sale_nobody_looked_at_opens_and_closes_in_order(shop: Shop) -> None:
    await shop.open({"car": 1}, opens_ms=OPENS_MS + 1000, closes_ms=OPENS_MS + 2000)
    shop.clock.advance(60)
    await shop.expire()
    assert (await shop.fact_types())[1:] == ["sale.opened", "sale.closed"]


async def test_a_paused_sale_closes_by_the_clock_too(shop: Shop) -> None:
    await shop.open({"car": 1}, closes_ms=OPENS_MS + 1000)
    await shop.set_state("pause")
    shop.clock.advance(1)
    assert (await shop.expire()).state == "closed"


async def test_holds_of_a_closed_sale_still_end(shop: Shop) -> None:
    await shop.open({"car": 1}, hold_seconds=10)
    await shop.hold("ann")
    await shop.set_state("close")
    shop.clock.advance(10)
    sweep = await shop.expire()
    assert (sweep.expired, sweep.state) == (1, "closed")
    assert (await shop.stock()).available == 1
