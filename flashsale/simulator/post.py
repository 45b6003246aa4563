"""A keep-alive connection that posts to one address and reads nothing of the answer but its status.

The simulator shares its machine with the shop that is measured or shown, so a webhook should cost little: this is a few
times cheaper than a general client.
"""

import asyncio
import ssl
from typing import Final, cast
from urllib.parse import urlsplit

HEAD_BYTES_MAX: Final = 16_384
BODY_BYTES_MAX: Final = 1_048_576


class PostError(Exception):
    """No answer came; the message says why, in a word or two."""


class Target:
    """Where to post: an address of http:// or https://, which may hold a query."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.tls = ssl.create_default_context() if parts.scheme == "https" else None
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if self.tls else 80)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        name = parts.netloc.rpartition("@")[2]
        self._head = f"POST {path} HTTP/1.1\r\nHost: {name}\r\nContent-Type: application/json\r\n".encode()

    def request(self, headers: str, body: bytes) -> bytes:
        """A whole request. `headers` are lines, each with its end."""
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (self._head, headers.encode("latin-1"), len(body), body)


class Poster:
    """One connection to a target, opened when it is needed, and again when it was lost. One request at a time."""

    def __init__(self, target: Target, timeout_seconds: float) -> None:
        self._target = target
        self._timeout_seconds = timeout_seconds
        self._connection: _Connection | None = None

    async def post(self, headers: str, body: bytes) -> int:
        """The status of the answer. Raises `PostError` when there is none."""
        loop = asyncio.get_running_loop()
        request = self._target.request(headers, body)
        try:
            if self._connection is None or not self._connection.is_open:
                async with asyncio.timeout(self._timeout_seconds):
                    _, self._connection = await loop.create_connection(
                        _Connection, self._target.host, self._target.port, ssl=self._target.tls
                    )
            connection = self._connection
            late = loop.call_later(self._timeout_seconds, connection.cut)
            try:
                return await connection.ask(request)
            finally:
                late.cancel()
        except (OSError, TimeoutError) as error:
            raise PostError(type(error).__name__) from error

    def close(self) -> None:
        """Cuts the connection."""
        if self._connection is not None:
            self._connection.cut()


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[int] | None = None
        self._buffer = b""

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def ask(self, request: bytes) -> "asyncio.Future[int]":
        if self._transport is None:
            raise ConnectionResetError
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def cut(self) -> None:
        """Ends the connection; a request under way has no answer."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer = data = self._buffer + data
        head_end = data.find(b"\r\n\r\n")
        if head_end < 0:
            if len(data) > HEAD_BYTES_MAX:
                self.cut()
            return
        status, length = _read_head(data[:head_end].lower())
        end = head_end + 4 + length
        if length >= 0 and len(data) < end:
            return
        self._buffer = b""
        if status and self._answer is not None and not self._answer.done():
            self._answer.set_result(status)
        if length < 0 or len(data) > end:
            self.cut()  # where the next answer would begin is not known, or there will be none

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's own
        self.cut()


def _read_head(head: bytes) -> tuple[int, int]:
    """The status, 0 when it cannot be read; and the length of the body, -1 when the connection does not go on after it."""
    lines = head.split(b"\r\n")
    status, length = lines[0][9:12], -1
    if not lines[0].startswith(b"http/1.") or not status.isdigit():
        return 0, -1
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        value = value.strip()
        if name == b"content-length" and value.isdigit() and len(value) < 8:
            length = int(value)
        elif name == b"connection" and value == b"close":
            return int(status), -1
    if status == b"204":
        return int(status), 0
    return int(status), length if length <= BODY_BYTES_MAX else -1
