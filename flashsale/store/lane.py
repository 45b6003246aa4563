"""The fast way to one script: a connection that carries nothing but our own calls.

redis-py opens the connection, so that TLS, users, passwords and database numbers work as everywhere else; then its transport
is handed to a small protocol of ours. That costs about a fifth of the library's `execute_command` for each call, which is
what lets one worker fill thousands of batches a second. `bench/` measures it.

`start` and `look` are for the rush: when thousands of requests are there at once, uvloop hears all of them before it runs
anything else, tasks and the store's replies included. `start` sends before it returns, and `look` reads in between.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

import hiredis
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from flashsale.scripts.loader import Script
from flashsale.store.client import StoreUnavailableError, cancellable, explain, explain_reply
from flashsale.store.lag import MOST_TIMES, more_time

_READ_BYTES: Final = 256 * 1024
_OPEN_AGAIN_S: Final = 0.5
"""Between two looks whether the connection is still open."""

Told = Callable[[Any], None]
Failed = Callable[[BaseException], None]


class _Waiting(Protocol):
    """What waits for a reply: a future, or an `_Asked`."""

    def done(self) -> bool: ...

    def set_result(self, reply: Any, /) -> None: ...

    def set_exception(self, error: BaseException, /) -> None: ...


class _Asked:
    """Stands where a future would, and passes the reply on in the very moment it is read."""

    __slots__ = ("_done", "_failed", "_told", "timer")

    def __init__(self, told: Told, failed: Failed) -> None:
        self._told, self._failed = told, failed
        self._done = False
        self.timer: _Timer | None = None

    def done(self) -> bool:
        return self._done

    def set_result(self, reply: Any, /) -> None:
        self._end()
        self._told(reply)

    def set_exception(self, error: BaseException, /) -> None:
        self._end()
        self._failed(error)

    def _end(self) -> None:
        self._done = True
        if self.timer is not None:
            self.timer.cancel()


class _Replies(asyncio.Protocol):
    """Matches replies to calls, in order."""

    def __init__(self) -> None:
        self.waiting: deque[_Waiting] = deque()
        self.lost: bool = False
        self.busy = False
        """Somebody is being told."""
        self._reader = hiredis.Reader(notEnoughData=self)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        self.busy = True
        try:
            while (reply := self._reader.gets()) is not self:
                if not self.waiting:
                    continue  # a push message, or the late answer to a call that was given up
                waiting = self.waiting.popleft()
                if not waiting.done():
                    waiting.set_result(reply)
        finally:
            self.busy = False

    def connection_lost(self, _exc: Exception | None) -> None:
        self.lost = True
        error = StoreUnavailableError("the connection to the store was lost", applied=None)
        while self.waiting:
            waiting = self.waiting.popleft()
            if not waiting.done():
                waiting.set_exception(error)


class _Timer:
    """Gives up after so long, and not while the reply may be there already; see `flashsale.store.lag`."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, timeout_s: float, give_up: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._timeout_s = timeout_s
        self._give_up = give_up
        self._times = MOST_TIMES
        self._wait(timeout_s)

    def _wait(self, seconds: float) -> None:
        self._due = self._loop.time() + seconds
        self._handle = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        more_s = more_time(self._loop, self._due, self._timeout_s) if self._times else 0.0
        if more_s:
            self._times -= 1
            self._wait(more_s)
        else:
            self._give_up()

    def cancel(self) -> None:
        """The reply is there."""
        self._handle.cancel()


class Lane:
    """One connection for script calls; opened at first use and again after it was lost."""

    def __init__(self, redis: "Redis", *, timeout_s: float) -> None:
        self._redis = redis
        self._timeout_s = timeout_s
        self._connection: AbstractConnection | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._replies = _Replies()
        self._opening = asyncio.Lock()
        self._descriptor = -1
        """Of the connection's socket; -1 where its bytes are not the replies themselves (TLS)."""
        self._tasks: set[asyncio.Task[Any]] = set()

    async def call(self, script: Script, names: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
        """EVALSHA, with EVAL when the server does not know the script (then nothing has run yet).

        Raises:
            StoreUnavailableError: no answer, or the server refused; `applied` tells which.
        """
        reply = await self._send(("EVALSHA", script.sha, len(names), *names, *args))
        if isinstance(reply, hiredis.ReplyError):
            return await self._second_try(reply, script, names, args)
        return reply

    async def _second_try(
        self, error: Exception, script: Script, names: Sequence[str], args: Sequence[str | bytes | int]
    ) -> Any:
        """The reply to a call whose first reply was an error."""
        if str(error).startswith("NOSCRIPT"):
            reply = await self._send(("EVAL", script.source, len(names), *names, *args))
            if not isinstance(reply, hiredis.ReplyError):
                return reply
            error = reply
        raise explain_reply(str(error))

    def start(
        self,
        script: Script,
        names: Sequence[str],
        args: Sequence[str | bytes | int],
        told: Told,
        failed: Failed,
    ) -> None:
        """As `call`, for whoever cannot wait: on an open connection the call has left when this returns.

        One of the two is told what became of it, as soon as that is read; neither before this has returned.
        """
        transport = self._transport
        if transport is None or self._replies.lost or transport.is_closing():
            self._go_on(self.call(script, names, args), told, failed)
            return

        def answered(reply: Any) -> None:
            if isinstance(reply, hiredis.ReplyError):
                self._go_on(self._second_try(reply, script, names, args), told, failed)
            else:
                told(reply)

        asked = _Asked(answered, failed)
        self._replies.waiting.append(asked)
        transport.write(_packed(("EVALSHA", script.sha, len(names), *names, *args)))
        loop = asyncio.get_running_loop()
        asked.timer = _Timer(loop, self._timeout_s, lambda: self._give_up([asked], transport))

    async def keep_open(self, script: Script) -> None:
        """Has the connection open, and the script known to the server, before somebody asks; until it is cancelled.

        At T0 either would take a task, which has its turn only when the whole crowd has been heard.
        """
        ready: asyncio.WriteTransport | None = None
        while True:
            if ready is None or ready is not self._transport or self._replies.lost:
                with suppress(StoreUnavailableError):
                    await self.command("SCRIPT", "LOAD", script.source)
                # Who may not load scripts has them loaded by the first call.
                ready = self._transport
            await asyncio.sleep(_OPEN_AGAIN_S)

    def look(self) -> None:
        """Reads what the store has replied by now, and tells those who asked."""
        replies, transport = self._replies, self._transport
        if self._descriptor < 0 or not replies.waiting or replies.busy or transport is None:
            return
        if replies.lost or transport.is_closing():
            return
        try:
            data = os.read(self._descriptor, _READ_BYTES)
        except OSError:
            return  # nothing is there; or the connection is lost, which its transport will be told
        if data:
            replies.data_received(data)

    def _go_on(self, call: Coroutine[Any, Any, Any], told: Told, failed: Failed) -> None:
        """Has the rest of a call done by a task."""
        task = asyncio.get_running_loop().create_task(call)
        self._tasks.add(task)

        def done(task: "asyncio.Task[Any]") -> None:
            self._tasks.discard(task)
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            if error is None:
                told(task.result())
            else:
                failed(error)

        task.add_done_callback(done)

    async def command(self, *parts: str | bytes | int) -> Any:
        """Any other command.

        Raises:
            StoreUnavailableError: as for `call`.
        """
        return (await self.commands([parts]))[0]

    async def commands(self, commands: Sequence[tuple[str | bytes | int, ...]]) -> list[Any]:
        """Other commands, sent together; the reply to each.

        Raises:
            StoreUnavailableError: as for `call`, of the first that failed; the others may have been carried out.
        """
        replies = await self._send_all(commands)
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                raise explain_reply(str(reply))
        return replies

    async def _send(self, command: "tuple[str | int | float | bytes | memoryview[int], ...]") -> Any:
        return (await self._send_all([command]))[0]

    async def _send_all(
        self, commands: "Sequence[tuple[str | int | float | bytes | memoryview[int], ...]]"
    ) -> list[Any]:
        transport = self._transport
        if transport is None or self._replies.lost or transport.is_closing():
            transport = await self._open()
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Any]] = [loop.create_future() for _ in commands]
        self._replies.waiting.extend(futures)
        packed = [_packed(command) for command in commands]
        transport.write(packed[0] if len(packed) == 1 else b"".join(packed))
        timers = _Timer(loop, self._timeout_s, lambda: self._give_up(futures, transport))
        try:
            return await asyncio.gather(*futures) if len(futures) > 1 else [await futures[0]]
        finally:
            timers.cancel()

    def _give_up(self, calls: "Sequence[_Waiting]", transport: asyncio.WriteTransport) -> None:
        if all(call.done() for call in calls):
            return
        transport.abort()  # first: whoever is told may ask again at once
        for call in calls:
            if not call.done():
                call.set_exception(StoreUnavailableError("the store did not answer in time", applied=None))

    async def _open(self) -> asyncio.WriteTransport:
        async with self._opening:
            if self._transport is not None and not (self._replies.lost or self._transport.is_closing()):
                return self._transport
            await self.close()
            connection = self._redis.connection_pool.make_connection()
            try:
                with cancellable():
                    await connection.connect()
            except (RedisError, OSError, RuntimeError) as error:
                failure = explain(error)
                failure.applied = False
                raise failure from error
            except asyncio.CancelledError:
                await connection.disconnect(nowait=True)
                raise
            transport: asyncio.WriteTransport = connection._writer.transport  # noqa: SLF001 - see the top of the file
            self._replies = _Replies()
            transport.set_protocol(self._replies)
            self._connection, self._transport = connection, transport
            plain = transport.get_extra_info("ssl_object") is None
            self._descriptor = transport.get_extra_info("socket").fileno() if plain else -1
            return transport

    async def close(self) -> None:
        """Drops the connection: calls under way fail, the next call opens another."""
        connection, transport = self._connection, self._transport
        self._connection = self._transport = None
        self._descriptor = -1
        if transport is not None:
            transport.abort()
        if connection is not None:
            # Otherwise redis-py takes it for open, and complains when it is collected.
            await connection.disconnect(nowait=True)


def _packed(command: "tuple[str | int | float | bytes | memoryview[int], ...]") -> bytes:
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]  # its stub allows one argument
    return packed
