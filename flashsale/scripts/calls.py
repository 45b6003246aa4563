"""One typed wrapper for each script: arguments are encoded and replies decoded here and nowhere else.

Every wrapper takes `now_ms`: 0 means the server's own TIME, which is what production passes. Errors of the server and of
the connection come out as redis-py raises them; `flashsale.store` turns them into its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from flashsale.keys import SaleKeys
from flashsale.model import payment
from flashsale.model.outcomes import OpenSale, Resolve, Restock, SetState
from flashsale.model.payment import PaymentRecord
from flashsale.model.reservation import Entry, Reservation, unpack_entries, unpack_record
from flashsale.model.sale import SaleDefinition
from flashsale.scripts import loader

NAMES: Final = (
    "open_sale",
    "reserve",
    "extend",
    "cancel",
    "expire",
    "restock",
    "set_state",
    "inspect",
    "find",
    "pay",
    "attempt",
    "confirm",
    "refund",
    "settle",
    "dispatch",
    "defer",
    "revive",
    "pace",
    "compare",
    "publish",
    "lease",
    "advance",
)


@dataclass(frozen=True, slots=True)
class Stock:
    """Counters of one item; available + held + sold = stock at every instant."""

    sku: str
    stock: int
    available: int
    held: int
    sold: int
    limit: int = 0
    """Units one customer may have; 0 for any number."""


@dataclass(frozen=True, slots=True)
class SaleState:
    """A sale as one consistent look at it shows."""

    now_ms: int
    state: str
    """What the brand set: `open`, `paused` or `closed`."""
    opens_ms: int
    closes_ms: int
    limit: int
    hold_ms: int
    version: int
    seq: int
    place: int
    opened: bool
    stock: tuple[Stock, ...]
    customers: int
    reservations: int
    holds: int
    facts: int
    """Entries of the journal, which may have been trimmed."""
    next_due_ms: int
    """When the earliest hold ends; 0 when there is none."""
    jobs: int = 0
    """Payment jobs that are due."""
    turns: int = 0
    """Payments that wait for their turn at the provider."""
    orders: int = 0
    """How often an order was made or undone."""
    oldest: int = 0
    """The first fact that is still in the journal; 0 when it has none."""
    recovering: int = 0
    """How many facts the archive has when the journal has fewer, and nothing may be sold; 0 when all is well."""

    @property
    def public_state(self) -> str:
        """`closed`, `paused`, `scheduled`, `sold_out` or `open`: the first that applies."""
        if self.state == "closed" or 0 < self.closes_ms <= self.now_ms:
            return "closed"
        if self.state == "paused" or self.recovering:
            return "paused"
        if self.now_ms < self.opens_ms:
            return "scheduled"
        return "open" if any(item.available for item in self.stock) else "sold_out"


@dataclass(frozen=True, slots=True)
class Look:
    """What `inspect` returns."""

    now_ms: int
    sale: SaleState | None
    entries: tuple[tuple[Entry, ...], ...]
    """Of each customer asked for; empty when unknown."""
    reservations: tuple[Reservation | None, ...]
    """Of each token asked for."""
    ends_ms: tuple[int | None, ...]
    """Of each token asked for: the instant at which it ends as a hold, None when it is not among the holds."""
    payments: tuple[PaymentRecord | None, ...] = ()
    """Of each token asked for."""
    ahead: tuple[int | None, ...] = ()
    """Of each token asked for: how many payments go to the provider before its own, None when it does not wait."""
    recovering: int = 0
    """As of the sale; it says so even when the sale was lost altogether."""


@dataclass(frozen=True, slots=True)
class Glance:
    """What `find` returns: reservations asked for, their payments, and how many payments go before each."""

    now_ms: int
    version: int
    """Of the sale's definition; 0 when there is no such sale."""
    reservations: tuple[Reservation | None, ...]
    payments: tuple[PaymentRecord | None, ...]
    ahead: tuple[int | None, ...]
    """None when it does not wait for its turn."""

    def only(self, at: int) -> "Glance":
        """The part of it that is about one of the reservations."""
        here = slice(at, at + 1)
        return Glance(
            self.now_ms, self.version, self.reservations[here], self.payments[here], self.ahead[here]
        )


@dataclass(frozen=True, slots=True)
class Resolved:
    """What became of one reservation."""

    outcome: Resolve
    now_ms: int
    reservation: Reservation | None


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one `expire` did."""

    now_ms: int
    expired: int
    next_due_ms: int
    """When the earliest remaining hold ends; 0 when there is none."""
    state: str
    """`open`, `paused`, `closed`; empty when there is no such sale."""


async def run(redis: "Redis", name: str, names: Sequence[str], *args: str | bytes | int) -> Any:
    """EVALSHA, and EVAL once when the server does not know the script (then nothing has run yet)."""
    script = loader.load(name)
    try:
        return await redis.evalsha(script.sha, len(names), *names, *args)
    except NoScriptError:
        return await redis.eval(script.source, len(names), *names, *args)


async def open_sale(
    redis: "Redis", keys: SaleKeys, definition: SaleDefinition, *, now_ms: int = 0
) -> tuple[OpenSale, int, int]:
    """Defines the sale. Returns the outcome, now_ms, and the version of the definition in force."""
    items: list[str | int] = []
    for item in definition.items:
        items += (item.sku, item.stock, item.limit_per_customer or 0)
    outcome, now, version = await run(
        redis,
        "open_sale",
        keys.book(),
        now_ms,
        definition.canonical(),
        definition.opens_ms,
        definition.closes_ms,
        definition.limit_per_customer or 0,
        definition.hold_seconds * 1000,
        int(definition.rehearsal),
        len(definition.items),
        *items,
    )
    return OpenSale(outcome), now, version


async def extend(
    redis: "Redis", keys: SaleKeys, token: str, *, extension_ms: int, now_ms: int = 0
) -> Resolved:
    """Moves the end of a hold, once in its life."""
    return _resolved(token, await run(redis, "extend", keys.book(), now_ms, token, extension_ms))


async def cancel(redis: "Redis", keys: SaleKeys, token: str, *, reason: str, now_ms: int = 0) -> Resolved:
    """Ends a hold early; `reason` goes into the journal."""
    return _resolved(token, await run(redis, "cancel", keys.paid_book(), now_ms, token, reason))


async def expire(redis: "Redis", keys: SaleKeys, *, limit: int, now_ms: int = 0) -> Sweep:
    """Ends up to `limit` overdue holds (1 to 1000), and lets the clock open and close the sale."""
    now, expired, next_due_ms, state = await run(redis, "expire", keys.book(), now_ms, limit)
    return Sweep(now, expired, next_due_ms, state.decode())


async def restock(
    redis: "Redis",
    keys: SaleKeys,
    *,
    sku: str,
    units: int,
    reason: str,
    repeat_key: str = "",
    now_ms: int = 0,
) -> Restock:
    """Adds units to an item; the same `repeat_key` adds them once."""
    outcome, _ = await run(redis, "restock", keys.book(), now_ms, sku, units, reason, repeat_key)
    return Restock(outcome)


async def set_state(redis: "Redis", keys: SaleKeys, verb: str, *, now_ms: int = 0) -> SetState:
    """`verb` is pause, resume or close."""
    outcome, _, _ = await run(redis, "set_state", keys.book(), now_ms, verb)
    return SetState(outcome)


async def inspect(
    redis: "Redis",
    keys: SaleKeys,
    *,
    customers: Sequence[str] = (),
    tokens: Sequence[str] = (),
    now_ms: int = 0,
) -> Look:
    """One consistent look at a sale, and at some of its customers and reservations. Writes nothing."""
    now, sale, stock, sizes, next_due_ms, entries, records, ends, payments, ahead = await run(
        redis, "inspect", keys.paid_book(), now_ms, len(customers), *customers, *tokens
    )
    return Look(
        now_ms=now,
        sale=_sale_state(now, sale, stock, sizes, next_due_ms) if sale[0] else None,
        entries=tuple(unpack_entries(value) for value in entries),
        reservations=tuple(
            unpack_record(token, record) if record else None
            for token, record in zip(tokens, records, strict=True)
        ),
        ends_ms=tuple(int(end) if end else None for end in ends),
        payments=tuple(payment.unpack_record(packed) if packed else None for packed in payments),
        ahead=tuple(count if isinstance(count, int) else None for count in ahead),
        recovering=int(sale[-1] or 0),
    )


def found(tokens: Sequence[str], reply: Sequence[Any]) -> Glance:
    """The reply of `find` to `[now_ms, *tokens]`."""
    now, version, records, payments, ahead = reply
    return Glance(
        now_ms=now,
        version=version,
        reservations=tuple(
            unpack_record(token, record) if record else None
            for token, record in zip(tokens, records, strict=True)
        ),
        payments=tuple(payment.unpack_record(packed) if packed else None for packed in payments),
        ahead=tuple(count if isinstance(count, int) else None for count in ahead),
    )


def _resolved(token: str, reply: Sequence[Any]) -> Resolved:
    outcome, now, record = reply
    return Resolved(Resolve(outcome), now, unpack_record(token, record) if record else None)


def _sale_state(
    now: int, fields: Sequence[bytes], stock: Any, sizes: Sequence[int], next_due_ms: int
) -> SaleState:
    state, opens_ms, closes_ms, limit, hold_ms, version, seq, place, opened, orders, recovering = fields
    return SaleState(
        now_ms=now,
        state=state.decode(),
        opens_ms=int(opens_ms),
        closes_ms=int(closes_ms),
        limit=int(limit),
        hold_ms=int(hold_ms),
        version=int(version),
        seq=int(seq or 0),
        place=int(place or 0),
        opened=opened == b"1",
        orders=int(orders or 0),
        recovering=int(recovering or 0),
        stock=_stock(stock),
        customers=sizes[0],
        reservations=sizes[1],
        holds=sizes[2],
        facts=sizes[3],
        next_due_ms=next_due_ms,
        jobs=sizes[4],
        turns=sizes[5],
        oldest=sizes[6],
    )


def _stock(reply: Any) -> tuple[Stock, ...]:
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    counters: dict[str, dict[str, int]] = {}
    for field, value in pairs:
        counter, _, sku = field.decode().partition(":")
        counters.setdefault(sku, {})[counter] = int(value)
    return tuple(
        Stock(sku, *(found.get(counter, 0) for counter in ("stock", "available", "held", "sold", "limit")))
        for sku, found in counters.items()
    )
