"""The fast way to one script: a connection that carries nothing but our own calls.

redis-py opens the connection, so that TLS, users, passwords and database numbers work as everywhere else; then its transport
is handed to a small protocol of ours. That costs about a fifth of the library's `execute_command` for each call, which is
what lets one worker fill thousands of batches a second. `bench/` measures it.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

import hiredis
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from flashsale.scripts.loader import Script
from flashsale.store.client import StoreUnavailableError, explain, explain_reply


class _Replies(asyncio.Protocol):
    """Matches replies to calls, in order."""

    def __init__(self) -> None:
        self.waiting: deque[asyncio.Future[Any]] = deque()
        self.lost: bool = False
        self._reader = hiredis.Reader(notEnoughData=self)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not self:
            if not self.waiting:
                continue  # a push message, or the late answer to a call that was given up
            future = self.waiting.popleft()
            if not future.done():
                future.set_result(reply)

    def connection_lost(self, _exc: Exception | None) -> None:
        self.lost = True
        error = StoreUnavailableError("the connection to the store was lost", applied=None)
        while self.waiting:
            future = self.waiting.popleft()
            if not future.done():
                future.set_exception(error)


class Lane:
    """One connection for script calls; opened at first use and again after it was lost."""

    def __init__(self, redis: "Redis", *, timeout_s: float) -> None:
        self._redis = redis
        self._timeout_s = timeout_s
        self._connection: AbstractConnection | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._replies = _Replies()
        self._opening = asyncio.Lock()

    async def call(self, script: Script, names: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
        """EVALSHA, with EVAL when the server does not know the script (then nothing has run yet).

        Raises:
            StoreUnavailableError: no answer, or the server refused; `applied` tells which.
        """
        reply = await self._send(("EVALSHA", script.sha, len(names), *names, *args))
        if isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOSCRIPT"):
            reply = await self._send(("EVAL", script.source, len(names), *names, *args))
        if isinstance(reply, hiredis.ReplyError):
            raise explain_reply(str(reply))
        return reply

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
        packed = [hiredis.pack_command(command) for command in commands]  # type: ignore[arg-type]  # its stub allows one argument
        transport.write(packed[0] if len(packed) == 1 else b"".join(packed))
        timer = loop.call_later(self._timeout_s, self._give_up, futures, transport)
        try:
            return [await future for future in futures]
        finally:
            timer.cancel()

    def _give_up(self, futures: "Sequence[asyncio.Future[Any]]", transport: asyncio.WriteTransport) -> None:
        for future in futures:
            if not future.done():
                future.set_exception(StoreUnavailableError("the store did not answer in time", applied=None))
        transport.abort()

    async def _open(self) -> asyncio.WriteTransport:
        async with self._opening:
            if self._transport is not None and not (self._replies.lost or self._transport.is_closing()):
                return self._transport
            await self.close()
            connection = self._redis.connection_pool.make_connection()
            try:
                await connection.connect()
            except (RedisError, OSError, RuntimeError) as error:
                failure = explain(error)
                failure.applied = False
                raise failure from error
            transport: asyncio.WriteTransport = connection._writer.transport  # noqa: SLF001 - see the top of the file
            self._replies = _Replies()
            transport.set_protocol(self._replies)
            self._connection, self._transport = connection, transport
            return transport

    async def close(self) -> None:
        """Drops the connection: calls under way fail, the next call opens another."""
        connection, transport = self._connection, self._transport
        self._connection = self._transport = None
        if transport is not None:
            transport.abort()
        if connection is not None:
            # Otherwise redis-py takes it for open, and complains when it is collected.
            await connection.disconnect(nowait=True)
