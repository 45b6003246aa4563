"""The live view of a sale as somebody sees it who looks at every byte."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson

from tests.support_http.client import PATIENCE_S


class Event(dict[str, str]):
    """The fields of one event; a comment has an empty name."""

    @property
    def view(self) -> Any:
        return orjson.loads(self["data"])

    @property
    def left(self) -> int | None:
        """None of an event that shows nothing."""
        return int(self.view["items"][0]["available"]) if "data" in self else None


class Watching:
    """One stream, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.head = b""
        self._text = b""

    @property
    def status(self) -> int:
        return int(self.head.split(b" ")[1])

    async def begin(self, path: str, *, method: str, version: str, headers: Mapping[str, str]) -> None:
        more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.writer.write(f"{method} {path} HTTP/{version}\r\nHost: shop\r\n{more}\r\n".encode())
        self.head = await self.reader.readuntil(b"\r\n\r\n")

    async def chunk(self) -> bytes:
        """The next chunk, empty at the end."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        found = await self.reader.readexactly(size + 2)
        assert found.endswith(b"\r\n")
        return found[:-2]

    async def next(self) -> Event:
        """The next event."""
        while b"\n\n" not in self._text:
            chunk = await self.chunk() if b"chunked" in self.head else await self.reader.read(2**16)
            if not chunk:
                raise EOFError
            self._text += chunk
        text, _, self._text = self._text.partition(b"\n\n")
        pairs = [line.partition(": ") for line in text.decode().split("\n")]
        return Event({name: value for name, _, value in pairs})

    async def until(self, left: int) -> Event:
        """The event that shows so many units left."""
        while (event := await self.next()).left != left:
            pass
        return event


@asynccontextmanager
async def watching(
    url: str,
    sale: str,
    *,
    method: str = "GET",
    version: str = "1.1",
    headers: Mapping[str, str] | None = None,
    room: int | None = None,
) -> AsyncIterator[Watching]:
    """A stream of the sale; `room` is how many bytes the system keeps for a reader who does not read."""
    raw = socket.socket()
    if room is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    raw.setblocking(False)
    host, _, port = url.removeprefix("http://").partition(":")
    await asyncio.get_running_loop().sock_connect(raw, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=raw, limit=2**12)
    stream = Watching(reader, writer)
    try:
        async with asyncio.timeout(PATIENCE_S):
            path = f"/v1/sales/{sale}/live"
            await stream.begin(path, method=method, version=version, headers=headers or {})
            yield stream
    finally:
        writer.transport.abort()
