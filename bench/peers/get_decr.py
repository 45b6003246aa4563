"""aiohttp and redis-py: GET the stock, and DECR it if there is some. `python -m bench.peers.get_decr PORT`.

It is wrong: between the two, somebody else looks too. It is here because it is written so often; the race says by how much
it oversells.
"""

import sys
from collections.abc import AsyncIterator

from bench.peers.contract import Reserve, reservations_key, serve, stock_key
from bench.peers.redis_store import redis_client


async def opened() -> AsyncIterator[Reserve]:
    async with redis_client() as redis:

        async def reserve(sale: str, sku: str, units: int, reservation: str) -> bool:
            stock = stock_key(sale, sku)
            if int(await redis.get(stock) or 0) < units:
                return False
            async with redis.pipeline(transaction=False) as pipe:
                pipe.decrby(stock, units)
                pipe.hset(reservations_key(sale), reservation, units)
                await pipe.execute()
            return True

        yield reserve


if __name__ == "__main__":
    serve(int(sys.argv[1]), opened)
