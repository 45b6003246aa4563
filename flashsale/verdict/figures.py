"""The figures of a run, from its evidence."""

from collections import Counter
from collections.abc import Mapping
from math import ceil
from typing import Final

from flashsale.verdict.case import RESERVE, Case
from flashsale.verdict.evidence import LoadProcess, Timeline, ms_of
from flashsale.verdict.journal import Shelf
from flashsale.verdict.shapes import Figures, Percentiles

NO_ANSWER: Final = "0"
"""The status of a request that got no answer."""


def percentiles_of(slots: Mapping[int, int]) -> Percentiles | None:
    """The percentiles of latencies by slot; None of none.

    Of p percent of the latencies none is longer; a slot stands for its longest latency.
    """
    rows = sorted(slots.items())
    total = sum(count for _, count in rows)
    if not total:
        return None
    found: list[float] = []
    ranks = [ceil(total * percent / 100) for percent in (50, 95, 99)]
    seen = 0
    for slot, count in rows:
        seen += count
        while len(found) < len(ranks) and seen >= ranks[len(found)]:
            found.append(ms_of(slot))
    last = max(slot for slot, count in rows if count)
    return Percentiles(total, found[0], found[1], found[2], ms_of(last))


def slots_of(timeline: Timeline, request: str) -> Counter[int]:
    """How many answers to a request there were in each slot, over the whole run."""
    slots: Counter[int] = Counter()
    for row in timeline.latency.get(request, {}).values():
        slots.update(row)
    return slots


def answers_of(timeline: Timeline) -> int:
    """Answers of any kind to anybody but bots."""
    return sum(count for status, count in timeline.statuses.items() if status != NO_ANSWER)


def share_5xx(timeline: Timeline) -> float:
    """Of all answers, how many said that the server had failed or was too busy."""
    failed = sum(
        count for status, count in timeline.statuses.items() if len(status) == 3 and status[0] == "5"
    )
    return failed / answers_of(timeline) if failed else 0.0


def sold_out_ms(case: Case) -> int | None:
    """From T0 to the instant when the last unit of every item had been held for the first time."""
    return _when(case, [shelf.first_empty_ms for shelf in _shelves(case)])


def _shelves(case: Case) -> list[Shelf]:
    """Of every item that there ever was anything of."""
    shelves = case.journal.shelves
    return [shelves[sku] if sku in shelves else Shelf() for sku in case.stock if case.stock_in_the_end(sku)]


def _when(case: Case, instants: list[int | None]) -> int | None:
    reached = [instant for instant in instants if instant is not None]
    if not reached or len(reached) < len(instants):
        return None
    return max(reached) - case.terms.opens_ms


def busiest(processes: list[LoadProcess]) -> float:
    """The largest share of a core that a load process took during the rush."""
    return max((process.rush_cpu_share for process in processes), default=0.0)


def latest(processes: list[LoadProcess]) -> float:
    """How late presses left, by the worst load process."""
    return max((process.late_p99_ms for process in processes), default=0.0)


def figures_of(case: Case) -> Figures:
    """All of them."""
    told, timeline, journal = case.told, case.told.timeline, case.journal
    made = {order.reservation: order for order in case.orders if order.status == "confirmed"}
    undone = {order.reservation for order in case.orders if order.status == "refunded"}
    standing = [order for name, order in made.items() if name not in undone]
    first = journal.first_hold_ms
    return Figures(
        accepted=len(case.granted),
        sold_out_answers=sum(timeline.answers.get("sold_out", {}).values()),
        sales=len(standing),
        shoppers=case.evidence.run.shoppers,
        pressed=told.pressed,
        decided=told.decided,
        stock=sum(case.stock_in_the_end(sku) for sku in case.stock),
        sold_units=sum(sum(order.units.values()) for order in standing),
        units_held_ever=journal.units_held_ever,
        holds=journal.held,
        confirmed=journal.confirmed,
        expired=journal.expired,
        cancelled=journal.cancelled,
        refunded=journal.refunded,
        paid=len({hold.payment for hold in case.holds if hold.payment}),
        charges=len(journal.charges),
        charges_given_back=sum(charge.given_back > 0 for charge in journal.charges.values()),
        requests=sum(timeline.statuses.values()),
        share_5xx=share_5xx(timeline),
        silences=len(told.silences),
        first_hold_ms=None if first is None else first - case.terms.opens_ms,
        sold_out_ms=sold_out_ms(case),
        all_paid_ms=_when(case, [shelf.first_sold_ms for shelf in _shelves(case)]),
        latency=_latency(timeline),
        load_cpu_share_max=busiest(case.evidence.processes),
        fire_late_p99_ms=latest(case.evidence.processes),
        fired_in_first_second=sum(process.fired_in_first_second for process in case.evidence.processes),
    )


def _latency(timeline: Timeline) -> dict[str, Percentiles]:
    """Of `reserve` first, then by name."""
    found = {}
    for request in sorted(timeline.latency, key=lambda name: (name != RESERVE, name)):
        percentiles = percentiles_of(slots_of(timeline, request))
        if percentiles is not None:
            found[request] = percentiles
    return found
