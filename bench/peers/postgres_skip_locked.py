"""aiohttp and asyncpg: one row per unit, taken with `FOR UPDATE SKIP LOCKED`.

`python -m bench.peers.postgres_skip_locked PORT`, with RACE_POSTGRES_URL. Nobody waits for anybody else's row; the price is
a row for every unit, and a statement that looks for a free one.
"""

import sys

from bench.peers.contract import serve
from bench.peers.postgres import postgres

CONNECTIONS = 32
"""So many commits can share one fsync."""
TAKE = """
    WITH locked AS MATERIALIZED (
        SELECT array_agg(unit) AS units, count(*) AS found FROM (
            SELECT unit FROM race_units WHERE sale = $1 AND sku = $2 AND NOT taken
            LIMIT $3 FOR UPDATE SKIP LOCKED
        ) AS some
    ), marked AS (
        UPDATE race_units SET taken = true
        WHERE unit = ANY((SELECT units FROM locked WHERE found = $3)::bigint[]) RETURNING 1
    )
    INSERT INTO race_reservations (id, sale, sku, units)
    SELECT $4, $1, $2, $3 FROM locked WHERE found = $3 RETURNING 1
"""


if __name__ == "__main__":
    serve(int(sys.argv[1]), postgres(TAKE, CONNECTIONS))
