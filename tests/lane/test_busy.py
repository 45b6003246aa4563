"""A store that does not answer, and a queue that is full: both lanes say the same about it, and go on afterwards."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from flashsale.process.embedded import EmbeddedValkey
from tests.lane.pair import LANES
from tests.lane.plain import Request
from tests.lane.transcript import Answer, next_answer
from tests.lane.wire import Line
from tests.support.house import PatientShop
from tests.support_http.client import PATIENCE_S, new_sale_id
from tests.support_http.server import Server

QUEUE = 4
ASKING = 20
IMPATIENT = {
    "FLASHSALE_QUEUE_LIMIT": str(QUEUE),
    "FLASHSALE_BATCH_LIMIT": "1",
    "FLASHSALE_BATCHES_IN_FLIGHT": "1",
    "FLASHSALE_REQUEST_DEADLINE_MS": "2000",
    "FLASHSALE_REDIS_TIMEOUT_MS": "3000",
}


@pytest.fixture
def servers(own_server: EmbeddedValkey, tmp_path: Path) -> Iterator[dict[str, Server]]:
    """Both lanes, on one store that can be stopped."""
    started: dict[str, Server] = {}
    for name, setting in LANES.items():
        env = {**IMPATIENT, "FLASHSALE_FAST_LANE": setting}
        started[name] = Server(tmp_path / name, ["--redis-url", own_server.url], env=env)
    yield started
    for server in started.values():
        server.stop()


async def answer(line: Line) -> Answer:
    """The next answer on a connection."""
    async with asyncio.timeout(PATIENCE_S):
        while (found := next_answer(bytes(line.heard))) is None:
            assert not line.ended, bytes(line.heard)
            line.changed.clear()
            await line.changed.wait()
    del line.heard[: found[1]]
    return found[0]


async def crowd(server: Server, sale: str) -> tuple[Counter[tuple[int, bytes | None, bytes]], list[Line]]:
    """What a crowd is told that asks at once; and its connections, which stay open."""
    lines = [await Line.to(server.port) for _ in range(ASKING)]
    # It finds all of them at once when it goes on: nobody's time is over before the last has asked.
    (worker,) = server.workers()
    worker.suspend()
    for line in lines:
        line.send(bytes(Request.plain(sale)))
    worker.resume()
    answers = await asyncio.gather(*map(answer, lines))
    return Counter((each.status, each.header(b"retry-after"), each.body) for each in answers), lines


async def test_a_store_that_does_not_answer(servers: dict[str, Server], own_server: EmbeddedValkey) -> None:
    sale = new_sale_id()
    for server in servers.values():
        async with PatientShop(server.url) as shop:
            (await shop.define(sale, stock=10_000, opens_at="2026-01-01T00:00:00Z")).must(200, 201)
            (await shop.reserve(sale, "first")).must(200, 201)
    os.kill(own_server.pid, signal.SIGSTOP)
    try:
        (ours, mine), (reference, theirs) = await asyncio.gather(
            *(crowd(servers[name], sale) for name in LANES)
        )
    finally:
        os.kill(own_server.pid, signal.SIGCONT)
    assert ours == reference
    assert {status for status, _, _ in ours} == {503}
    assert (
        sum(number for (_, _, body), number in ours.items() if b'"code":"busy"' in body) >= ASKING - QUEUE - 2
    )
    for lines in (mine, theirs):
        for line in lines:
            line.send(bytes(Request.plain(sale)))
            assert (await answer(line)).status in {201, 503}
            line.close()
    for server in servers.values():
        async with PatientShop(server.url) as shop:
            (await shop.reserve(sale, "last")).must(201)
            await shop.audit(sale)
