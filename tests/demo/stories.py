"""A small sale as it should go, for tests to spoil: what the crowd was told, and the books of the server."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from flashsale.demo.messages import Answer, Kind, Shopper
from flashsale.demo.verdict import Books, Counters, Finding, Kept, judge

STATUS = {"sale": 201, "replay": 200, "sold_out": 409, "not_open": 409, "busy": 503, "cut": 0, "error": 500}


def answer(shopper: int, kind: Kind, place: int = 0, **other: Any) -> Answer:
    """One answer; `place` makes it a reservation of that place."""
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
        "sent_ms": 1.0,
        "received_ms": 2.0 + shopper,
        "reservation": f"r-{place}" if place else "",
        "told_customer": f"c-{shopper}" if place else "",
        "place": place,
    }
    return Answer(**(fields | other))


@dataclass
class Story:
    """Two units, four shoppers: 0 clicked twice, 1 came early, 2 was told busy first, 3 lost a connection."""

    stock: dict[str, int] = field(default_factory=lambda: {"car": 2})
    limit: int | None = 1
    crowd: list[Shopper] = field(
        default_factory=lambda: [Shopper(f"c-{number}", "car") for number in range(4)]
    )
    answers: list[Answer] = field(
        default_factory=lambda: [
            answer(0, "sale", 1),
            answer(0, "replay", 1, double=True),
            answer(1, "not_open"),
            answer(1, "sale", 2),
            answer(2, "busy"),
            answer(2, "sold_out"),
            answer(3, "cut"),
            answer(3, "sold_out"),
        ]
    )
    items: dict[str, Counters] = field(default_factory=lambda: {"car": Counters(2, 0, 2, 0)})
    place: int = 2
    kept: dict[str, Kept | None] = field(
        default_factory=lambda: {
            f"r-{place}": Kept(f"c-{place - 1}", "held", place, {"car": 1}) for place in (1, 2)
        }
    )
    audit_ok: bool = True
    audit_findings: list[str] = field(default_factory=list)

    def change(self, index: int, **fields: Any) -> None:
        """Spoil one answer."""
        self.answers[index] = msgspec.structs.replace(self.answers[index], **fields)

    def books(self) -> Books:
        return Books(self.items, self.place, self.kept, self.audit_ok, self.audit_findings)

    def findings(self) -> list[Finding]:
        return judge(self.stock, self.limit, self.crowd, self.answers, self.books())

    def faults(self) -> set[str]:
        return {finding.fault for finding in self.findings()}
