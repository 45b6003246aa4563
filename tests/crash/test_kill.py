"""kill -9 in the middle of a sale, of a worker, of the store, of everything: no answer given is lost, nothing sold twice."""

import asyncio
import json
import os
import random
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from flashsale.process.embedded import EmbeddedValkey
from flashsale.process.ports import ReservedPort
from tests.crash.crowd import Crowd, judge, kill_points
from tests.process.programs import eventually
from tests.support_http.server import Server

STOCK = 200
CUSTOMERS = 300

pytestmark = pytest.mark.slow


def rounds(count: int) -> list[Any]:
    """So many, each killing at other moments; all but the first are for the long tests."""
    return [0, *(pytest.param(number, marks=pytest.mark.long) for number in range(1, count))]


@pytest.mark.parametrize("round_number", rounds(3))
async def test_a_worker_is_killed(
    durable: EmbeddedValkey, servers: list[Server], tmp_path: Path, seed: int, round_number: int
) -> None:
    server = await asyncio.to_thread(Server, tmp_path, ["--redis-url", durable.url], workers=2)
    servers.append(server)
    crowd, rng = Crowd(server.url, CUSTOMERS, STOCK), random.Random(seed)
    killed = set[int]()

    def alive() -> list[psutil.Process]:
        """A worker that was killed just now may take a while to die."""
        return [each for each in server.workers() if each.pid not in killed]

    await crowd.define()
    pressing = asyncio.create_task(crowd.press())
    async for _ in crowd.kills(kill_points(seed, STOCK, 3)):
        victim = rng.choice(await asyncio.to_thread(eventually, alive, "a worker runs"))
        killed.add(victim.pid)
        victim.kill()
    await pressing
    await judge(crowd)


@pytest.mark.parametrize("round_number", rounds(3))
async def test_the_store_is_killed(
    durable: EmbeddedValkey, servers: list[Server], tmp_path: Path, seed: int, round_number: int
) -> None:
    server = await asyncio.to_thread(Server, tmp_path, ["--redis-url", durable.url], workers=2)
    servers.append(server)
    crowd = Crowd(server.url, CUSTOMERS, STOCK)
    await crowd.define()
    pressing = asyncio.create_task(crowd.press())
    async for _ in crowd.kills(kill_points(seed, STOCK, 2)):
        os.kill(durable.pid, signal.SIGKILL)
        await crowd.until_trouble()
        await asyncio.to_thread(durable.restart)
    await pressing
    await judge(crowd)


async def store_pid(data_dir: Path, before: int = 0) -> int:
    """The process id of the embedded store, once it is another than the one before."""

    def look() -> int:
        pid = int(json.loads((data_dir / "valkey.json").read_text())["pid"])
        return 0 if pid == before else pid

    return await asyncio.to_thread(eventually, look, "the store runs again")


@pytest.mark.parametrize("round_number", rounds(2))
async def test_the_embedded_store_is_killed(
    servers: list[Server], tmp_path: Path, seed: int, round_number: int
) -> None:
    """Nobody has to meet with trouble: the store may run again before the next who presses has asked it."""
    data_dir = tmp_path / "data"
    server = await asyncio.to_thread(Server, tmp_path, ["--embedded", "--data-dir", str(data_dir)], workers=2)
    servers.append(server)
    crowd = Crowd(server.url, CUSTOMERS, STOCK)
    await crowd.define()
    store = await store_pid(data_dir)
    pressing = asyncio.create_task(crowd.press())
    async for _ in crowd.kills(kill_points(seed, STOCK, 2)):
        os.kill(store, signal.SIGKILL)
        store = await store_pid(data_dir, store)
    await pressing
    await judge(crowd)


@pytest.mark.parametrize("round_number", rounds(2))
async def test_everything_is_killed(
    servers: list[Server], tmp_path: Path, seed: int, round_number: int
) -> None:
    arguments = ["--embedded", "--data-dir", str(tmp_path / "data")]
    with ReservedPort() as port:
        server = await asyncio.to_thread(Server, tmp_path, arguments, workers=2, port=port.port)
        servers.append(server)
        crowd = Crowd(server.url, CUSTOMERS, STOCK)
        await crowd.define()
        pressing = asyncio.create_task(crowd.press())
        async for _ in crowd.kills(kill_points(seed, STOCK, 1)):
            family = server.program.family()
            server.program.process.kill()
            _, left = await asyncio.to_thread(psutil.wait_procs, family[1:], timeout=60)
            assert not left, "what the supervisor had started ends with it"
        before = dict(crowd.winners())
        servers.append(await asyncio.to_thread(Server, tmp_path, arguments, workers=2, port=port.port))
        await pressing
        assert before.items() <= crowd.winners().items()
        await judge(crowd)
