"""The archiver on a real store: it copies every journal, waits for what is away, and leaves alone what is not right."""

import asyncio
import contextlib
import random
from typing import Any

import pytest

from flashsale import metrics
from flashsale.archive import Archive
from flashsale.keys import STRAY
from flashsale.model.audit import Replay
from flashsale.model.events import Tally
from flashsale.model.facts import Fact
from flashsale.model.reservation import State
from flashsale.store.client import Store
from flashsale.workers import archiver as module
from tests.support import runs
from tests.support.archiving import OTHER, Desk, trade, until
from tests.support.sales import SALE, Clock, claim
from tests.support.shop import Shop


async def test_every_fact_is_copied_as_it_is(shop: Shop, desk: Desk, archive: Archive) -> None:
    await trade(shop)
    before = metrics.FACTS_ARCHIVED._value.get()
    facts = await shop.facts()
    assert await desk.drain() == len(facts)
    assert archive.facts(SALE) == facts
    assert metrics.FACTS_ARCHIVED._value.get() - before == len(facts)
    tally, events = Tally(), [each for each in await desk.maker.make(SALE, facts) if each.sequence]
    assert [each.body for each in archive.events(SALE)] == [each.body for each in events]
    for event in events:
        tally = tally.plus(event.data)
    books = archive.books(SALE)
    assert (books.facts, books.confirmed, books.refunded) == (len(facts), 4, 1)
    assert (books.confirmed_amount, books.refunded_amount) == (tally.confirmed_amount, tally.refunded_amount)
    assert await desk.drain() == 0


async def test_it_goes_on_from_where_the_archive_ends(
    shop: Shop, desk: Desk, archive: Archive, valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await trade(shop)
    monkeypatch.setattr(module, "BATCHES", 1)
    small = Desk(valkey, archive, at_once=4)
    assert await small.archiver.step(block_ms=1) == 4
    await small.close()
    monkeypatch.undo()
    facts = await shop.facts()
    assert await desk.drain() == len(facts) - 4
    await shop.hold("more")
    assert await desk.drain() == 1
    assert archive.facts(SALE) == await shop.facts()


async def test_new_sales_are_found(
    shop: Shop, desk: Desk, archive: Archive, store: Store, clock: Clock
) -> None:
    await store.redis.hset("fs:sales", "never-defined", "1")
    await trade(shop)
    async with desk.running():
        await until(lambda: archive.position(SALE))
        other = Shop(store, desk.sales, clock, OTHER)
        await other.open({"car": 1})
        await other.reserve(claim("ann", sale=OTHER))
        await until(lambda: (found := archive.position(OTHER)) and found.seq == 3)
    assert archive.facts(OTHER) == await other.facts()
    assert "never-defined" not in archive.positions()


async def test_charges_of_unknown_sales_are_kept_too(shop: Shop, desk: Desk, archive: Archive) -> None:
    await shop.open({"car": 1})
    lost = Shop(shop.store, shop.sale_store, shop.clock, STRAY)
    lost.terms = shop.terms
    held = await shop.hold("ann")
    await lost.confirm(lost.charge(held))
    await desk.drain()
    assert archive.facts(STRAY) == await lost.facts()
    assert len(archive.facts(STRAY)) == 1


@pytest.mark.parametrize("count", [3])
async def test_several_side_by_side(shop: Shop, valkey: str, archive: Archive, count: int) -> None:
    desks = [Desk(valkey, archive, at_once=7) for _ in range(count)]
    await shop.open({"car": 1000})
    async with contextlib.AsyncExitStack() as stack:
        for desk in desks:
            await stack.enter_async_context(desk.running())
        for number in range(60):
            await shop.paid(f"c{number}", reference=f"sim:{number}")
        seq = (await shop.state()).seq
        await until(lambda: (found := archive.position(SALE)) and found.seq == seq)
    for desk in desks:
        assert desk.behind == []
        await desk.close()
    assert archive.facts(SALE) == await shop.facts()
    assert archive.books(SALE).confirmed == 60


async def test_an_idle_archiver_asks_little(shop: Shop, desk: Desk, archive: Archive) -> None:
    await trade(shop)
    async with desk.running():
        await until(lambda: archive.position(SALE))
        redis: Any = shop.store.redis
        begun = asyncio.get_running_loop().time()
        before = (await redis.info("stats"))["total_commands_processed"]
        await asyncio.sleep(1)
        asked = (await redis.info("stats"))["total_commands_processed"] - before
        seconds = asyncio.get_running_loop().time() - begun
    assert asked <= 30 * seconds, f"{asked} commands in {seconds:.1f} s"


async def test_the_lag_is_told(
    shop: Shop, desk: Desk, valkey: str, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    await trade(shop)
    monkeypatch.setattr(module, "BATCHES", 1)
    small = Desk(valkey, archive, at_once=5)
    await small.archiver.step(block_ms=1)
    small.look()
    await small.archiver.step(block_ms=1)
    facts = await shop.facts()
    assert metrics.ARCHIVE_LAG._value.get() == len(facts) - 5
    await small.close()
    await desk.drain()
    await desk.drain()
    assert metrics.ARCHIVE_LAG._value.get() == 0


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_in_a_sale_the_books_are_those_of_its_facts(
    valkey: str, archive: Archive, seed: int
) -> None:
    """A random sale of the state machine, every outcome of a payment among them."""
    runs.walk(valkey, seed, steps=60)

    async def copied() -> list[Fact]:
        desk = Desk(valkey, archive, at_once=random.Random(seed).randrange(1, 50))
        await desk.drain()
        facts = await desk.sales.facts(SALE, limit=10**6)
        await desk.close()
        return facts

    facts = asyncio.run(copied())
    assert archive.facts(SALE, limit=10**6) == facts
    replay = Replay()
    for fact in facts:
        replay.apply(fact)
    books, claimed = archive.books(SALE), list(replay.reservations.values())
    sums, _ = replay.ledger.sums(replay.currency)
    assert (books.facts, books.seq, books.sequence) == (len(facts), replay.seq, replay.orders)
    assert books.confirmed - books.refunded == sum(each.state is State.CONFIRMED for each in claimed)
    assert books.refunded == sum(each.state is State.REFUNDED for each in claimed)
    assert books.confirmed_amount - books.refunded_amount == sums.orders.amount


# --- journals that were trimmed, or are damaged ---
