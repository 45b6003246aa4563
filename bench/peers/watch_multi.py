"""aiohttp and redis-py: WATCH the stock, MULTI, and again whenever somebody else was faster.

`python -m bench.peers.watch_multi PORT`, with RACE_REDIS_URL. It never oversells; it wastes work, the more of it the more
shoppers want the same item.
"""

import sys
from collections.abc import AsyncIterator

from redis.exceptions import WatchError

from bench.peers.contract import Reserve, reservations_key, serve, stock_key
from bench.peers.redis_store import redis_client


async def opened() -> AsyncIterator[Reserve]:
    async with redis_client() as redis:

        async def reserve(sale: str, sku: str, units: int, reservation: str) -> bool:
            stock = stock_key(sale, sku)
            async with redis.pipeline() as pipe:
                while True:
                    try:
                        await pipe.watch(stock)
                        if int(await pipe.get(stock) or 0) < units:
                            return False
                        pipe.multi()
                        pipe.decrby(stock, units)
                        pipe.hset(reservations_key(sale), reservation, units)
                        await pipe.execute()
                    except WatchError:
                        continue
                    return True

        yield reserve


if __name__ == "__main__":
    serve(int(sys.argv[1]), opened)
