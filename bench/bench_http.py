"""One server worker over HTTP, against the same server without batching and against a bare aiohttp handler.

All contenders run in turn, several times around, within one run; the medians are set against each other. The contender's
server process has core 0 to itself; Valkey and wrk share core 1. 64 connections, each request another customer with a token
of its own.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from redis.asyncio import Redis

from bench.report import Report
from flashsale.client import Client
from flashsale.identity.tokens import ShopperTokens

SECRET = "a-secret-for-benchmarks-of-more-than-32-bytes"
ROOT_KEY = "root-key-for-benchmarks"
CONNECTIONS, SECONDS, ROUNDS, CUSTOMERS = 64, 4, 5, 150_000
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Contender:
    """A server and how it is started."""

    name: str
    app: str = ""
    """A file of bench/apps; `flashsale serve` when empty."""
    environment: tuple[tuple[str, str], ...] = ()
    sells: bool = True
    """Whether it reserves anything, so that there is something to define and to audit."""


BARE = Contender("bare aiohttp: parse, answer JSON", app="bare_aiohttp.py", sells=False)
SINGLE = Contender("flashsale, one EVALSHA per request (redis-py)", app="one_call_each.py")
LANE = Contender(
    "flashsale, one EVALSHA per request (own connection)",
    environment=(("FLASHSALE_BATCH_LIMIT", "1"), ("FLASHSALE_BATCHES_IN_FLIGHT", "64")),
)
BATCHED = Contender("flashsale, natural batching")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _pin(process: psutil.Process, core: int) -> None:
    for each in [process, *process.children(recursive=True)]:
        serves = any(name in " ".join(each.cmdline()) for name in ("http_worker", "bench/apps"))
        each.cpu_affinity([core if serves else 1 - core])


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError("the contender did not start")


@contextmanager
def running(contender: Contender, valkey_url: str) -> Iterator[int]:
    """The contender on a port of its own, pinned."""
    port = free_port()
    env = os.environ | {"FLASHSALE_ROOT_KEY": ROOT_KEY, "FLASHSALE_SHOPPER_SECRET": SECRET}
    env |= {"FLASHSALE_LOG_LEVEL": "warning", "FLASHSALE_REDIS_URL": valkey_url}
    env |= dict(contender.environment)
    command = [sys.executable, "-m", "flashsale", "serve", "--port", str(port)]
    if contender.app:
        command = [sys.executable, str(HERE / "apps" / contender.app), str(port)]
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    try:
        wait_for(port)
        time.sleep(0.5)
        _pin(psutil.Process(process.pid), 0)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def wrk(port: int, sale: str, tokens: Path) -> dict[str, float]:
    """One run of wrk: requests per second, refused or failed, latency in ms."""
    env = os.environ | {"TOKENS": str(tokens), "TARGET": f"/v1/sales/{sale}/reservations"}
    output = subprocess.run(
        ["taskset", "-c", "1", "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency", "-s", str(HERE / "wrk.lua"), f"http://127.0.0.1:{port}"],
        env=env, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    line = next(line for line in output.splitlines() if line.startswith("RESULT"))
    requests, micros, failed, p50, p99 = map(int, line.split()[1:])
    return {"rate": requests / micros * 1e6, "failed": failed, "p50_ms": p50 / 1000, "p99_ms": p99 / 1000}


def _tokens(path: Path) -> Path:
    tokens = ShopperTokens(SECRET, None)
    path.write_text("\n".join(tokens.issue(f"customer-{n:07d}", 3600) for n in range(CUSTOMERS)))
    return path


async def _define(port: int, sale: str) -> None:
    async with Client(f"http://127.0.0.1:{port}", ROOT_KEY) as client:
        await client.put_sale(
            sale,
            {
                "title": "Bench",
                "opens_at": "2020-01-01T00:00:00Z",
                "currency": "CNY",
                "limit_per_customer": 1,
                "items": [{"sku": "giulia", "price": 33_000_000, "stock": 10_000_000}],
            },
        )


async def _audit(port: int, sale: str) -> bool:
    async with Client(f"http://127.0.0.1:{port}", ROOT_KEY) as client:
        return bool((await client.audit(sale))["ok"])


@pytest.mark.timeout(600)
def bench_http(benchmark: BenchmarkFixture, valkey_url: str, report: Report, tmp_path: Path) -> None:
    """Reservations per second of one worker, with everything on, and the ratios that matter."""
    if shutil.which("wrk") is None:
        pytest.fail("this benchmark needs wrk: apt-get install wrk")
    tokens = _tokens(tmp_path / "tokens")
    runs: dict[str, list[dict[str, float]]] = {}

    def once(number: int) -> None:
        for contender in (BARE, SINGLE, LANE, BATCHED):
            asyncio.run(flush(valkey_url))
            sale = f"bench-{number}"
            with running(contender, valkey_url) as port:
                if contender.sells:
                    asyncio.run(_define(port, sale))
                result = wrk(port, sale, tokens)
                assert result["failed"] == 0, result
                if contender.sells:
                    assert asyncio.run(_audit(port, sale))
            runs.setdefault(contender.name, []).append(result)

    rounds = iter(range(ROUNDS))
    benchmark.pedantic(lambda: once(next(rounds)), rounds=ROUNDS, iterations=1)
    info = asyncio.run(info_of(valkey_url))
    benchmark.extra_info.update(runs=runs, redis_info=info)
    report.keep("http", runs, info)
    _tabulate(
        report,
        {
            name: {key: median(r[key] for r in results) for key in results[0]}
            for name, results in runs.items()
        },
    )


def _tabulate(report: Report, medians: dict[str, dict[str, float]]) -> None:
    ours, single, lane, bare = (medians[c.name]["rate"] for c in (BATCHED, SINGLE, LANE, BARE))
    for name, figures in medians.items():
        report.row(
            f"HTTP, one worker on one core, {CONNECTIONS} connections (medians of {ROUNDS} rounds)",
            ("contender", "answers per second", "of bare aiohttp", "p50 ms", "p99 ms"),
            (
                name,
                f"{figures['rate']:,.0f}",
                f"{figures['rate'] / bare:.2f}",
                f"{figures['p50_ms']:.1f}",
                f"{figures['p99_ms']:.1f}",
            ),
        )
    for name, value, target in (
        ("batching / one EVALSHA per request (redis-py)", ours / single, "1.7"),
        ("batching / one EVALSHA per request (own connection)", ours / lane, ""),
        ("batching / bare aiohttp", ours / bare, "0.45"),
    ):
        report.row("HTTP ratios", ("ratio", "value", "at least"), (name, f"{value:.2f}", target))


async def flush(url: str) -> None:
    client = Redis.from_url(url)
    await client.flushall()
    await client.aclose()


async def info_of(url: str) -> dict[str, Any]:
    client = Redis.from_url(url)
    info: dict[str, Any] = await client.info()
    await client.aclose()
    return {key: value for key, value in info.items() if not isinstance(value, dict | list)}
