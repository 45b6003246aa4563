"""A small, fast HTTP/1.1 client: keep-alive connections that each carry one request at a time.

The crowd shares the machine with the server it presses, so every microsecond a client spends is one the
server does not have. Requests are bytes made beforehand; an answer is read with two searches and a slice. It
reads what the server sends to such requests (a Content-Length on every answer) and takes anything else for a
cut connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import NamedTuple, cast

HEAD_BYTES_MAX = 16_384
BODY_BYTES_MAX = 4_194_304
SWEEP_SECONDS = 0.25
REOPEN_SECONDS_MIN = 0.05
REOPEN_SECONDS_MAX = 1.0


class Reply(NamedTuple):
    """An answer, or none: `status` is 0 when the connection was cut or the answer came too late.

    `sent` and `received` are `time.monotonic()` seconds; `body` is then the reason as text.
    """

    status: int
    body: bytes
    retry_after_s: float
    sent: float
    received: float


OnReply = Callable[[Reply], None]


class Connection(asyncio.Protocol):
    """One keep-alive connection of a pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._on_reply: OnReply | None = None
        self._buffer = b""
        self.sent = 0.0

    @property
    def is_open(self) -> bool:
        """It can carry a request."""
        return self._transport is not None

    @property
    def busy(self) -> bool:
        """A request is under way."""
        return self._on_reply is not None

    def send(self, request: bytes, on_reply: OnReply) -> None:
        """Send one request; `on_reply` is called exactly once, whatever happens."""
        if self._transport is None:
            raise RuntimeError("send on a connection that is not open")
        self._on_reply = on_reply
        self.sent = monotonic()
        self._transport.write(request)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer have come."""
        received = monotonic()
        self._buffer = data = self._buffer + data if self._buffer else data
        head_end = data.find(b"\r\n\r\n")
        if head_end < 0:
            if len(data) > HEAD_BYTES_MAX:
                self.cut(b"an answer without an end to its head")
            return
        head = data[:head_end].lower()
        try:
            status, length = int(head[9:12]), _number(head, b"\r\ncontent-length:")
        except ValueError:
            status, length = 0, -1
        if not 0 <= length <= BODY_BYTES_MAX:
            self.cut(b"an answer this client cannot read: " + head[:80])
            return
        end = head_end + 4 + length
        if len(data) < end:
            return
        on_reply, self._on_reply, self._buffer = self._on_reply, None, b""
        if on_reply is None:
            self.cut(b"")
            return
        sent, retry_after_s = self.sent, max(0, _number(head, b"\r\nretry-after:"))
        if len(data) > end or b"\r\nconnection: close" in head:
            self.cut(b"")
        else:
            self._pool.release(self)
        on_reply(Reply(status, data[head_end + 4 : end], retry_after_s, sent, received))

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, from either side."""
        self._transport = None
        on_reply, self._on_reply = self._on_reply, None
        self._pool.lost(self)
        if on_reply is not None:
            reason = f"{type(exc).__name__}: {exc}" if exc else "the connection ended before an answer"
            on_reply(Reply(0, reason.encode(), 0, self.sent, monotonic()))

    def cut(self, reason: bytes) -> None:
        """Cut the connection; a request under way is answered with status 0 and the reason."""
        on_reply, self._on_reply = self._on_reply, None
        if self._transport is not None:
            self._transport.abort()
        if on_reply is not None:
            on_reply(Reply(0, reason, 0, self.sent, monotonic()))


class Pool:
    """`size` connections to one server, and a queue of requests for them, first come first served.

    A connection that is lost is opened again, with a growing pause, as long as the pool is open.
    """

    def __init__(self, host: str, port: int, size: int, answer_timeout_s: float) -> None:
        self._address = (host, port)
        self._size = size
        self._answer_timeout_s = answer_timeout_s
        self._queue: deque[tuple[bytes, OnReply]] = deque()
        self._open: set[Connection] = set()
        self._idle: list[Connection] = []
        self._reopening: set[asyncio.Task[None]] = set()
        self._closed = False
        self._sweep: asyncio.TimerHandle | None = None

    async def open(self) -> int:
        """Open all connections and return how many there are. Raises OSError when one cannot be opened."""
        for start in range(0, self._size, 64):
            await asyncio.gather(*(self._connect() for _ in range(min(64, self._size - start))))
        self._sweep_late()
        return len(self._open)

    def submit(self, request: bytes, on_reply: OnReply) -> None:
        """Send a request on a free connection, now or as soon as one is free."""
        if self._idle:
            self._idle.pop().send(request, on_reply)
        else:
            self._queue.append((request, on_reply))

    async def ask(self, request: bytes) -> Reply:
        """Send a request and wait for what comes of it."""
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.submit(request, lambda answer: None if reply.done() else reply.set_result(answer))
        return await reply

    def close(self) -> None:
        """Cut all connections; requests under way are answered with status 0, waiting ones never."""
        self._closed = True
        self._queue.clear()
        if self._sweep is not None:
            self._sweep.cancel()
        for task in self._reopening:
            task.cancel()
        for connection in list(self._open):
            connection.cut(b"the client has gone")

    def release(self, connection: Connection) -> None:
        """A connection has its answer: give it the next request, or keep it for later."""
        if self._queue:
            connection.send(*self._queue.popleft())
        else:
            self._idle.append(connection)

    def lost(self, connection: Connection) -> None:
        """A connection has ended: open another in its place."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if not self._closed:
            task = asyncio.get_running_loop().create_task(self._reopen())
            self._reopening.add(task)
            task.add_done_callback(self._reopening.discard)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(self), *self._address)
        if connection.is_open:
            self._open.add(connection)
            self.release(connection)

    async def _reopen(self) -> None:
        pause = REOPEN_SECONDS_MIN
        while not self._closed:
            with suppress(OSError):
                await self._connect()
                break
            await asyncio.sleep(pause)
            pause = min(2 * pause, REOPEN_SECONDS_MAX)

    def _sweep_late(self) -> None:
        late = monotonic() - self._answer_timeout_s
        for connection in [one for one in self._open if one.busy and one.sent < late]:
            connection.cut(b"no answer in time")
        self._sweep = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep_late)


def _number(head: bytes, name: bytes) -> int:
    """The number a header line gives, -1 when there is no such line or it gives none."""
    start = head.find(name)
    if start < 0:
        return -1
    end = head.find(b"\r\n", start + 2)
    value = head[start + len(name) : end if end >= 0 else len(head)].strip()
    return int(value) if value.isdigit() else -1
