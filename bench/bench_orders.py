"""Orders on their way out: how soon they are in the hands of an order system, how fast old ones are read again, and what a
thousand readers who are slow cost the server.

The server's worker and the publisher (a process of its own) share core 0; Valkey, the load and the readers share core 1.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from redis.asyncio import Redis

from bench.bench_checkout import Cpu, valkey_process
from bench.bench_http import BATCHED, ROOT_KEY, running
from bench.bench_payments import MONEY, begin_payments, reference
from bench.bench_scripts import CLOCK, KEYS
from bench.report import Report
from flashsale import keys
from flashsale.engine.cloudevents import EventMaker
from flashsale.model.outcomes import Confirm
from flashsale.scripts import payments
from flashsale.scripts.payments import ChargeClaim
from flashsale.store.client import Store
from flashsale.store.orders import OrderStore
from flashsale.store.sales import SaleStore

pytestmark = pytest.mark.benchmark(timer=CLOCK.read)
APPS = Path(__file__).parent / "apps"
SALE = "bench"
SERVES, LOADS = 0, 1
"""The two cores."""
RATE, TICK_S = 1_000, 0.01
ORDERS, WARM, ROUNDS = 5_000, 2_000, 3
WAYS = {"feed": "long poll (OrderFeed)", "stream": "server-sent events", "group": "XREADGROUP"}
BACKLOG = 30_000
OLD = int(os.environ.get("BENCH_OLD_ORDERS", "1_000_000"))
"""Orders that are read again; fewer are enough to see whether it works."""
OLD_WAYS = {
    "poll": "GET /v1/orders, limit=1000",
    "feed": "the same by OrderFeed",
    "stream": "server-sent events",
}
SLOW_READERS, RUSH, RUSH_RATE = 1_000, 20_000, 2_000
FULL = 2_000
"""Orders after which the slow readers have as much on its way to them as they ever will."""


def env_of(valkey_url: str, port: int = 0) -> dict[str, str]:
    own = {"FLASHSALE_REDIS_URL": valkey_url, "SHOP_URL": f"http://127.0.0.1:{port}", "SHOP_KEY": ROOT_KEY}
    return {**os.environ, **own}


@contextmanager
def load_core() -> Iterator[None]:
    """This process makes the load, on the core of the load, inside the block."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {LOADS})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def publishing(valkey_url: str) -> Iterator[psutil.Process]:
    """`flashsale work`, of which the orders alone."""
    env = env_of(valkey_url) | {"FLASHSALE_LOG_LEVEL": "warning", "FLASHSALE_ARCHIVE": "none"}
    command = [sys.executable, "-m", "flashsale", "work", "--work-only", "orders"]
    worker = subprocess.Popen(["taskset", "-c", str(SERVES), *command], env=env, stdout=subprocess.DEVNULL)
    try:
        yield psutil.Process(worker.pid)
        assert worker.poll() is None, "the publisher has ended"
    finally:
        worker.terminate()
        worker.wait(30)


class Program:
    """A program of bench/apps that says READY, and RESULT at its end."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self, word: str) -> str:
        assert self._process.stdout is not None
        while raw := await self._process.stdout.readline():
            first, _, rest = raw.decode().strip().partition(" ")
            if first == word:
                return rest
        raise AssertionError(f"it has ended without {word}")

    def tell(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n".encode())

    def end_input(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()


@asynccontextmanager
async def program(name: str, *arguments: object, env: Mapping[str, str]) -> AsyncIterator[Program]:
    process = await asyncio.create_subprocess_exec(
        *("taskset", "-c", str(LOADS), sys.executable, str(APPS / name), *map(str, arguments)),
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        limit=2**24,
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@dataclass
class Payers:
    """Customers whose payments are under way, and who pay at a steady rate."""

    redis: "Redis"
    tokens: list[str]
    paid: int = 0

    @classmethod
    async def of(cls, redis: "Redis", count: int) -> "Payers":
        tokens = await begin_payments(redis, count)
        await redis.hset(keys.SALES, SALE, "1")
        return cls(redis, tokens)

    async def pay(self, count: int, rate: int = RATE) -> None:
        """So many orders, `rate` a second."""
        made, began = 0, time.monotonic()
        while made < count:
            due = min(count - made, max(1, round(rate * TICK_S)))
            await self._confirm(due)
            made += due
            await asyncio.sleep(max(0.0, began + made / rate - time.monotonic()))

    async def pay_one(self) -> None:
        """One order, and waits until it is published: from then on the publisher has nothing old to read."""
        await self._confirm(1)
        deadline = time.monotonic() + 60
        while await self.redis.xlen(KEYS.orders) < self.paid:
            assert time.monotonic() < deadline, "nobody publishes"
            await asyncio.sleep(0.01)

    async def pay_all_at_once(self, count: int) -> None:
        for at in range(0, count, 100):
            await self._confirm(min(100, count - at))

    async def _confirm(self, count: int) -> None:
        claims = [
            ChargeClaim(self.tokens[number], 1, "card", MONEY, reference(number))
            for number in range(self.paid, self.paid + count)
        ]
        self.paid += count
        decisions = await payments.confirm(self.redis, KEYS, claims)
        assert {each.outcome for each in decisions} == {Confirm.CONFIRMED}


async def pay_until(payers: Payers, what: "asyncio.Task[str]") -> None:
    """One order after the other, until the reader says that it has one."""
    while not what.done():
        await payers.pay(1, 50)
    await what


def percentile(ages: Sequence[float], percent: float) -> float:
    return sorted(ages)[min(len(ages) - 1, int(len(ages) * percent / 100))]


@pytest.mark.timeout(600)
async def bench_latency(benchmark: BenchmarkFixture, redis: "Redis", valkey_url: str, report: Report) -> None:
    """From the instant at which an order is confirmed to the hands of an order system, by each way to pull."""
    ages: dict[str, list[float]] = {way: [] for way in WAYS}
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    payers = await Payers.of(redis, len(WAYS) * ROUNDS * (ORDERS + WARM))
    with load_core(), running(BATCHED, valkey_url) as port, publishing(valkey_url):
        await payers.pay_one()
        for _ in range(ROUNDS):
            for way in WAYS:
                async with program("orders_reader.py", way, ORDERS, env=env_of(valkey_url, port)) as reader:
                    await pay_until(payers, asyncio.create_task(reader.line("READY")))
                    result = asyncio.create_task(reader.line("RESULT"))
                    await payers.pay(ORDERS)
                    found = json.loads(await result)
                    ages[way] += found["ages_ms"]
                    rates[way].append(found["orders"] / found["seconds"])
    info = await redis.info()
    CLOCK.record(benchmark, [sum(each) / len(each) / 1000 for each in ages.values()], info)
    figures = {
        way: {"p50": percentile(each, 50), "p99": percentile(each, 99), "max": max(each)}
        for way, each in ages.items()
    }
    report.keep("orders-latency", {"ms": figures, "rates": rates, "orders": ORDERS * ROUNDS}, info)
    for way, each in figures.items():
        report.row(
            f"orders: from confirmed to the consumer's hands, {RATE:,} orders a second, publisher a process of its own",
            ("way", "orders", "orders per second", "p50 ms", "p99 ms", "max ms"),
            (
                WAYS[way],
                f"{len(ages[way]):,}",
                f"{sum(rates[way]) / ROUNDS:,.0f}",
                *(f"{each[name]:.1f}" for name in ("p50", "p99", "max")),
            ),
            target="p99 at most 50 ms",
        )


@pytest.mark.timeout(600)
async def bench_backlog(benchmark: BenchmarkFixture, redis: "Redis", valkey_url: str, report: Report) -> None:
    """How fast one publisher tells of orders that were made while it was away."""
    count, marks = BACKLOG, list[tuple[float, int]]()
    with load_core():
        payers = await Payers.of(redis, count)
        await payers.pay_all_at_once(count)
        with publishing(valkey_url) as publisher:
            while not marks or marks[-1][1] < count:
                if told := await redis.xlen(KEYS.orders):
                    marks.append((time.monotonic(), told))
                await asyncio.sleep(0.01)
            (cpu_seconds, system, *_), (began, first), (ended, _) = publisher.cpu_times(), marks[0], marks[-1]
    info = await redis.info()
    CLOCK.record(benchmark, [ended - began], info)
    report.keep("orders-backlog", {"orders": count, "seconds": ended - began}, info)
    report.row(
        "orders: one publisher and a backlog (publisher on one core, Valkey on the other, fsync always)",
        ("orders", "seconds", "orders per second", "us of CPU: publisher"),
        (
            f"{count:,}",
            f"{ended - began:.1f}",
            f"{(count - first) / (ended - began):,.0f}",
            f"{(cpu_seconds + system) / count * 1e6:.0f}",
        ),
    )


FILL = """
local first, last, event, tally = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]
for n = first, last do
  local numbers = { long = string.format('%015d', n), short = string.format('%d', n) }
  redis.call('XADD', KEYS[1], n .. '-' .. n, 'event', (string.gsub(event, '@(%a+)@', numbers)), 'tally', tally)
end
"""


async def fill(redis: "Redis", valkey_url: str, count: int) -> int:
    """A stream of so many orders, all made after the first one, by XADD: through the journal it would take minutes.

    How many bytes the event of one has.
    """
    await (await Payers.of(redis, 1)).pay(1)
    store = Store.connect(valkey_url)
    sales, orders = SaleStore(store), OrderStore(store)
    facts = [fact for fact in await sales.facts(SALE, limit=100_000) if fact.sequence == 1]
    (event,) = await EventMaker(sales, "flashsale").make(SALE, facts[-1:])
    await sales.close()
    await orders.close()
    await store.close()
    seq, body = facts[-1].seq, event.body.decode()
    for old, new in (
        (f'"id":"{SALE}.0.{seq}"', f'"id":"{SALE}.0.@short@"'),
        (f'"factseq":"{seq:015d}"', '"factseq":"@long@"'),
        (f'"sequence":"{1:015d}"', '"sequence":"@long@"'),
        ('"sequence":1,', '"sequence":@short@,'),
    ):
        assert body.count(old) == 1, (old, body)
        body = body.replace(old, new)
    for first in range(1, count + 1, 5_000):
        last = min(count, first + 4_999)
        await redis.eval(FILL, 1, KEYS.orders, str(first), str(last), body, "{}")
    return len(event.body)


@pytest.mark.timeout(900)
async def bench_replay(benchmark: BenchmarkFixture, redis: "Redis", valkey_url: str, report: Report) -> None:
    """How fast an order system reads all orders of a big sale again."""
    await redis.config_set("appendonly", "no")
    size = await fill(redis, valkey_url, OLD)
    figures: dict[str, float] = {}
    with load_core(), running(BATCHED, valkey_url) as port:
        for way, name in OLD_WAYS.items():
            count = OLD if way != "feed" else OLD // 5
            cpu = Cpu(server=[worker_of(port)], valkey=[valkey_process()])
            before = cpu.read()
            arguments = ("orders_reader.py", way, count - 1, 0)
            async with program(*arguments, env=env_of(valkey_url, port)) as reader:
                found = json.loads(await reader.line("RESULT"))
                figures[way] = found["seconds"] / found["orders"]
                spent = {name: seconds - before[name] for name, seconds in cpu.read().items()}
                spent["reader"] = found["cpu_seconds"]
                report.row(
                    f"orders: read again from the first one (events of {size} bytes, stream filled by XADD)",
                    (
                        *("way", "orders", "seconds", "orders per second"),
                        *(f"us of CPU: {part}" for part in spent),
                    ),
                    (
                        name,
                        f"{count:,}",
                        f"{found['seconds']:.1f}",
                        f"{found['orders'] / found['seconds']:,.0f}",
                        *(f"{seconds / count * 1e6:.0f}" for seconds in spent.values()),
                    ),
                    target="20,000 a second",
                )
    info = await redis.info()
    await redis.flushall()
    await redis.config_set("appendonly", "yes")
    CLOCK.record(benchmark, list(figures.values()), info)
    report.keep("orders-replay", {"seconds_each": figures, "orders": OLD}, info)


def worker_of(port: int) -> psutil.Process:
    """The server's worker, which is a child of whoever listens here."""
    for process in psutil.Process().children(recursive=True):
        command = " ".join(process.cmdline())
        if "http_worker" in command:
            return process
    raise AssertionError(f"nobody serves on {port}")


@pytest.mark.timeout(600)
async def bench_slow_readers(
    benchmark: BenchmarkFixture, redis: "Redis", valkey_url: str, report: Report
) -> None:
    """Memory of the server's worker with readers who do not keep up, and what a fast one beside them is given."""
    payers = await Payers.of(redis, 2 * RUSH + FULL + 3 * WARM)
    steps: dict[str, float] = {}
    with load_core(), running(BATCHED, valkey_url) as port, publishing(valkey_url):
        env, worker = env_of(valkey_url, port), worker_of(port)
        await payers.pay_one()

        async def rush(count: int) -> list[float]:
            """Orders beside a fast reader, who has to get all of them; how old they were."""
            async with program("orders_reader.py", "stream", count, env=env) as reader:
                await pay_until(payers, asyncio.create_task(reader.line("READY")))
                result = asyncio.create_task(reader.line("RESULT"))
                await payers.pay(count, RUSH_RATE)
                ages: list[float] = json.loads(await result)["ages_ms"]
                return ages

        def note(step: str) -> None:
            steps[step] = worker.memory_info().rss / 2**20

        alone = await rush(RUSH)
        note(f"{RUSH:,} orders, one reader")
        async with program("slow_readers.py", port, SLOW_READERS, env=env) as slow:
            await slow.line("READY")
            note(f"{SLOW_READERS:,} slow readers more")
            await rush(FULL)
            note(f"{FULL:,} orders more: they are stuck")
            beside = await rush(RUSH)
            note(f"{RUSH:,} orders more")
            slow.end_input()
            had, gone = map(int, (await slow.line("RESULT")).split())
    info = await redis.info()
    CLOCK.record(benchmark, [percentile(beside, 50) / 1000], info)
    figures = {"mib": steps, "slow_bytes": had, "slow_gone": gone}
    report.keep("orders-slow-readers", figures, info)
    for step, mib in steps.items():
        report.row(
            f"orders: memory of the server's worker with slow readers (they had {had / 2**20:.1f} MiB; {gone} were cut off)",
            ("step", "MiB"),
            (step, f"{mib:.1f}"),
            target="flat once they are stuck",
        )
    for name, ages in (("alone", alone), ("beside the slow ones", beside)):
        report.row(
            f"orders: a fast reader of server-sent events, {RUSH_RATE:,} orders a second",
            ("reader", "orders", "p50 ms", "p99 ms"),
            (name, f"{len(ages):,}", f"{percentile(ages, 50):.1f}", f"{percentile(ages, 99):.1f}"),
        )
