"""The books of the demo's order system: one SQLite file, in which an order and the cursor behind it are stored together.

    postings   everything that the feed has told: each order made or undone, by its sequence
    orders     what stands now, by reservation
    dropped    what was told again, and so changed nothing
    runs       when each process began to read

Whatever happens to the process, the file has both the order and the cursor or neither, so the next process goes on where
this one has ended: every order is booked exactly once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from flashsale.client import Order
from flashsale.demo.messages import Received

BUSY_SECONDS: Final = 10.0
"""How long a statement waits for another process, such as one that was killed a moment ago."""

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS postings (
    sequence INTEGER PRIMARY KEY,
    status TEXT NOT NULL,
    reservation TEXT NOT NULL,
    amount INTEGER NOT NULL,
    currency TEXT NOT NULL,
    told_ms INTEGER NOT NULL,
    received_ms REAL NOT NULL,
    run INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS orders (
    reservation TEXT PRIMARY KEY,
    status TEXT NOT NULL,
    amount INTEGER NOT NULL,
    currency TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS dropped (sequence INTEGER NOT NULL, status TEXT NOT NULL, reservation TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS runs (run INTEGER PRIMARY KEY, began_ms REAL NOT NULL);
CREATE TABLE IF NOT EXISTS position (only INTEGER PRIMARY KEY CHECK (only = 1), cursor TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Posting:
    """One order made or undone, as the feed has told it. Money is in minor units."""

    sequence: int
    status: str
    reservation: str
    amount: int
    """Paid for it at once."""
    currency: str
    told_ms: float = 0.0
    """When it became one, by the shop's clock: milliseconds since 1970, as the following."""
    received_ms: float = 0.0
    run: int = 1
    """Of which process that read it, from 1."""


@dataclass(frozen=True)
class Standing:
    """An order as it stands."""

    status: str
    amount: int
    currency: str


@dataclass(frozen=True)
class OrderLedger:
    """All books of an order system.

    `dropped` are reservations that it was told of once more, `began_ms` is when each of its processes began to read.
    """

    postings: Sequence[Posting] = ()
    orders: dict[str, Standing] = field(default_factory=dict)
    dropped: Sequence[str] = ()
    began_ms: Sequence[float] = ()


@dataclass(frozen=True)
class Delivered:
    """What the order system has made of the feed, when everything is over."""

    ledger: OrderLedger = OrderLedger()
    killed_after: int | None = None
    """So many orders it had when it was killed; None when it was not."""
    failure: str = ""
    """Why it has ended on its own; empty when it has not."""


class OrderBooks:
    """The books, open to be written by one process. Raises `sqlite3.Error` when they cannot be."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        # One wait for the disk each transaction, and nothing that was stored is lost, not even by a power cut.
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_TABLES)

    def begin(self, now_ms: float) -> int:
        """A process begins to read; its number, from 1."""
        (run,) = self._db.execute(
            "INSERT INTO runs (began_ms) VALUES (?) RETURNING run", (now_ms,)
        ).fetchone()
        return int(run)

    @property
    def cursor(self) -> str:
        """Behind the last order that is stored; empty when there is none."""
        found = self._db.execute("SELECT cursor FROM position").fetchone()
        return str(found[0]) if found else ""

    def counts(self) -> Received:
        """How many orders and refunds there are, and the last sequence."""
        row = self._db.execute(
            "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM orders WHERE status = 'refunded'), "
            "(SELECT coalesce(max(sequence), 0) FROM postings), (SELECT count(*) FROM dropped)"
        ).fetchone()
        return Received(*(int(number) for number in row))

    def post(self, page: Sequence[Order], received_ms: float, run: int) -> None:
        """Store orders and the cursor behind the last of them, in one transaction."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for order in page:
                if not (self._note(order, received_ms, run) and self._apply(order)):
                    self._db.execute(
                        "INSERT INTO dropped VALUES (?, ?, ?)",
                        (order.sequence, order.status, order.reservation),
                    )
            self._db.execute("INSERT OR REPLACE INTO position VALUES (1, ?)", (page[-1].cursor,))

    def close(self) -> None:
        """The file can be read by others at any time, and is complete on its own after this."""
        self._db.close()

    def _note(self, order: Order, received_ms: float, run: int) -> bool:
        """Whether this number was not told before."""
        told = (order.sequence, order.status, order.reservation, order.amount_due, order.currency)
        when = (round(order.time.timestamp() * 1000), received_ms, run)
        insert = "INSERT OR IGNORE INTO postings VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        return self._db.execute(insert, told + when).rowcount == 1

    def _apply(self, order: Order) -> bool:
        """Whether this has made or undone an order, as it should once."""
        if order.status == "refunded":
            undo = "UPDATE orders SET status = 'refunded' WHERE reservation = ? AND status = 'confirmed'"
            return self._db.execute(undo, (order.reservation,)).rowcount == 1
        make = "INSERT OR IGNORE INTO orders VALUES (?, 'confirmed', ?, ?)"
        return self._db.execute(make, (order.reservation, order.amount_due, order.currency)).rowcount == 1


def discard(path: Path) -> None:
    """Remove the books of an earlier sale of the same name."""
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)


def read_ledger(path: Path) -> OrderLedger:
    """All books in a file; none when an order system never came so far as to open one."""
    if not path.exists():
        return OrderLedger()
    db = sqlite3.connect(path, timeout=BUSY_SECONDS)
    try:
        return OrderLedger(
            postings=[Posting(*row) for row in db.execute("SELECT * FROM postings ORDER BY sequence")],
            orders={name: Standing(*rest) for name, *rest in db.execute("SELECT * FROM orders")},
            dropped=[name for (name,) in db.execute("SELECT reservation FROM dropped")],
            began_ms=[began_ms for (began_ms,) in db.execute("SELECT began_ms FROM runs ORDER BY run")],
        )
    finally:
        db.close()
