"""A server that is asked to leave: whoever is on a connection of the fast lane is treated as on one of aiohttp."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lane.pair import LANES
from tests.lane.plain import Request, get
from tests.lane.transcript import Answer, next_answer
from tests.lane.wire import Line
from tests.support_http.client import Shop, new_sale_id
from tests.support_http.server import Server

EVERYBODY = ("unused", "reserved", "looked", "half a head", "no body yet", "half a GET", "both")


@pytest.fixture
def servers(valkey: str, tmp_path: Path) -> Iterator[dict[str, Server]]:
    """Both lanes, on one store."""
    started: dict[str, Server] = {}
    for name, setting in LANES.items():
        env = {"FLASHSALE_FAST_LANE": setting, "FLASHSALE_DRAIN_SECONDS": "10"}
        started[name] = Server(tmp_path / name, ["--redis-url", valkey], env=env)
    yield started
    for server in started.values():
        server.stop()


async def said(line: Line) -> list[Answer]:
    """Every answer on a connection, once the server has closed it."""
    async with asyncio.timeout(20):
        while not line.ended:
            line.changed.clear()
            await line.changed.wait()
    answers, at = [], 0
    while (found := next_answer(bytes(line.heard[at:]))) is not None:
        answers.append(found[0])
        at += found[1]
    assert at == len(line.heard), bytes(line.heard[at:])
    return answers


async def leave(server: Server, sale: str) -> dict[str, list[tuple[int, bytes | None]]]:
    """What everybody is told on whose connection something is, or is not, under way when the server is asked to leave."""
    request, look = Request.plain(sale), get("/healthz")
    post = bytes(request)
    first = {
        "unused": b"", "reserved": post, "looked": look, "half a head": post[:60], "no body yet": request.head,
        "half a GET": look[:20], "both": look + post,
    }  # fmt: skip
    rest = {"half a head": post[60:], "no body yet": request.body, "half a GET": look[20:]}
    lines = {name: await Line.to(server.port) for name in EVERYBODY}
    for name, line in lines.items():
        if first[name]:
            line.send(first[name])
    for name in ("reserved", "looked", "both"):
        await lines[name].until(200 if name != "looked" else 50)
    await asyncio.sleep(0.2)
    server.program.send(signal.SIGTERM)
    await asyncio.sleep(0.1)
    late = await Line.to(server.port)  # connections are still taken for a moment
    late.send(post)
    for name, part in rest.items():
        lines[name].send(part)
    seen = {}
    for name, line in {**lines, "late": late}.items():
        seen[name] = [(answer.status, answer.header(b"connection")) for answer in await said(line)]
        line.close()
    return seen


async def test_everybody_is_told_alike(servers: dict[str, Server]) -> None:
    sale = new_sale_id()
    async with Shop(servers["ours"].url) as shop:
        (await shop.define(sale, stock=1000)).must(201)
    async with Shop(servers["reference"].url) as shop:
        (await shop.view(sale))["id"]
    ours, reference = await asyncio.gather(*(leave(servers[name], sale) for name in LANES))
    assert ours == reference
    assert reference["half a head"] == [(201, b"close")]
    assert reference["no body yet"] == [(201, b"close")]
    assert reference["unused"] == []
    for server in servers.values():
        assert await asyncio.to_thread(server.program.wait) == 0
