"""Connections on which nothing happens: both lanes close them after the same time, whoever was in charge of them last."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from flashsale.api import lane
from flashsale.api.app import build_app
from flashsale.api.protocol import Runner
from flashsale.settings import load_settings
from tests.lane.plain import Request, get
from tests.lane.wire import Line
from tests.support_http.client import ROOT_KEY, SECRET, Shop, new_sale_id

KEPT_S = 1.0
LATE_S = 30.0
"""How much later than that a busy machine may be; by itself a server would keep them for an hour."""


@pytest.fixture(params=[True, False], ids=["fast lane", "aiohttp"])
async def port(
    request: pytest.FixtureRequest, valkey: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[int]:
    """Of a server in this process that keeps idle connections for a second."""
    monkeypatch.setattr(lane, "IDLE_LOOK_SECONDS", 0.1)
    settings = load_settings(
        {"FLASHSALE_REDIS_URL": valkey, "FLASHSALE_ROOT_KEY": ROOT_KEY, "FLASHSALE_SHOPPER_SECRET": SECRET},
        purpose="serve",
    )
    runner = Runner(build_app(settings), fast_lane=request.param, keepalive_timeout=KEPT_S, access_log=None)
    await runner.setup()
    try:
        assert runner.server is not None
        server = await asyncio.get_running_loop().create_server(runner.server, "127.0.0.1", 0)
        yield server.sockets[0].getsockname()[1]
        server.close()
    finally:
        await runner.cleanup()


@pytest.fixture
async def sale(port: int) -> str:
    sale = new_sale_id()
    async with Shop(f"http://127.0.0.1:{port}") as shop:
        (await shop.define(sale)).must(201)
    return sale


async def closed(line: Line) -> None:
    """Waits until the server has closed the connection."""
    async with asyncio.timeout(KEPT_S + LATE_S):
        while not line.ended:
            line.changed.clear()
            await line.changed.wait()


@pytest.mark.parametrize(
    "asked",
    [
        "nothing",
        "reservation",
        "GET",
        "reservation, GET",
        "GET, reservation",
        "half a reservation",
        "a pause",
    ],
)
async def test_an_idle_connection_is_closed(port: int, sale: str, asked: str) -> None:
    post, look = bytes(Request.plain(sale)), get("/healthz")
    sent = {
        "nothing": [], "reservation": [post], "GET": [look], "reservation, GET": [post, look],
        "GET, reservation": [look, post], "half a reservation": [post[:50]], "a pause": [post, b"", post],
    }[asked]  # fmt: skip
    active_at = time.monotonic()
    line = await Line.to(port)
    for each in sent:
        before = len(line.heard)
        if not each:
            await asyncio.sleep(KEPT_S * 0.7)
            continue
        if line.ended:
            break  # the pause was too long on a machine that stalls
        active_at = time.monotonic()
        line.send(each)
        if each in {post, look}:
            await line.until(before + 100)
    await closed(line)
    assert time.monotonic() - active_at >= KEPT_S * 0.9
