"""Clients that leave early, or say that they send no more: both lanes take it alike, and neither keeps anything of them."""

import asyncio
import gc
import socket
import struct

import psutil
import pytest
from aiohttp import web

from flashsale.api.protocol import Handler, unreadable
from tests.lane.pair import Pair
from tests.lane.plain import Request, get
from tests.lane.wire import Conversation, Do, Step
from tests.process.programs import eventually


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def reset(client: socket.socket) -> None:
    """Ends a connection with RST."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def clients_of(pair: Pair, name: str) -> int:
    """How many connections of clients this lane's worker has."""
    connections = workers(pair)[name].net_connections(kind="tcp")
    return sum(bool(each.raddr) and each.laddr.port == pair.ports[name] for each in connections)


def workers(pair: Pair) -> dict[str, psutil.Process]:
    found = {}
    for name, server in pair.servers.items():
        (found[name],) = server.workers()
    return found


async def test_a_client_that_has_said_all(pair: Pair) -> None:
    async with pair.sold() as sale:
        post, look, request = bytes(Request.plain(sale)), get("/healthz"), Request.plain(sale)
        bad = bytes(Request.plain(sale, body=b"{"))
        talks: dict[str, tuple[Step, ...]] = {
            "nothing": (Do.SHUT,),
            "half a head": (post[:40], Do.SHUT),
            "half a head, read": (post[:40], Do.LET_READ, Do.SHUT),
            "half a body": (request.head, Do.LET_READ, Do.SHUT),
            "answered": (post, Do.HEAR, Do.SHUT),
            "answered, then half": (post, Do.HEAR, post[:100], Do.LET_READ, Do.SHUT),
            "two kinds answered": (post, Do.HEAR, look, Do.HEAR, post, Do.HEAR, Do.SHUT),
            "bad, answered": (bad, Do.HEAR, Do.SHUT),
            "a GET, answered": (look, Do.HEAR, Do.SHUT),
            "half a GET": (look[:20], Do.LET_READ, Do.SHUT),
        }
        await pair.must_agree(Conversation.of(name, *steps) for name, steps in talks.items())


async def test_the_last_word_and_a_request_at_once(pair: Pair) -> None:
    # Whether the answer is out before the end is seen is a matter of moments; what was asked is done in any case.
    async with pair.sold() as sale:
        for _ in range(10):
            seen = await pair.transcripts(Conversation.of("asked", bytes(Request.plain(sale)), Do.SHUT))
            for transcript in seen.values():
                assert transcript.statuses in {(), (201,)}
                assert not transcript.rest


async def let_go(pair: Pair, name: str, before: int) -> None:
    """Waits until this lane's worker has no more connections of clients than before."""
    await asyncio.to_thread(eventually, lambda: clients_of(pair, name) <= before, "they are let go")


@pytest.mark.parametrize("kind", ["reservation", "GET"])
@pytest.mark.parametrize("part", [0, 30, -1, None], ids=["nothing", "some of it", "all but a byte", "all"])
@pytest.mark.parametrize("end", [reset, socket.socket.close], ids=["reset", "close"])
async def test_clients_that_leave(pair: Pair, kind: str, part: int | None, end: object) -> None:
    sale = await pair.sale()
    before = {name: clients_of(pair, name) for name in pair.ports}
    for name, port in pair.ports.items():
        for _ in range(20):
            client = connected(port)
            client.sendall((bytes(Request.plain(sale)) if kind == "reservation" else get("/healthz"))[:part])
            if end is reset:
                reset(client)
            else:
                client.close()
        await let_go(pair, name, before[name])
    # What was asked whole may have been done or not; but whatever is there adds up, and the next one is served.
    await pair.counters(sale)
    async with pair.sold() as other:
        await pair.must_agree([Conversation.of("the next", bytes(Request.plain(other)), get("/healthz"))])


async def test_a_client_that_leaves_between_the_lanes(pair: Pair) -> None:
    sale = await pair.sale()
    post, look = bytes(Request.plain(sale)), get("/healthz")
    before = {name: clients_of(pair, name) for name in pair.ports}
    for name, port in pair.ports.items():
        for sent in (
            post + look,
            look + post,
            post + look[:10],
            look + post[:100],
            (post + look) * 10,
            post * 30,
        ):
            client = connected(port)
            client.sendall(sent)
            reset(client)
            client = connected(port)
            client.sendall(sent)
            client.recv(10)
            client.close()
        await let_go(pair, name, before[name])
    await pair.counters(sale)


class Gone(asyncio.Transport):
    """A connection that there is no more."""

    def close(self) -> None:
        pass


async def test_a_connection_that_is_lost_before_aiohttp_has_begun() -> None:
    """It was handed over just now, and its end is heard in the same turn: nobody has to hear of it."""
    loop, complaints = asyncio.get_running_loop(), list[object]()
    loop.set_exception_handler(lambda _loop, context: complaints.append(context))

    async def answer(_request: web.BaseRequest) -> web.Response:
        return web.Response()

    handler = Handler(web.Server(answer), loop=loop, unreadable=unreadable)
    handler.connection_made(Gone())
    handler.connection_lost(None)
    del handler
    for _ in range(3):
        await asyncio.sleep(0)
        gc.collect()
    assert not complaints
