"""A real Valkey for the benchmarks, pinned to the second core, and the tables they print at the end."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bench.report import Report
from flashsale.process.embedded import EmbeddedValkey

REPORT = pytest.StashKey[Report]()


def pytest_configure(config: pytest.Config) -> None:
    """Open the report that all benchmarks of this run write to."""
    config.stash[REPORT] = Report()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the tables, and keep them with Redis INFO as JSON."""
    report = config.stash[REPORT]
    for line in report.lines():
        terminalreporter.write_line(line)
    if report.tables:
        path = report.save(Path(__file__).parent / "results")
        terminalreporter.write_line(f"\nraw results: {path.relative_to(Path.cwd())}")


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Where a benchmark puts its rows."""
    return request.config.stash[REPORT]


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Valkey of our own with the shipped settings, on the second core."""
    with EmbeddedValkey(tmp_path_factory.mktemp("valkey")) as valkey:
        if hasattr(os, "sched_setaffinity"):
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(valkey.pid, {cores[-1]})
            os.sched_setaffinity(0, {cores[0]})
        yield valkey.url


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator["Redis"]:
    """An empty database."""
    client = Redis.from_url(valkey_url, socket_timeout=60)
    await client.flushall()
    yield client
    await client.aclose()
    await asyncio.sleep(0)
