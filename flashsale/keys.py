"""The keyspace: every key the engine owns, its type, and who writes it. Nothing else may build a key.

`S` is `<sale>.<shard>`, in braces, so that all keys of a sale share one hash slot of a Redis Cluster and one script can
touch them. Sale ids match `[a-z0-9][a-z0-9-]{0,62}`, so no id can break out of the braces.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

SALES: Final = "fs:sales"
"""hash: sale id -> number of shards. Written before a sale's own keys; an entry without a sale is harmless."""

API_KEYS: Final = "fs:keys"
"""hash: key id -> JSON with the SHA-256 of the key, its name and scopes."""

PER_SALE: Final = {
    "sale": "hash",  # state, opens_ms, closes_ms, limit, hold_ms, items, definition, version, seq, place, opened
    "stock": "hash",  # stock:<sku>, available:<sku>, held:<sku>, sold:<sku>, limit:<sku>
    "customers": "hash",  # customer -> 20-byte entries: reservation id, units counted against the limit
    "reservations": "hash",  # id -> packed record (flashsale/model/reservation.py)
    "holds": "zset",  # id by the instant it ends, in ms
    "journal": "stream",  # facts: entry id <seq>-<at_ms>, one field: type -> data (flashsale/model/facts.py)
    "orders": "stream",  # order events: entry id <sequence>-<seq>, `event`: CloudEvent, `tally` (flashsale/store/orders.py)
    "attempts": "hash",  # reservation id -> packed payment record (flashsale/model/payment.py)
    "payments": "stream",  # payment jobs that are due: kind -> payload, tries (flashsale/model/jobs.py); group `workers`
    "turns": "zset",  # reservation id by place: payments waiting until the provider may be asked
    "retries": "zset",  # job by the instant it is tried again, in ms
    "dead": "hash",  # entry id -> job that was given up
}
"""Last part of the key -> type. The scripts in lua/ write them all; providers' messages go into `payments` as they come."""

BESIDE: Final = {
    "refused": "stream",  # refused tries: entry id by the clock, one field `notes` (flashsale/model/attempts.py)
}
"""Last part of the key -> type: of a sale too, but no part of its books. No script touches them, `flashsale recover` leaves
them as they are, and they go by themselves when nothing was added for long."""

GUARD: Final = "fs:guard"
"""hash: run_id: the server process whose data was compared with the archive; waits: why another one was not yet."""

PACE: Final = "fs:pace"
"""hash: payment provider -> the instant at which it may be called next, in ms."""

STRAY: Final = "_stray"
"""Stands in for the sale of charges whose sale nobody knows, so that they too get a fate. No sale can have this id."""

WEBHOOKS: Final = "fs:webhooks"
"""hash: webhook id -> JSON (flashsale/model/webhooks.py). Written after the webhook's own keys and removed before them; they
do no harm without it."""

PER_WEBHOOK: Final = {
    "positions": "hash",  # sale -> number of the last event that is done
    "retries": "hash",  # sale -> JSON: the event that failed, and when it is tried again
    "deliveries": "stream",  # tries, the last thousand or so: `try`: JSON
    "lease": "string",  # the worker that delivers it; goes by itself when that has died
}
"""Last part of the key -> type. `W` is `webhook.<id>`; no shard of a sale is called like an id."""

GLOBAL: Final = {SALES: "hash", API_KEYS: "hash", PACE: "hash", GUARD: "hash", WEBHOOKS: "hash"}


@lru_cache(maxsize=10_000)
def refused(sale: str, shard: int = 0) -> str:
    """Where the refused tries of a sale are noted."""
    return f"fs:{{{sale}.{shard}}}:refused"


@dataclass(frozen=True, slots=True)
class SaleKeys:
    """The keys of one shard of a sale. Scripts take one of three groups of them, always in this order."""

    sale: str
    stock: str
    customers: str
    reservations: str
    holds: str
    journal: str
    orders: str
    attempts: str
    payments: str
    turns: str
    retries: str
    dead: str

    @classmethod
    @lru_cache(maxsize=10_000)
    def of(cls, sale: str, shard: int = 0) -> "SaleKeys":
        """The keys of a sale. Remembered: every request names them."""
        return cls(*(f"fs:{{{sale}.{shard}}}:{part}" for part in PER_SALE))

    @classmethod
    def aside(cls, sale: str, name: str, shard: int = 0) -> "SaleKeys":
        """Where `flashsale recover` puts the keys of a sale together before they take the place of those that are there.

        `name` is another one in each run; whatever a run leaves behind that was killed goes by itself.
        """
        return cls(*(f"fs:{{{sale}.{shard}}}:recovery-{name}:{part}" for part in PER_SALE))

    def all(self) -> tuple[str, ...]:
        """Every key."""
        return tuple(getattr(self, part) for part in PER_SALE)

    def book(self) -> tuple[str, ...]:
        """KEYS of the scripts that know nothing of payments."""
        return (self.sale, self.stock, self.customers, self.reservations, self.holds, self.journal)

    def paid_book(self) -> tuple[str, ...]:
        """KEYS of the scripts that decide about payments too."""
        return (*self.book(), self.attempts, self.payments, self.turns)

    def compared(self) -> tuple[str, ...]:
        """KEYS of the script that compares a sale with the archive."""
        return (self.sale, self.journal)

    def queue(self) -> tuple[str, ...]:
        """KEYS of the scripts that move jobs."""
        return (self.payments, self.turns, self.retries, self.dead)


@dataclass(frozen=True, slots=True)
class WebhookKeys:
    """The keys of one webhook. Scripts take the lease alone, or all of them, in this order."""

    positions: str
    retries: str
    deliveries: str
    lease: str

    @classmethod
    @lru_cache(maxsize=1000)
    def of(cls, webhook: str) -> "WebhookKeys":
        """The keys of a webhook."""
        return cls(*(f"fs:{{webhook.{webhook}}}:{part}" for part in PER_WEBHOOK))

    def all(self) -> tuple[str, ...]:
        """Every key."""
        return (self.positions, self.retries, self.deliveries, self.lease)
