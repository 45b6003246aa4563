"""A small sale as it should go, for tests to spoil: what the crowd was told, and the books of shop and provider."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from flashsale.demo.case import Books, Case, Counters, Finding, Kept, Reconciled, Sum, Sums
from flashsale.demo.messages import Answer, Checkout, Kind, Shopper
from flashsale.demo.order_books import Delivered, OrderLedger, Posting, Standing
from flashsale.demo.orders import tally_of
from flashsale.demo.provider import Entry
from flashsale.demo.verdict import judge
from flashsale.model.events import Tally

STATUS = {"sale": 201, "replay": 200, "sold_out": 409, "not_open": 409, "busy": 503, "cut": 0, "error": 500}
OPENS_AT = datetime(2030, 1, 1, tzinfo=UTC)
OPENS_AT_MS = round(OPENS_AT.timestamp() * 1000)
HOLD_MS = 5000
PRICE = 100


def instant(since_t0_ms: float) -> str:
    return (OPENS_AT + timedelta(milliseconds=since_t0_ms)).isoformat(timespec="milliseconds")


def answer(shopper: int, kind: Kind, place: int = 0, at_ms: float = 1.0, **other: Any) -> Answer:
    """One answer, of `at_ms` from T0; `place` makes it a reservation of that place, held at that instant."""
    fields: dict[str, Any] = {
        "shopper": shopper,
        "customer": f"c-{shopper}",
        "sku": "car",
        "kind": kind,
        "status": STATUS[kind],
        "code": kind if STATUS[kind] == 409 else "",
        "attempt": 1,
        "double": False,
        "intended_ms": 0.0,
        "sent_ms": at_ms,
        "received_ms": at_ms + 1.0 + shopper,
        "reservation": f"r-{place}" if place else "",
        "told_customer": f"c-{shopper}" if place else "",
        "place": place,
        "held_until": instant(at_ms + HOLD_MS) if place else "",
    }
    return Answer(**(fields | other))


def kept(place: int, customer: str, status: str, held_ms: float = 1.0, **other: Any) -> Kept:
    """A reservation in the shop's books; a confirmed one was paid with the payment of its place."""
    reference = f"pay-{place}" if status == "confirmed" else ""
    fields: dict[str, Any] = {
        "customer": customer,
        "status": status,
        "place": place,
        "units": {"car": 1},
        "held_until": instant(held_ms + HOLD_MS),
        "due": PRICE,
        "currency": "EUR",
        "reference": reference,
    }
    return Kept(**(fields | other))


def entry(number: int, place: int, refunded: int = 0, **other: Any) -> Entry:
    """A charge in the provider's books."""
    fields: dict[str, Any] = {
        "id": f"pay-{number}",
        "reservation": f"r-{place}",
        "charged": True,
        "amount": PRICE,
        "currency": "EUR",
        "refunded": refunded,
    }
    return Entry(**(fields | other))


def checkout(shopper: int, place: int, outcome: str, **other: Any) -> Checkout:
    """What a shopper did with a hold."""
    taken = [f"pay-{place}"] if outcome in ("paid", "refunded") else []
    fields: dict[str, Any] = {
        "shopper": shopper,
        "customer": f"c-{shopper}",
        "reservation": f"r-{place}",
        "intent": "pay",
        "outcome": outcome,
        "ended_ms": 3000.0,
        "attempts": 1,
        "taken": taken,
    }
    return Checkout(**(fields | other))


def posting(sequence: int, place: int, status: str = "confirmed", **other: Any) -> Posting:
    """What the order system was told of the reservation of a place."""
    fields: dict[str, Any] = {"amount": PRICE, "currency": "EUR", "told_ms": OPENS_AT_MS + 3000 + sequence}
    return Posting(sequence, status, f"r-{place}", **(fields | other))


def ledger_of(kept: dict[str, Kept | None]) -> OrderLedger:
    """The books of an order system that has all orders of the shop, once."""
    postings: list[Posting] = []
    standing = {}
    for name, one in sorted(kept.items()):
        if one is not None and one.status in ("confirmed", "refunded"):
            for status in ("confirmed", "refunded")[: 1 + (one.status == "refunded")]:
                postings.append(Posting(len(postings) + 1, status, name, one.due, one.currency))
            standing[name] = Standing(one.status, one.due, one.currency)
    return OrderLedger(postings, standing)


@dataclass
class Story:
    """Two units, five shoppers.

    0 clicked twice, and paid. 1 came early, and paid when the hold had ended: refunded. 2 was told busy first and then
    sold out, came back, and paid. 3 lost a connection, and was told sold out. 4 was told sold out.
    """

    stock: dict[str, int] = field(default_factory=lambda: {"car": 2})
    limit: int | None = 1
    crowd: list[Shopper] = field(
        default_factory=lambda: [Shopper(f"c-{number}", "car") for number in range(5)]
    )
    answers: list[Answer] = field(
        default_factory=lambda: [
            answer(0, "sale", 1),
            answer(0, "replay", 1, double=True),
            answer(1, "not_open", at_ms=-50.0),
            answer(1, "sale", 2),
            answer(2, "busy"),
            answer(2, "sold_out"),
            answer(3, "cut"),
            answer(3, "sold_out"),
            answer(4, "sold_out"),
            answer(2, "sale", 3, at_ms=5002.0, visit=1),
        ]
    )
    checkouts: list[Checkout] = field(
        default_factory=lambda: [
            checkout(0, 1, "paid"),
            checkout(1, 2, "refunded", intent="late", ended_ms=7000.0),
            checkout(2, 3, "paid", ended_ms=8000.0, attempts=2, declines=1, intent="decline"),
        ]
    )
    items: dict[str, Counters] = field(default_factory=lambda: {"car": Counters(2, 0, 0, 2)})
    place: int = 3
    kept: dict[str, Kept | None] = field(
        default_factory=lambda: {
            "r-1": kept(1, "c-0", "confirmed"),
            "r-2": kept(2, "c-1", "expired"),
            "r-3": kept(3, "c-2", "confirmed", held_ms=5002.0),
        }
    )
    entries: list[Entry] = field(
        default_factory=lambda: [
            entry(1, 1),
            entry(2, 2, refunded=PRICE),
            entry(4, 3, charged=False),
            entry(3, 3),
        ]
    )
    money: dict[str, Sums] = field(
        default_factory=lambda: {
            "EUR": Sums(Sum(3, 3 * PRICE), Sum(2, 2 * PRICE), Sum(), Sum(1, PRICE)),
        }
    )
    reconciled: Reconciled = field(default_factory=lambda: Reconciled(ok=True, charges=3))
    delivered: Delivered | None = None
    """None stands for one that has all orders that are kept."""
    orders: Tally | None = None
    """None stands for the sums of what was delivered."""
    audit_ok: bool = True
    audit_findings: list[str] = field(default_factory=list)

    def change(self, index: int, **fields: Any) -> None:
        """Spoil one answer."""
        self.answers[index] = msgspec.structs.replace(self.answers[index], **fields)

    def case(self) -> Case:
        delivered = self.delivered or Delivered(ledger_of(self.kept))
        books = Books(
            items=self.items,
            place=self.place,
            kept=self.kept,
            audit_ok=self.audit_ok,
            audit_findings=self.audit_findings,
            money=self.money,
            reconciled=self.reconciled,
            entries=self.entries,
            orders=self.orders or tally_of(delivered.ledger.postings),
            delivered=delivered,
        )
        return Case(
            stock=self.stock,
            limit_per_customer=self.limit,
            hold_ms=HOLD_MS,
            opens_at_ms=OPENS_AT_MS,
            late_ms=0.2,
            crowd=self.crowd,
            answers=self.answers,
            checkouts=self.checkouts,
            books=books,
        )

    def findings(self) -> list[Finding]:
        return judge(self.case())

    def faults(self) -> set[str]:
        return {finding.fault for finding in self.findings()}

    def details(self) -> str:
        return "\n".join(finding.detail for finding in self.findings())


def unpaid() -> Story:
    """Two units, four shoppers, and nobody pays: what is told of units alone."""
    story = Story(place=2, items={"car": Counters(2, 2, 0, 0)})
    story.crowd = story.crowd[:4]
    story.answers = story.answers[:8]
    story.checkouts = [checkout(0, 1, "walked_away"), checkout(1, 2, "walked_away")]
    story.kept = {"r-1": kept(1, "c-0", "expired"), "r-2": kept(2, "c-1", "expired")}
    story.entries, story.money, story.reconciled = [], {}, Reconciled(ok=True, charges=0)
    return story
