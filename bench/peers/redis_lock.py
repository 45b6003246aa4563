"""aiohttp and redis-py: a Redis lock per sale around "look, take, record". `python -m bench.peers.redis_lock PORT`."""

import sys
from collections.abc import AsyncIterator

from bench.peers.contract import Reserve, reservations_key, serve, stock_key
from bench.peers.redis_store import redis_client

LOCK_SECONDS = 5.0
"""So long a crashed holder keeps everybody waiting."""
RETRY_SECONDS = 0.05
"""Between two tries to get the lock. Shorter, and the tries of all who wait take the processor from whoever has it."""


async def opened() -> AsyncIterator[Reserve]:
    async with redis_client() as redis:

        async def reserve(sale: str, sku: str, units: int, reservation: str) -> bool:
            stock = stock_key(sale, sku)
            async with redis.lock(f"peer:{{{sale}}}:lock", timeout=LOCK_SECONDS, sleep=RETRY_SECONDS):
                if int(await redis.get(stock) or 0) < units:
                    return False
                async with redis.pipeline(transaction=True) as pipe:
                    pipe.decrby(stock, units)
                    pipe.hset(reservations_key(sale), reservation, units)
                    await pipe.execute()
            return True

        yield reserve


if __name__ == "__main__":
    serve(int(sys.argv[1]), opened)
