"""A server that is asked to leave: whoever is on a connection of the fast lane is treated as on one of aiohttp."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lane.pair import LANES
from tests.lane.plain import Request, get
from tests.lane.transcript import next_answer
from tests.lane.wire import Line
from tests.process.programs import eventually
from tests.support_http.client import PATIENCE_S, Shop, new_sale_id
from tests.support_http.server import Server

EVERYBODY = ("unused", "reserved", "looked", "half a head", "no body yet", "half a GET", "both")


@pytest.fixture
def servers(valkey: str, tmp_path: Path) -> Iterator[dict[str, Server]]:
    """Both lanes, on one store."""
    started: dict[str, Server] = {}
    for name, setting in LANES.items():
        env = {"FLASHSALE_FAST_LANE": setting, "FLASHSALE_DRAIN_SECONDS": "60"}
        started[name] = Server(tmp_path / name, ["--redis-url", valkey], env=env)
    yield started
    for server in started.values():
        server.stop()


def answers(line: Line) -> tuple[list[tuple[int, bytes | None]], bytes]:
    """Status and `Connection` of every answer on a connection so far, and what came after the last."""
    found, at = [], 0
    while (following := next_answer(bytes(line.heard[at:]))) is not None:
        found.append((following[0].status, following[0].header(b"connection")))
        at += following[1]
    return found, bytes(line.heard[at:])


async def told(line: Line) -> list[tuple[int, bytes | None]]:
    """The answers on a connection, once the server has closed it after the last one."""
    async with asyncio.timeout(PATIENCE_S):
        while not line.ended:
            line.changed.clear()
            await line.changed.wait()
    line.close()
    found, rest = answers(line)
    assert rest == b""
    return found


async def let_in(server: Server) -> Line | None:
    """A connection to a server that leaves, which takes them for a moment; None where that may have been over."""
    try:
        line = await Line.to(server.port)
    except OSError:
        return None
    if "worker.lets_nobody_in" not in server.program.err():
        return line
    line.close()
    return None


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
    for name, count in {"reserved": 1, "looked": 1, "both": 2}.items():
        while len(answers(lines[name])[0]) < count:
            assert await lines[name].until(len(lines[name].heard) + 1)
    await asyncio.sleep(0.2)
    server.program.send(signal.SIGTERM)
    await asyncio.to_thread(
        eventually, lambda: "worker.draining" in server.program.err(), "the server drains"
    )
    late = await let_in(server)
    if late is not None:
        late.send(post)
    for name, part in rest.items():
        lines[name].send(part)
    seen = {name: await told(line) for name, line in lines.items()}
    assert late is None or await told(late) == [(201, b"close")]
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
