"""The archiver on a real store: it copies every journal, waits for what is away, and leaves alone what is not right."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from flashsale import metrics
from flashsale.archive import Archive, Position
from flashsale.engine.cloudevents import EventMaker
from flashsale.keys import STRAY, SaleKeys
from flashsale.model.audit import Replay
from flashsale.model.events import Tally
from flashsale.model.facts import Fact
from flashsale.model.reservation import State
from flashsale.process.embedded import EmbeddedValkey
from flashsale.store.client import Store, StoreUnavailableError
from flashsale.store.journals import journal_ends
from flashsale.store.sales import SaleStore
from flashsale.workers import archiver as module
from flashsale.workers.archiver import Archiver, open_archive
from tests.support import runs
from tests.support.postgres import Postgres
from tests.support.sales import SALE, Clock, claim
from tests.support.shop import Shop

OTHER = "other"


class Desk:
    """An archiver at work on a store of its own."""

    def __init__(self, url: str, archive: Archive, **options: Any) -> None:
        self.store = Store.connect(url)
        self.sales = SaleStore(self.store)
        self.maker = EventMaker(self.sales, "test")
        self.behind: list[Position] = []
        self.archiver = Archiver(
            self.sales, self.maker, archive, store=self.store, on_behind=self._on_behind, **options
        )

    async def _on_behind(self, position: Position) -> None:
        self.behind.append(position)

    async def drain(self) -> int:
        """Archives until there is nothing left; how many facts that were."""
        total = 0
        self.look()
        while count := await self.archiver.step(block_ms=1):
            total += count
        return total

    def look(self) -> None:
        """Lets it compare at once what it would in a second."""
        self.archiver._looked_at = self.archiver._compared_at = float("-inf")
        self.archiver._stuck = {
            sale: module._Stuck(each.after, each.reason, 0.0) for sale, each in self.archiver._stuck.items()
        }

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        task = asyncio.create_task(self.archiver.run(stop))
        yield
        stop.set()
        await asyncio.wait_for(task, 30)

    async def close(self) -> None:
        await self.sales.close()
        await self.store.close()


@pytest.fixture
async def desk(valkey: str, archive: Archive) -> AsyncIterator[Desk]:
    desk = Desk(valkey, archive)
    yield desk
    await desk.close()


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - it becomes so in other threads and on servers
            await asyncio.sleep(0.01)


def of(logs: Any, event: str) -> list[Any]:
    return [entry for entry in logs if entry["event"] == event]


async def trade(shop: Shop, customers: int = 3) -> None:
    """Orders, an order undone, a cancelled hold, and one that ends."""
    await shop.open({"car": 100}, hold_seconds=60)
    for number in range(customers):
        await shop.paid(f"c{number}", ("car", 1), reference=f"sim:{number}")
    gone = await shop.paid("gone", reference="sim:gone")
    await shop.refund(gone.token, reason="broken")
    await shop.cancel((await shop.hold("other")).token)
    await shop.hold("late")
    shop.clock.advance(61)
    await shop.expire()


# --- copying ---


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
        tally = tally.plus(event)
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


async def trim(shop: Shop, to: int) -> None:
    """As retention does: facts up to this one go."""
    redis: Any = shop.store.redis
    await redis.xtrim(shop.keys.journal, minid=f"{to + 1}", approximate=False)


@pytest.mark.breaks_the_books("trims the journal")
async def test_a_journal_that_was_trimmed_where_it_is_archived(
    shop: Shop, desk: Desk, archive: Archive
) -> None:
    await trade(shop)
    facts = await shop.facts()
    await desk.drain()
    await trim(shop, len(facts))
    assert await journal_ends(shop.store, [SALE, "none"]) == [(len(facts), facts[-1].at_ms), None]
    for again in range(2):
        if again:  # as if it had been started again
            desk.archiver._places.clear()
        assert await desk.drain() == 0
    await shop.hold("more")
    assert await desk.drain() == 1
    assert archive.facts(SALE)[:-1] == facts
    assert not desk.behind


@pytest.mark.breaks_the_books("trims the journal, and damages it")
@pytest.mark.parametrize("trouble", ["trimmed", "hole", "unreadable"])
async def test_nothing_is_left_out_and_other_sales_go_on(
    shop: Shop, desk: Desk, archive: Archive, clock: Clock, trouble: str
) -> None:
    other = Shop(shop.store, desk.sales, clock, OTHER)
    await other.open({"car": 10})
    await trade(shop)
    redis: Any = shop.store.redis
    facts = await shop.facts()
    if trouble == "trimmed":
        await trim(shop, 3)
        why, after = "goes on with fact 4: those before were trimmed", None
    elif trouble == "hole":
        await redis.xdel(shop.keys.journal, f"{facts[4].seq}-{facts[4].at_ms}")
        why, after = "fact 6 cannot follow fact 4", None
    else:
        await redis.xadd(shop.keys.journal, {"future.fact": b"?"}, id=f"{len(facts) + 1}-5")
        why, after = "not a type of fact", None
    with capture_logs() as logs:
        for _ in range(3):
            await desk.drain()
    stuck = of(logs, "archiver.stuck")
    assert [(each["sale"], each["log_level"]) for each in stuck] == [(SALE, "error")]
    assert why in stuck[0]["reason"]
    assert archive.position(SALE) == after
    assert archive.facts(OTHER) == await other.facts()
    await other.reserve(claim("ann", sale=OTHER))  # which opens it
    assert await desk.drain() == 2


# --- a store that has come back older ---


@pytest.mark.breaks_the_books("loses facts")
async def test_a_journal_that_is_behind_is_not_touched(shop: Shop, desk: Desk, archive: Archive) -> None:
    await trade(shop)
    facts = await shop.facts()
    await desk.drain()
    redis: Any = shop.store.redis
    await redis.delete(shop.keys.journal)
    for fact in facts[:-3]:
        await redis.xadd(shop.keys.journal, {fact.type: fact.data}, id=f"{fact.seq}-{fact.at_ms}")
    with capture_logs() as logs:
        for _ in range(3):
            assert await desk.drain() == 0
    assert [each.seq for each in desk.behind] == [len(facts)]
    (said,) = of(logs, "archiver.behind")
    assert (said["archive"], said["journal"], said["log_level"]) == (len(facts), len(facts) - 3, "error")
    assert archive.facts(SALE) == facts
    # Recovered, it goes on.
    for fact in facts[-3:]:
        await redis.xadd(shop.keys.journal, {fact.type: fact.data}, id=f"{fact.seq}-{fact.at_ms}")
    await shop.hold("more")
    with capture_logs() as logs:
        assert await desk.drain() == 1
    assert of(logs, "archiver.level")
    assert archive.facts(SALE) == await shop.facts()


@pytest.mark.breaks_the_books("loses everything")
async def test_a_sale_that_is_lost_is_behind(shop: Shop, desk: Desk, archive: Archive) -> None:
    await trade(shop)
    await desk.drain()
    await shop.store.redis.flushall()
    assert await desk.drain() == 0
    assert [each.sale for each in desk.behind] == [SALE]


@pytest.mark.breaks_the_books("changes a fact")
@pytest.mark.parametrize("change", ["data", "instant"])
@pytest.mark.parametrize("longer", [False, True])
async def test_another_journal_is_not_mistaken_for_ours(
    shop: Shop, desk: Desk, archive: Archive, change: str, longer: bool
) -> None:
    await trade(shop)
    facts = await shop.facts()
    await desk.drain()
    redis: Any = shop.store.redis
    last = facts[-1]
    await redis.delete(shop.keys.journal)
    for fact in facts[:-1]:
        await redis.xadd(shop.keys.journal, {fact.type: fact.data}, id=f"{fact.seq}-{fact.at_ms}")
    data, at_ms = (b"x" * 16, last.at_ms) if change == "data" else (last.data, last.at_ms + 1)
    await redis.xadd(shop.keys.journal, {last.type: data}, id=f"{last.seq}-{at_ms}")
    if longer:
        await redis.xadd(shop.keys.journal, {"sale.paused": b"brand"}, id=f"{last.seq + 1}-{at_ms}")
    desk.archiver._places.clear()  # as after every new connection
    assert await desk.drain() == 0
    assert [each.seq for each in desk.behind] == [last.seq]
    assert archive.facts(SALE) == facts


# --- what is away ---


async def test_a_store_that_is_away_is_waited_for(
    own_server: EmbeddedValkey, archive: Archive, clock: Clock
) -> None:
    desk = Desk(own_server.url, archive)
    shop = Shop(desk.store, desk.sales, clock)
    await shop.open({"car": 10})
    with capture_logs() as logs:
        async with desk.running():
            await until(lambda: archive.position(SALE))
            os.kill(own_server.pid, signal.SIGKILL)
            await until(lambda: of(logs, "archiver.store_unavailable"))
            await asyncio.sleep(3 * module.AWAY_S)
            own_server.restart()  # in memory only: it has lost everything
            await until(lambda: desk.behind)
            await until(lambda: of(logs, "archiver.back"))
    assert len(of(logs, "archiver.store_unavailable")) == 1
    assert len(of(logs, "archiver.back")) == 1
    await desk.close()


async def test_a_database_that_is_away_is_waited_for(
    shop: Shop, valkey: str, postgres: Postgres, postgres_url: str
) -> None:
    archive = Archive.open(postgres_url)
    desk = Desk(valkey, archive, at_once=20)
    await shop.open({"car": 1000})
    with capture_logs() as logs:
        async with desk.running():
            for number in range(60):
                await shop.paid(f"c{number}", reference=f"sim:{number}")
                if number == 20:
                    await until(lambda: archive.position(SALE))
                    await asyncio.to_thread(postgres.kill)
            await until(lambda: of(logs, "archiver.archive_unavailable"))
            await asyncio.sleep(2 * module.AWAY_S)
            await asyncio.to_thread(postgres.start)
            seq = (await shop.state()).seq
            await until(lambda: of(logs, "archiver.back"))
            await until(lambda: (found := archive.position(SALE)) and found.seq == seq)
    warned = of(logs, "archiver.archive_unavailable")
    assert [entry["log_level"] for entry in warned] == ["warning"]
    assert postgres.password not in str(logs)
    assert archive.facts(SALE) == await shop.facts()
    assert archive.books(SALE).confirmed == 60
    await desk.close()
    archive.close()


async def test_an_archive_is_opened_when_its_database_comes(postgres: Postgres, postgres_url: str) -> None:
    stop = asyncio.Event()
    await asyncio.to_thread(postgres.kill)
    with capture_logs() as logs:
        opening = asyncio.create_task(open_archive(postgres_url, stop))
        await until(lambda: of(logs, "archiver.archive_unavailable"))
        await asyncio.to_thread(postgres.start)
        archive = await asyncio.wait_for(opening, 30)
    assert archive is not None
    assert len(of(logs, "archiver.archive_unavailable")) == len(of(logs, "archiver.back")) == 1
    archive.close()
    stop.set()
    assert await open_archive(postgres_url, stop) is None


async def test_what_has_to_be_ensured_comes_first(shop: Shop, valkey: str, archive: Archive) -> None:
    await trade(shop)
    refusing = True

    async def ensure() -> None:
        if refusing:
            raise StoreUnavailableError("not compared yet", applied=False)

    desk = Desk(valkey, archive, ensure=ensure)
    with pytest.raises(StoreUnavailableError):
        await desk.drain()
    assert archive.positions() == {}
    refusing = False
    assert await desk.drain() == len(await shop.facts())
    await desk.close()


async def test_the_keys_of_a_sale_are_known_to_the_archiver(shop: Shop) -> None:
    await shop.open({"car": 1})
    ((seq, at_ms),) = [end for end in await journal_ends(shop.store, [SALE]) if end is not None]
    assert (seq, at_ms) == (1, shop.now_ms)
    assert SaleKeys.of(SALE).journal == shop.keys.journal
    assert await journal_ends(shop.store, []) == []
