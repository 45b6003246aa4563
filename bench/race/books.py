"""Puts a sale's stock where a contender looks for it, and reads afterwards what it gave away."""

import asyncio
from typing import Any, Protocol

from bench.race.arithmetic import Count
from bench.race.field import ROOT_KEY, Contender
from bench.race.stores import Store, client
from flashsale.client import Client
from flashsale.keys import SaleKeys
from tests.support.postgres import Postgres

SKU = "giulia"


class BooksError(Exception):
    """The books of a contender contradict themselves."""


class Books(Protocol):
    """Where a contender keeps what it has sold."""

    def prepare(self, sale: str, stock: int, /) -> None:
        """A sale that is open and has so many units of `SKU`."""

    def count(self, sale: str, stock: int, /) -> Count:
        """What was given away of these units."""


class NoBooks:
    """Of a contender that keeps nothing."""

    def prepare(self, sale: str, stock: int) -> None:
        """Nothing to prepare."""

    def count(self, _sale: str, stock: int, /) -> Count:
        return Count(stock, stock, 0)


class RedisBooks:
    """The keys of bench/peers/reserve.lua."""

    def __init__(self, url: str) -> None:
        self._url = url

    def prepare(self, sale: str, stock: int) -> None:
        with client(self._url) as redis:
            redis.set(f"peer:{{{sale}}}:stock:{SKU}", stock)

    def count(self, sale: str, stock: int) -> Count:
        # In one transaction: the last requests of wrk, which nobody waits for, may still be under way.
        with client(self._url) as redis, redis.pipeline(transaction=True) as both:
            both.get(f"peer:{{{sale}}}:stock:{SKU}")
            both.hvals(f"peer:{{{sale}}}:reservations")
            left, units = both.execute()
        return Count(stock, int(left), sum(map(int, units)))


class PostgresBooks:
    """The tables of bench/race/stores.py; a unit exists in both forms, and a contender uses one of them."""

    def __init__(self, url: str, *, by_unit: bool) -> None:
        self._url = url
        self._by_unit = by_unit

    def prepare(self, sale: str, stock: int) -> None:
        with Postgres.connect(self._url) as connection:
            if self._by_unit:
                connection.execute(
                    "INSERT INTO race_units (sale, sku) SELECT %s, %s FROM generate_series(1, %s)",
                    (sale, SKU, stock),
                )
                connection.execute(b"VACUUM ANALYZE race_units")
            else:
                connection.execute("INSERT INTO race_stock VALUES (%s, %s, %s)", (sale, SKU, stock))

    def count(self, sale: str, stock: int) -> Count:
        left = "SELECT units_left FROM race_stock WHERE sale = %s"
        if self._by_unit:
            left = "SELECT count(*) FROM race_units WHERE sale = %s AND NOT taken"
        with Postgres.connect(self._url) as connection:
            # In one statement, which sees one instant: see above.
            recorded = "SELECT coalesce(sum(units), 0) FROM race_reservations WHERE sale = %s"
            both = connection.execute(f"SELECT ({left}), ({recorded})".encode(), (sale, sale)).fetchone()
        assert both is not None
        return Count(stock, int(both[0]), int(both[1]))


class OurBooks:
    """A sale of flashsale: defined over HTTP, counted in the store; `audit` replays its journal as well."""

    def __init__(self, url: str, port: int) -> None:
        self._url = url
        self._base = f"http://127.0.0.1:{port}"

    def prepare(self, sale: str, stock: int) -> None:
        self.define(sale, {SKU: stock})

    def define(self, sale: str, stock_of: dict[str, int], **changes: Any) -> None:
        """A sale of these items that opened long ago, one unit a customer unless told otherwise."""
        definition = {
            "title": "Race",
            "opens_at": "2020-01-01T00:00:00Z",
            "currency": "CNY",
            "limit_per_customer": 1,
            "hold_seconds": 3600,
            "items": [{"sku": sku, "price": 33_000_000, "stock": units} for sku, units in stock_of.items()],
            **changes,
        }

        async def put() -> None:
            async with Client(self._base, ROOT_KEY) as http:
                await http.put_sale(sale, definition)

        asyncio.run(put())

    def count(self, sale: str, stock: int) -> Count:
        keys = SaleKeys.of(sale)
        with client(self._url) as redis, redis.pipeline(transaction=True) as both:
            both.hget(keys.stock, f"available:{SKU}")
            both.hlen(keys.reservations)
            left, recorded = both.execute()
        return Count(stock, int(left), int(recorded))

    def audit(self, sale: str) -> None:
        """Raises BooksError when the journal, replayed, is not what the counters say."""

        async def ask() -> Any:
            async with Client(self._base, ROOT_KEY) as http:
                return await http.audit(sale)

        report = asyncio.run(ask())
        if not report["ok"]:
            raise BooksError(f"the audit of {sale} found: {report}")


def books_of(contender: Contender, store: Store, port: int) -> Books:
    """The books that this contender keeps."""
    if contender.store == "redis":
        return RedisBooks(store.url)
    if contender.store == "postgres":
        return PostgresBooks(store.url, by_unit=contender.key == "postgres-skip-locked")
    if contender.store == "ours":
        return OurBooks(store.url, port)
    return NoBooks()
