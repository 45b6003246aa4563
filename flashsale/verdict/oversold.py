"""Oversold: at no time more units in people's hands than there were, by what they were told, the journal and the feed."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from flashsale.verdict.case import Case
from flashsale.verdict.words import counted, named


def judge_oversold(case: Case) -> list[str]:
    """Every way in which more was promised than there was."""
    return [
        *_told_at_once(case),
        *_told_confirmed(case),
        *_journal(case),
        *_feed(case),
        *_counters(case),
        *_twice(case),
    ]


def _told_at_once(case: Case) -> Iterator[str]:
    """What shoppers were told, added up at every instant; only while a hold stood for certain."""
    changes: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for standing in case.standings:
        for sku, units in standing.hold.units.items():
            changes[sku].append((standing.begin_ms, units))
            if standing.end_ms is not None:
                changes[sku].append((standing.end_ms, -units))
    for sku, rows in sorted(changes.items()):
        # What ends at an instant ends before anything begins at it, and what was added is there before it is given away.
        stock, restocks = case.first_stock(sku), sorted(case.journal.restocks(sku), reverse=True)
        taken = most = excess = 0
        at = 0.0
        for instant, units in sorted(rows):
            while restocks and restocks[-1][0] <= instant + case.slack_ms:
                stock += restocks.pop()[1]
            taken += units
            if taken - stock > excess:
                excess, most, at = taken - stock, taken, instant
        if excess:
            yield (
                f"{sku}: shoppers were told that they have {counted(most, 'unit')} at one time "
                f"({case.since(at)}), {excess:,} more than there were."
            )


def _told_confirmed(case: Case) -> Iterator[str]:
    bought: Counter[str] = Counter()
    for hold in {(each.reservation, each.customer): each for each in case.holds}.values():
        claim = case.journal.claims.get(hold.reservation)
        # An order may have been undone after its shopper had left.
        if hold.status == "confirmed" and (claim is None or claim.state != "refunded"):
            bought.update(hold.units)
    yield from _too_many(case, bought, "shoppers were told that they have bought")


def _too_many(case: Case, units: Mapping[str, int], what: str) -> Iterator[str]:
    for sku, count in sorted(units.items()):
        stock = case.stock_in_the_end(sku)
        if count > stock:
            yield f"{sku}: {what} {counted(count, 'unit')}, and there were {stock:,}."


def _journal(case: Case) -> Iterator[str]:
    for sku, reservations in sorted(case.journal.oversold.items()):
        who = [_whose(case, reservation) for reservation in reservations]
        yield (
            f"{sku}: by the journal {counted(who, 'reservation')} got units when too few were left: {named(who)}."
        )


def _whose(case: Case, reservation: str) -> str:
    claim = case.journal.claims.get(reservation)
    return f"{reservation} of {claim.customer}" if claim else reservation


def _feed(case: Case) -> Iterator[str]:
    """Orders standing after each of the feed, against what there was at that instant."""
    standing: Counter[str] = Counter()
    excess: dict[str, tuple[int, int, str]] = {}
    for order in case.orders:
        made = order.status != "refunded"
        for sku, units in order.units.items():
            standing[sku] += units if made else -units
            over = standing[sku] - case.stock_at(sku, order.at_ms)
            if over > excess.get(sku, (0, 0, ""))[0]:
                excess[sku] = over, standing[sku], f"{order.reservation} of {order.customer}"
    for sku, (over, count, last) in sorted(excess.items()):
        yield (
            f"{sku}: the order feed sells {counted(count, 'unit')}, {over:,} more than there were; "
            f"the last of them to {last}."
        )


def _counters(case: Case) -> Iterator[str]:
    for sku, item in sorted(case.evidence.engine.items.items()):
        total = item.available + item.held + item.sold
        numbers = f"available {item.available:,} + held {item.held:,} + sold {item.sold:,} = {total:,}"
        if min(item.available, item.held, item.sold) < 0:
            yield f"{sku}: the engine counts fewer than no units: {numbers}."
        if total > item.stock:
            yield f"{sku}: the engine counts {numbers}, and its stock is {item.stock:,}."
        if case.alone and sku in case.stock and item.stock > case.stock_in_the_end(sku):
            yield (
                f"{sku}: the engine's stock is {item.stock:,}, and with all restocks there were "
                f"{case.stock_in_the_end(sku):,}."
            )


def _twice(case: Case) -> Iterator[str]:
    """One reservation, one customer; one place, one reservation."""
    owners = {
        reservation: sorted({hold.customer for hold in holds}) for reservation, holds in case.granted.items()
    }
    shared = [f"{name} ({named(customers)})" for name, customers in owners.items() if len(customers) > 1]
    if shared:
        yield f"{counted(shared, 'reservation')} told to more than one customer: {named(shared)}."
    places: dict[int, set[str]] = defaultdict(set)
    for hold in case.holds:
        places[hold.place].add(hold.reservation)
    doubled = [f"{place:,} ({named(sorted(who))})" for place, who in sorted(places.items()) if len(who) > 1]
    if doubled:
        yield f"{counted(doubled, 'place')} told to more than one reservation: {named(doubled)}."
