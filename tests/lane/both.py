"""Both lanes, each a real server on a store of its own, with the same secret and the same sales."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from flashsale.process.embedded import EmbeddedValkey
from tests.lane.pair import LANES, Pair
from tests.support.books import faults_of
from tests.support.server import MEMORY_ONLY, binary
from tests.support_http.server import Server


def unexpected_errors(log: str) -> list[str]:
    """The lines of a server's log that a request must not lead to, whatever is in it."""
    entries = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    bad = [entry for entry in entries if entry["level"] in {"error", "critical"} or "exception" in entry]
    others = [line for line in log.splitlines() if not line.startswith("{")]
    return [*map(str, bad), *others]


@contextmanager
def both_lanes(folders: pytest.TempPathFactory, more: Mapping[str, str] | None = None) -> Iterator[Pair]:
    """A pair of servers; `more` are settings of both. They leave the books in order, and no fault in a log."""
    stores = {
        name: EmbeddedValkey(folders.mktemp("store"), binary=binary(), extra_config=MEMORY_ONLY)
        for name in LANES
    }
    servers: dict[str, Server] = {}

    def start(name: str) -> None:
        folder, env = folders.mktemp(name), {"FLASHSALE_FAST_LANE": LANES[name], **(more or {})}
        servers[name] = Server(folder, ["--redis-url", stores[name].start()], env=env)

    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(start, LANES))
        yield Pair.of(servers)
        faults = [fault for store in stores.values() for fault in asyncio.run(faults_of(store.url))]
        assert not faults, faults
    finally:
        with ThreadPoolExecutor() as pool:
            list(pool.map(Server.stop, servers.values()))
            list(pool.map(EmbeddedValkey.stop, stores.values()))
    for server in servers.values():
        errors = unexpected_errors(server.program.err())
        assert not errors, errors[:10]
