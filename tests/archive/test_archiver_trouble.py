"""The archiver in trouble: journals that are trimmed, damaged, behind or another's, and what is away."""

import asyncio
import os
import signal
from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs

from flashsale.archive import Archive
from flashsale.keys import SaleKeys
from flashsale.process.embedded import EmbeddedValkey
from flashsale.store.client import StoreUnavailableError
from flashsale.store.journals import journal_ends
from flashsale.workers import archiver as module
from flashsale.workers.archiver import open_archive
from tests.support.archiving import OTHER, Desk, of, trade, until
from tests.support.postgres import Postgres
from tests.support.sales import SALE, Clock, claim
from tests.support.shop import Shop


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
        archive = await asyncio.wait_for(opening, 60)
    assert archive is not None
    reasons = [each["reason"] for each in of(logs, "archiver.archive_unavailable")]
    # Nobody listens, and then perhaps it is starting: each is said once.
    assert all(one != following for one, following in pairwise(reasons))
    assert len(of(logs, "archiver.back")) == 1
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
