"""One try to send one event: what counts as success, and receivers that behave badly in every way."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiohttp import web

from flashsale.webhooks.addresses import REFUSED, Guard
from flashsale.webhooks.sender import MOST_READ_BYTES, Receipt, Sender
from flashsale.webhooks.signing import new_secret
from tests.support.certificate import write_certificate
from tests.webhooks.inbox import Inbox, Message, verified

BODY = b'{"id":"giulia.0.17"}'
SECRET = new_secret()
MEGABYTE = 1024 * 1024


@asynccontextmanager
async def sending(timeout_s: float = 60, guard: Guard | None = None) -> AsyncIterator[Sender]:
    sender = Sender(guard or Guard(private_networks=True), timeout_s=timeout_s)
    try:
        yield sender
    finally:
        await sender.close()


async def send(sender: Sender, url: str) -> Receipt:
    return await sender.send(url, [SECRET], "giulia.0.17", BODY)


@asynccontextmanager
async def raw(talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]) -> AsyncIterator[str]:
    """A receiver that says, byte by byte, what no web server would."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(connected(reader, writer))
        tasks.add(task)

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_is_sent(receiver: Inbox) -> None:
    async with sending() as sender:
        receipt = await send(sender, f"{receiver.url}/a%20b?token=x%2Fy")
    assert receipt.is_good
    assert receipt.status == 204
    assert abs(receipt.at_ms - time.time() * 1000) < 60_000
    (message,) = receiver.messages
    assert message.body == BODY
    assert verified(message, SECRET)
    assert message.headers["webhook-id"] == "giulia.0.17"
    assert message.headers["Content-Type"] == "application/cloudevents+json"
    assert message.headers["User-Agent"].startswith("flashsale/")
    assert not {"Cookie", "Authorization"} & set(message.headers)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 226])
async def test_success(receiver: Inbox, status: int) -> None:
    receiver.statuses["/"] = status
    async with sending() as sender:
        assert (await send(sender, f"{receiver.url}/")).is_good


@pytest.mark.parametrize(
    "status", [301, 302, 303, 304, 307, 308, 400, 401, 404, 410, 418, 429, 500, 503, 599]
)
async def test_everything_else_is_a_failure_and_redirects_lead_nowhere(receiver: Inbox, status: int) -> None:
    async def answers(_message: Message, _request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": f"{receiver.url}/elsewhere"})

    receiver.answers = answers
    async with sending() as sender:
        receipt = await send(sender, f"{receiver.url}/")
    assert (receipt.status, receipt.error) == (status, f"answered {status}")
    assert [each.path for each in receiver.messages] == ["/"]


async def test_retry_after_is_handed_on(receiver: Inbox) -> None:
    async def answers(_message: Message, _request: web.Request) -> web.StreamResponse:
        return web.Response(status=429, headers={"Retry-After": "17"})

    receiver.answers = answers
    async with sending() as sender:
        assert (await send(sender, receiver.url)).retry_after_s == 17


async def test_an_endless_answer_costs_neither_memory_nor_time(receiver: Inbox) -> None:
    sent = 0

    async def answers(_message: Message, request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Encoding": "gzip"})
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65_536)
            sent += 65_536

    receiver.answers = answers
    before = psutil.Process().memory_info().rss
    async with sending() as sender:
        receipts = [await send(sender, receiver.url) for _ in range(20)]
    assert all(receipt.is_good and receipt.status == 200 for receipt in receipts)
    assert psutil.Process().memory_info().rss - before < 50 * MEGABYTE
    # What the sockets' buffers take is sent in vain, and no more.
    assert sent < 20 * (MOST_READ_BYTES + 16 * MEGABYTE)


async def test_a_body_that_comes_drop_by_drop_is_not_waited_for(receiver: Inbox) -> None:
    async def answers(_message: Message, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.05)

    receiver.answers = answers
    async with sending(timeout_s=50) as sender:
        receipt = await send(sender, receiver.url)
    assert receipt.is_good
    assert receipt.duration_ms < 20_000


async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Headers without end, a little at a time."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def silence(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


@pytest.mark.parametrize("talk", [drip, silence])
async def test_all_of_a_try_is_bound_in_time(talk: Callable[..., Any]) -> None:
    async with raw(talk) as url, sending(timeout_s=0.5) as sender:
        receipt = await send(sender, url)
    assert (receipt.status, receipt.error) == (None, "no answer within 0.5 seconds")


async def endless_headers(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-More: " + b"x" * 5000 + b"\r\n")
        await writer.drain()


async def nonsense(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
    await writer.drain()


async def goodbye(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    return


@pytest.mark.parametrize(
    ("talk", "words"),
    [
        (endless_headers, "what it answered is not HTTP"),
        (nonsense, "what it answered is not HTTP"),
        (goodbye, "the connection was closed without an answer"),
    ],
)
async def test_what_is_no_answer_is_a_failure(talk: Callable[..., Any], words: str) -> None:
    before = psutil.Process().memory_info().rss
    async with raw(talk) as url, sending() as sender:
        receipt = await send(sender, url)
    assert (receipt.status, receipt.error) == (None, words)
    assert psutil.Process().memory_info().rss - before < 50 * MEGABYTE


async def test_a_connection_that_was_closed_while_it_was_kept_fails_nothing() -> None:
    talks = 0

    async def once(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal talks
        talks += 1
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")  # it says that more may follow, and leaves
        await writer.drain()

    async with raw(once) as url, sending() as sender:
        for _ in range(20):
            assert (await send(sender, url)).is_good
    assert talks == 20


async def test_nobody_there_and_no_such_name(receiver: Inbox) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        async with sending() as sender:
            receipt = await send(sender, f"http://127.0.0.1:{port}/?token=hidden")
            assert receipt.error == "no connection: Connection refused"
            receipt = await send(sender, "http://no-such-host.invalid/?token=hidden")
            assert receipt.error == "the host's name cannot be looked up"
            # A server without TLS is asked for it.
            receipt = await send(sender, receiver.url.replace("http:", "https:"))
            assert receipt.error == "TLS could not be agreed upon"


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server, sending() as sender:
        receipt = await send(sender, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert (receipt.status, receipt.error) == (None, "its certificate is not valid for this host")


async def test_proxies_of_the_environment_are_not_asked(
    receiver: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with sending() as sender:
        assert (await send(sender, f"{receiver.url}/direct")).is_good


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "2130706433", "0x7f.1"]
)
async def test_no_connection_is_made_to_a_private_address(receiver: Inbox, host: str) -> None:
    url = receiver.url.replace("127.0.0.1", host)
    async with sending(guard=Guard(private_networks=False)) as sender:
        receipt = await send(sender, url)
    # One host that is a number only, the library itself takes for no host at all.
    assert (receipt.status, receipt.error) == (
        None,
        "the address cannot be used" if host.isdigit() else REFUSED,
    )
    assert not receiver.messages


async def test_a_name_that_leads_elsewhere_after_it_was_checked_is_refused(receiver: Inbox) -> None:
    """DNS rebinding: the first answer is a public address, those that follow are this machine."""
    answers = ["1.1.1.1"]

    def lookup(_host: str, port: int, _family: int) -> list[tuple[Any, ...]]:
        address = answers.pop(0) if answers else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    port = int(receiver.url.rpartition(":")[2])
    guard = Guard(private_networks=False, lookup=lookup)
    assert await guard.allows_name("rebinding.example", port, timeout_s=30)
    async with sending(guard=guard) as sender:
        receipt = await send(sender, f"http://rebinding.example:{port}/")
    assert (receipt.status, receipt.error) == (None, REFUSED)
    assert not receiver.messages
    # The same name, where private networks are allowed: it was the address that was refused, not the name.
    async with sending(guard=Guard(private_networks=True, lookup=lookup)) as sender:
        assert (await send(sender, f"http://rebinding.example:{port}/")).is_good
