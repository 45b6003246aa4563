"""Whole checkouts over HTTP: reserve, start the payment, take in the paid webhook, confirm.

Server, payment worker, Valkey, provider and load share the two cores of the machine. The provider answers at once and
inside the worker (tests/support/instant_provider.py); its signed webhook is sent by the load. What is measured ends when
the last order is confirmed in the store, not when the last answer is given. CPU time of each process is told beside it:
it does not move with the neighbours as much as the rate does.
"""

import asyncio
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import psutil
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from redis.asyncio import Redis

from bench.bench_http import ROOT_KEY, SECRET, flush, free_port, info_of, wait_for
from bench.report import Report
from flashsale.client import Client
from flashsale.keys import SaleKeys
from tests.support import instant_provider

SHOPPERS, CONNECTIONS, ROUNDS = 5_000, 64, 3
SIMULATOR_SECRET = "a-simulator-secret-for-benchmarks"
APPS = Path(__file__).parent / "apps"
PUBLISHED = 861
"""Checkouts a second of renerocksai/tigerfans, by its own account: Python, 8 cores, TigerBeetle and Redis."""

SALE = {
    "title": "Bench",
    "opens_at": "2020-01-01T00:00:00Z",
    "currency": "CNY",
    "limit_per_customer": 1,
    "hold_seconds": 3600,
    "items": [{"sku": "giulia", "price": 33_000_000, "stock": 1_000_000}],
    "payment": {"methods": ["alipay"], "deposit_percent": 10, "instalments": 36},
}


class Cpu:
    """CPU seconds of the processes of a shop, by what they are."""

    def __init__(self, **processes: list[psutil.Process]) -> None:
        self._processes = processes

    def read(self) -> dict[str, float]:
        return {
            name: sum(sum(each.cpu_times()[:2]) for each in some) for name, some in self._processes.items()
        }


@contextmanager
def shop(valkey_url: str, workers: int) -> Iterator[tuple[int, Cpu]]:
    """A server and its payment worker; the server's port, and what its processes cost."""
    port = free_port()
    env = os.environ | {
        "FLASHSALE_ROOT_KEY": ROOT_KEY,
        "FLASHSALE_SHOPPER_SECRET": SECRET,
        "FLASHSALE_LOG_LEVEL": "warning",
        "FLASHSALE_REDIS_URL": valkey_url,
        "FLASHSALE_PAYMENT_PROVIDER": "simulator",
        "FLASHSALE_SIMULATOR_URL": "http://127.0.0.1:9",
        "FLASHSALE_SIMULATOR_SECRET": SIMULATOR_SECRET,
        "FLASHSALE_RECONCILE_SECONDS": "0",
    }
    serve = [sys.executable, "-m", "flashsale", "serve", "--port", str(port), "--workers", str(workers)]
    processes = [
        subprocess.Popen(serve, env=env, stdout=subprocess.DEVNULL),
        subprocess.Popen([sys.executable, str(instant_provider.__file__)], env=env),
    ]
    try:
        wait_for(port)
        time.sleep(1.5)
        families = [
            [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            for process in processes
        ]
        for each in itertools.chain(*families):
            each.cpu_affinity([])  # wherever there is room: all of them share both cores
        yield port, Cpu(server=families[0], worker=families[1], valkey=[valkey_process()])
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)


def valkey_process() -> psutil.Process:
    """The Valkey of this run."""
    return next(p for p in psutil.Process().children(recursive=True) if "valkey-server" in p.name())


async def _confirmed(redis: "Redis", sale: str) -> int:
    return int(await redis.hget(SaleKeys.of(sale).stock, "sold:giulia") or 0)


async def _one_round(port: int, valkey_url: str, sale: str) -> float:
    """Checkouts a second, from the first request to the last confirmed order."""
    async with Client(f"http://127.0.0.1:{port}", ROOT_KEY) as client:
        await client.put_sale(sale, SALE)
    redis = Redis.from_url(valkey_url)
    env = os.environ | {"FLASHSALE_SHOPPER_SECRET": SECRET, "FLASHSALE_SIMULATOR_SECRET": SIMULATOR_SECRET}
    load = await asyncio.create_subprocess_exec(
        sys.executable,
        *(str(APPS / "checkout_load.py"), str(port), sale, str(SHOPPERS), str(CONNECTIONS)),
        env=env,
        stdout=subprocess.PIPE,
    )
    out, _ = await load.communicate()
    answered = time.monotonic()
    seconds, wrong = out.decode().split()[1:]
    assert int(wrong) == 0, f"{wrong} answers were wrong"
    while await _confirmed(redis, sale) < SHOPPERS:
        assert time.monotonic() - answered < 60, "not every payment became an order"
        await asyncio.sleep(0.005)
    rate = SHOPPERS / (float(seconds) + time.monotonic() - answered)
    async with Client(f"http://127.0.0.1:{port}", ROOT_KEY) as client:
        assert (await client.audit(sale))["ok"]
    await redis.aclose()
    return rate


@pytest.mark.timeout(600)
@pytest.mark.parametrize("workers", [1, 2])
def bench_checkout(benchmark: BenchmarkFixture, valkey_url: str, report: Report, workers: int) -> None:
    """Checkouts a second with everything on two cores."""
    cores = os.sched_getaffinity(0)
    valkey = valkey_process()
    pinned = valkey.cpu_affinity()
    rates: list[float] = []
    try:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
        valkey.cpu_affinity([])
        asyncio.run(flush(valkey_url))
        with shop(valkey_url, workers) as (port, cpu):
            before = cpu.read()
            rounds = iter(range(ROUNDS))

            def once() -> None:
                rates.append(asyncio.run(_one_round(port, valkey_url, f"bench-{next(rounds)}")))

            benchmark.pedantic(once, rounds=ROUNDS, iterations=1)
            spent = {name: seconds - before[name] for name, seconds in cpu.read().items()}
    finally:
        os.sched_setaffinity(0, cores)
        valkey.cpu_affinity(pinned)
    report.keep(
        "checkout",
        {"workers": workers, "rates": rates, "cpu_seconds": spent},
        asyncio.run(info_of(valkey_url)),
    )
    report.row(
        "whole checkouts (reserve, start payment, webhook, confirmed), everything on two cores, fsync always",
        (
            "HTTP workers",
            "checkouts per second (median)",
            "best",
            f"of the {PUBLISHED} published on 8 cores",
            *(f"us of CPU: {name}" for name in spent),
        ),
        (
            str(workers),
            f"{median(rates):,.0f}",
            f"{max(rates):,.0f}",
            f"{median(rates) / PUBLISHED:.2f}",
            *(f"{seconds / SHOPPERS / ROUNDS * 1e6:.0f}" for seconds in spent.values()),
        ),
        target="2,000 a second",
    )
