"""aiohttp and redis-py: one EVALSHA per request. `python -m bench.peers.aiohttp_evalsha PORT`, with RACE_REDIS_URL."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

from bench.peers.contract import Reserve, reservations_key, serve, stock_key
from bench.peers.redis_store import redis_client

SCRIPT = (Path(__file__).parent / "reserve.lua").read_text(encoding="utf-8")


async def opened() -> AsyncIterator[Reserve]:
    async with redis_client() as redis:
        sha = await redis.script_load(SCRIPT)

        async def reserve(sale: str, sku: str, units: int, reservation: str) -> bool:
            keys = stock_key(sale, sku), reservations_key(sale)
            return bool(await redis.evalsha(sha, 2, *keys, reservation, units))

        yield reserve


if __name__ == "__main__":
    serve(int(sys.argv[1]), opened)
