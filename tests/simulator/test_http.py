"""The simulator's own HTTP server, spoken to in bytes: in pieces, in a row, wrongly, and by those who do not listen."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from flashsale.simulator import http
from flashsale.simulator.http import Answer, Request, Server


class Echo:
    """A handler that answers what it was asked, and notes it."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def __call__(self, request: Request) -> Answer:
        self.asked.append(request)
        if request.path == "/broken":
            raise RuntimeError("a fault of the test")
        if request.path == "/large":
            return Answer(200, b"x" * 1_000_000)
        late = 0.05 if request.path == "/late" else 0.0
        return Answer(200, request.path.encode() + b":" + request.body, delay_seconds=late)


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
async def address(echo: Echo) -> AsyncIterator[tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(echo)
    await server.start(listener, 16)
    yield listener.getsockname()
    server.close()


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return int(head[9:12]), await reader.readexactly(length)


async def talk(address: tuple[str, int], *pieces: bytes) -> tuple[int, bytes, bytes]:
    """Status and body of the first answer, and all that came after it until the end of the connection."""
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection(*address)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        status, body = await read_answer(reader)
        rest = await reader.read()
        writer.close()
        return status, body, rest


POST = b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nX-Name:  value \r\nContent-Length: 3\r\n\r\nabc"
LAST = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def test_a_request_is_read_whole_however_it_comes(echo: Echo, address: tuple[str, int]) -> None:
    bytewise = [POST[at : at + 1] for at in range(len(POST))]
    status, body, rest = await talk(address, *bytewise, LAST)
    assert (status, body) == (200, b"/a:abc")
    assert rest.endswith(b"/last:")
    assert b"Connection: close" in rest
    first = echo.asked[0]
    assert (first.method, first.path, first.query, first.body) == ("POST", "/a", "b=c", b"abc")
    assert first.headers == {"host": "x", "x-name": "value", "content-length": "3"}


async def test_requests_in_a_row_are_answered_in_order(address: tuple[str, int]) -> None:
    late = b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n"
    _, body, rest = await talk(address, POST + late + POST + LAST)
    assert body == b"/a:abc"
    assert [rest.find(one) for one in (b"/late:", b"/a:abc", b"/last:")] == sorted(
        rest.find(one) for one in (b"/late:", b"/a:abc", b"/last:")
    )
    assert rest.count(b"HTTP/1.1 200 OK") == 3


async def test_an_old_client_is_answered_once(address: tuple[str, int]) -> None:
    status, body, rest = await talk(address, b"GET /old HTTP/1.0\r\n\r\n")
    assert (status, body, rest) == (200, b"/old:", b"")


async def test_who_asks_first_is_told_to_go_on(address: tuple[str, int]) -> None:
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        assert await read_answer(reader) == (200, b"/a:abc")
        writer.close()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\n\r\n", 400),
        (b"GET http://x/ HTTP/1.1\r\n\r\n", 400),
        (b"G\xe4T / HTTP/1.1 x\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n folded: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nName : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\na: b\nc: d\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n" + b"x" * 65_537, 413),
        (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 4000 + b"\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nlong: " + b"x" * 20_000, 431),
    ],
)
async def test_what_cannot_be_read_is_refused_and_the_connection_ends(
    echo: Echo, address: tuple[str, int], request_bytes: bytes, status: int
) -> None:
    answered, body, rest = await talk(address, request_bytes)
    assert (answered, rest) == (status, b"")
    assert b"unreadable" in body
    assert not echo.asked


async def test_a_fault_of_ours_is_a_500_and_the_connection_goes_on(address: tuple[str, int]) -> None:
    status, _, rest = await talk(address, b"GET /broken HTTP/1.1\r\nHost: x\r\n\r\n", LAST)
    assert status == 500
    assert rest.endswith(b"/last:")


async def test_who_does_not_read_is_not_answered_without_end(echo: Echo, address: tuple[str, int]) -> None:
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection(*address, limit=4096)
        writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
        assert (await read_answer(reader))[0] == 200
        # What waits is bounded by what fits into the buffers on the way: a few answers, and not two hundred.
        assert len(echo.asked) < 100
        for _ in range(199):
            assert (await read_answer(reader))[0] == 200
        writer.close()
    assert len(echo.asked) == 200


async def test_connections_beyond_the_limit_and_idle_ones_are_ended(
    monkeypatch: pytest.MonkeyPatch, echo: Echo
) -> None:
    monkeypatch.setattr(http, "CONNECTIONS_MAX", 1)
    monkeypatch.setattr(http, "SWEEP_SECONDS", 0.01)
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(echo)
    await server.start(listener, 16)
    async with asyncio.timeout(60):
        first, first_writer = await asyncio.open_connection(*listener.getsockname())
        first_writer.write(POST)
        assert await read_answer(first) == (200, b"/a:abc")
        second, second_writer = await asyncio.open_connection(*listener.getsockname())
        assert await _end(second) == b""
        monkeypatch.setattr(http, "IDLE_SECONDS_MAX", 0.0)
        assert await _end(first) == b""
    first_writer.close()
    second_writer.close()
    server.close()


async def _end(reader: asyncio.StreamReader) -> Any:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
