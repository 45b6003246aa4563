"""The verdict: what the clients were told, held against what the server has in its books.

`judge` is pure: it is given the answers of the crowd and what was read from the server afterwards, and
returns every contradiction it finds. No findings is the only green. `units`, `money` and `orders` are its other parts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from math import inf

from flashsale.demo.case import Books, Case, Finding, Sold
from flashsale.demo.messages import FINAL, Answer, Shopper
from flashsale.demo.money import judge_money
from flashsale.demo.orders import judge_orders
from flashsale.demo.units import judge_units
from flashsale.verdict.words import NAMED_MAX, counted, named


def judge(case: Case) -> list[Finding]:
    """Every contradiction between the stock, the answers given and the books; none when all is well."""
    told, books = case.told, case.books
    return [
        *_answers_kept(case, told),
        *judge_units(case, told),
        *_reservations_found(case, told),
        *_places_gapless(told, books),
        *_limits_kept(case, told),
        *_counters_add_up(case.stock, books),
        *judge_money(case),
        *judge_orders(books),
        *(Finding("audit", detail) for detail in _audit(books)),
    ]


def _answers_kept(case: Case, told: list[Sold]) -> Iterable[Finding]:
    """Everyone got exactly one final answer: whoever was answered twice was told the same twice."""
    final: dict[int, list[Answer]] = defaultdict(list)
    for answer in case.answers:
        if answer.kind in FINAL:
            final[answer.shopper].append(answer)
    unanswered = [shopper.customer for index, shopper in enumerate(case.crowd) if not final[index]]
    if unanswered:
        yield Finding(
            "unanswered", f"{counted(unanswered, 'shopper')} never got a final answer: {named(unanswered)}"
        )
    refused = [answer for answer in case.answers if answer.kind == "error"]
    if refused:
        kinds = Counter(f"{answer.status} {answer.code or answer.detail[:60]}".strip() for answer in refused)
        details = ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common(NAMED_MAX))
        yield Finding(
            "refused",
            f"{counted(refused, 'press', 'presses')} got an answer no shopper should get: {details}",
        )
    failed = [checkout.detail for checkout in case.checkouts if checkout.outcome == "error"]
    if failed:
        yield Finding(
            "refused", f"{counted(failed, 'checkout')} got an answer no shopper should get: {named(failed)}"
        )
    first_end_ms: dict[str, float] = defaultdict(lambda: inf)
    for sold in told:
        first_end_ms[sold.sku] = min(first_end_ms[sold.sku], sold.begin_ms + case.hold_ms)
    for index, shopper in enumerate(case.crowd):
        yield from _one_story(shopper, final[index], first_end_ms[shopper.sku])


def _one_story(shopper: Shopper, final: list[Answer], first_end_ms: float) -> Iterable[Finding]:
    held = [answer for answer in final if answer.kind in ("sale", "replay")]
    ids = sorted({answer.reservation for answer in held})
    if len(ids) > 1:
        yield Finding(
            "contradicted",
            f"{shopper.customer} pressed with one Idempotency-Key and was told of {len(ids)}: {named(ids)}",
        )
    elif len({answer.place for answer in held}) > 1:
        places = sorted({str(answer.place) for answer in held})
        yield Finding(
            "contradicted", f"{shopper.customer} was told several places for {ids[0]}: {named(places)}"
        )
    elif sum(answer.kind == "sale" for answer in held) > 1:
        yield Finding(
            "contradicted", f"{shopper.customer} was answered 201 twice for one Idempotency-Key: {ids[0]}"
        )
    sold_out = [answer for answer in final if answer.kind == "sold_out"]
    if any(_contradict(yes, no, first_end_ms) for yes in held for no in sold_out):
        yield Finding(
            "contradicted",
            f"{shopper.customer} was told both that {ids[0]} is theirs and that it is sold out",
        )
    if any(answer.told_customer != shopper.customer for answer in held):
        others = sorted({answer.told_customer for answer in held} - {shopper.customer})
        yield Finding(
            "contradicted", f"{shopper.customer} was answered with a reservation of {named(others)}"
        )


def _contradict(held: Answer, sold_out: Answer, first_end_ms: float) -> bool:
    """Whether nobody who was told the one could be told the other: before any hold has ended, or afterwards."""
    return max(held.received_ms, sold_out.received_ms) < first_end_ms or sold_out.sent_ms >= held.received_ms


def _reservations_found(case: Case, told: list[Sold]) -> Iterable[Finding]:
    """Every reservation told is on the server: that customer's, for that unit, at that place; paid for, or ended."""
    missing = [sold.reservation for sold in told if case.books.kept.get(sold.reservation) is None]
    if missing:
        yield Finding(
            "lost",
            f"{counted(missing, 'reservation')} told to clients cannot be found on the server: {named(missing)}",
        )
    told_paid = {checkout.reservation for checkout in case.checkouts if checkout.outcome == "paid"}
    for sold in told:
        kept = case.books.kept.get(sold.reservation)
        if kept is None:
            continue
        expected, found = (sold.customer, sold.place, {sold.sku: 1}), (kept.customer, kept.place, kept.units)
        if found != expected:
            yield Finding(
                "lost", f"{sold.reservation}: the client was told {expected}, the server has {found}"
            )
        if sold.reservation in told_paid and kept.status != "confirmed":
            yield Finding(
                "lost",
                f"{sold.reservation}: {sold.customer} was told that it is paid, and it is {kept.status}",
            )
        elif kept.status not in ("confirmed", "expired"):
            yield Finding(
                "lost", f"{sold.reservation} is {kept.status}: it should be paid for, or have run out by now"
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
                f"{reservation} was given to {len(customers)} customers: {named(sorted(customers))}",
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
            f"missing: {named(gaps) or 'none'}; outside: {named(beyond) or 'none'}",
        )
    if books.place != count:
        yield Finding(
            "place", f"the server granted {books.place:,} places, and clients were told of {count:,}"
        )


def _limits_kept(case: Case, told: list[Sold]) -> Iterable[Finding]:
    if case.limit_per_customer is None:
        return
    units: Counter[str] = Counter()
    for reservation in {sold.reservation for sold in told}:
        kept = case.books.kept.get(reservation)
        if kept is not None and kept.status in ("held", "confirmed"):
            units[kept.customer] += sum(kept.units.values())
    over = sorted(customer for customer, count in units.items() if count > case.limit_per_customer)
    if over:
        yield Finding(
            "limit", f"{counted(over, 'customer')} over the limit of {case.limit_per_customer}: {named(over)}"
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
