"""Both lanes, each a real server on a store of its own, with the same secret and the same sales."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

import pytest

from flashsale.process.embedded import EmbeddedValkey
from tests.lane.pair import LANES, Pair
from tests.support.books import faults_of
from tests.support.server import MEMORY_ONLY, binary
from tests.support_http.server import Server

AIOHTTP_LOGS: Final = ("RequestPayloadError", "UnicodeEncodeError: 'utf-8' codec can't encode character")
"""What aiohttp's own protocol logs as an error though it is only a bad request: a body that is not packed as it says, and
an Expect that is no text."""


def unexpected_errors(log: str) -> list[str]:
    """The lines of a server's log that a request must not lead to, whatever is in it."""
    entries = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    bad = [entry for entry in entries if entry["level"] in {"error", "critical"} or "exception" in entry]
    known = [
        entry for entry in bad if entry["logger"] == "aiohttp.server" and _of_aiohttp(entry["exception"])
    ]
    others = [line for line in log.splitlines() if not line.startswith("{")]
    return [str(entry) for entry in bad if entry not in known] + others


def _of_aiohttp(traceback: str) -> bool:
    return any(known in traceback for known in AIOHTTP_LOGS)


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
