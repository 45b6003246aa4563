"""The fast lane: a connection starts here, and goes to aiohttp and back with the requests that come.

aiohttp takes several times as long for a request and its answer as a reservation costs. So the one request that matters at
T0, `POST /v1/sales/{sale}/reservations` complete and plain, is read by `flashsale.api.lane_request` and answered here, with
no task or future of its own. Everything else is handed to aiohttp's protocol, bytes and all (`transport.set_protocol`); when
that has nothing left to do, the next plain request comes back.

No rule is written twice: validation, tokens, the engine and the answers are those of `flashsale.api.reservations`, and what
is refused before the engine is asked is refused by aiohttp's handler, which is given the request as it came.
"""

import asyncio
import socket
import time
from email.utils import formatdate
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

import structlog
from aiohttp.http import SERVER_SOFTWARE

from flashsale.api import problems, render
from flashsale.api.cors import Cors
from flashsale.api.lane_request import parse, wanted
from flashsale.api.replies import JSON, Reply
from flashsale.api.reservations import reply, reply_at_once, undecided
from flashsale.api.state import Drain, Shop
from flashsale.engine.batcher import BusyError
from flashsale.engine.catalog import Offer
from flashsale.identity.tokens import TokenError
from flashsale.model.faults import InvalidError
from flashsale.scripts.reserve import Decision, Held, Replayed
from flashsale.store.client import StoreUnavailableError

if TYPE_CHECKING:
    from flashsale.api.protocol import Handler, Server

MOST_WAITING_BYTES: Final = 64 * 1024
"""Of further requests on a connection that waits for an answer, before it is read no more."""
IDLE_LOOK_SECONDS: Final = 30.0

log = structlog.get_logger(__name__)


@cache
def _start(status: int, content_type: str) -> bytes:
    """The bytes of an answer up to the value of Content-Length: there are few kinds of them."""
    line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"
    return f"{line}\r\nContent-Type: {content_type}\r\nContent-Length: ".encode()


_HELD: Final = _start(201, JSON)


class Lanes:
    """What the fast lanes of a worker have in common."""

    def __init__(
        self, server: "Server", shop: Shop, drain: Drain, keepalive_s: float, cors: Cors | None
    ) -> None:
        self.server = server
        self.shop = shop
        self.drain = drain
        self.open: set[Lane] = set()
        self.loop = asyncio.get_running_loop()
        self.keepalive_s = keepalive_s
        self.answers_depend = cors is not None and cors.varies
        """They depend on the origin that asks: those who name one are answered by aiohttp."""
        self._cors = cors.lines if cors is not None else b""
        self._last = b""
        self._dated_s = 0
        self._reply: Reply | None = None
        self._reply_end = self._rendered = b""
        self._looking = self.loop.call_later(IDLE_LOOK_SECONDS, self._look)

    def render(self, reply: Reply) -> bytes:
        """An answer as it goes out. The last one is remembered: when a sale is sold out, everybody is told the same."""
        end = self._end()
        if reply is self._reply and end is self._reply_end:
            return self._rendered
        start = _start(reply.status, reply.content_type)
        more = ""
        for name, value in reply.headers.items():
            more += f"\r\n{name}: {value}"
        self._reply, self._reply_end = reply, end
        self._rendered = b"%b%d%b%b\r\n\r\n%b" % (start, len(reply.body), more.encode(), end, reply.body)
        return self._rendered

    def render_held(self, offer: Offer, decision: Held) -> bytes:
        """The answer to a claim that was granted: as `render` of its reply, which is what most of the rush is told."""
        self.shop.requests.reserve["held"] += 1
        body = render.held(offer, decision)
        location = render.location(offer, decision.claim.token)
        return b"%b%d\r\nLocation: %b%b\r\n\r\n%b" % (_HELD, len(body), location.encode(), self._end(), body)

    def _end(self) -> bytes:
        """The last headers."""
        now_s = int(time.time())
        if now_s != self._dated_s or self.drain.active:
            self._dated_s = now_s
            self._last = f"\r\nDate: {formatdate(now_s, usegmt=True)}\r\nServer: {SERVER_SOFTWARE}".encode()
            self._last += self._cors
            if self.drain.active:
                self._last += b"\r\nConnection: close"
        return self._last

    def _look(self) -> None:
        """Closes connections that have been idle for as long as aiohttp would let them."""
        before = self.loop.time() - self.keepalive_s
        for lane in [each for each in self.open if each.idle and each.active_at < before]:
            lane.close()
        self._looking = self.loop.call_later(IDLE_LOOK_SECONDS, self._look)

    def close(self) -> None:
        """The server is done."""
        self._looking.cancel()
        for lane in list(self.open):
            lane.close()


class Lane(asyncio.Protocol):
    """One connection. Its requests are answered one after the other, in their order."""

    __slots__ = (
        "_data",
        "_offer",
        "_paused",
        "_reading",
        "_task",
        "active_at",
        "handler",
        "in_charge",
        "lanes",
        "transport",
        "unused",
    )

    def __init__(self, lanes: Lanes) -> None:
        self.lanes = lanes
        self.transport: asyncio.Transport | None = None
        self.handler: Handler | None = None
        """aiohttp's protocol, once something had to be handed to it."""
        self.in_charge = True
        """The connection is here, and not with aiohttp."""
        self.unused = True
        """Nothing was ever asked."""
        self.active_at = lanes.loop.time()
        self._data = b""
        self._offer: Offer | None = None
        """What a request that is with the engine was asked under; None while there is none."""
        self._paused = False
        """The client does not read its answers."""
        self._reading = True
        self._task: asyncio.Task[Reply] | None = None

    @property
    def idle(self) -> bool:
        """The connection is here, and there is nothing to do for it."""
        return self.in_charge and self._offer is None and not self._data

    # --- what the transport says ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has come."""
        self.transport = cast("asyncio.Transport", transport)  # of a TCP connection
        self.lanes.open.add(self)
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def data_received(self, data: bytes) -> None:
        """Requests, or parts of them."""
        if self._data:
            data = self._data + data
        if self._offer is None and not self._paused:
            self._serve(data)
            return
        self._data = data
        if len(data) > MOST_WAITING_BYTES and self._reading and self.transport is not None:
            self._reading = False
            self.transport.pause_reading()

    def pause_writing(self) -> None:
        """The client does not read: no further request is dealt with."""
        self._paused = True

    def resume_writing(self) -> None:
        """It has read."""
        self._paused = False
        if self._offer is None:
            self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self.lost()
        if self.handler is not None:
            self.handler.connection_lost(exc)

    def lost(self) -> None:
        """The connection is gone. A claim that is under way stays: nobody knows whether it was decided."""
        self.transport = None
        self._data = b""
        self.lanes.open.discard(self)

    # --- the requests ---

    def take(self, data: bytes) -> None:
        """Takes the connection back: aiohttp has nothing to do, and this came: perhaps it is a request for this lane."""
        if self.transport is None:
            return  # it is gone
        self.in_charge = True
        self.transport.set_protocol(self)
        self._serve(data)

    def _serve(self, data: bytes) -> None:
        """Deals with the requests in `data`, until one has to wait."""
        self._data = b""
        self.unused = False
        while data:
            request = parse(data)
            if request is None:
                self._hand_over(data)
                return
            sale, token, key, body, end = request
            lanes, shop = self.lanes, self.lanes.shop
            offer, lines = shop.reservations.offer(sale), wanted(body)
            elsewhere = lanes.answers_depend and Cors.named_in(data, end - len(body))
            if offer is None or lines is None or elsewhere:
                self._hand_over(data)
                return
            try:
                customer = shop.tokens.verify(token)
                known = shop.reservations.ask(offer, customer, lines, key, self)
            except (TokenError, InvalidError):
                self._hand_over(data)
                return
            except BusyError as error:
                answer = undecided(shop, error).reply()
            else:
                if known is None:
                    self._offer, self._data = offer, data[end:]
                    return
                answer = reply_at_once(shop, sale, offer, known)
            data = data[end:]
            self._write(answer.status, self.lanes.render(answer))
            if self._paused:
                self._data = data
                return
            if self.lanes.drain.active:
                return  # the connection is closing

    def _hand_over(self, data: bytes) -> None:
        """Gives the connection to aiohttp, with what it has not seen yet."""
        if self.transport is None:
            return  # it is gone
        self.in_charge = False
        if not self._reading:
            self._reading = True
            self.transport.resume_reading()
        if self.handler is None:
            self.handler = self.lanes.server.handler(self)
            self.transport.set_protocol(self.handler)
            self.handler.connection_made(self.transport)
        else:
            self.transport.set_protocol(self.handler)
        self.handler.feed(data)

    # --- the answers ---

    def decided(self, decision: Decision, version: int) -> None:
        """As `Asker`."""
        offer = self._offer
        if offer is None:
            return  # nothing was asked
        try:
            if version != offer.version or type(decision) is Replayed:
                self._task = self.lanes.loop.create_task(self._look_up(offer, decision, version))
                self._task.add_done_callback(self._has_come)
            elif type(decision) is Held:
                self._send(201, self.lanes.render_held(offer, decision))
            else:
                self.answer(reply_at_once(self.lanes.shop, offer.sale, offer, decision))
        except Exception as error:  # noqa: BLE001 - answered and logged there; the other claims of the batch have their answers yet to come
            self.failed(error)

    async def _look_up(self, offer: Offer, decision: Decision, version: int) -> Reply:
        """An answer that needs something of the store."""
        shop = self.lanes.shop
        current = await shop.reservations.current(offer, version)
        return await reply(shop, offer.sale, current, decision)

    def _has_come(self, task: "asyncio.Task[Reply]") -> None:
        self._task = None
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            self.answer(task.result())
        else:
            self.failed(error)

    def failed(self, error: BaseException) -> None:
        """As `Asker`."""
        if isinstance(error, BusyError | StoreUnavailableError):
            problem = undecided(self.lanes.shop, error)
        else:
            log.error("lane.internal_error", exc_info=error)
            problem = problems.internal()
        self.answer(problem.reply())

    def answer(self, reply: Reply) -> None:
        """The answer to the request that was waiting; goes on with the next."""
        self._send(reply.status, self.lanes.render(reply))

    def _send(self, status: int, answer: bytes) -> None:
        self._offer = None
        self._write(status, answer)
        if not self._paused:
            self._go_on()

    def _write(self, status: int, answer: bytes) -> None:
        lanes, transport = self.lanes, self.transport
        lanes.shop.requests.fast[status] += 1
        if transport is None:
            return
        self.active_at = lanes.loop.time()
        transport.write(answer)
        if lanes.drain.active:
            transport.close()
            self._data = b""

    def _go_on(self) -> None:
        """Deals with what has come meanwhile, and reads on when there is not much left of it."""
        if self._data and self.transport is not None:
            self._serve(self._data)
        if not self._reading and len(self._data) <= MOST_WAITING_BYTES and self.transport is not None:
            self._reading = True
            self.transport.resume_reading()

    def close(self) -> None:
        """Ends the connection, once what was written is out."""
        if self.transport is not None:
            self.transport.close()
