"""What one reservation costs the store: CPU, memory, and how both grow with the holds that are live."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from redis.asyncio import Redis

from bench.report import Report
from flashsale.keys import SaleKeys
from flashsale.model import ids
from flashsale.model.reservation import pack_body
from flashsale.model.sale import SaleDefinition, parse_definition
from flashsale.scripts import calls, loader
from flashsale.scripts.reserve import Claim, encode

KEYS = SaleKeys.of("bench")
CHUNK = 16
"""Calls sent together, so that the sender does not starve the server."""


def definition(stock: int) -> SaleDefinition:
    return parse_definition(
        {
            "title": "Bench",
            "opens_at": "2020-01-01T00:00:00Z",
            "currency": "EUR",
            "limit_per_customer": 1,
            "hold_seconds": 86_400,
            "items": [{"sku": "giulia", "price": 33_000_000, "stock": stock}],
        }
    )


def claims(first: int, count: int, keyed: bool) -> list[Claim]:
    made = []
    for number in range(first, first + count):
        customer = f"customer-{number:07d}"
        token = ids.derived_token("bench", customer, "once") if keyed else ids.new_token()
        made.append(Claim(token, customer, (("giulia", 1),), pack_body(customer, (("giulia", 1),)), keyed))
    return made


def calls_of(first: int, count: int, batch: int, *, keyed: bool = False) -> list[tuple[Any, ...]]:
    """EVALSHA commands that reserve `count` units for as many customers."""
    sha = loader.load("reserve").sha
    return [
        ("EVALSHA", sha, 6, *KEYS.book(), *encode(claims(at, min(batch, first + count - at), keyed)))
        for at in range(first, first + count, batch)
    ]


async def send(redis: "Redis", commands: Sequence[tuple[Any, ...]]) -> None:
    for at in range(0, len(commands), CHUNK):
        pipeline = redis.pipeline(transaction=False)
        for command in commands[at : at + CHUNK]:
            pipeline.execute_command(*command)
        await pipeline.execute()


async def cpu_seconds(redis: "Redis") -> float:
    info: dict[str, Any] = await redis.info("cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"])


async def cpu_of(redis: "Redis", work: Callable[[], Awaitable[object]]) -> float:
    """Seconds of the server's CPU that `work` takes."""
    before = await cpu_seconds(redis)
    await work()
    return await cpu_seconds(redis) - before


async def check_held(redis: "Redis", held: int) -> None:
    """A benchmark of something that went wrong is worth nothing."""
    look = await calls.inspect(redis, KEYS)
    assert look.sale is not None
    assert look.sale.stock[0].held == look.sale.holds == held


async def open_sale(redis: "Redis", stock: int = 10_000_000) -> None:
    await redis.flushall()
    await calls.open_sale(redis, KEYS, definition(stock))
    for name in calls.NAMES:
        await redis.script_load(loader.load(name).source)


class CpuClock:
    """Lets pytest-benchmark sort and store CPU seconds of the server as it does wall time."""

    def __init__(self) -> None:
        self._now = 0.0

    def read(self) -> float:
        return self._now

    def record(self, benchmark: BenchmarkFixture, seconds: Sequence[float], info: dict[str, Any]) -> None:
        benchmark.extra_info["redis_info"] = {
            key: value for key, value in info.items() if not isinstance(value, dict | list)
        }
        rounds = iter(seconds)

        def advance() -> None:
            self._now += next(rounds)

        benchmark.pedantic(advance, rounds=len(seconds), iterations=1)


CLOCK = CpuClock()
pytestmark = pytest.mark.benchmark(timer=CLOCK.read)


async def bench_baseline(benchmark: BenchmarkFixture, redis: "Redis", report: Report) -> None:
    """What the machine makes of two simple things today: read the other figures against them."""
    await redis.config_set("appendonly", "no")
    count = 20_000
    sets = [("SET", f"key-{number}", "value") for number in range(count)]
    empty = await redis.script_load("return 1")
    evals = [("EVALSHA", empty, 1, "key")] * count
    costs = {}
    for name, commands in (("SET", sets), ("EVALSHA of an empty script", evals)):
        rounds = []
        for _ in range(3):
            before = await cpu_seconds(redis)
            await send(redis, commands)
            rounds.append(await cpu_seconds(redis) - before)
        costs[name] = min(rounds)
        row = (name, f"{costs[name] / count * 1e6:.1f}")
        report.row("the machine today: Redis CPU of simple commands", ("command", "us each"), row)
    info = await redis.info()
    await redis.config_set("appendonly", "yes")
    CLOCK.record(benchmark, [costs["SET"]], info)
    report.keep("baseline", costs, info)


@pytest.mark.parametrize("durable", [False, True], ids=["memory", "fsync-always"])
@pytest.mark.parametrize("batch", [1, 8, 32, 128])
async def bench_reserve(
    benchmark: BenchmarkFixture, redis: "Redis", report: Report, batch: int, durable: bool
) -> None:
    """Reservations per second of Redis CPU, everything included, by batch size."""
    count, rounds = (12_800 if batch == 1 else 51_200), 3
    await redis.config_set("appendonly", "yes" if durable else "no")
    seconds = []
    for _ in range(rounds):
        await open_sale(redis)
        await send(redis, calls_of(10_000_000, 2_048, 64))  # past the small encodings and cold caches
        commands = calls_of(0, count, batch)
        seconds.append(await cpu_of(redis, partial(send, redis, commands)))
        await check_held(redis, count + 2_048)
    best, info = min(seconds), await redis.info()
    await redis.config_set("appendonly", "yes")
    CLOCK.record(benchmark, seconds, info)
    figures = {"batch": batch, "durable": durable, "cpu_seconds": seconds, "reservations": count}
    report.keep("reserve", figures, info)
    report.row(
        "reserve: Redis CPU",
        ("batch", "append-only file", "reservations per CPU second (best)", "median", "us each"),
        (
            str(batch),
            "fsync always" if durable else "off",
            f"{count / best:,.0f}",
            f"{count / sorted(seconds)[rounds // 2]:,.0f}",
            f"{best / count * 1e6:.1f}",
        ),
        target="80,000 in batches of 8 or more",
    )


async def bench_memory(benchmark: BenchmarkFixture, redis: "Redis", report: Report) -> None:
    """Bytes of Redis memory for one held reservation: record, limit, hold, journal, everything."""
    count = 100_000
    await open_sale(redis)
    await send(redis, calls_of(10_000_000, 2_048, 64))
    before = (await redis.info("memory"))["used_memory_dataset"]
    commands = calls_of(0, count, 64, keyed=True)
    seconds = await cpu_of(redis, lambda: send(redis, commands))
    info = await redis.info()
    each = (info["used_memory_dataset"] - before) / count
    await check_held(redis, count + 2_048)
    CLOCK.record(benchmark, [seconds], info)
    report.keep("memory", {"bytes_each": each, "reservations": count}, info)
    report.row(
        "memory of a held reservation",
        ("reservations", "bytes each"),
        (f"{count:,}", f"{each:.0f}"),
        target="at most 450",
    )


async def bench_growth(benchmark: BenchmarkFixture, redis: "Redis", report: Report) -> None:
    """The cost of reserving and of expiring with 1,000 and with 1,000,000 live holds, measured in turn."""
    many, few, step, cycles, rounds = 1_000_000, 1_000, 960, 10, 5
    await redis.config_set("appendonly", "no")
    costs: dict[tuple[str, int], list[float]] = {}

    async def measure(live: int, first: int) -> None:
        """Reserves `step` units and expires as many, `cycles` times over, so that the live holds stay about as many."""
        spent = {"reserve": 0.0, "expire": 0.0}
        for at in range(first, first + cycles * step, step):
            commands = calls_of(at, step, 32)
            spent["reserve"] += await cpu_of(redis, partial(send, redis, commands))
            now_ms = int((await redis.zrange(KEYS.holds, step - 1, step - 1, withscores=True))[0][1])
            before, expired = await cpu_seconds(redis), 0
            while expired < step:
                expired += (
                    await calls.expire(redis, KEYS, limit=min(192, step - expired), now_ms=now_ms)
                ).expired
            spent["expire"] += await cpu_seconds(redis) - before
        for verb, seconds in spent.items():
            costs.setdefault((verb, live), []).append(seconds / (cycles * step))

    for live in (few, many):
        await open_sale(redis, 100_000_000)
        await send(redis, calls_of(50_000_000, live, 128))
        for number in range(rounds):
            await measure(live, number * cycles * step)
        await check_held(redis, live)
    info = await redis.info()
    await redis.config_set("appendonly", "yes")
    CLOCK.record(benchmark, costs["reserve", many], info)
    report.keep("growth", {f"{verb} at {live}": each for (verb, live), each in costs.items()}, info)
    for verb in ("reserve", "expire"):
        small, large = (sorted(costs[verb, live])[rounds // 2] for live in (few, many))
        report.row(
            "growth with live holds (batches of 32 and 192)",
            ("verb", "us at 1,000", "us at 1,000,000", "ratio"),
            (verb, f"{small * 1e6:.1f}", f"{large * 1e6:.1f}", f"{large / small:.2f}"),
            target="ratio at most 1.2",
        )
