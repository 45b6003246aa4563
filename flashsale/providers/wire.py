"""A small HTTP/1.1 client for the simulator and its adapter: keep-alive connections, each with one request at a time.

Both stand where every microsecond counts: one shares its machine with the shop that is measured or shown, the other works in
the payment worker. This costs a few times less than a general client, and can do little: it reads answers whose length is
stated, as those of the simulator are; of others it knows the status only.
"""

import asyncio
import ssl
from typing import Final, NamedTuple, cast
from urllib.parse import urlsplit

HEAD_BYTES_MAX: Final = 16_384
BODY_BYTES_MAX: Final = 4_194_304


class WireError(Exception):
    """No answer came; the message says why, in a word or two."""


class Reply(NamedTuple):
    """An answer. The body is empty when its length was not stated."""

    status: int
    body: bytes


class Target:
    """A server at http:// or https://; what the address has after the host stands before every path."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.tls = ssl.create_default_context() if parts.scheme == "https" else None
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if self.tls else 80)
        self._base = parts.path + (f"?{parts.query}" if parts.query else "")
        self._host_line = f" HTTP/1.1\r\nHost: {parts.netloc.rpartition('@')[2]}\r\n"

    def request(self, method: str, path: str, headers: str, body: bytes) -> bytes:
        """A whole request. `headers` are lines, each with its end."""
        head = f"{method} {self._base}{path}{self._host_line}{headers}Content-Length: {len(body)}\r\n\r\n"
        return head.encode("latin-1") + body


class Link:
    """One connection to a target, opened when it is needed, and again when it was lost. One request at a time."""

    def __init__(self, target: Target, timeout_seconds: float) -> None:
        self._target = target
        self._timeout_seconds = timeout_seconds
        self._connection: _Connection | None = None

    async def ask(self, method: str, path: str, headers: str, body: bytes) -> Reply:
        """The answer. Raises `WireError` when there is none."""
        loop = asyncio.get_running_loop()
        request = self._target.request(method, path, headers, body)
        try:
            if self._connection is None or not self._connection.is_open:
                async with asyncio.timeout(self._timeout_seconds):
                    _, self._connection = await loop.create_connection(
                        _Connection, self._target.host, self._target.port, ssl=self._target.tls
                    )
            connection = self._connection
            late = loop.call_later(self._timeout_seconds, connection.cut, "no answer in time")
            try:
                return await connection.ask(request)
            except asyncio.CancelledError:
                connection.cut()  # its answer would be taken for that of the next request
                raise
            finally:
                late.cancel()
        except (OSError, TimeoutError) as error:
            raise WireError(str(error) or type(error).__name__) from error

    def close(self) -> None:
        """Cuts the connection."""
        if self._connection is not None:
            self._connection.cut()


class Pool:
    """Links to one target: requests beyond their number wait for one, first come first served."""

    def __init__(self, url: str, size: int, timeout_seconds: float) -> None:
        self._target = Target(url)
        self._timeout_seconds = timeout_seconds
        self._free = asyncio.Semaphore(size)
        self._idle: list[Link] = []
        self._links: list[Link] = []

    async def ask(self, method: str, path: str, headers: str, body: bytes) -> Reply:
        """The answer. Raises `WireError` when there is none."""
        async with self._free:
            if not self._idle:
                self._links.append(Link(self._target, self._timeout_seconds))
                self._idle.append(self._links[-1])
            link = self._idle.pop()
            try:
                return await link.ask(method, path, headers, body)
            finally:
                self._idle.append(link)

    def close(self) -> None:
        """Cuts every connection."""
        for link in self._links:
            link.close()


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Reply] | None = None
        self._buffer = b""

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def ask(self, request: bytes) -> "asyncio.Future[Reply]":
        if self._transport is None:
            raise ConnectionResetError
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def cut(self, reason: str = "the connection ended") -> None:
        """Ends the connection; a request under way has no answer."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError(reason))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer = data = self._buffer + data if self._buffer else data
        head_end = data.find(b"\r\n\r\n")
        if head_end < 0:
            if len(data) > HEAD_BYTES_MAX:
                self.cut("an answer without an end to its head")
            return
        head = data[:head_end].lower()
        status, length = _read_head(head)
        end = head_end + 4 + length
        if length >= 0 and len(data) < end:
            return
        self._buffer = b""
        body = data[head_end + 4 : end] if length >= 0 else b""
        if status and self._answer is not None and not self._answer.done():
            self._answer.set_result(Reply(status, body))
        if not status or length < 0 or len(data) > end or b"\r\nconnection: close" in head:
            self.cut("an answer that cannot be read")  # or after which the connection does not go on

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's own
        self.cut()


def _read_head(head: bytes) -> tuple[int, int]:
    """The status, 0 when it cannot be read; and the length of the body, -1 when it is not stated, or too large."""
    status = head[9:12]
    if not head.startswith(b"http/1.") or not status.isdigit():
        return 0, -1
    start = head.find(b"\r\ncontent-length:")
    if start < 0:
        return int(status), 0 if status == b"204" else -1
    end = head.find(b"\r\n", start + 2)
    value = head[start + 17 : end if end >= 0 else len(head)].strip()
    fits = value.isdigit() and len(value) < 9 and int(value) <= BODY_BYTES_MAX
    return int(status), int(value) if fits else -1
