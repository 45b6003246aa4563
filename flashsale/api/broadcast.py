"""One message to thousands of connections, at a bounded share of the event loop's time.

A message is encoded once and written to every transport as it is: no task wakes up, nothing is copied. Whoever has not yet
taken what was sent before is passed over, and gets what is newest when they have; nothing is kept for them. The more readers
there are, the less often each is written to: all of it together takes `SHARE` of the processor, in slices of `SLICE_S`,
so that what else the process has to do never waits longer than that.
"""

import asyncio
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

SHARE: Final = 0.05
"""Of one core."""
SLICE_S: Final = 0.001
LOOK_EVERY: Final = 8
"""Readers between two looks at the clock."""
STUCK_S: Final = 60.0
"""Whoever takes nothing for so long, though there is something for them, is cut off."""
KERNEL_BYTES: Final = 16 * 1024
"""What the system keeps for a reader, beside the one message that this process may keep."""


class Message(NamedTuple):
    """A message in both forms in which an answer without a known length goes out."""

    plain: bytes
    chunk: bytes
    """As a chunk of HTTP/1.1."""

    @classmethod
    def of(cls, text: bytes) -> "Message":
        """Both forms of a text, which is not empty."""
        return cls(text, b"%x\r\n%b\r\n" % (len(text), text))


class Reader:
    """One connection of a channel."""

    __slots__ = ("behind_since", "chunked", "ended", "seen", "transport")

    def __init__(self, transport: asyncio.Transport, *, chunked: bool) -> None:
        """Limits what the system keeps for it; `chunked`: the answer is sent in chunks."""
        self.transport = transport
        self.chunked = chunked
        self.seen = -1
        """Number of the latest message that it has been sent."""
        self.behind_since: float | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when there is nothing more to send, or nobody to send it to."""
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)

    def end(self) -> None:
        """Nothing more is sent."""
        if not self.ended.done():
            self.ended.set_result(None)

    def send(self, message: Message) -> bool:
        """Sends a message, unless the reader has not taken all of the one before."""
        if self.transport.get_write_buffer_size():
            return False
        self.transport.write(message.chunk if self.chunked else message.plain)
        return True

    def cut(self) -> None:
        """Ends the connection of a reader who does not read."""
        self.transport.abort()
        self.end()


class Channel:
    """The readers of one thing, and the latest message about it."""

    def __init__(self, pace: "Pace", message: Message, nothing_new: Message) -> None:
        """`nothing_new` is what those are sent now and then who have the latest message."""
        self._pace = pace
        self.latest = message
        self.nothing_new = nothing_new
        self.number = 0
        self._spoke_at = pace.now()
        self.readers: set[Reader] = set()
        self._ring: deque[Reader] = deque()
        """In the order in which they were last sent something; some may have left meanwhile."""
        self._behind: list[Reader] = []
        """Those who were passed over, until they are tried again."""
        self._due = 0
        """How many at the head of the ring are still to be sent what is newest."""
        self._over = False

    @property
    def due(self) -> bool:
        """Whether there is anything to send."""
        return self._due > 0

    @property
    def idle_s(self) -> float:
        """Seconds since something was last said."""
        return self._pace.now() - self._spoke_at

    def join(self, reader: Reader, seen: int) -> None:
        """A reader who has been sent message number `seen`, the latest one or one before."""
        reader.seen = seen
        self.readers.add(reader)
        if self._over:
            reader.end()
        elif seen == self.number:
            self._ring.append(reader)
        else:
            self._ring.appendleft(reader)
            self._due += 1
            self._pace.wake(self)

    def leave(self, reader: Reader) -> None:
        """The reader has gone."""
        self.readers.discard(reader)

    def publish(self, message: Message) -> None:
        """Sends a message to all. Whoever has not been sent the one before will not be."""
        self.latest = message
        self.number += 1
        self.remind()

    def remind(self) -> None:
        """Sends to all what they have not been sent, or that there is nothing new."""
        self._spoke_at = self._pace.now()
        self._due = len(self._ring)
        self._pace.wake(self)

    def try_again(self) -> None:
        """Sends to those who were passed over, if they have taken what they had."""
        behind, self._behind = self._behind, []
        self._ring.extendleft(behind)
        self._due += len(behind)
        self._pace.wake(self)

    def send_some(self, most: int) -> None:
        """Sends to the next readers, `most` of them."""
        for _ in range(min(most, self._due)):
            self._due -= 1
            reader = self._ring.popleft()
            if reader not in self.readers:
                continue
            if reader.transport.is_closing():
                reader.end()
            elif reader.send(self.nothing_new if reader.seen == self.number else self.latest):
                reader.seen = self.number
                reader.behind_since = None
                self._ring.append(reader)
            else:
                self._pass_over(reader)

    def _pass_over(self, reader: Reader) -> None:
        now = self._pace.now()
        if reader.behind_since is None:
            reader.behind_since = now
        if now - reader.behind_since < STUCK_S:
            self._behind.append(reader)
        else:
            reader.cut()

    async def end(self) -> None:
        """Ends all streams, a few at a time: each of them is a task that wakes up. Who is behind is cut off."""
        self._over, self._due = True, 0
        for number, reader in enumerate(list(self.readers)):
            if reader.transport.get_write_buffer_size():
                reader.cut()
            else:
                reader.end()
            if number % LOOK_EVERY == 0:
                await asyncio.sleep(0)


class Pace:
    """Takes turns between channels, and rests after each slice for as long as its share asks for."""

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        """`clock` tells the processor time that this thread has taken: being kept waiting costs nothing."""
        self._loop = asyncio.get_running_loop()
        self._clock = clock
        self._waiting: deque[Channel] = deque()
        self._rest_until = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def now(self) -> float:
        """The loop's clock."""
        return self._loop.time()

    def wake(self, channel: Channel) -> None:
        """The channel has something to send."""
        if channel.due and channel not in self._waiting:
            self._waiting.append(channel)
        if self._waiting and self._handle is None:
            self._handle = self._loop.call_at(self._rest_until, self._slice)

    def close(self) -> None:
        """Sends nothing any more."""
        self._waiting.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _slice(self) -> None:
        self._handle = None
        started, spent = self._clock(), 0.0
        while self._waiting and spent < SLICE_S:
            channel = self._waiting.popleft()
            channel.send_some(LOOK_EVERY)
            if channel.due:
                self._waiting.append(channel)
            spent = self._clock() - started
        self._rest_until = self._loop.time() + spent * (1 / SHARE - 1)
        if self._waiting:
            self._handle = self._loop.call_at(self._rest_until, self._slice)
