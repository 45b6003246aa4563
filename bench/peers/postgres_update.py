"""aiohttp and asyncpg: `UPDATE ... WHERE units_left >= n`, and the reservation in the same statement.

`python -m bench.peers.postgres_update PORT`, with RACE_POSTGRES_URL. The row of the item is locked until the commit is on
disk, so one reservation of it is made at a time.
"""

import sys

from bench.peers.contract import serve
from bench.peers.postgres import postgres

CONNECTIONS = 16
"""More make it slower: they all wait for the same row."""
TAKE = """
    WITH taken AS (
        UPDATE race_stock SET units_left = units_left - $3
        WHERE sale = $1 AND sku = $2 AND units_left >= $3 RETURNING 1
    )
    INSERT INTO race_reservations (id, sale, sku, units) SELECT $4, $1, $2, $3 FROM taken RETURNING 1
"""


if __name__ == "__main__":
    serve(int(sys.argv[1]), postgres(TAKE, CONNECTIONS))
