"""The stores of a race: a Valkey with flashsale's own settings (append-only file, fsync before the answer), and PostgreSQL
with its own (commit on disk before the answer). Both run beside the load generator, off the server's core.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from redis import Redis

from bench.race.field import Contender
from bench.race.machine import Cores, among_the_rest
from flashsale.process.embedded import EmbeddedValkey
from tests.support.postgres import Postgres

TABLES = """
    CREATE TABLE race_stock (sale text, sku text, units_left bigint, PRIMARY KEY (sale, sku));
    CREATE TABLE race_units (unit bigserial PRIMARY KEY, sale text, sku text, taken boolean NOT NULL DEFAULT false);
    CREATE INDEX race_free ON race_units (sale, sku) WHERE NOT taken;
    CREATE TABLE race_reservations (id text PRIMARY KEY, sale text, sku text, units bigint);
    CREATE INDEX race_of_sale ON race_reservations (sale);
"""


@dataclass(frozen=True, slots=True)
class Store:
    """A store that runs: its address, and its first process; neither for a contender without one."""

    url: str = ""
    pid: int = 0

    def processes(self) -> list[psutil.Process]:
        """Its processes as they are now."""
        if not self.pid:
            return []
        first = psutil.Process(self.pid)
        return [first, *first.children(recursive=True)]


@contextmanager
def valkey(cores: Cores, extra: Sequence[str] = ()) -> Iterator[Store]:
    """An empty Valkey; `extra` are lines of configuration that win over flashsale's."""
    with (
        tempfile.TemporaryDirectory(prefix="flashsale-race-") as folder,
        among_the_rest(cores),
        EmbeddedValkey(Path(folder) / "valkey", extra_config=extra) as server,
    ):
        yield Store(server.url, server.pid)


@contextmanager
def postgres(cores: Cores) -> Iterator[Store]:
    """An empty PostgreSQL with the tables of the race, and its own settings for what is on disk when."""
    with among_the_rest(cores), Postgres(shared_buffers="256MB", max_wal_size="4GB") as server:
        url = server.create_database()
        with server.connect(url) as connection:
            connection.execute(TABLES.encode())
        yield Store(url, server.pid)


@contextmanager
def store_of(contender: Contender, cores: Cores, extra: Sequence[str] = ()) -> Iterator[Store]:
    """An empty store of the kind that this contender keeps its books in."""
    if contender.store == "none":
        yield Store()
    elif contender.store == "postgres":
        with postgres(cores) as store:
            yield store
    else:
        with valkey(cores, extra) as store:
            yield store


@contextmanager
def client(url: str) -> Iterator[Any]:
    """A redis-py client that blocks; untyped, as redis-py's types describe both its worlds at once."""
    redis: Any = Redis.from_url(url, socket_timeout=60)
    try:
        yield redis
    finally:
        redis.close()
