"""The connection to Redis or Valkey, and what its failures mean to the rest of the engine."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Self, TypeVar
from urllib.parse import urlsplit

import structlog
from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from flashsale.scripts import calls, loader
from flashsale.store.fence import Fence, FencedError, NoRunIdError, connect_hook

T = TypeVar("T")
_GUARD_POLL_S = 0.02
log = structlog.get_logger(__name__)


class StoreUnavailableError(Exception):
    """The store cannot do its work now: away, full, read-only, loading or refusing us.

    `reason` is fit to show. `applied` tells whether a write may have happened: False when the server refused it, None when
    the answer was lost and nobody can know.
    """

    def __init__(self, reason: str, *, applied: bool | None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.applied = applied


class StoreRefusedError(StoreUnavailableError):
    """The store is there, and one of our scripts has failed in it before it had written anything.

    Something is stored that should not be: the same call fails again, and of a batch perhaps one element alone is to blame.
    """


class StoreRecoveringError(StoreUnavailableError):
    """The store has come back, and may not be worked with until what it has was compared with the archive."""


class SaleRecoveringError(StoreRecoveringError):
    """One sale has an older journal than the archive, and stays as it is until `flashsale recover`; the others go on."""


_REFUSALS = {
    "OOM": "the store's memory is full",
    "READONLY": "the store is a read-only replica",
    "LOADING": "the store is loading its data",
    "MISCONF": "the store cannot write to its disk",
    "NOAUTH": "the store wants a password",
    "WRONGPASS": "the store refuses our user or password",
    "NOPERM": "the store does not allow our user this command",
    "MASTERDOWN": "the store has lost its primary",
    "CLUSTERDOWN": "the store's cluster is down",
    "NOREPLICAS": "the store has too few replicas",
}


_WORDS: dict[type[Exception], str] = {
    exceptions.AuthenticationError: "WRONGPASS",
    exceptions.BusyLoadingError: "LOADING",
    exceptions.ReadOnlyError: "READONLY",
    exceptions.OutOfMemoryError: "OOM",
    exceptions.NoPermissionError: "NOPERM",
}
"""What redis-py has made of the first word of an error reply; some of these it counts as errors of the connection."""
_FENCED: "dict[type[Exception], type[StoreUnavailableError]]" = {
    FencedError: StoreRecoveringError,
    NoRunIdError: StoreUnavailableError,
}


def sale_recovering() -> SaleRecoveringError:
    """What is answered about a sale that was marked by the guard (flashsale/engine/guard.py)."""
    return SaleRecoveringError("the sale is being brought back from the archive", applied=False)


def explain_reply(text: str) -> StoreUnavailableError:
    """An error reply in our own words. Server texts go to the log only: they may name keys and users."""
    word = text.split(" ", 1)[0]
    if word in _REFUSALS:
        return StoreUnavailableError(_REFUSALS[word], applied=False)
    if word == "RECOVERING":
        return sale_recovering()
    log.error("store.refused", reply=text[:500])
    refused = StoreRefusedError if "user_script" in text else StoreUnavailableError
    return refused("the store refused the command", applied=None)


def is_lost_connection(error: RuntimeError) -> bool:
    """Whether uvloop says that a connection ended between its opening and our first bytes; redis-py lets that pass."""
    return "handler is closed" in str(error)


def explain(error: Exception) -> StoreUnavailableError:
    """The failure of a command in our own words."""
    if (kind := _FENCED.get(type(error))) is not None:
        return kind(str(error), applied=False)
    if isinstance(error, exceptions.TimeoutError | TimeoutError):
        return StoreUnavailableError("the store did not answer in time", applied=None)
    for known, word in _WORDS.items():
        if isinstance(error, known):
            return explain_reply(word)
    if isinstance(error, exceptions.ConnectionError | OSError | RuntimeError):
        return StoreUnavailableError("the store cannot be reached", applied=None)
    return explain_reply(str(error))


@contextmanager
def cancellable() -> Iterator[None]:
    """Passes on a cancellation that redis-py has kept to itself.

    It sends with `asyncio.wait_for`, which before Python 3.12 forgets that it was cancelled if its work is done by then
    (https://github.com/python/cpython/issues/86296): whoever asks again and again would never end.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    try:
        yield
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError


class Store:
    """A pool of connections to one server. `redis` raises redis-py's errors; `guard` turns them into ours."""

    def __init__(self, redis: "Redis") -> None:
        self.redis = redis

    @classmethod
    def connect(cls, url: str, *, timeout_ms: int = 2000, fence: Fence = Fence.IF_GUARDED) -> Self:
        """A store for `redis://`, `rediss://` or `unix://`; connects at first use, and only through the `fence`.

        Commands are never repeated behind our back: whoever sends one decides whether it may be sent again.
        """
        return cls(
            Redis.from_url(
                url,
                decode_responses=False,
                socket_timeout=timeout_ms / 1000,
                socket_connect_timeout=timeout_ms / 1000,
                retry=Retry(NoBackoff(), 0),
                health_check_interval=0,
                max_connections=1024,
                client_name="flashsale",
                redis_connect_func=connect_hook(fence),
            )
        )

    @asynccontextmanager
    async def guard(self) -> AsyncIterator["Redis"]:
        """The client; what it raises inside comes out as `StoreUnavailableError`."""
        try:
            with cancellable():
                yield self.redis
        except (exceptions.RedisError, OSError) as error:
            raise explain(error) from error
        except RuntimeError as error:
            if not is_lost_connection(error):
                raise
            raise explain(error) from error

    async def call(self, command: Awaitable[T]) -> T:
        """Awaits one command.

        Raises:
            StoreUnavailableError: it failed.
        """
        async with self.guard():
            return await command

    async def ping(self) -> None:
        """Checks that the store answers and takes our scripts.

        Raises:
            StoreUnavailableError: it does not.
        """
        async with self.guard() as redis:
            for name in calls.NAMES:
                await redis.script_load(loader.load(name).source)

    async def wait_for_guard(self, timeout_s: float) -> None:
        """Waits until the fence is open, but not for ever: whoever comes then is told why it is closed."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while loop.time() < deadline:
            try:
                await self.call(self.redis.ping())
            except StoreRecoveringError:
                await asyncio.sleep(_GUARD_POLL_S)
            except StoreUnavailableError:
                return
            else:
                return

    async def close(self) -> None:
        """Closes all connections."""
        await self.redis.aclose()


def describe(url: str) -> str:
    """The address without user and password, for logs."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"
