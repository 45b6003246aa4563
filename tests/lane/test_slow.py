"""Clients that are slow to send or do not read: they cost a bounded amount of memory, and nobody else notices."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress

import psutil
import pytest

from tests.lane.pair import LANES, Pair
from tests.lane.plain import Request, get, somebody
from tests.lane.transcript import next_answer
from tests.lane.wire import Conversation, Do, Step
from tests.support_http.client import Shop, eventually

MIB = 1024 * 1024
PATIENT_S = 25.0
"""How long anybody else may wait meanwhile: much less than a server that has stopped answering would take."""


def unread(port: int) -> socket.socket:
    """A connection of a client that has little room for answers."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
    client.connect(("127.0.0.1", port))
    client.setblocking(False)
    return client


def worker_of(pair: Pair, name: str) -> psutil.Process:
    (worker,) = pair.servers[name].workers()
    return worker


async def pour(client: socket.socket, data: bytes, most: int) -> int:
    """Sends the same again and again until the server takes no more for half a second; how many bytes it took."""
    sent, stuck_at = 0, time.monotonic() + 0.5
    while sent < most and time.monotonic() < stuck_at:
        try:
            sent += client.send(data[sent % len(data) :])
        except BlockingIOError:
            await asyncio.sleep(0.01)
        else:
            stuck_at = time.monotonic() + 0.5
    return sent


def kinds(sale: str) -> Iterator[tuple[str, bytes]]:
    post = bytes(Request.plain(sale, somebody()))
    look = get(f"/v1/sales/{sale}")
    yield "reservations", post * 50
    yield "GETs", look * 100
    yield "both", (post + look) * 50
    yield "refusals", bytes(Request.plain(sale, body=b"{}")) * 50


@asynccontextmanager
async def others_are_served(pair: Pair, name: str, sale: str) -> AsyncIterator[list[float]]:
    """Somebody else reserves all the while; how long each time took."""
    took: list[float] = []

    async def ask() -> None:
        async with Shop(pair.servers[name].url) as shop:
            for _ in range(10_000):
                begun = time.monotonic()
                (await shop.reserve(sale, somebody())).must(201, 409)
                took.append(time.monotonic() - begun)
                await asyncio.sleep(0.02)

    asking = asyncio.create_task(ask())
    try:
        yield took
        await eventually(lambda: asyncio.sleep(0, len(took) > 2 or asking.done()), "others are served")
    finally:
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
    assert max(took) < PATIENT_S, f"somebody waited {max(took):.2f} s"


@pytest.mark.parametrize(
    ("name", "number"),
    [
        pytest.param(
            name,
            number,
            id=f"{name}, {kind}",
            marks=() if name == "ours" and number == 2 else pytest.mark.long,
        )
        for name in LANES
        for number, kind in enumerate(["reservations", "GETs", "both", "refusals"])
    ],
)
async def test_a_client_that_does_not_read(pair: Pair, name: str, number: int) -> None:
    sale = await pair.sale(stock=1)
    worker = worker_of(pair, name)
    _, data = list(kinds(sale))[number]
    before = worker.memory_info().rss
    with closing(unread(pair.ports[name])) as client:
        async with others_are_served(pair, name, sale):
            sent = await pour(client, data, 16 * MIB)
            grown = worker.memory_info().rss - before
        assert sent < 16 * MIB, "the server takes whatever it is sent, though nobody reads its answers"
        assert grown < 24 * MIB, f"{grown / MIB:.0f} MiB more"
        # Then it reads after all: everything that was sent whole is answered, in whole answers.
        whole = int(sent * data.count(b" HTTP/1.1\r\n") / len(data)) - 1
        statuses = await asyncio.to_thread(first_statuses, client, whole)
    assert set(statuses) == set(statuses[:200]), set(statuses)


async def test_clients_that_send_byte_by_byte(pair: Pair) -> None:
    async with pair.sold() as sale:
        post, look = bytes(Request.plain(sale)), get("/healthz")
        others = await pair.sale()
        slow = [post, look, post + look, look + post]
        for name, port in pair.ports.items():
            clients = [(unread(port), slow[number % 4]) for number in range(40)]
            async with others_are_served(pair, name, others):
                for at in range(60):
                    for client, data in clients:
                        client.send(data[at : at + 1])
                    await asyncio.sleep(0.01)
            for client, data in clients:
                client.send(data[60:])
            for client, data in clients:
                expected = data.count(b" HTTP/1.1\r\n")
                statuses = await asyncio.to_thread(first_statuses, client, expected)
                assert statuses == [
                    201 if part.startswith(b"POST") else 200 for part in parts(data, post, look)
                ]
                client.close()


def parts(data: bytes, post: bytes, look: bytes) -> list[bytes]:
    found = []
    while data:
        found.append(post if data.startswith(post) else look)
        data = data[len(found[-1]) :]
    return found


def first_statuses(client: socket.socket, number: int) -> list[int]:
    client.settimeout(30)
    waiting = bytearray()
    statuses: list[int] = []
    while len(statuses) < number:
        data = client.recv(1 << 18)
        assert data, "closed"
        waiting += data
        at = 0
        while (found := next_answer(bytes(waiting[at : at + 8192]))) is not None:
            statuses.append(found[0].status)
            at += found[1]
        del waiting[:at]
    return statuses


async def test_a_head_that_never_ends(pair: Pair) -> None:
    async with pair.sold() as sale:
        start = Request.plain(sale).head[:-2]
        endless = {
            "headers": b"X-Filler: " + b"y" * 1000 + b"\r\n",
            "one header": b"y" * 5000,
            "line ends": b"\r",
        }
        for name, filler in endless.items():
            again: list[Step] = [filler * 20, Do.LET_READ]
            steps = [start + (b"X: " if name == "one header" else b""), *again * 60]
            await pair.must_agree([Conversation.of(f"endless {name}", *steps)])
