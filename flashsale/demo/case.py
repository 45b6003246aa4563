"""What a verdict is given: what the crowd was told, and what stands in the books of the shop and of its provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from flashsale.demo.messages import Answer, Checkout, Shopper
from flashsale.demo.order_books import Delivered
from flashsale.demo.provider import Entry
from flashsale.model.events import Tally
from flashsale.model.instants import from_datetime

Fault = Literal[
    "oversold",
    "undersold",
    "lost",
    "unanswered",
    "contradicted",
    "place",
    "limit",
    "counters",
    "audit",
    "refused",
    "charged_for_nothing",
    "unpaid_order",
    "charged_twice",
    "refunds",
    "amount",
    "sums",
    "feed_ended",
    "feed_lost",
    "feed_untrue",
    "feed_twice",
    "feed_gap",
    "feed_summary",
]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, and a sentence that names what."""

    fault: Fault
    detail: str


@dataclass(frozen=True)
class Counters:
    """The server's counters of one item, in units."""

    stock: int
    available: int
    held: int
    sold: int


@dataclass(frozen=True)
class Kept:
    """A reservation as the server has it.

    `held_until` is an instant as text, `due` and `currency` what it costs at once, `reference` the payment at the
    provider that it names as its own.
    """

    customer: str
    status: str
    place: int
    units: dict[str, int]
    held_until: str = ""
    due: int = 0
    currency: str = ""
    reference: str = ""


@dataclass(frozen=True)
class Sum:
    """So many charges, and how much they are together in minor units."""

    count: int = 0
    amount: int = 0

    def __str__(self) -> str:
        return f"{self.amount:,} in {self.count:,}"


@dataclass(frozen=True)
class Sums:
    """The money of one currency."""

    charges: Sum = Sum()
    orders: Sum = Sum()
    refunding: Sum = Sum()
    refunds: Sum = Sum()


@dataclass(frozen=True)
class Reconciled:
    """What the shop's own comparison with its provider's books has found."""

    ok: bool
    charges: int
    open: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Books:
    """What the shop and its provider said when everything was over.

    `kept` has each reservation that a client was told of, None where the server knows none of that id. `money` is the
    shop's own account by its journal, by currency; `entries` is what stands in the provider's books. `orders` are the
    shop's sums for order systems, `delivered` is what the order system has in its own books.
    """

    items: Mapping[str, Counters] = field(default_factory=dict)
    place: int = 0
    kept: Mapping[str, Kept | None] = field(default_factory=dict)
    audit_ok: bool = False
    audit_findings: list[str] = field(default_factory=list)
    audit_facts: int = 0
    money: Mapping[str, Sums] = field(default_factory=dict)
    reconciled: Reconciled = Reconciled(ok=False, charges=0)
    entries: list[Entry] = field(default_factory=list)
    orders: Tally = field(default_factory=Tally)
    delivered: Delivered = field(default_factory=Delivered)


@dataclass(frozen=True)
class Sold:
    """A reservation as its customer was told of it. `begin_ms` is when it was held, by the server's clock from T0."""

    reservation: str
    customer: str
    sku: str
    place: int
    begin_ms: float = 0.0


@dataclass(frozen=True)
class Case:
    """A whole demo, to be judged."""

    stock: Mapping[str, int]
    limit_per_customer: int | None
    hold_ms: int
    opens_at_ms: int
    late_ms: float
    """By so much the crowd's T0 may be after the server's."""
    crowd: Sequence[Shopper]
    answers: Sequence[Answer]
    checkouts: Sequence[Checkout]
    books: Books

    @property
    def told(self) -> list[Sold]:
        """Every different reservation, customer, sku and place that a 201 or 200 spoke of, by place."""
        begins: dict[str, float] = {}
        told: set[Sold] = set()
        for answer in self.answers:
            if answer.kind in ("sale", "replay"):
                # Paying extends a hold: the earliest end that anybody was told of is the one it was granted with.
                begin = self.instant_ms(answer.held_until) - self.hold_ms if answer.held_until else 0.0
                begins[answer.reservation] = min(begin, begins.get(answer.reservation, begin))
                told.add(Sold(answer.reservation, answer.customer, answer.sku, answer.place))
        ordered = sorted(told, key=lambda sold: (sold.place, sold.reservation, sold.customer))
        return [
            Sold(sold.reservation, sold.customer, sold.sku, sold.place, begins[sold.reservation])
            for sold in ordered
        ]

    def instant_ms(self, text: str) -> float:
        """An instant of the server's clock, in milliseconds from T0."""
        return float(from_datetime(datetime.fromisoformat(text)) - self.opens_at_ms)
