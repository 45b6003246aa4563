"""What payments cost: a charge's confirmation on the store, and how fast one worker works through a backlog."""

import asyncio
import os
import subprocess
import sys
import time
from functools import partial
from statistics import median
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from redis.asyncio import Redis

from bench.bench_scripts import CLOCK, KEYS, calls_of, cpu_of, open_sale, send
from bench.report import Report
from flashsale.engine import events
from flashsale.engine.events import Received
from flashsale.model.payment import Money, PaymentStatus
from flashsale.providers.protocol import Event, PaymentState, ProviderPayment
from flashsale.scripts import calls, loader
from flashsale.scripts.payments import GROUP, ChargeClaim, Try, Wish, attempt_args, confirm_args, pay_args

pytestmark = pytest.mark.benchmark(timer=CLOCK.read)
MONEY = Money(33_000_000, "EUR")
CONSUMER = "bench"
ACTION = {
    "action": {"type": "redirect", "url": "http://127.0.0.1:8081/pay/pay_00000000000000000000?k=secret"}
}


async def begin_payments(redis: "Redis", count: int) -> list[str]:
    """So many reservations with a payment under way; their tokens."""
    await open_sale(redis)
    await send(redis, calls_of(10_000_000, 2_048, 64))  # past the small encodings and cold caches
    commands = calls_of(0, count, 64)
    tokens = [str(arg) for command in commands for arg in _tokens(command)]
    await send(redis, commands)
    sha = loader.load("pay").sha
    names = KEYS.paid_book()
    pays = [
        ("EVALSHA", sha, len(names), *names, *pay_args([Wish(token, "card", MONEY)], 0, 0, 10_000_000))
        for token in tokens
    ]
    await send(redis, pays)
    sha = loader.load("attempt").sha
    begun = [
        (
            *("EVALSHA", sha, len(names), *names),
            *attempt_args([Try(token, 1, PaymentStatus.REQUIRES_ACTION, reference(number), ACTION)]),
        )
        for number, token in enumerate(tokens)
    ]
    await send(redis, begun)
    await redis.delete(KEYS.payments)  # the jobs that would have begun them
    return tokens


def reference(number: int) -> str:
    """What a payment is called; as long as those of real providers."""
    return f"simulator:pay_{number:020d}"


def _tokens(command: tuple[Any, ...]) -> list[str]:
    """The reservations that a call of reserve asks for."""
    first = 3 + 6 + 5  # EVALSHA, sha, number of keys; keys; now, limit, shapes, number of skus, one sku
    return list(command[first::3])


async def _queue(redis: "Redis", tokens: list[str]) -> None:
    """A signed webhook for each, verified and queued as the server does it."""
    pipe = redis.pipeline(transaction=False)
    for number, token in enumerate(tokens):
        payment = ProviderPayment(
            reference(number).partition(":")[2],
            PaymentState.PAID,
            MONEY.amount,
            MONEY.currency,
            "flashsale",
            f"bench.0.{token}",
            1,
            "card",
        )
        payload = events.pack(Received("simulator", Event(f"evt_{number:012d}", payment)))
        pipe.xadd(KEYS.payments, {"event": payload})
        if number % 1000 == 999:
            await pipe.execute()
    await pipe.execute()


@pytest.mark.parametrize("acknowledged", [False, True], ids=["alone", "and-acknowledge"])
@pytest.mark.parametrize("batch", [1, 8, 32, 64, 128])
async def bench_confirm(
    benchmark: BenchmarkFixture, redis: "Redis", report: Report, batch: int, acknowledged: bool
) -> None:
    """Charges decided per second of Redis CPU, by batch size; with and without taking their jobs out of the queue."""
    count, rounds = 6_400, 3
    await redis.config_set("appendonly", "no")
    sha, names = loader.load("confirm").sha, KEYS.paid_book()
    seconds = []
    for _ in range(rounds):
        tokens = await begin_payments(redis, count)
        entries = [""] * count
        if acknowledged:
            await _queue(redis, tokens)
            await redis.xgroup_create(KEYS.payments, GROUP, id="0")
            read: Any = await redis.xreadgroup(GROUP, CONSUMER, {KEYS.payments: ">"}, count=count)
            found = next(iter(read.values()))[0] if isinstance(read, dict) else read[0][1]
            entries = [entry.decode() for entry, _ in found]
        claims = [
            ChargeClaim(token, 1, "card", MONEY, reference(number), entry)
            for number, (token, entry) in enumerate(zip(tokens, entries, strict=True))
        ]
        commands = [
            ("EVALSHA", sha, len(names), *names, *confirm_args(claims[at : at + batch]))
            for at in range(0, count, batch)
        ]
        seconds.append(await cpu_of(redis, partial(send, redis, commands)))
        await check_sold(redis, count)
    best, info = min(seconds), await redis.info()
    await redis.config_set("appendonly", "yes")
    CLOCK.record(benchmark, seconds, info)
    figures = {"batch": batch, "acknowledged": acknowledged, "cpu_seconds": seconds, "charges": count}
    report.keep("confirm", figures, info)
    report.row(
        "confirm: Redis CPU, append-only file off",
        ("batch", "with its job", "charges per CPU second (best)", "median", "us each"),
        (
            str(batch),
            "acknowledged" if acknowledged else "-",
            f"{count / best:,.0f}",
            f"{count / median(seconds):,.0f}",
            f"{best / count * 1e6:.1f}",
        ),
        target="60,000 in batches of 8 or more",
    )


async def check_sold(redis: "Redis", sold: int) -> None:
    """A benchmark of something that went wrong is worth nothing."""
    look = await calls.inspect(redis, KEYS)
    assert look.sale is not None
    assert look.sale.stock[0].sold == sold


@pytest.mark.timeout(600)
async def bench_drain(benchmark: BenchmarkFixture, redis: "Redis", valkey_url: str, report: Report) -> None:
    """Paid webhooks that one payment worker turns into orders in a second, from a backlog of 100,000."""
    count = 100_000
    tokens = await begin_payments(redis, count)
    await redis.hset("fs:sales", "bench", "1")
    await _queue(redis, tokens)
    env = os.environ | {
        "FLASHSALE_REDIS_URL": valkey_url,
        "FLASHSALE_LOG_LEVEL": "warning",
        "FLASHSALE_PAYMENT_PROVIDER": "none",
        "FLASHSALE_WORK_ONLY": "payments",
        "FLASHSALE_ARCHIVE": "none",
    }
    worker = await asyncio.create_subprocess_exec(
        *("taskset", "-c", "0", sys.executable, "-m", "flashsale", "work"), env=env, stdout=subprocess.DEVNULL
    )
    marks: list[tuple[float, int]] = []
    try:
        while not marks or marks[-1][1] < count:
            assert worker.returncode is None, "the worker has ended"
            sold = int(await redis.hget(KEYS.stock, "sold:giulia") or 0)
            if sold:
                marks.append((time.monotonic(), sold))
            await asyncio.sleep(0.02)
    finally:
        worker.terminate()
        await asyncio.wait_for(worker.wait(), 30)
    seconds = marks[-1][0] - marks[0][0]
    rate = (marks[-1][1] - marks[0][1]) / seconds
    assert await redis.xlen(KEYS.payments) == 0
    info = await redis.info()
    CLOCK.record(benchmark, [seconds], info)
    report.keep("drain", {"webhooks": count, "seconds": seconds, "per_second": rate}, info)
    report.row(
        "one payment worker and a backlog of paid webhooks (worker on one core, Valkey on the other, fsync always)",
        ("webhooks", "seconds", "orders per second"),
        (f"{count:,}", f"{seconds:.1f}", f"{rate:,.0f}"),
        target="8,000 a second",
    )
