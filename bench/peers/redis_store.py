"""How the contenders on aiohttp reach Redis."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis

from bench.peers.contract import POOL_SIZE


@asynccontextmanager
async def redis_client() -> AsyncIterator[Any]:
    """redis-py on RACE_REDIS_URL, with as many connections as there are requests at once."""
    pool = BlockingConnectionPool.from_url(os.environ["RACE_REDIS_URL"], max_connections=POOL_SIZE)
    redis = Redis(connection_pool=pool)
    yield redis
    await redis.aclose()
    await pool.disconnect()
