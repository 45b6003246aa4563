"""What it costs one server worker that thousands of browsers watch a sale which changes all the time.

The server's worker has core 0 to itself; Valkey, what changes the sale, and the watchers share core 1. The sale is changed
in the store, not through the server; ten times a second somebody reserves, to see how long that takes beside the watchers.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median
from typing import Final

import psutil
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from redis.asyncio import Redis

from bench.bench_http import BATCHED, SECRET, running
from bench.bench_orders import Program, env_of, load_core, percentile, program, worker_of
from bench.bench_scripts import CLOCK
from bench.report import Report
from flashsale.identity.tokens import ShopperTokens
from flashsale.model.sale import parse_definition
from flashsale.store.client import Store
from flashsale.store.sales import SaleStore

pytestmark = pytest.mark.benchmark(timer=CLOCK.read)
SALE: Final = "watched"
CHANGES_A_SECOND: Final = 20
COUNTS: Final = tuple(map(int, os.environ.get("BENCH_WATCHERS", "0,100,1000,5000").split(",")))
PRESS_S: Final = 0.1
ROUNDS, ROUND_S, SETTLE_S = 3, 8.0, 4.0
TARGET: Final = "at most 10 % of a core with 5,000 watchers"


@asynccontextmanager
async def changing(url: str) -> AsyncIterator[None]:
    """A sale whose stock grows twenty times a second."""
    store = Store.connect(url, timeout_ms=2000)
    sales = SaleStore(store)
    items = [
        {"sku": sku, "title": f"Giulia {sku}", "price": 100, "stock": 1_000_000} for sku in ("blue", "red")
    ]
    definition = {"title": "Bench", "opens_at": "2020-01-01T00:00:00Z", "currency": "CNY", "items": items}
    await sales.open_sale(SALE, parse_definition(definition))

    async def change() -> None:
        while True:
            await sales.restock(SALE, sku="blue", units=1, reason="")
            await asyncio.sleep(1 / CHANGES_A_SECOND)

    task = asyncio.create_task(change())
    try:
        yield
        assert not task.done(), "the sale has stopped to change"
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await sales.close()
        await store.close()


class Figures:
    """What was measured with so many watchers, round by round."""

    def __init__(self) -> None:
        self.core: list[float] = []
        self.events: list[float] = []
        self.pressed_ms: list[float] = []
        self.waited_s = 0.0

    async def measure(self, count: int, worker: psutil.Process, crowd: Program, shopper: "Shopper") -> None:
        """One round."""
        await counted(crowd)
        busy, started = sum(worker.cpu_times()[:2]), time.monotonic()
        while time.monotonic() - started < ROUND_S:
            self.pressed_ms.append(await shopper.press() * 1000)
            await asyncio.sleep(PRESS_S)
        passed = time.monotonic() - started
        self.core.append((sum(worker.cpu_times()[:2]) - busy) / passed)
        had, _, _, there, longest_s = await counted(crowd)
        assert there == count, f"{count - there:.0f} watchers were lost"
        self.events.append(had / passed / max(1, count))
        self.waited_s = max(self.waited_s, longest_s)


class Shopper:
    """Somebody who reserves again and again, on one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        bearer = ShopperTokens(SECRET, None).issue("a-shopper", 3600)
        body = b'{"items":[{"sku":"red","quantity":1}]}'
        head = f"POST /v1/sales/{SALE}/reservations HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {bearer}\r\n"
        self._request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def press(self) -> float:
        """Seconds until the answer is there."""
        started = time.monotonic()
        self._writer.write(self._request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 201"), head
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
        await self._reader.readexactly(int(length))
        return time.monotonic() - started

    def leave(self) -> None:
        self._writer.close()


async def counted(crowd: Program) -> list[float]:
    """What the watchers have seen since they were last asked; see bench/apps/watchers.py."""
    crowd.tell("count")
    return [float(each) for each in (await crowd.line("COUNTED")).split()]


@pytest.mark.timeout(900)
async def bench_watchers(
    benchmark: BenchmarkFixture, redis: "Redis", valkey_url: str, report: Report
) -> None:
    """Share of a core that the worker takes, by number of watchers."""
    found: dict[int, Figures] = {}
    with load_core(), running(BATCHED, valkey_url) as port:
        worker = worker_of(port)
        async with changing(valkey_url):
            shopper = Shopper(*await asyncio.open_connection("127.0.0.1", port))
            for count in COUNTS:
                figures = found[count] = Figures()
                async with program("watchers.py", port, SALE, count, env=env_of(valkey_url)) as crowd:
                    await crowd.line("READY")
                    await asyncio.sleep(SETTLE_S)
                    for _ in range(ROUNDS):
                        await figures.measure(count, worker, crowd, shopper)
                await asyncio.sleep(1.0)
            shopper.leave()
    info = await redis.info()
    CLOCK.record(benchmark, [median(found[COUNTS[-1]].core)], info)
    report.keep("watchers", {str(count): vars(figures) for count, figures in found.items()}, info)
    for count, figures in found.items():
        report.row(
            f"watchers of a sale that changes {CHANGES_A_SECOND} times a second, one worker",
            (
                "watchers",
                "of a core",
                "events a second for each",
                "longest wait s",
                "a hold, p50 ms",
                "p99 ms",
            ),
            (
                f"{count:,}",
                f"{median(figures.core):.1%}",
                f"{median(figures.events):.2f}",
                f"{figures.waited_s:.2f}",
                f"{percentile(figures.pressed_ms, 50):.1f}",
                f"{percentile(figures.pressed_ms, 99):.1f}",
            ),
            target=TARGET,
        )
