"""Which connections are closed when a worker leaves: those that nobody waits on."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from flashsale.api.protocol import Server
from flashsale.process.connections import FIRST_REQUEST_SECONDS, close_idle
from tests.process.clients import get


class Served:
    """A small server in this process, whose one handler waits until it is told to answer."""

    def __init__(self) -> None:
        self.answer = asyncio.Event()
        self.asked = asyncio.Event()
        self.server = Server(self._handle)
        self.port = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection that the server has accepted."""
        before = len(self.server.connections)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while len(self.server.connections) == before:  # noqa: ASYNC110 (there is no event to wait for)
            await asyncio.sleep(0.001)
        self.writers.append(writer)
        return reader, writer

    async def close_idle_until_closed(self, reader: asyncio.StreamReader, drained_for: float) -> None:
        """Look at the connections, as a worker that leaves does again and again, until this one has ended."""
        while not reader.at_eof():
            close_idle(self.server, drained_for)
            await asyncio.sleep(0.001)

    async def _handle(self, _request: web.BaseRequest) -> web.Response:
        self.asked.set()
        await self.answer.wait()
        return web.Response(text="answer")


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    served = Served()
    runner = web.ServerRunner(served.server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.port = runner.addresses[0][1]
    yield served
    for writer in served.writers:
        writer.close()
    await runner.cleanup()


async def test_one_that_was_never_used_is_given_a_moment(served: Served) -> None:
    reader, writer = await served.connect()
    close_idle(served.server, 0.0)
    served.answer.set()
    writer.write(get("/"))
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")

    reader, writer = await served.connect()
    await served.close_idle_until_closed(reader, FIRST_REQUEST_SECONDS)


async def test_one_whose_request_is_being_answered_is_left_alone(served: Served) -> None:
    reader, writer = await served.connect()
    writer.write(get("/"))
    await served.asked.wait()
    close_idle(served.server, 3600.0)
    served.answer.set()
    assert b"answer" in await reader.readuntil(b"answer")
    await served.close_idle_until_closed(reader, 0.0)


async def test_one_whose_request_waits_to_be_read_is_left_alone(served: Served) -> None:
    reader, writer = await served.connect()
    served.answer.set()
    # Sent past the loop, so that the server, in this same loop, has no turn to read it before it is looked at.
    os.write(writer.get_extra_info("socket").fileno(), get("/"))
    close_idle(served.server, 3600.0)
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
