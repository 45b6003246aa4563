"""kill -9 of archivers, and of PostgreSQL, again and again while they work: in the end the archive is the journal."""

import asyncio
import multiprocessing
import os
import random
import signal
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Final

import pytest

from flashsale.archive import Archive, ArchiveUnavailableError
from flashsale.engine.cloudevents import EventMaker
from flashsale.model.events import Tally
from flashsale.scripts import payments as scripts
from flashsale.store.client import Store
from flashsale.store.sales import SaleStore
from flashsale.workers.archiver import Archiver, open_archive
from tests.support.postgres import Postgres
from tests.support.sales import SALE, claim
from tests.support.shop import Shop

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["__main__", "tests.archive.test_kill", "psycopg", "sqlalchemy.dialects.postgresql"]
)
CUSTOMERS: Final = 2000
AT_ONCE: Final = 500


def work(archive_url: str, redis_url: str) -> None:
    """An archiver process, which runs until it is killed."""

    async def main() -> None:
        archive = await open_archive(archive_url, asyncio.Event())
        assert archive is not None
        store = Store.connect(redis_url)
        sales = SaleStore(store)
        await Archiver(sales, EventMaker(sales, "test"), archive, store=store, at_once=100).run(
            asyncio.Event()
        )

    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - it is open until the process is killed
    asyncio.run(main())


def archiver(archive_url: str, redis_url: str) -> BaseProcess:
    process = FORKS.Process(target=work, args=(archive_url, redis_url), daemon=True)
    process.start()
    return process


async def trade(shop: Shop, customers: int, killed: Callable[[], int]) -> None:
    """So many orders, a tenth of them undone, in a few calls. Each but the first waits until one more has been killed."""
    await shop.open({"car": customers})
    for start in range(0, customers, AT_ONCE):
        while killed() < start // AT_ONCE:  # noqa: ASYNC110 - the loop that kills counts, and tells nobody
            await asyncio.sleep(0.01)
        numbers = range(start, min(start + AT_ONCE, customers))
        decisions = await shop.reserve(*(claim(f"c{number}") for number in numbers))
        held = [decision.reservation for decision in decisions]  # type: ignore[union-attr]  # all are granted
        wishes = [scripts.Wish(each.token, "card", shop.due(each)) for each in held]
        await scripts.pay(
            shop.store.redis,
            shop.keys,
            wishes,
            extension_ms=0,
            rate=0,
            queue_limit=10**6,
            now_ms=shop.now_ms,
        )
        await shop.confirm(
            *(shop.charge(each, f"sim:{number}") for number, each in zip(numbers, held, strict=True))
        )
        for each in held[::10]:
            await shop.refund(each.token)
        await asyncio.sleep(0)


async def end_of(archive: Archive) -> int:
    """The last fact archived; 0, too, when nobody can tell."""
    try:
        position = await asyncio.to_thread(archive.position, SALE)
    except ArchiveUnavailableError:
        return 0
    return position.seq if position is not None else 0


async def moved_on(archive: Archive) -> None:
    """Waits until one of them has done something, or there is nothing to do: a busy machine decides nothing here."""
    before = await end_of(archive)
    for _ in range(200):
        if await end_of(archive) > before:
            return
        await asyncio.sleep(0.02)


async def killed_until_done(
    shop: Shop, archive: Archive, start: Callable[[], BaseProcess], kill_more: Callable[[], None]
) -> int:
    """Two archivers at a time, killed one after the other until the journal is archived; how many were killed."""
    selling = asyncio.create_task(trade(shop, CUSTOMERS, lambda: kills))
    chance, kills = random.Random(7), 0
    running = [start(), start()]
    try:
        async with asyncio.timeout(400):
            while not selling.done() or await end_of(archive) < (await shop.state()).seq:
                if chance.random() < 0.8:  # the others die before they have done anything
                    await moved_on(archive)
                await asyncio.sleep(chance.uniform(0.0, 0.1))
                victim = running.pop(0)
                os.kill(victim.pid or 0, signal.SIGKILL)
                await asyncio.to_thread(victim.join)
                running.append(start())
                kills += 1
                if kills % 5 == 0:
                    await asyncio.to_thread(kill_more)
    finally:
        for process in running:
            process.kill()
            process.join()
    await selling
    return kills


async def check(shop: Shop, archive: Archive) -> None:
    journal, after = [], 0
    while facts := await shop.facts(after=after):
        journal += facts
        after = facts[-1].seq
    assert archive.facts(SALE, limit=10**6) == journal
    maker, tally, told = EventMaker(shop.sale_store, "test"), Tally(), []
    for begin in range(0, len(journal), 1000):
        told += [each for each in await maker.make(SALE, journal[begin : begin + 1000]) if each.sequence]
    assert [(each.sequence, each.body) for each in archive.events(SALE, limit=10**6)] == [
        (each.sequence, each.body) for each in told
    ]
    for event in told:
        tally = tally.plus(event.data)
    books = archive.books(SALE)
    assert (books.facts, books.seq, books.sequence) == (len(journal), journal[-1].seq, tally.sequence)
    assert (
        (books.confirmed, books.refunded) == (tally.confirmed, tally.refunded) == (CUSTOMERS, CUSTOMERS // 10)
    )
    assert books.confirmed_amount == tally.confirmed_amount
    assert books.refunded_amount == tally.refunded_amount


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_archivers_die_at_any_moment(shop: Shop, archive_url: str, valkey: str) -> None:
    archive = Archive.open(archive_url)
    kills = await killed_until_done(shop, archive, lambda: archiver(archive_url, valkey), lambda: None)
    assert kills >= 3, "one between every two calls"
    await check(shop, archive)
    archive.close()


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_postgresql_dies_with_them(
    shop: Shop, postgres: Postgres, postgres_url: str, valkey: str
) -> None:
    archive = Archive.open(postgres_url)

    def kill() -> None:
        postgres.kill()
        postgres.start()

    await killed_until_done(shop, archive, lambda: archiver(postgres_url, valkey), kill)
    await check(shop, archive)
    archive.close()
