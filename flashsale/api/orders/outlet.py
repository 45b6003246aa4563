"""Sends much to somebody who may read slowly, without keeping much for them.

A piece is handed on only when the one before has left this process, and whoever takes nothing for a minute is cut off: they
come back with the cursor of what they have got.
"""

import asyncio
import contextlib
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from flashsale.api.state import DRAIN

PIECE_BYTES: Final = 16 * 1024
WHOLE_PIECE_BYTES: Final = 128 * 1024
"""Of an answer whose length is known: all of it is in memory anyway, and larger pieces are sent sooner."""
KERNEL_BYTES: Final = 64 * 1024
"""What the system keeps for a reader of a stream, beside what this process does."""
STUCK_S: Final = 60.0
LEAST_ANSWER_BYTES: Final = 16 * 1024
MOST_ANSWER_BYTES: Final = 1024 * 1024
MOST_BYTES: Final = 64 * 1024 * 1024
"""Of all answers that are on their way together; see `Outlets.room`."""


class CutOffError(Exception):
    """The reader has gone, or has taken nothing for too long."""


@dataclass(slots=True)
class Outlets:
    """What is on its way to all readers of one worker."""

    bytes: int = 0

    def room(self) -> int:
        """How long the next answer may be: less, the more is on its way already."""
        return max(LEAST_ANSWER_BYTES, min(MOST_ANSWER_BYTES, (MOST_BYTES - self.bytes) // 16))


OUTLETS: Final = web.AppKey("outlets", Outlets)


class Outlet:
    """One answer that is sent in pieces. Leaving the block ends it."""

    def __init__(
        self, request: web.Request, headers: Mapping[str, str], *, length: int | None = None
    ) -> None:
        """`length` in bytes, when it is known; otherwise the answer ends when it ends."""
        self._request = request
        self._response = web.StreamResponse(headers=headers)
        if length is not None:
            self._response.content_length = length
        self._length = length or 0
        self._piece = PIECE_BYTES if length is None else WHOLE_PIECE_BYTES
        self._writer: AbstractStreamWriter | None = None

    async def __aenter__(self) -> Self:
        transport = self._request.transport
        if transport is not None:
            transport.set_write_buffer_limits(high=self._piece, low=0)
            if not self._length:
                raw = transport.get_extra_info("socket")
                if raw is not None:
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
        self._request.app[OUTLETS].bytes += self._length
        try:
            self._writer = await self._response.prepare(self._request)
        except BaseException as error:
            self._request.app[OUTLETS].bytes -= self._length
            if isinstance(error, ConnectionError):
                self._cut()
                raise CutOffError from None
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._request.app[OUTLETS].bytes -= self._length
        if error is not None:
            self._cut()
            return
        with contextlib.suppress(ConnectionError):
            await self._response.write_eof()

    @property
    def response(self) -> web.StreamResponse:
        """The answer, for aiohttp."""
        return self._response

    @property
    def open(self) -> bool:
        """Whether somebody is there, and the server stays."""
        transport = self._request.transport
        return not (self._request.app[DRAIN].active or transport is None or transport.is_closing())

    async def send(self, parts: Sequence[bytes]) -> None:
        """Sends these, one after the other, in pieces of about 16 KiB, or of 128 KiB when their length is known.

        Raises:
            CutOffError: they do not get there.
        """
        piece: list[bytes] = []
        size = 0
        for part in parts:
            if size + len(part) > self._piece and piece:
                await self._write(b"".join(piece))
                piece, size = [], 0
            piece.append(part)
            size += len(part)
        if piece:
            await self._write(b"".join(piece))

    async def _write(self, piece: bytes) -> None:
        writer = self._writer
        if writer is None:
            raise CutOffError
        try:
            writer.buffer_size = 0  # aiohttp would wait for the reader by itself now and then, however long
            await self._response.write(piece)
            if self._request.protocol.writing_paused:
                await self._taken(writer)
        except ConnectionError:
            raise CutOffError from None

    async def _taken(self, writer: AbstractStreamWriter) -> None:
        """Waits until the reader has taken what was written."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STUCK_S
        draining = asyncio.ensure_future(writer.drain())
        try:
            while not draining.done():
                if loop.time() >= deadline or not self.open:
                    raise CutOffError
                await asyncio.wait({draining}, timeout=min(STUCK_S, 1.0))
            await draining
        finally:
            draining.cancel()

    def _cut(self) -> None:
        transport = self._request.transport
        if transport is not None:
            transport.abort()
