"""An order system in PostgreSQL: every order of the shop, exactly once, whatever dies and whenever.

    SHOP_URL=http://127.0.0.1:8080 SHOP_KEY=... DATABASE_URL=postgresql://user@host/name python orders_to_postgres.py

The position in the feed is stored in the transaction that stores the orders, so either both are there or none is. Let
whatever runs your services start this one again when it ends, as it does when the database goes away. Of two that run at
the same time one ends: it finds that the position is not where it has left it.
"""

import asyncio
import os

import psycopg
from psycopg.types.json import Jsonb

from flashsale.client import Order, OrderFeed

TABLES = """
CREATE TABLE IF NOT EXISTS shop_orders (
    sale text, sequence bigint, status text NOT NULL, reservation text NOT NULL, customer text NOT NULL,
    items jsonb NOT NULL, amount bigint NOT NULL, amount_due bigint NOT NULL, currency text NOT NULL,
    at timestamptz NOT NULL, PRIMARY KEY (sale, sequence));
CREATE TABLE IF NOT EXISTS shop_position (name text PRIMARY KEY, cursor text NOT NULL);
INSERT INTO shop_position VALUES ('orders', '') ON CONFLICT DO NOTHING
"""
MOVE = "UPDATE shop_position SET cursor = %s WHERE name = 'orders' AND cursor = %s"
INSERT = "INSERT INTO shop_orders VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"


def row(order: Order) -> tuple[object, ...]:
    items = Jsonb(order.event["data"]["items"])
    about = (order.sale, order.sequence, order.status, order.reservation, order.customer, items)
    return (*about, order.amount, order.amount_due, order.currency, order.time)


async def main() -> None:
    async with await psycopg.AsyncConnection.connect(os.environ["DATABASE_URL"]) as database:
        await database.execute(TABLES)
        found = await database.execute("SELECT cursor FROM shop_position WHERE name = 'orders'")
        (position,) = await found.fetchone() or ("",)  # a text that is empty at first
        await database.commit()
        feed = OrderFeed(os.environ["SHOP_URL"], os.environ["SHOP_KEY"], after=position)
        async for orders in feed.pages():
            async with database.cursor() as cursor:
                await cursor.execute(MOVE, (orders[-1].cursor, position))
                if cursor.rowcount != 1:
                    raise SystemExit("another one of these has stored orders: start this one again")
                await cursor.executemany(INSERT, [row(order) for order in orders])
            await database.commit()
            position = orders[-1].cursor
            print(f"{len(orders)} more, the last one {orders[-1].reservation}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
