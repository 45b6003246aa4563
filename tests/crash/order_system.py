"""An order system: writes what the feed gives it into its own PostgreSQL, and begins again where that ends.

    python tests/crash/order_system.py URL

The API key and the address of the database come in the environment, as ORDERS_KEY and ORDERS_DATABASE. Its table has no key
of any kind on purpose: an order that came twice would be there twice. The test that starts it makes the tables (`TABLES`).
"""

import asyncio
import os
import sys
from typing import Any, Final

import orjson
import psycopg

from flashsale.client import Order, OrderFeed

TABLES: Final = """
    CREATE TABLE told (sale text, sequence bigint, id text, status text, reservation text, event text);
    CREATE TABLE position (cursor text NOT NULL);
    INSERT INTO position VALUES ('');
"""
_TELL: Final = "INSERT INTO told VALUES (%s, %s, %s, %s, %s, %s)"
_AWAY_S: Final = 0.1


def row_of(order: Order) -> tuple[Any, ...]:
    event = orjson.dumps(order.event).decode()
    return (order.sale, order.sequence, order.id, order.status, order.reservation, event)


async def read_on(url: str, key: str, books: "psycopg.Connection[Any]") -> None:
    """Reads on for ever; orders and position are in one transaction."""
    (after,) = books.execute("SELECT cursor FROM position").fetchone() or ("",)
    books.commit()
    async for page in OrderFeed(url, key, after=after, page_size=100, wait_seconds=2).pages():
        with books.transaction(), books.cursor() as cursor:
            cursor.executemany(_TELL, [row_of(order) for order in page])
            cursor.execute("UPDATE position SET cursor = %s", (page[-1].cursor,))


async def main(url: str) -> None:
    while True:
        try:
            with psycopg.connect(os.environ["ORDERS_DATABASE"], connect_timeout=60) as books:
                await read_on(url, os.environ["ORDERS_KEY"], books)
        except psycopg.OperationalError as error:
            # Whether the last transaction was committed is for the database to say.
            sys.stderr.write(f"the database is away: {error}\n")
            await asyncio.sleep(_AWAY_S)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
