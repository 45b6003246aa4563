"""What the archive costs: facts a second into PostgreSQL and SQLite, beside a plain executemany of the same rows.

Both are measured in turn, in transactions of 500 facts, so that what else the machine does meets both. About three facts in
ten make an order. The plain one writes the same rows into the same tables with the driver alone: no position, no check, and
the values have been made ready before. `archiver` is the whole way, from the journal in Valkey by way of the events.

CPU time is that of the process that writes, without the database: it does not move with the neighbours as the rate does.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from redis.asyncio import Redis
from sqlalchemy import Dialect, insert, make_url

from bench.bench_scripts import CLOCK
from bench.report import Report
from flashsale.archive import Archive, ArchivedFact
from flashsale.archive.rows import fact_row, order_rows
from flashsale.archive.tables import FACTS, ORDERS
from flashsale.engine.cloudevents import EventMaker
from flashsale.keys import SALES, SaleKeys
from flashsale.model.facts import Fact, FactType
from flashsale.model.reservation import pack_record
from flashsale.store.client import Store
from flashsale.store.sales import SaleStore
from flashsale.workers.archiver import Archiver
from tests.support.archived import archived, many
from tests.support.postgres import Postgres
from tests.support.sales import SALE

pytestmark = [pytest.mark.benchmark(timer=CLOCK.read), pytest.mark.timeout(600)]
COUNT, AT_ONCE, ROUNDS = 20_000, 500, 3
TITLE = "archive: 500 facts a transaction; the database, with fsync, on the same two cores"
COLUMNS = ("into", "way", "facts a second (best)", "median", "CPU us a fact", "rate of a plain executemany")
TARGET = "10,000 a second into PostgreSQL"

Times = list[tuple[float, float]]
"""Seconds that passed, and of CPU, in each round."""


@pytest.fixture(scope="module")
def facts() -> list[ArchivedFact]:
    return archived(many(COUNT))


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """As shipped: what is committed is on the disk."""
    with Postgres(fsync="on") as running:
        yield running


@pytest.fixture(params=["postgresql", "sqlite"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Makes the addresses of archives that nobody has opened yet."""
    numbers = iter(range(100))
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path}/{next(numbers)}.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.create_database


def tell(report: Report, into: str, way: str, times: Times, beside: str) -> list[float]:
    """A row of the table; the seconds of all rounds."""
    seconds, cpu = [each[0] for each in times], [each[1] for each in times]
    report.row(
        TITLE,
        COLUMNS,
        (
            into,
            way,
            f"{COUNT / min(seconds):,.0f}",
            f"{COUNT / median(seconds):,.0f}",
            f"{min(cpu) / COUNT * 1e6:.0f}",
            beside,
        ),
        target=TARGET,
    )
    return seconds


def bench_append(
    benchmark: BenchmarkFixture, report: Report, fresh: Callable[[], str], facts: list[ArchivedFact]
) -> None:
    """`Archive.append` and a plain executemany, in turn."""
    ours: Times = []
    plain: Times = []
    for _ in range(ROUNDS):
        archive = Archive.open(fresh())
        began = _now()
        for start in range(0, COUNT, AT_ONCE):
            assert archive.append(SALE, start, facts[start : start + AT_ONCE])
        ours.append(_since(began))
        assert archive.books(SALE).facts == COUNT
        archive.close()
        plain.append(_plainly(fresh(), facts))
    into = fresh().partition(":")[0]
    ratio = median(theirs[0] / mine[0] for theirs, mine in zip(plain, ours, strict=True))
    CLOCK.record(benchmark, tell(report, into, "Archive.append", ours, f"{ratio:.2f}"), {})
    tell(report, into, "plain executemany", plain, "1")
    report.keep("archive", {"into": into, "ours": ours, "plain": plain, "facts": COUNT}, {})


def _plainly(url: str, facts: list[ArchivedFact]) -> tuple[float, float]:
    """How long the driver alone takes for the same rows in as many transactions."""
    Archive.open(url).close()  # the tables
    sqlite = url.startswith("sqlite")
    dialect = make_url(url.replace("postgresql", "postgresql+psycopg")).get_dialect()()
    batches = []
    for start in range(0, COUNT, AT_ONCE):
        batch = facts[start : start + AT_ONCE]
        rows, (orders, _) = [fact_row(*each) for each in batch], order_rows(batch)
        batches.append([_bound(dialect, FACTS, rows), _bound(dialect, ORDERS, orders)])
    driver: Any = sqlite3.connect(url.removeprefix("sqlite:///")) if sqlite else psycopg.connect(url)
    if sqlite:
        driver.execute("PRAGMA synchronous=FULL")
    cursor = driver.cursor()
    began = _now()
    for statements in batches:
        for statement, values in statements:
            if values:
                cursor.executemany(statement, values)
        driver.commit()
    took = _since(began)
    driver.close()
    return took


def _bound(dialect: Dialect, table: Any, rows: list[dict[str, Any]]) -> tuple[str, list[Any]]:
    """The INSERT of a table, and the values of rows as the driver takes them."""
    types = {column.name: column.type.dialect_impl(dialect).bind_processor(dialect) for column in table.c}
    values = [{name: make(row[name]) if make else row[name] for name, make in types.items()} for row in rows]
    statement = str(insert(table).values(dict.fromkeys(types)).compile(dialect=dialect))
    return statement, [tuple(row.values()) for row in values] if dialect.name == "sqlite" else values


async def bench_archiver(
    benchmark: BenchmarkFixture,
    report: Report,
    redis: "Redis",
    valkey_url: str,
    fresh: Callable[[], str],
    facts: list[ArchivedFact],
) -> None:
    """A backlog in Valkey, worked off by one archiver."""
    store = Store.connect(valkey_url)
    sales = SaleStore(store)
    await _lay_down(redis, [fact for fact, _ in facts])
    times: Times = []
    for _ in range(ROUNDS):
        archive = await asyncio.to_thread(Archive.open, fresh())
        archiver = Archiver(sales, EventMaker(sales, "test"), archive, store=store)
        began, count = _now(), 0
        while count < COUNT:
            count += await archiver.step(block_ms=1)
        times.append(_since(began))
        assert archive.books(SALE).facts == COUNT
        await asyncio.to_thread(archive.close)
    info, into = await redis.info(), fresh().partition(":")[0]
    await sales.close()
    await store.close()
    CLOCK.record(benchmark, tell(report, into, "archiver", times, "-"), info)
    report.keep("archiver", {"into": into, "times": times, "facts": COUNT}, info)


async def _lay_down(redis: "Redis", facts: list[Fact]) -> None:
    """What the archiver reads of a sale: its journal, its reservations, its definition."""
    names = SaleKeys.of(SALE)
    await redis.hset(SALES, SALE, "1")
    pipe = redis.pipeline(transaction=False)
    for fact in facts:
        pipe.xadd(names.journal, {fact.type: fact.data}, id=f"{fact.seq}-{fact.at_ms}")
        if fact.type == FactType.HELD:
            pipe.hset(names.reservations, fact.token, pack_record(fact.held()))
        elif fact.type == FactType.SALE_OPENED:
            pipe.hset(names.sale, "definition", fact.data)
        if fact.seq % 1000 == 0:
            await pipe.execute()
    await pipe.execute()


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(began: tuple[float, float]) -> tuple[float, float]:
    return time.perf_counter() - began[0], time.process_time() - began[1]
