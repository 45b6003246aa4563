"""What comparing a store with the archive asks of the store. Failures are `StoreUnavailableError`.

Everything of one comparison goes over one connection, so that it is about one server process, whoever takes over meanwhile.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from redis.asyncio import Redis

from flashsale import keys
from flashsale.keys import SaleKeys
from flashsale.model.facts import Fact
from flashsale.scripts import guarding as scripts
from flashsale.scripts.guarding import Compared
from flashsale.store.client import Store, StoreUnavailableError
from flashsale.store.fence import RUN_ID, WAITS, Fence, run_id_of
from flashsale.store.sales import fact_of


class GuardSession:
    """One connection to one server process."""

    def __init__(self, redis: "Redis", run_id: str) -> None:
        self._redis: Any = redis  # redis-py's types describe replies of both kinds at once
        self.run_id = run_id
        """That of the process at the other end."""

    async def compare(self, sale: str, fact: Fact) -> Compared:
        """Compares a sale with the last fact that the archive has of it, and marks it when that is not in the journal."""
        return await scripts.compare(self._redis, SaleKeys.of(sale), fact)

    async def list_sale(self, sale: str) -> None:
        """Puts a sale that the store has lost into the index again."""
        if sale != keys.STRAY:
            await self._redis.hset(keys.SALES, sale, "1")

    async def facts(self, sale: str, *, after: int, limit: int) -> list[Fact]:
        """Up to `limit` facts of the journal with a seq above `after`, in order."""
        entries = await self._redis.xrange(SaleKeys.of(sale).journal, min=str(after + 1), count=limit)
        return [fact_of(entry_id, fields) for entry_id, fields in entries]

    async def open_fence(self) -> None:
        """Lets everybody in, as long as it is this very process that they come to."""
        pipe = self._redis.pipeline(transaction=True)
        pipe.hset(keys.GUARD, RUN_ID, self.run_id)
        pipe.hdel(keys.GUARD, WAITS)
        await pipe.execute()

    async def is_open(self) -> bool:
        """Whether others are let in."""
        verified = await self._redis.hget(keys.GUARD, RUN_ID)
        return bool(verified == self.run_id.encode())

    async def say_waits(self, why: str) -> None:
        """Tells those who are not let in why that is so."""
        await self._redis.hset(keys.GUARD, WAITS, why)


class GuardStore:
    """A way to a store past its fence."""

    def __init__(self, url: str, *, timeout_ms: int = 2000) -> None:
        self._store = Store.connect(url, timeout_ms=timeout_ms, fence=Fence.NONE)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    @property
    def store(self) -> Store:
        """The same way, for whoever brings a sale back."""
        return self._store

    @asynccontextmanager
    async def session(self) -> AsyncIterator[GuardSession]:
        """A connection; whatever fails inside, it cannot be used any more.

        Raises:
            StoreUnavailableError: the store is away, or does not tell which process it is.
        """
        async with self._store.guard() as redis, redis.client() as single:
            yield GuardSession(single, await _run_id(single))

    async def run_id(self) -> str:
        """The server process that is there now."""
        async with self._store.guard() as redis:
            return await _run_id(redis)

    async def close(self) -> None:
        """Closes all connections."""
        await self._store.close()


async def _run_id(redis: "Redis") -> str:
    info: Any = await redis.info("server")
    run_id = info.get("run_id") if isinstance(info, dict) else run_id_of(info)
    if not run_id:
        raise StoreUnavailableError(
            "the store does not tell its run_id, by which we know that it is the same server as before",
            applied=False,
        )
    return run_id.decode() if isinstance(run_id, bytes) else str(run_id)
