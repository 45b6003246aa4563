"""The guard: what it compares, what it marks, and that nothing slips through whatever happens at the same time."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from flashsale.archive import Archive, ArchiveError, ArchiveUnavailableError, Position
from flashsale.engine.guard import ARCHIVE_AWAY, Behind, Guard
from flashsale.keys import GUARD, SALES, STRAY, SaleKeys
from flashsale.model.facts import Fact
from flashsale.process.embedded import EmbeddedValkey
from flashsale.store.client import SaleRecoveringError, Store, StoreRecoveringError, StoreUnavailableError
from flashsale.store.fence import Fence
from flashsale.store.guarding import GuardStore
from flashsale.store.sales import SaleStore
from tests.recovery.archived import Archived, put_back, save
from tests.support.sales import SALE, Clock, definition
from tests.support.server import PATIENCE_MS, PATIENCE_S
from tests.support.shop import Shop

LOST = "the sale is not recovered in this test"


async def sold(shop: Shop, *customers: str) -> None:
    for customer in customers:
        await shop.hold(customer)


async def is_closed(store: Store) -> bool:
    """Whether a new connection is turned away."""
    await store.redis.connection_pool.disconnect()
    try:
        await store.call(store.redis.ping())
    except StoreRecoveringError:
        return True
    return False


async def marks(store: GuardStore) -> bytes | None:
    found: Any = await store.store.redis.hget(SaleKeys.of(SALE).sale, "recovering")
    return bytes(found) if found is not None else None


async def test_a_store_that_has_everything_is_let_go(
    shop: Shop, archived: Archived, guard_store: GuardStore, store: Store
) -> None:
    await shop.open({"car": 5})
    await sold(shop, "ann", "bob")
    await archived.keep()
    await put_back(guard_store.store, await save(guard_store.store))
    assert await is_closed(store)
    guard = Guard(guard_store, archived.archive)
    assert await guard.verify() == []
    assert not await is_closed(store)
    assert guard.verified_run_id == (await guard_store.run_id())
    await sold(shop, "cem")


async def test_what_is_not_archived_yet_is_nothing_to_worry_about(
    shop: Shop, archived: Archived, guard_store: GuardStore
) -> None:
    await shop.open({"car": 5})
    await sold(shop, "ann", "bob")
    await archived.keep(limit=3)
    assert await Guard(guard_store, archived.archive).verify() == []
    assert await marks(guard_store) is None


@pytest.mark.breaks_the_books(LOST)
async def test_a_sale_with_an_older_journal_stays_as_it_is(
    shop: Shop, archived: Archived, guard_store: GuardStore, store: Store
) -> None:
    await shop.open({"car": 5})
    await sold(shop, "ann")
    yesterday = await save(guard_store.store)
    await sold(shop, "bob", "cem")
    await archived.keep()
    await put_back(guard_store.store, yesterday)
    assert await Guard(guard_store, archived.archive).verify() == [Behind(SALE, 3, 5)]
    assert await marks(guard_store) == b"5"
    assert not await is_closed(store), "the other sales go on"
    before = await shop.snapshot()
    for attempt in (shop.hold("dan"), shop.expire(), shop.set_state("pause"), shop.restock("car", 1)):
        with pytest.raises(SaleRecoveringError):
            await attempt
    shop.clock.advance(10_000)
    with pytest.raises(SaleRecoveringError):
        await shop.expire()
    assert await shop.snapshot() == before
    assert (await shop.look()).recovering == 5


@pytest.mark.breaks_the_books(LOST)
async def test_a_sale_that_is_gone_is_marked_and_listed(
    shop: Shop, archived: Archived, guard_store: GuardStore, sale_store: SaleStore
) -> None:
    await shop.open({"car": 5})
    await sold(shop, "ann")
    await archived.keep()
    await put_back(guard_store.store, {})
    assert await Guard(guard_store, archived.archive).verify() == [Behind(SALE, 0, 3)]
    assert await guard_store.store.redis.hkeys(SALES) == [SALE.encode()]
    with pytest.raises(SaleRecoveringError):
        await sale_store.definition(SALE)
    with pytest.raises(SaleRecoveringError):
        await shop.define(definition({"car": 5}))
    assert await sale_store.recovering([SALE, "other"]) == {SALE}


@pytest.mark.breaks_the_books(LOST)
@pytest.mark.parametrize("more", [0, 1, 2])
async def test_a_journal_that_went_on_without_what_was_lost_is_found_out(
    shop: Shop, archived: Archived, guard_store: GuardStore, more: int
) -> None:
    """As happens where a server sells without knowing of the archive."""
    await shop.open({"car": 9})
    await sold(shop, "ann")
    yesterday = await save(guard_store.store)
    await sold(shop, "bob", "cem")
    await archived.keep()
    await put_back(guard_store.store, yesterday, new_process=False)
    await sold(shop, "dan", *["eve", "fay"][:more])
    found = await Guard(guard_store, archived.archive).verify()
    assert found == [Behind(SALE, 4 + more, 5, differs_at=4)]
    with pytest.raises(SaleRecoveringError):
        await shop.hold("gil")


@pytest.mark.breaks_the_books(LOST)
async def test_charges_of_unknown_sales_are_guarded_too(
    shop: Shop, guard_store: GuardStore, archived: Archived, sales: SaleStore, clock: Clock
) -> None:
    stray = Shop(guard_store.store, sales, clock, sale=STRAY)
    other = Archived(archived.archive, sales, STRAY)
    await shop.open({"car": 1})
    await stray.confirm(replace(shop.charge(await shop.hold("ann")), token="s" * 16))
    await other.keep()
    await put_back(guard_store.store, {})
    assert await Guard(guard_store, archived.archive).verify() == [Behind(STRAY, 0, 1)]
    assert not await guard_store.store.redis.exists(SALES)


async def test_a_mark_that_is_out_of_date_is_taken_away_but_not_by_who_knows_less(
    shop: Shop, archived: Archived, guard_store: GuardStore
) -> None:
    await shop.open({"car": 5})
    await sold(shop, "ann")
    await archived.keep()
    known = archived.archive.facts(SALE, after=2, limit=1)[0]
    await guard_store.store.redis.hset(SaleKeys.of(SALE).sale, "recovering", "5")
    async with guard_store.session() as session:
        await session.compare(SALE, known)
        assert await marks(guard_store) == b"5", "somebody knows of five facts, we of three"
    await guard_store.store.redis.hset(SaleKeys.of(SALE).sale, "recovering", "3")
    await Guard(guard_store, archived.archive).verify()
    assert await marks(guard_store) is None


async def test_an_archive_that_is_older_than_the_journal_keeps_nobody_out(
    shop: Shop, archived: Archived, guard_store: GuardStore
) -> None:
    """Somebody has put a backup of the archive in place: it has nothing to guard by, and the archiver says so."""
    await shop.open({"car": 5})
    await sold(shop, "ann", "bob")
    await archived.keep(limit=2)
    entries = await shop.facts()
    names = SaleKeys.of(SALE)
    kept = await guard_store.store.redis.xrange(names.journal)
    assert await guard_store.store.redis.xtrim(names.journal, minid="4", approximate=False) == 3
    assert await Guard(guard_store, archived.archive).verify() == []
    assert await marks(guard_store) is None
    await guard_store.store.redis.delete(names.journal)
    for fact, (entry_id, fields) in zip(entries, kept or (), strict=True):
        assert entry_id == f"{fact.seq}-{fact.at_ms}".encode()
        await guard_store.store.redis.xadd(names.journal, fields, id=entry_id)  # type: ignore[arg-type]  # as it came


@pytest.mark.breaks_the_books(LOST)
async def test_a_sale_whose_last_fact_the_archive_lacks_stays_and_the_others_go_on(
    shop: Shop, archived: Archived, guard_store: GuardStore, store: Store
) -> None:
    await shop.open({"car": 5})
    await archived.keep()
    told = Told(archived.archive)
    told.lacks = True
    assert await Guard(guard_store, told).verify() == [Behind(SALE, 1, 1, differs_at=1)]
    assert not await is_closed(store)
    with pytest.raises(SaleRecoveringError):
        await shop.hold("ann")


# --- what happens at the same time ---


class Told(Archive):
    """An archive that does something before it answers."""

    def __init__(self, archive: Archive) -> None:
        self.__dict__.update(archive.__dict__)
        self.before: Any = lambda what: None
        self.lacks = False

    def positions(self) -> dict[str, Position]:
        self.before("positions")
        return super().positions()

    def facts(self, sale: str, *, after: int = 0, limit: int = 1000, shard: int = 0) -> list[Fact]:
        self.before("facts")
        if self.lacks:
            return []
        return super().facts(sale, after=after, limit=limit, shard=shard)


async def test_with_the_archive_away_the_fence_stays_closed_and_says_why(
    archive: Archive, guard_store: GuardStore, store: Store, valkey: str
) -> None:
    told = Told(archive)

    def away(_what: str) -> None:
        raise ArchiveUnavailableError("cannot reach the archive at postgresql://db/shop")

    told.before = away
    guard = Guard(guard_store, told)
    await put_back(guard_store.store, {})
    with pytest.raises(ArchiveError):
        await guard.verify()
    with pytest.raises(StoreRecoveringError, match=ARCHIVE_AWAY):
        await store.call(store.redis.ping())
    told.before = lambda _what: None
    await guard.ensure()
    assert not await is_closed(store)
    assert await guard_store.store.redis.hkeys(GUARD) == [b"run_id"]
    told.before = away
    with pytest.raises(ArchiveError):
        await Guard(guard_store, told).verify()
    assert not await is_closed(store), "it was compared: that another worker cannot changes nothing"


async def test_it_is_compared_once_for_each_server_process(archive: Archive, guard_store: GuardStore) -> None:
    asked: list[str] = []
    told = Told(archive)
    told.before = asked.append
    guard = Guard(guard_store, told)
    for _ in range(3):
        await guard.ensure()
    assert asked == ["positions"]


@pytest.mark.parametrize("restart_at", ["positions", "facts"])
def test_a_server_that_starts_again_while_it_is_compared_stays_closed(
    own_server: EmbeddedValkey, archive: Archive, restart_at: str
) -> None:
    """The first comparison breaks off, or writes the run id of a process that is gone."""

    async def scenario() -> None:
        async with GuardStore(own_server.url, timeout_ms=PATIENCE_MS) as guard_store:
            await guard_store.store.redis.flushall()
            sales = SaleStore(guard_store.store, timeout_s=PATIENCE_S)
            shop = Shop(guard_store.store, sales, Clock())
            await shop.open({"car": 5})
            await Archived(archive, sales, SALE).keep()
            told, restarts = Told(archive), 0

            def restart(what: str) -> None:
                nonlocal restarts
                if what == restart_at and not restarts:
                    restarts += 1
                    own_server.restart()  # in memory only: everything is lost

            told.before = restart
            guard = Guard(guard_store, told)
            store = Store.connect(own_server.url, timeout_ms=PATIENCE_MS, fence=Fence.ALWAYS)
            try:
                with pytest.raises(StoreUnavailableError):
                    await guard.verify()
                assert restarts == 1
                assert await is_closed(store)
                assert [each.sale for each in await guard.verify()] == [SALE]
                assert not await is_closed(store)
                with pytest.raises(SaleRecoveringError):
                    await shop.define(definition({"car": 5}))
            finally:
                await sales.close()
                await store.close()

    asyncio.run(scenario())


@pytest.mark.breaks_the_books(LOST)
async def test_the_archive_is_asked_after_the_server_was_known(
    shop: Shop, archived: Archived, guard_store: GuardStore
) -> None:
    """An archiver of the old server's life that comes to its end while we begin is not passed over."""
    await shop.open({"car": 5})
    yesterday = await save(guard_store.store)
    await sold(shop, "ann", "bob")
    facts = await shop.facts()
    await archived.keep(limit=2)
    lost = await archived.with_events(facts[2:])
    assert lost
    await put_back(guard_store.store, yesterday)
    told = Told(archived.archive)

    def late(what: str) -> None:
        if what == "positions":
            archived.archive.append(SALE, archived.seq(), lost)

    told.before = late
    assert [each.sale for each in await Guard(guard_store, told).verify()] == [SALE]


@pytest.mark.breaks_the_books(LOST)
async def test_an_archiver_that_wrote_across_a_restart_compares_again(
    shop: Shop, archived: Archived, guard_store: GuardStore, store: Store
) -> None:
    """Another worker has let everybody in meanwhile; whoever wrote finds out in its next round."""
    await shop.open({"car": 5})
    await archived.keep()
    mine, other = Guard(guard_store, archived.archive), Guard(guard_store, archived.archive)
    await mine.ensure()
    yesterday = await save(guard_store.store)
    await sold(shop, "ann")
    lost = await archived.with_events(await shop.facts(after=archived.seq()))
    await put_back(guard_store.store, yesterday)
    mine.verified_run_id = "the one before"
    assert await other.verify() == []
    assert not await is_closed(store)
    archived.archive.append(SALE, archived.seq(), lost)
    await mine.ensure()
    with pytest.raises(SaleRecoveringError):
        await shop.hold("bob")


async def test_many_compare_at_once(
    shop: Shop, archived: Archived, guard_store: GuardStore, valkey: str
) -> None:
    await shop.open({"car": 50})
    await archived.keep()
    await put_back(guard_store.store, await save(guard_store.store))
    guards = [Guard(guard_store, archived.archive) for _ in range(8)]

    async def sell() -> None:
        for number in range(50):
            await shop.hold(f"c-{number}")
            await archived.keep()

    found, _ = await asyncio.gather(asyncio.gather(*(guard.verify() for guard in guards)), sell())
    assert found == [[]] * 8
    assert await marks(guard_store) is None
