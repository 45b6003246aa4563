"""Conversations with a server, byte by byte, over a socket of their own."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Final, Self

from tests.lane.transcript import Answer, End, Transcript, next_answer
from tests.support_http.client import PATIENCE_S

SENTINEL: Final = b"GET /healthz HTTP/1.1\r\nHost: sentinel\r\nConnection: close\r\n\r\n"
"""Asked at the end of each conversation: it is answered if the connection was still there for a new request."""
TRIPS: Final = 2
"""How often a server is asked for something else before it is believed to have nothing to say."""
TRIP_PAUSE_S: Final = 0.002
PATIENCE_QUIET_S: Final = 0.1
"""How long a server is listened to that says nothing, at the end."""
LONG_PATIENCE_S: Final = 2.0
"""The same, where the other one had more to say."""


class Do(Enum):
    """What a client does besides sending."""

    LET_READ = auto()
    """Waits until the server has read what was sent."""
    AWAIT = auto()
    """Waits for the answer to what was sent last, unless there is none."""
    HEAR = auto()
    """Listens until the server has nothing more to say."""
    SHUT = auto()
    """Says that it sends no more, but goes on reading."""


Step = bytes | Do


@dataclass(frozen=True)
class Conversation:
    """What a client sends. The sentinel follows by itself. `head`: the numbers of answers (from 0) to a HEAD."""

    name: str
    steps: tuple[Step, ...]
    head: frozenset[int] = field(default=frozenset())

    @classmethod
    def of(cls, name: str, *steps: Step) -> Self:
        return cls(name, steps)

    @property
    def sent(self) -> bytes:
        """All bytes that are sent, but for the sentinel."""
        return b"".join(step for step in self.steps if isinstance(step, bytes))

    def in_pieces(self, ends: Sequence[int]) -> "Conversation":
        """The same bytes, of which those up to each of `ends` are sent, and answered, before the next."""
        steps: list[Step] = []
        at, left = 0, list(ends)
        for step in self.steps:
            if not isinstance(step, bytes):
                steps.append(step)
                continue
            begun = 0
            while left and left[0] <= at + len(step):
                cut = left.pop(0) - at
                steps += [step[begun:cut], Do.AWAIT]
                begun = cut
            if begun < len(step):
                steps.append(step[begun:])
            at += len(step)
        return replace(self, steps=tuple(steps))


class Line(asyncio.Protocol):
    """One connection of a client; what it hears is kept even if the connection is reset."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.changed = asyncio.Event()
        self.ended = False
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def to(cls, port: int) -> Self:
        """A connection to a server on this machine."""
        _, line = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return line

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.heard += data
        self.changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        self.changed.set()

    def eof_received(self) -> bool:
        # The server sends no more: for a client that is the end, whatever is still to be sent.
        self.ended = True
        self.changed.set()
        return False

    def send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def shut(self) -> None:
        """Sends no more."""
        if self._transport is not None and not self._transport.is_closing():
            with suppress(OSError):  # the server has ended the connection, which is not read yet
                self._transport.write_eof()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def until(self, enough: int) -> bool:
        """Waits for this many bytes, or the end; whether they came."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.heard) < enough and not self.ended:
                self.changed.clear()
                await self.changed.wait()
        return len(self.heard) >= enough


class Talk:
    """One conversation while it goes on."""

    def __init__(self, line: Line, control: "Control", conversation: Conversation) -> None:
        self._line = line
        self._control = control
        self._conversation = conversation
        self._answers: list[Answer] = []
        self._read = 0
        self._before = 0
        """How many requests had been answered when something was sent last."""

    async def run(self) -> Transcript:
        """Takes every step, asks the sentinel, and listens until the end, or until nothing comes any more."""
        for step in self._conversation.steps:
            await self._take(step)
        await self._hear_out(0.0)
        self._collect()
        if self._final() == self._before:  # there may be nothing to come, or it comes late: the store is busy
            await self._hear_out(PATIENCE_QUIET_S)
        if not self._line.ended:
            self._line.send(SENTINEL)
        return await self.listen(PATIENCE_QUIET_S)

    async def listen(self, patience_s: float) -> Transcript:
        """All that was said, once the server has been quiet for so long, or the connection has ended."""
        await self._hear_out(patience_s)
        self._collect()
        end = End.CLOSED if self._line.ended else End.WAITING
        return Transcript(tuple(self._answers), bytes(self._line.heard[self._read :]), end)

    async def _take(self, step: Step) -> None:
        if isinstance(step, bytes):
            self._before = self._final()
            self._line.send(step)
        elif step is Do.LET_READ:
            await self._control.trip()
        elif step is Do.SHUT:
            self._line.shut()
        elif step is Do.AWAIT:
            await self._one_more()
        else:
            await self._hear_out(0.0)

    async def _one_more(self) -> None:
        while self._final() == self._before and not self._line.ended:
            self._line.changed.clear()
            try:
                await asyncio.wait_for(self._line.changed.wait(), PATIENCE_QUIET_S)
            except TimeoutError:
                await self._hear_out(0.0)
                break
            self._collect()
        self._collect()

    def _final(self) -> int:
        """The number of answers so far, without those that only say that another one comes."""
        return sum(answer.status >= 200 for answer in self._answers)

    async def _hear_out(self, patience_s: float) -> None:
        """Listens until the end, or until the server answers others again and again, but says nothing here."""
        line = self._line
        loop = asyncio.get_running_loop()
        quiet, since = 0, loop.time()
        while (quiet < TRIPS or loop.time() < since + patience_s) and not line.ended:
            before = len(line.heard)
            await self._control.trip()
            await asyncio.sleep(max(TRIP_PAUSE_S, patience_s / 10))
            if len(line.heard) == before:
                quiet += 1
            else:
                quiet, since = 0, loop.time()

    def _collect(self) -> None:
        while True:
            bodiless = self._final() in self._conversation.head
            found = next_answer(bytes(self._line.heard[self._read :]), bodiless=bodiless)
            if found is None:
                return
            self._answers.append(found[0])
            self._read += found[1]


class Control:
    """Another connection to the same worker: what was sent before it asks is read before it is answered."""

    def __init__(self, line: Line, question: bytes) -> None:
        self._line = line
        self._question = question

    async def trip(self) -> None:
        """One question and its answer, by way of the store."""
        line = self._line
        line.heard.clear()
        line.send(self._question)
        async with asyncio.timeout(PATIENCE_S):
            while next_answer(bytes(line.heard)) is None:
                assert not line.ended, "the server closed the connection by which it is watched"
                line.changed.clear()
                await line.changed.wait()
        assert bytes(line.heard).startswith(b"HTTP/1.1 200 "), bytes(line.heard)


@asynccontextmanager
async def talk(port: int, conversation: Conversation, question: bytes) -> AsyncIterator[Talk]:
    """A conversation with the server at a port. `question` is what its worker answers whenever it has time."""
    watching = await Line.to(port)
    try:
        line, control = await Line.to(port), Control(watching, question)
        try:
            await control.trip()  # so that the connection is not only there, but read from
            yield Talk(line, control, conversation)
        finally:
            line.close()
    finally:
        watching.close()
