"""Feed: order systems get every order made and undone once, in order and without a gap, as the journal has it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from flashsale.model.facts import FactType
from flashsale.verdict.case import Case
from flashsale.verdict.evidence import Fact
from flashsale.verdict.words import counted, named

_STATUS = {FactType.CONFIRMED.value: "confirmed", FactType.REFUNDED.value: "refunded"}


def judge_feed(case: Case) -> list[str]:
    """Every gap, double, stranger and difference."""
    facts = [fact for fact in case.evidence.engine.facts if fact.type in _STATUS]
    return [
        *_gapless("the order feed", [order.sequence for order in case.evidence.feed.orders]),
        *_gapless("the journal", [fact.sequence for fact in facts]),
        *_same(case, facts),
        *_consumers(case),
        *_summary(case),
    ]


def _gapless(who: str, sequences: Sequence[int]) -> Iterator[str]:
    counts = Counter(sequences)
    last = max(sequences, default=0)
    missing = [number for number in range(1, last + 1) if number not in counts]
    doubled = [number for number, count in sorted(counts.items()) if count > 1]
    strange = [number for number in counts if number < 1]
    if missing:
        yield f"{counted(missing, 'sequence number')} missing in {who}, up to {last:,}: {named(missing)}."
    if doubled:
        yield f"{counted(doubled, 'sequence number')} more than once in {who}: {named(doubled)}."
    if strange:
        yield f"{counted(strange, 'sequence number')} below 1 in {who}: {named(strange)}."
    early = [number for before, number in pairwise(sequences) if number < before]
    if early:
        yield f"{counted(early, 'order')} out of order in {who}: {named(early)}."


def _same(case: Case, facts: list[Fact]) -> Iterator[str]:
    """Each order fact of the journal is in the feed with everything that it says, and nothing else is."""
    common = case.common
    kept = {(fact.reservation, _STATUS[fact.type]): fact for fact in facts if fact.sequence <= common}
    given = {
        (order.reservation, order.status): order
        for order in case.evidence.feed.orders
        if order.sequence <= common
    }
    lost = [_named(*key) for key in kept if key not in given]
    extra = [_named(*key) for key in given if key not in kept]
    changed = []
    for key, order in given.items():
        fact = kept.get(key)
        differing = [
            what
            for what in ("sequence", "customer", "units", "payment")
            if fact is not None and getattr(fact, what) != getattr(order, what)
        ]
        if differing:
            told = ", ".join(f"{what} {getattr(order, what)}" for what in differing)
            was = ", ".join(f"{getattr(fact, what)}" for what in differing)
            changed.append(f"{_named(*key)} ({told} instead of {was})")
    if lost:
        yield f"{counted(lost, 'order')} of the journal missing in the order feed: {named(lost)}."
    if extra:
        yield f"{counted(extra, 'order')} in the order feed that the journal does not have: {named(extra)}."
    if changed:
        yield f"{counted(changed, 'order')} in the order feed otherwise than in the journal: {named(changed)}."


def _named(reservation: str, status: str) -> str:
    return f"{reservation} {status}"


def _consumers(case: Case) -> Iterator[str]:
    orders = case.orders
    last = orders[-1].sequence if orders else 0
    due = last if case.alone else _due(case)
    for consumer in case.evidence.feed.consumers:
        if consumer.troubles:
            yield (
                f"Order system {consumer.name} had {counted(consumer.troubles, 'trouble')}: {named(consumer.troubles)}."
            )
        if consumer.last_sequence > last or consumer.last_sequence < due:
            yield (
                f"Order system {consumer.name} got orders up to number {consumer.last_sequence:,}, "
                f"and the feed goes up to {last:,}."
            )
        if case.alone and consumer.received != len(orders):
            yield (
                f"Order system {consumer.name} got {counted(consumer.received, 'order')}, "
                f"and the feed has {len(orders):,}."
            )


def _due(case: Case) -> int:
    """Where every order system has to be when others keep buying: behind the last order of this run's own shoppers."""
    ours = {hold.reservation for hold in case.holds if hold.status in ("confirmed", "refunded")}
    return max((order.sequence for order in case.orders if order.reservation in ours), default=0)


def _summary(case: Case) -> Iterator[str]:
    """The shop's own sums, by which an order system is to check its books."""
    summary = case.evidence.engine.summary
    if not summary:
        if not case.evidence.engine.trouble:
            yield "The shop gave no summary of its orders."
        return
    made = sum(order.status == "confirmed" for order in case.orders)
    wanted = {
        "sequence": case.orders[-1].sequence if case.orders else 0,
        "confirmed": made,
        "refunded": len(case.orders) - made,
        "behind": 0,
    }
    if not case.alone and _number(summary, "sequence") != wanted["sequence"]:
        return  # of another moment
    wrong = [
        f"{what} {_number(summary, what)} instead of {count:,}"
        for what, count in wanted.items()
        if _number(summary, what) != count
    ]
    if wrong:
        yield f"The shop's summary of its orders differs from the order feed: {', '.join(wrong)}."


def _number(summary: dict[str, Any], what: str) -> Any:
    value = summary.get(what)
    return value.get("count") if isinstance(value, dict) else value
