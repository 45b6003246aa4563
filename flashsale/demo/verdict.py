"""The verdict: what the clients were told, held against what the server has in its books.

`judge` is pure: it is given the answers of the crowd and what was read from the server afterwards, and
returns every contradiction it finds. No findings is the only green.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from flashsale.demo.messages import FINAL, Answer, Shopper

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
]

NAMED_MAX = 5
"""A finding names this many culprits and counts the rest."""


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
    """A reservation as the server has it."""

    customer: str
    status: str
    place: int
    units: dict[str, int]


@dataclass(frozen=True)
class Books:
    """What the server said when everything was over.

    `kept` has each reservation that a client was told of, None where the server knows none of that id.
    """

    items: Mapping[str, Counters]
    place: int
    kept: Mapping[str, Kept | None]
    audit_ok: bool
    audit_findings: list[str] = field(default_factory=list)
    audit_facts: int = 0


@dataclass(frozen=True)
class Sold:
    """A reservation as its customer was told of it."""

    reservation: str
    customer: str
    sku: str
    place: int


def told_reservations(answers: Iterable[Answer]) -> list[Sold]:
    """Every different reservation, customer, sku and place that a 201 or 200 spoke of, by place."""
    told = {
        Sold(answer.reservation, answer.customer, answer.sku, answer.place)
        for answer in answers
        if answer.kind in ("sale", "replay")
    }
    return sorted(told, key=lambda sold: (sold.place, sold.reservation, sold.customer))


def judge(
    stock: Mapping[str, int],
    limit_per_customer: int | None,
    crowd: list[Shopper],
    answers: list[Answer],
    books: Books,
) -> list[Finding]:
    """Every contradiction between the stock, the answers given and the books; none when all is well."""
    told = told_reservations(answers)
    return [
        *_answers_kept(crowd, answers),
        *_units_exact(stock, crowd, answers, told, books),
        *_reservations_found(told, books),
        *_places_gapless(told, books),
        *_limits_kept(limit_per_customer, told, books),
        *_counters_add_up(stock, books),
        *(Finding("audit", detail) for detail in _audit(books)),
    ]


def _answers_kept(crowd: list[Shopper], answers: list[Answer]) -> Iterable[Finding]:
    """Everyone got exactly one final answer: whoever was answered twice was told the same twice."""
    final: dict[int, list[Answer]] = defaultdict(list)
    for answer in answers:
        if answer.kind in FINAL:
            final[answer.shopper].append(answer)
    unanswered = [shopper.customer for index, shopper in enumerate(crowd) if not final[index]]
    if unanswered:
        yield Finding(
            "unanswered", f"{_count(unanswered, 'shopper')} never got a final answer: {_named(unanswered)}"
        )
    refused = [answer for answer in answers if answer.kind == "error"]
    if refused:
        kinds = Counter(f"{answer.status} {answer.code or answer.detail[:60]}".strip() for answer in refused)
        named = ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common(NAMED_MAX))
        yield Finding(
            "refused", f"{_count(refused, 'press', 'presses')} got an answer no shopper should get: {named}"
        )
    for index, shopper in enumerate(crowd):
        yield from _one_story(shopper, final[index])


def _one_story(shopper: Shopper, final: list[Answer]) -> Iterable[Finding]:
    held = [answer for answer in final if answer.kind in ("sale", "replay")]
    ids = sorted({answer.reservation for answer in held})
    if len(ids) > 1:
        yield Finding(
            "contradicted",
            f"{shopper.customer} pressed with one Idempotency-Key and was told of {len(ids)}: {_named(ids)}",
        )
    elif len({answer.place for answer in held}) > 1:
        places = sorted({str(answer.place) for answer in held})
        yield Finding(
            "contradicted", f"{shopper.customer} was told several places for {ids[0]}: {_named(places)}"
        )
    elif sum(answer.kind == "sale" for answer in held) > 1:
        yield Finding(
            "contradicted", f"{shopper.customer} was answered 201 twice for one Idempotency-Key: {ids[0]}"
        )
    if held and any(answer.kind == "sold_out" for answer in final):
        yield Finding(
            "contradicted",
            f"{shopper.customer} was told both that {ids[0]} is theirs and that it is sold out",
        )
    if any(answer.told_customer != shopper.customer for answer in held):
        others = sorted({answer.told_customer for answer in held} - {shopper.customer})
        yield Finding(
            "contradicted", f"{shopper.customer} was answered with a reservation of {_named(others)}"
        )


def _units_exact(
    stock: Mapping[str, int], crowd: list[Shopper], answers: list[Answer], told: list[Sold], books: Books
) -> Iterable[Finding]:
    """Not one unit too many, not one too few, as the clients were told and as the server counts."""
    wanted = Counter(shopper.sku for shopper in crowd)
    promised = Counter(sku for sku, _ in {(sold.sku, sold.reservation) for sold in told})
    refused = Counter(answer.sku for answer in answers if answer.kind == "sold_out")
    for sku, units in stock.items():
        counters = books.items.get(sku, Counters(0, 0, 0, 0))
        taken = counters.held + counters.sold
        for who, count in (("clients were told of", promised[sku]), ("the server holds", taken)):
            if count > units:
                yield Finding("oversold", f"{sku}: {who} {count:,} units, and there were {units:,}")
            elif count < min(units, wanted[sku]):
                yield Finding(
                    "undersold",
                    f"{sku}: {who} {count:,} units, and {wanted[sku]:,} shoppers wanted {units:,} units",
                )
        if taken > promised[sku]:
            yield Finding(
                "lost", f"{sku}: the server holds {taken:,} units, and clients were told of {promised[sku]:,}"
            )
        if refused[sku] and counters.available > 0:
            yield Finding(
                "undersold",
                f"{sku}: {refused[sku]:,} answers said sold out, and {counters.available:,} units are left",
            )


def _reservations_found(told: list[Sold], books: Books) -> Iterable[Finding]:
    """Every reservation told is on the server: that customer's, held, for that unit, at that place."""
    missing = [sold.reservation for sold in told if books.kept.get(sold.reservation) is None]
    if missing:
        yield Finding(
            "lost",
            f"{_count(missing, 'reservation')} told to clients cannot be found on the server: "
            f"{_named(missing)}",
        )
    for sold in told:
        kept = books.kept.get(sold.reservation)
        if kept is None:
            continue
        expected = Kept(sold.customer, "held", sold.place, {sold.sku: 1})
        if kept != expected:
            yield Finding(
                "lost", f"{sold.reservation}: the client was told {expected}, the server has {kept}"
            )


def _places_gapless(told: list[Sold], books: Books) -> Iterable[Finding]:
    """No unit twice: places are 1..N, each once, and each reservation has one customer."""
    owners: dict[str, set[str]] = defaultdict(set)
    holders: dict[int, set[str]] = defaultdict(set)
    for sold in told:
        owners[sold.reservation].add(sold.customer)
        holders[sold.place].add(sold.reservation)
    for reservation, customers in owners.items():
        if len(customers) > 1:
            yield Finding(
                "oversold",
                f"{reservation} was given to {len(customers)} customers: {_named(sorted(customers))}",
            )
    for place, reservations in sorted(holders.items()):
        if len(reservations) > 1:
            yield Finding("place", f"place {place} was given to {len(reservations)} reservations")
    count = len(owners)
    gaps = [str(place) for place in range(1, count + 1) if place not in holders]
    beyond = [str(place) for place in sorted(holders) if not 1 <= place <= count]
    if gaps or beyond:
        yield Finding(
            "place",
            f"places should be 1 to {count}; "
            f"missing: {_named(gaps) or 'none'}; outside: {_named(beyond) or 'none'}",
        )
    if books.place != count:
        yield Finding(
            "place", f"the server granted {books.place:,} places, and clients were told of {count:,}"
        )


def _limits_kept(limit_per_customer: int | None, told: list[Sold], books: Books) -> Iterable[Finding]:
    if limit_per_customer is None:
        return
    units: Counter[str] = Counter()
    for reservation in {sold.reservation for sold in told}:
        kept = books.kept.get(reservation)
        if kept is not None:
            units[kept.customer] += sum(kept.units.values())
    over = sorted(customer for customer, count in units.items() if count > limit_per_customer)
    if over:
        yield Finding(
            "limit", f"{_count(over, 'customer')} over the limit of {limit_per_customer}: {_named(over)}"
        )


def _counters_add_up(stock: Mapping[str, int], books: Books) -> Iterable[Finding]:
    for sku, units in stock.items():
        counters = books.items.get(sku)
        if counters is None:
            yield Finding("counters", f"{sku}: the server does not know the item")
            continue
        total = counters.available + counters.held + counters.sold
        if total != counters.stock or min(counters.available, counters.held, counters.sold) < 0:
            yield Finding(
                "counters",
                f"{sku}: available {counters.available:,} + held {counters.held:,} + sold {counters.sold:,} "
                f"= {total:,}, and stock is {counters.stock:,}",
            )
        if counters.stock != units:
            yield Finding(
                "counters", f"{sku}: stock is {counters.stock:,}, and the sale was defined with {units:,}"
            )


def _audit(books: Books) -> list[str]:
    if books.audit_findings:
        return books.audit_findings
    return [] if books.audit_ok else ["the audit of the journal failed without saying why"]


def _named(names: list[str]) -> str:
    rest = f" and {len(names) - NAMED_MAX:,} more" if len(names) > NAMED_MAX else ""
    return ", ".join(names[:NAMED_MAX]) + rest


def _count(things: list[object] | list[str] | list[Answer], one: str, many: str = "") -> str:
    return f"{len(things):,} {one if len(things) == 1 else many or one + 's'}"
