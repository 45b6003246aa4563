"""Agreement: the totals of the three sides, and of the engine's counters, are the same."""

from collections import Counter
from collections.abc import Iterator

from flashsale.model.facts import FactType
from flashsale.verdict.case import Case
from flashsale.verdict.words import counted, named


def judge_agreement(case: Case) -> list[str]:
    """Every total by which two sides differ."""
    return [*_holds(case), *_orders(case), *_counters(case), *_defined(case), *_sold(case)]


def _holds(case: Case) -> Iterator[str]:
    told = len(case.granted)
    # Who got no answer may have a hold and not know it.
    untold = sum(
        claim.customer in case.silent and claim.reservation not in case.granted
        for claim in case.journal.claims.values()
    )
    held = case.journal.held - untold
    if told > held or (case.alone and told != held):
        yield f"Shoppers were told of {counted(told, 'reservation')}, and the journal has {held:,} that they could know of."
    for what in ("confirmed", "refunded"):
        heard = len({hold.reservation for hold in case.holds if hold.status == what})
        kept = getattr(case.journal, what)
        if heard > kept:
            yield f"Shoppers were told of {counted(heard, 'reservation')} {what}, and the journal has {kept:,}."


def _orders(case: Case) -> Iterator[str]:
    fed_to = Counter(order.status for order in case.orders if order.sequence <= case.common)
    kept_of = Counter(fact.type for fact in case.evidence.engine.facts if 0 < fact.sequence <= case.common)
    for what, fed, kept in (
        ("made", fed_to["confirmed"], kept_of[FactType.CONFIRMED.value]),
        ("undone", fed_to["refunded"], kept_of[FactType.REFUNDED.value]),
    ):
        if fed != kept:
            yield f"The order feed has {counted(fed, 'order')} {what}, and the journal {kept:,}."


def _counters(case: Case) -> Iterator[str]:
    for sku, item in sorted(case.evidence.engine.items.items()):
        shelf = case.journal.shelves.get(sku)
        if shelf is None:
            yield f"{sku}: the engine counts an item that its journal does not have."
            continue
        if not case.steady:
            continue
        differing = [
            f"{what} {getattr(item, what):,} instead of {getattr(shelf, what):,}"
            for what in ("stock", "available", "held", "sold")
            if getattr(item, what) != getattr(shelf, what)
        ]
        if differing:
            yield f"{sku}: the engine's counters differ from its journal: {', '.join(differing)}."
    stocked = {sku for sku, shelf in case.journal.shelves.items() if shelf.stock or shelf.held or shelf.sold}
    uncounted = sorted(stocked - case.evidence.engine.items.keys())
    if uncounted:
        yield f"{counted(uncounted, 'item')} of the journal that the engine does not count: {named(uncounted)}."


def _defined(case: Case) -> Iterator[str]:
    """The journal begins with the units that the sale was defined with."""
    if not case.alone or not case.journal.shelves:
        return
    for sku, units in sorted(case.stock.items()):
        opening = case.journal.shelves[sku].opening if sku in case.journal.shelves else 0
        if opening != units:
            yield f"{sku}: the journal opens with {counted(opening, 'unit')}, and the sale was defined with {units:,}."


def _sold(case: Case) -> Iterator[str]:
    """Units of the orders that stand by the feed, with those that were given back without going on sale again."""
    last = max((fact.sequence for fact in case.evidence.engine.facts), default=0)
    if not case.alone and (not case.steady or last != (case.orders[-1].sequence if case.orders else 0)):
        return  # of different moments
    fed: Counter[str] = Counter()
    claims = case.journal.claims
    for order in case.orders:
        undone = order.status == "refunded"
        if not undone:
            fed.update(order.units)
        elif order.reservation not in claims or claims[order.reservation].restocked:
            fed.subtract(order.units)
    for sku, item in sorted(case.evidence.engine.items.items()):
        if fed[sku] != item.sold:
            yield f"{sku}: the order feed has sold {counted(fed[sku], 'unit')}, and the engine counts {item.sold:,}."
