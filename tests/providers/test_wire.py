"""The small HTTP client, against servers of every kind."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from flashsale.providers.wire import Link, Pool, Target, WireError


class Talker:
    """A server that answers each request with the next of these bytes; None ends the connection instead."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.connections = 0
        self.requests: list[bytes] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                answer = self.answers.pop(0)
                if answer is None:
                    break
                for piece in (answer[:7], answer[7:]):
                    writer.write(piece)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def talking(talker: Talker, path: str = "/hook?x=1") -> AsyncIterator[Link]:
    server = await asyncio.start_server(talker.talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    link = Link(Target(f"http://127.0.0.1:{port}{path}"), 60)
    try:
        yield link
    finally:
        link.close()
        server.close()


GOOD = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok"


async def test_requests_follow_each_other_on_one_connection() -> None:
    talker = Talker(GOOD, b"HTTP/1.1 204 No Content\r\n\r\n", GOOD)
    async with talking(talker) as link:
        assert [await link.ask("POST", "", "X: y\r\n", b"{}") for _ in range(3)] == [
            (202, b"ok"),
            (204, b""),
            (202, b"ok"),
        ]
    assert talker.connections == 1
    assert talker.requests[0].startswith(b"POST /hook?x=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert talker.requests[0].endswith(b"\r\nX: y\r\nContent-Length: 2\r\n\r\n{}")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 500 Oh\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 500 Oh\r\n\r\n",
        b"HTTP/1.1 500 Oh\r\nContent-Length: 1\r\n\r\nmore than that",
        b"HTTP/1.1 500 Oh\r\nContent-Length: 99999999999\r\n\r\n",
    ],
    ids=["close", "chunked", "no length", "too much", "huge"],
)
async def test_after_an_answer_whose_end_is_unknown_a_new_connection_is_made(answer: bytes) -> None:
    talker = Talker(answer, GOOD)
    async with talking(talker) as link:
        assert (await link.ask("POST", "", "", b"{}")).status == 500
        assert (await link.ask("GET", "", "", b"")).body == b"ok"
    assert talker.connections == 2


@pytest.mark.parametrize(
    "answer",
    [None, b"nonsense\r\n\r\n", b"HTTP/1.1 2xx\r\n\r\n", b"x" * 20_000],
    ids=["cut", "nonsense", "no status", "endless head"],
)
async def test_without_an_answer_it_says_so_and_goes_on(answer: bytes | None) -> None:
    talker = Talker(answer, GOOD)
    async with talking(talker) as link:
        with pytest.raises(WireError):
            await link.ask("POST", "", "", b"{}")
        assert (await link.ask("GET", "", "", b"")).body == b"ok"


async def test_nobody_is_waited_for_forever() -> None:
    silent: Callable[..., asyncio.Protocol] = asyncio.Protocol
    server = await asyncio.get_running_loop().create_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    link = Link(Target(f"http://127.0.0.1:{port}"), 0.05)
    with pytest.raises(WireError):
        await link.ask("POST", "", "", b"{}")
    server.close()
    with pytest.raises(WireError):
        await link.ask("POST", "", "", b"{}")
    link.close()


def test_a_target_knows_its_port_and_never_shows_a_password() -> None:
    target = Target("https://user:secret@shop.example/hook")
    assert (target.host, target.port) == ("shop.example", 443)
    assert target.tls is not None
    assert b"secret" not in target.request("GET", "", "", b"")


async def test_a_pool_asks_no_more_at_once_than_it_has_connections() -> None:
    talker = Talker(*[GOOD] * 20)
    server = await asyncio.start_server(talker.talk, "127.0.0.1", 0)
    pool = Pool(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/base", 3, 60)
    replies = await asyncio.gather(*(pool.ask("GET", f"/{number}", "", b"") for number in range(20)))
    assert {reply.body for reply in replies} == {b"ok"}
    assert talker.connections == 3
    assert {request.split(b" ")[1] for request in talker.requests} == {
        f"/base/{number}".encode() for number in range(20)
    }
    pool.close()
    server.close()


async def test_a_request_that_is_given_up_does_not_leave_its_answer_to_the_next() -> None:
    talker = Talker(b"", GOOD)
    async with talking(talker) as link:
        first = asyncio.create_task(link.ask("GET", "", "", b""))
        async with asyncio.timeout(60):
            while not talker.requests:  # noqa: ASYNC110 - the talker has no event to wait for
                await asyncio.sleep(0.01)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert (await link.ask("GET", "", "", b"")).body == b"ok"
    assert talker.connections == 2
