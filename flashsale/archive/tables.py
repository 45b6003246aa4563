r"""The tables of the archive, as they are now; `migrations` has how they came to be so.

Analysts query them: the comments are kept by PostgreSQL too (in psql: `\d+ orders`). Amounts are whole minor units of the
sale's currency, such as cents; instants are UTC, to the millisecond. Nothing is ever deleted here.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    TypeDecorator,
)

VERSION_TABLE: Final = "flashsale_archive_version"
"""Which migration was the last. Not `alembic_version`: another program may have that in the same database."""
HEAD: Final = "0001"
"""The migration that these tables are the outcome of."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Instant(TypeDecorator[int]):
    """Milliseconds since the Unix epoch here, a timestamp with time zone there; SQLite keeps it as text, in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: int | None, _dialect: Dialect) -> datetime | None:
        """Into the database."""
        return None if value is None else _EPOCH + timedelta(milliseconds=value)

    def process_result_value(self, value: Any, _dialect: Dialect) -> int | None:
        """Out of it."""
        if value is None:
            return None
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return int((aware - _EPOCH) // timedelta(milliseconds=1))


METADATA: Final = MetaData()

FACTS: Final = Table(
    "facts",
    METADATA,
    Column("sale", Text, nullable=False, comment="id of the sale"),
    Column("shard", Integer, nullable=False, comment="part of the sale, 0 as long as sales have one"),
    Column("seq", BigInteger, nullable=False, comment="number of the fact in its sale, gapless from 1"),
    Column("at", Instant, nullable=False, comment="when it was decided"),
    Column("type", Text, nullable=False, comment="such as reservation.confirmed"),
    Column("reservation", Text, comment="id of the reservation that it is about, SALE.SHARD.TOKEN"),
    Column(
        "sequence",
        BigInteger,
        comment="number among those that make or undo an order, gapless from 1 in its sale; null for all others",
    ),
    Column("data", JSON, nullable=False, comment="what its event says: the data of the CloudEvent"),
    Column("event", Text, nullable=False, comment="the whole CloudEvent as it was sent, JSON"),
    Column("raw", LargeBinary, nullable=False, comment="the fact's own bytes, as Redis has them"),
    PrimaryKeyConstraint("sale", "shard", "seq", name="facts_pkey"),
    comment="Every fact of every sale, in the order in which it was decided; never changed",
)
FACTS_BY_SEQUENCE: Final = Index(
    "facts_sequence",
    FACTS.c.sale,
    FACTS.c.shard,
    FACTS.c.sequence,
    unique=True,
    postgresql_where=FACTS.c.sequence.is_not(None),
    sqlite_where=FACTS.c.sequence.is_not(None),
)

ORDERS: Final = Table(
    "orders",
    METADATA,
    Column("sale", Text, nullable=False, comment="id of the sale"),
    Column("shard", Integer, nullable=False, comment="part of the sale, 0 as long as sales have one"),
    Column("reservation", Text, nullable=False, comment="id of the reservation, SALE.SHARD.TOKEN"),
    Column("sequence", BigInteger, nullable=False, comment="number of its confirmation; see facts.sequence"),
    Column("status", Text, nullable=False, comment="confirmed or refunded"),
    Column("customer", Text, nullable=False, comment="the customer, as the brand calls them"),
    Column("place", BigInteger, nullable=False, comment="which hold of the sale it was, from 1"),
    Column(
        "late", Boolean, nullable=False, comment="paid after the hold had ended, with the units still there"
    ),
    Column("items", JSON, nullable=False, comment="[{sku, quantity, price}], the price in minor units"),
    Column("amount", BigInteger, nullable=False, comment="price of all items, in minor units"),
    Column("amount_due", BigInteger, nullable=False, comment="what was paid at once, in minor units"),
    Column("currency", Text, nullable=False, comment="ISO 4217"),
    Column("method", Text, comment="payment method, such as card"),
    Column("provider", Text, comment="payment provider, such as stripe"),
    Column("reference", Text, comment="the payment's id at the provider"),
    Column("deposit", BigInteger, nullable=False, comment="due at once, in minor units; equals amount_due"),
    Column("balance", BigInteger, nullable=False, comment="due on hand-over, in minor units"),
    Column(
        "instalments", JSON, nullable=False, comment="[monthly rates in minor units], the first one first"
    ),
    Column("held_at", Instant, nullable=False, comment="when the units were reserved"),
    Column("confirmed_at", Instant, nullable=False, comment="when the payment was decided to be an order"),
    Column("refunded_at", Instant, comment="when it was undone; null for orders that stand"),
    Column("refund_reason", Text, comment="why it was undone"),
    Column("restocked", Boolean, comment="whether the units of an undone order went back on sale"),
    Column("confirmed_seq", BigInteger, nullable=False, comment="facts.seq of the confirmation"),
    Column("refunded_seq", BigInteger, comment="facts.seq of the refund"),
    PrimaryKeyConstraint("sale", "shard", "reservation", name="orders_pkey"),
    comment="Every order as it stands now: made by a reservation.confirmed, undone by a reservation.refunded",
)

POSITIONS: Final = Table(
    "positions",
    METADATA,
    Column("sale", Text, nullable=False, comment="id of the sale"),
    Column("shard", Integer, nullable=False, comment="part of the sale, 0 as long as sales have one"),
    Column("seq", BigInteger, nullable=False, comment="the last fact that is here"),
    Column(
        "sequence",
        BigInteger,
        nullable=False,
        comment="the last order made or undone that is here; 0 for none",
    ),
    Column("at", Instant, nullable=False, comment="when that fact was decided"),
    PrimaryKeyConstraint("sale", "shard", name="positions_pkey"),
    comment="How far each sale has been copied; changes only together with the facts",
)
