"""The keyspace: every key the engine owns, its type, and who writes it. Nothing else may build a key.

`S` is `<sale>.<shard>`, in braces, so that all keys of a sale share one hash slot of a Redis Cluster and one script can
touch them. Sale ids match `[a-z0-9][a-z0-9-]{0,62}`, so no id can break out of the braces.
"""

from dataclasses import dataclass
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
}
"""Last part of the key -> type. All are written by the scripts in lua/ and by nothing else."""

GLOBAL: Final = {SALES: "hash", API_KEYS: "hash"}


@dataclass(frozen=True, slots=True)
class SaleKeys:
    """The six keys of one shard of a sale, in the order in which every script takes them."""

    sale: str
    stock: str
    customers: str
    reservations: str
    holds: str
    journal: str

    @classmethod
    def of(cls, sale: str, shard: int = 0) -> "SaleKeys":
        """The keys of a sale."""
        return cls(*(f"fs:{{{sale}.{shard}}}:{part}" for part in PER_SALE))

    def all(self) -> tuple[str, str, str, str, str, str]:
        """KEYS of every script."""
        return (self.sale, self.stock, self.customers, self.reservations, self.holds, self.journal)
