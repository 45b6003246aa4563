"""What one reservation costs the store: CPU, memory, and how both grow with the holds that are live."""

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import hiredis
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from redis.asyncio import Redis

from bench.report import Report
from flashsale.keys import SaleKeys
from flashsale.model import ids
from flashsale.model.sale import SaleDefinition, parse_definition
from flashsale.scripts import calls, loader
from flashsale.scripts.reserve import Claim, encode

KEYS = SaleKeys.of("bench")
FLOOR = """
for i = 1, #ARGV do
  redis.call('DECR', KEYS[1])
  redis.call('HSET', KEYS[2], ARGV[i], '1')
end
return #ARGV
"""
"""The least that a reservation can mean: no limit, no expiry, no journal, no idempotency."""
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
        token = ids.derived_token("bench", customer, "once") if keyed else ids.new_tokens(1)[0]
        made.append(Claim(token, customer, (("giulia", 1),), keyed))
    return made


def calls_of(first: int, count: int, batch: int, *, keyed: bool = False) -> list[tuple[Any, ...]]:
    """EVALSHA commands that reserve `count` units for as many customers."""
    sha = loader.load("reserve").sha
    return [
        ("EVALSHA", sha, 6, *KEYS.book(), *encode(claims(at, min(batch, first + count - at), keyed)))
        for at in range(first, first + count, batch)
    ]


def floor_calls(sha: str, count: int, batch: int) -> list[tuple[Any, ...]]:
    """EVALSHA commands that do the least a reservation can mean, for as many customers."""
    keys = ("floor:stock", "floor:holders")
    return [
        (
            "EVALSHA",
            sha,
            2,
            *keys,
            *(f"customer-{number:07d}" for number in range(at, min(at + batch, count))),
        )
        for at in range(0, count, batch)
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
@pytest.mark.parametrize("batch", [1, 8, 32, 128, 512])
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
        target="10 us each in the batches of a busy server, 128 and 512",
    )


@pytest.mark.parametrize("durable", [False, True], ids=["memory", "fsync-always"])
async def bench_floor(benchmark: BenchmarkFixture, redis: "Redis", report: Report, durable: bool) -> None:
    """All bookkeeping against a script that takes a unit and writes who has it, and nothing else; measured in turn."""
    count, batch, rounds = 51_200, 512, 5
    reservations, warming = calls_of(0, count, batch), calls_of(10_000_000, 2_048, 64)
    await redis.config_set("appendonly", "yes" if durable else "no")
    costs: dict[str, list[float]] = {"floor": [], "reserve": []}
    for _ in range(rounds):
        await open_sale(redis)
        await send(redis, warming)
        costs["reserve"].append(await cpu_of(redis, partial(send, redis, reservations)))
        await check_held(redis, count + 2_048)
        await redis.flushall()
        commands = floor_calls(await redis.script_load(FLOOR), count, batch)
        costs["floor"].append(await cpu_of(redis, partial(send, redis, commands)))
        assert await redis.hlen("floor:holders") == -await redis.decrby("floor:stock", 0) == count
    info = await redis.info()
    await redis.config_set("appendonly", "yes")
    CLOCK.record(benchmark, costs["reserve"], info)
    report.keep("floor", {**costs, "durable": durable, "reservations": count}, info)
    floor, full = (min(costs[name]) / count * 1e6 for name in ("floor", "reserve"))
    report.row(
        f"all bookkeeping against DECR and HSET alone, Redis CPU, batches of {batch}",
        ("append-only file", "us of DECR and HSET", "us of a reservation", "ratio"),
        ("fsync always" if durable else "off", f"{floor:.1f}", f"{full:.1f}", f"{full / floor:.2f}"),
    )


async def per_second(redis: "Redis", commands: Sequence[tuple[Any, ...]], claims: int) -> float:
    """Reservations a second with two batches in flight, all written out beforehand, as the server's lane sends them."""
    packed = [hiredis.pack_command(command) for command in commands]
    connection = redis.connection_pool.make_connection()
    await connection.connect()
    started = time.perf_counter()
    for at, command in enumerate(packed):
        await connection.send_packed_command(command, check_health=False)
        if at > 0:
            await connection.read_response()
    await connection.read_response()
    seconds = time.perf_counter() - started
    await connection.disconnect()
    return claims / seconds


@pytest.mark.parametrize("batch", [1, 8, 32, 64, 128, 512])
async def bench_fsync(benchmark: BenchmarkFixture, redis: "Redis", report: Report, batch: int) -> None:
    """What syncing the append-only file before each answer costs in throughput; the policies are tried in turn."""
    count, rounds, each = min(25_600, 500 * batch), 5, 0.0
    commands, warming = calls_of(0, count, batch), calls_of(10_000_000, 2_048, 64)
    rates: dict[str, list[float]] = {policy: [] for policy in ("no", "everysec", "always")}
    await redis.config_set("auto-aof-rewrite-percentage", "0")
    for number in range(rounds):
        for policy in sorted(rates, reverse=number % 2 == 1):
            await open_sale(redis)
            await send(redis, warming)
            await redis.config_set("appendfsync", policy)
            size = (await redis.info("persistence"))["aof_current_size"]
            rates[policy].append(await per_second(redis, commands, count))
            each = ((await redis.info("persistence"))["aof_current_size"] - size) / count
            await check_held(redis, count + 2_048)
    info = await redis.info()
    await redis.config_set("appendfsync", "always")
    await redis.config_set("auto-aof-rewrite-percentage", "100")
    CLOCK.record(benchmark, [count / rate for rate in rates["always"]], info)
    report.keep("fsync", {"batch": batch, "rates": rates, "aof_bytes_each": each}, info)
    no, everysec, always = (sorted(rates[policy])[rounds // 2] for policy in ("no", "everysec", "always"))
    report.row(
        "fsync: reservations a second, two batches in flight, medians",
        ("batch", "no", "everysec", "always", "share that always costs", "bytes of the file each"),
        (
            str(batch),
            f"{no:,.0f}",
            f"{everysec:,.0f}",
            f"{always:,.0f}",
            f"{1 - always / no:.0%}",
            f"{each:.0f}",
        ),
        target="always costs at most 15 % at 128 and 512",
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
