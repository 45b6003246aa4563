"""The crowd's HTTP client, against a server that sends exactly the bytes a test wants."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from flashsale.demo.wire import Pool
from flashsale.process.ports import ReservedPort

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def pool_to(script: Script, size: int = 1, answer_timeout_s: float = 30.0) -> AsyncIterator[Pool]:
    """A pool to a server that runs `script` on each connection."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await script(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    pool = Pool("127.0.0.1", server.sockets[0].getsockname()[1], size, answer_timeout_s)
    try:
        await pool.open()
        yield pool
    finally:
        pool.close()
        for writer in writers:
            writer.close()
        server.close()
        await server.wait_closed()


def answering(*chunks: bytes) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            for chunk in chunks:
                writer.write(chunk)
                await writer.drain()
                await asyncio.sleep(0.005)

    return script


ANSWER = b'HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"id": 1}'


@pytest.mark.parametrize("cut", [1, 10, 30, ANSWER.index(b"\r\n\r\n") + 2, len(ANSWER) - 1])
async def test_an_answer_in_two_pieces(cut: int) -> None:
    async with pool_to(answering(ANSWER[:cut], ANSWER[cut:])) as pool:
        for _ in range(3):
            reply = await pool.ask(REQUEST)
            assert (reply.status, reply.body) == (201, b'{"id": 1}')
            assert reply.sent <= reply.received


async def test_many_requests_share_few_connections_in_order() -> None:
    async with pool_to(answering(ANSWER), size=3) as pool:
        replies = await asyncio.gather(*(pool.ask(REQUEST) for _ in range(20)))
        assert [reply.status for reply in replies] == [201] * 20


async def test_retry_after_is_read() -> None:
    busy = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\ncontent-length: 0\r\n\r\n"
    async with pool_to(answering(busy)) as pool:
        reply = await pool.ask(REQUEST)
        assert (reply.status, reply.retry_after_s, reply.body) == (503, 2, b"")


async def test_a_closing_server_is_connected_to_again() -> None:
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    async with pool_to(script) as pool:
        for _ in range(3):
            assert (await pool.ask(REQUEST)).body == b"ok"
    assert connections >= 3


async def test_a_cut_connection_is_an_answer_of_none() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER[:20])
        await writer.drain()
        writer.close()

    async with pool_to(script) as pool:
        assert (await pool.ask(REQUEST)).status == 0
        assert (await pool.ask(REQUEST)).status == 0


async def test_an_answer_that_does_not_come_in_time() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with pool_to(script, answer_timeout_s=0.1) as pool:
        reply = await pool.ask(REQUEST)
        assert (reply.status, reply.body) == (0, b"no answer in time")


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 2xx OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n\r\nno length",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000,
    ],
)
async def test_what_is_no_answer_is_told_as_none(garbage: bytes) -> None:
    async with pool_to(answering(garbage)) as pool:
        assert (await pool.ask(REQUEST)).status == 0


async def test_an_answer_to_no_question_ends_the_connection_and_nothing_else() -> None:
    async with pool_to(answering(ANSWER + ANSWER)) as pool:
        assert (await pool.ask(REQUEST)).status == 201
        assert (await pool.ask(REQUEST)).status == 201


async def test_nobody_there() -> None:
    with ReservedPort() as nobody, pytest.raises(OSError, match=r"refused|Connect"):
        await Pool("127.0.0.1", nobody.port, 2, 1.0).open()
