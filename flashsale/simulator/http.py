"""A small HTTP/1.1 server: whole requests in, whole answers out, each decided at once.

The simulator shares its machine with the shop that is measured or shown, and what it takes the shop cannot have. This takes
about a sixth of what a general server does, as there is little that it can do: no chunked bodies, no upgrades, no streams.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, cast

import structlog

HEAD_BYTES_MAX: Final = 16_384
BODY_BYTES_MAX: Final = 65_536
CONNECTIONS_MAX: Final = 10_000
IDLE_SECONDS_MAX: Final = 75.0
SWEEP_SECONDS: Final = 5.0

_REASONS: Final = {int(status): status.phrase.encode() for status in HTTPStatus}

_UNREADABLE: Final = (
    b'{"error":{"code":"unreadable","message":"The request cannot be read, or is too large."}}'
)

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Request:
    """One request. Header names are in lower case; the path is as it came, without its query."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Answer:
    """What is answered, `delay_seconds` later; or, when it is `unheard`, the end of the connection instead."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Sequence[tuple[str, str]] = ()
    delay_seconds: float = 0.0
    unheard: bool = False


Handler = Callable[[Request], Answer]


class Server:
    """Answers whoever connects; a handler that raises is a fault of ours, logged and answered 500."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._date = (0, b"")

    async def start(self, listener: socket.socket, backlog: int) -> None:
        """Begins to serve a socket that is bound."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), sock=listener, backlog=backlog)
        self._cut_idle()

    def close(self) -> None:
        """Ends: no new connection, and those there are are cut."""
        if self._sweep is not None:
            self._sweep.cancel()
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.cut()

    def answer(self, request: Request) -> Answer:
        """What the handler answers."""
        try:
            return self._handler(request)
        except Exception:
            log.exception("request.failed", method=request.method, path=request.path)
            return Answer(500)

    def add(self, connection: "Connection") -> bool:
        """Takes note of a connection; False when there are too many."""
        if len(self._connections) >= CONNECTIONS_MAX:
            return False
        self._connections.add(connection)
        return True

    def remove(self, connection: "Connection") -> None:
        """The connection is gone."""
        self._connections.discard(connection)

    def date(self) -> bytes:
        """The value of the header Date, made once a second."""
        now = int(time.time())
        if self._date[0] != now:
            self._date = (now, formatdate(now, usegmt=True).encode())
        return self._date[1]

    def _cut_idle(self) -> None:
        long_ago = time.monotonic() - IDLE_SECONDS_MAX
        for connection in [one for one in self._connections if one.is_idle_since(long_ago)]:
            connection.cut()
        self._sweep = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._cut_idle)


class _UnreadableError(Exception):
    """What came is no request that can be answered in any other way than with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Connection(asyncio.Protocol):
    """One connection: its requests are answered one after the other."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._head: tuple[Request, int, bool] | None = None
        """The request whose body is still to come, the length of that, and whether the connection goes on."""
        self._delayed: asyncio.TimerHandle | None = None
        self._blocked = False
        """The other side does not read its answers."""
        self._finished = False
        """The last answer was given; the other side ends the connection, or the sweep does."""
        self._heard = 0.0

    def is_idle_since(self, instant: float) -> bool:
        """Whether nothing was heard since this instant of `time.monotonic()`, and nothing is owed."""
        return self._heard < instant and self._delayed is None

    def cut(self) -> None:
        """Ends the connection at once."""
        if self._delayed is not None:
            self._delayed.cancel()
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._transport = cast("asyncio.Transport", transport)
        self._heard = time.monotonic()
        if not self._server.add(self):
            self.cut()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's own
        """The connection is gone."""
        self.cut()
        self._server.remove(self)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._finished:
            return
        self._heard = time.monotonic()
        self._buffer += data
        self._work_off()
        if self._transport is not None and len(self._buffer) > HEAD_BYTES_MAX + BODY_BYTES_MAX:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        """The other side reads too slowly."""
        self._blocked = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self._blocked = False
        self._work_off()

    @property
    def _can_answer(self) -> bool:
        waits = self._delayed is not None or self._blocked or self._finished
        return self._transport is not None and not waits

    def _work_off(self) -> None:
        """Answers what has come, as far as it is whole."""
        try:
            while self._can_answer:
                if self._head is None and not self._read_head():
                    return
                if self._head is None or len(self._buffer) < self._head[1]:
                    return
                request, length, goes_on = self._head
                request.body = bytes(self._buffer[:length])
                del self._buffer[:length]
                self._head = None
                answer = self._server.answer(request)
                if answer.delay_seconds > 0:
                    loop = asyncio.get_running_loop()
                    self._delayed = loop.call_later(answer.delay_seconds, self._send_late, answer, goes_on)
                else:
                    self._send(answer, goes_on)
        except _UnreadableError as error:
            self._send(Answer(error.status, _UNREADABLE), goes_on=False)

    def _read_head(self) -> bool:
        """Whether the head of a request was there."""
        end = self._buffer.find(b"\r\n\r\n", 0, HEAD_BYTES_MAX + 4)
        if end < 0:
            if len(self._buffer) > HEAD_BYTES_MAX:
                raise _UnreadableError(431)
            return False
        self._head = head = _parse(self._buffer[:end].decode("latin-1"))
        del self._buffer[: end + 4]
        waits = head[0].headers.get("expect", "").lower() == "100-continue" and len(self._buffer) < head[1]
        if waits and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _send_late(self, answer: Answer, goes_on: bool) -> None:
        self._delayed = None
        self._send(answer, goes_on)
        if self._transport is not None:
            self._transport.resume_reading()
            self._work_off()

    def _send(self, answer: Answer, goes_on: bool) -> None:
        if answer.unheard:
            self.cut()
        if self._transport is None:
            return
        more = "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
        if not goes_on:
            more += "Connection: close\r\n"
        self._transport.write(
            b"HTTP/1.1 %d %b\r\nDate: %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b\r\n%b"
            % (
                answer.status,
                _REASONS.get(answer.status, b""),
                self._server.date(),
                answer.content_type.encode(),
                len(answer.body),
                more.encode("latin-1"),
                answer.body,
            )
        )
        if not goes_on:
            # Closed while something is still to be read, the connection would be reset, and the answer lost with it.
            self._transport.write_eof()
            self._finished = True
            self._buffer.clear()


def _parse(head: str) -> tuple[Request, int, bool]:
    """A request without its body, the length of that, and whether the connection goes on."""
    first, *lines = head.split("\r\n")
    words = first.split(" ")
    if (
        len(words) != 3
        or not words[0].isalpha()
        or not words[1].startswith("/")
        or not words[1].isprintable()
    ):
        raise _UnreadableError(400)
    if words[2] not in {"HTTP/1.1", "HTTP/1.0"}:
        raise _UnreadableError(505)
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        # A name with a blank, as in a folded line, and a bare line end could be read in two ways.
        if not colon or not name or " " in name or "\t" in name or "\n" in line or "\r" in line:
            raise _UnreadableError(400)
        name, value = name.lower(), value.strip(" \t")
        if name in headers:
            if name in {"content-length", "host"}:
                raise _UnreadableError(400)
            value = f"{headers[name]}, {value}"
        headers[name] = value
    if "transfer-encoding" in headers:
        raise _UnreadableError(501)
    given = headers.get("content-length", "0")
    if not given.isascii() or not given.isdecimal():
        raise _UnreadableError(400)
    if len(given) > 9 or int(given) > BODY_BYTES_MAX:
        raise _UnreadableError(413)
    path, _, query = words[1].partition("?")
    kept = "keep-alive" if words[2] == "HTTP/1.1" else "close"
    goes_on = headers.get("connection", kept).lower() == "keep-alive"
    return Request(words[0], path, query, headers, b""), int(given), goes_on
