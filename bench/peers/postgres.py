"""How the contenders on PostgreSQL reserve: with one statement, on a pool of connections."""

import os
from collections.abc import AsyncIterator

import asyncpg

from bench.peers.contract import Opened, Reserve


def postgres(take: str, connections: int) -> Opened:
    """A contender on RACE_POSTGRES_URL.

    `take` has the parameters $1 sale, $2 SKU, $3 units and $4 reservation, and answers with a row if it took the units.
    """

    async def opened() -> AsyncIterator[Reserve]:
        pool = await asyncpg.create_pool(
            os.environ["RACE_POSTGRES_URL"], min_size=connections, max_size=connections
        )

        async def reserve(sale: str, sku: str, units: int, reservation: str) -> bool:
            return await pool.fetchval(take, sale, sku, units, reservation) is not None

        yield reserve
        await pool.close()

    return opened
