"""A verdict that cannot turn red is worthless: any honest run, changed in one place that matters, is red."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from flashsale.verdict.evidence import Counters, Evidence, Fact, FeedOrder, Hold, Levels, Oddity, SoldOut
from flashsale.verdict.judge import judge
from tests.verdict.honest_sale import Step, play
from tests.verdict.test_judge_honest import ITEMS, LIMITS, STEPS, the_sale

PATIENT = Levels(silences=1_000)
LINES: Final = frozenset({"held", "extended", "expired", "cancelled", "confirmed", "refunded"})
Mutate = Callable[[], None]
Mutations = Iterator[tuple[str, Mutate]]


def put(rows: list[Any], index: int, **fields: Any) -> Mutate:
    """Changes fields of one row."""

    def mutate() -> None:
        rows[index] = replace(rows[index], **fields)

    return mutate


def dropped(rows: list[Any], index: int) -> Mutate:
    def mutate() -> None:
        del rows[index]

    return mutate


def doubled(rows: list[Any], index: int) -> Mutate:
    return lambda: rows.insert(index, rows[index])


def never_written(facts: list[Fact], index: int) -> Mutate:
    """Without that fact, and numbered without a gap."""

    def mutate() -> None:
        del facts[index]
        facts[index:] = [replace(fact, seq=fact.seq - 1) for fact in facts[index:]]

    return mutate


def one_more(units: dict[str, int]) -> dict[str, int]:
    return {sku: count + 1 for sku, count in units.items()}


def of_a_fact(facts: list[Fact], index: int, unheard: list[str]) -> Mutations:
    fact = facts[index]
    kind = fact.type.removeprefix("reservation.")
    yield "a gap", dropped(facts, index)
    yield "a double", doubled(facts, index)
    yield "another type", put(facts, index, type=f"{fact.type}?")
    if kind not in ("extended", "sale.opened"):
        yield "never written", never_written(facts, index)
    if kind in LINES:
        yield "customer", put(facts, index, customer=f"{fact.customer}?")
        if fact.customer not in unheard:  # nobody could say what it was called
            yield "reservation", put(facts, index, reservation=f"{fact.reservation}?")
        yield "units", put(facts, index, units=one_more(fact.units))
    if kind == "held":
        yield "place", put(facts, index, place=fact.place + 1)
        yield "drawn out", put(facts, index, until_ms=fact.until_ms + 1_000)
        yield "cut short", put(facts, index, until_ms=fact.until_ms - 1)
    if kind in ("confirmed", "refunded"):
        yield "sequence", put(facts, index, sequence=fact.sequence + 1)
        yield "no payment", put(facts, index, payment="")
    if fact.payment:
        yield "another payment", put(facts, index, payment=f"{fact.payment}?")
    if kind == "refunded":
        yield "back on sale or not", put(facts, index, restocked=not fact.restocked)
    if kind == "item.restocked":
        yield "stock", put(facts, index, units=one_more(fact.units))


def of_a_hold(evidence: Evidence, index: int) -> Mutations:
    holds = evidence.told.holds
    hold: Hold = holds[index]
    charges = {
        fact.payment
        for fact in evidence.engine.facts
        if fact.type in ("charge.refused", "reservation.confirmed")
    }
    been = {fact.type for fact in evidence.engine.facts if fact.reservation == hold.reservation}
    if hold.customer not in {silence.customer for silence in evidence.told.silences}:
        yield "not told", dropped(holds, index)
        if hold.payment in charges:
            yield "not agreed", put(holds, index, payment="")
    yield "reservation", put(holds, index, reservation=f"{hold.reservation}?")
    yield "customer", put(holds, index, customer=f"{hold.customer}?")
    yield "units", put(holds, index, units=one_more(hold.units))
    yield "place", put(holds, index, place=hold.place + 1)
    yield "payment", put(holds, index, payment="pay_?", charged=True)
    for status in ("confirmed", "cancelled", "refunded"):
        if f"reservation.{status}" not in been:
            yield f"told {status}", put(holds, index, status=status)


def of_an_order(orders: list[FeedOrder], index: int) -> Mutations:
    order = orders[index]
    yield "dropped", dropped(orders, index)
    yield "doubled", doubled(orders, index)
    for name in ("reservation", "customer", "payment"):
        yield name, put(orders, index, **{name: getattr(order, name) + "?"})
    yield "units", put(orders, index, units=one_more(order.units))
    yield "sequence", put(orders, index, sequence=order.sequence + 1)
    yield "status", put(orders, index, status="refunded" if order.status == "confirmed" else "confirmed")
    if index:
        yield "order", lambda: orders.insert(index - 1, orders.pop(index))


def of_an_item(items: dict[str, Counters], sku: str) -> Mutations:
    def counted(name: str, change: int) -> Mutate:
        changed = replace(items[sku], **{name: getattr(items[sku], name) + change})
        return lambda: items.update({sku: changed})

    def not_counted() -> None:
        del items[sku]

    for name in ("stock", "available", "held", "sold"):
        for change in (-1, 1):
            yield f"{name} {change:+}", counted(name, change)
    yield "not counted", not_counted


def of_the_rest(evidence: Evidence) -> Mutations:
    told, engine, feed = evidence.told, evidence.engine, evidence.feed

    def undecided() -> None:
        told.decided -= 1

    def no_audit() -> None:
        engine.audit_ok = False

    def counted(what: str) -> Mutate:
        return lambda: engine.summary[what].update(count=engine.summary[what]["count"] + 1)

    yield "undecided", undecided
    yield "named undecided", lambda: told.undecided.append("c-99")
    yield "oddity", lambda: told.oddities.append(Oddity("pay", "c-1", 0, "422"))
    yield "an answer too many", lambda: told.sold_out.append(SoldOut({"giulia": 1}, 0, 0))
    yield "audit", no_audit
    yield "audit finding", lambda: engine.audit_findings.append("fact 3")
    yield "engine trouble", lambda: engine.trouble.append("no answer")
    yield "feed trouble", lambda: feed.trouble.append("no answer")
    yield "confirmed in the summary", counted("confirmed")
    yield "refunded in the summary", counted("refunded")
    yield "sequence of the summary", lambda: engine.summary.update(sequence=engine.summary["sequence"] + 1)
    consumer = feed.consumers[0]
    yield "consumer behind", put(feed.consumers, 0, last_sequence=consumer.last_sequence - 1)
    yield "consumer ahead", put(feed.consumers, 0, last_sequence=consumer.last_sequence + 1)
    yield "consumer's orders", put(feed.consumers, 0, received=consumer.received + 1)
    yield "consumer's trouble", put(feed.consumers, 0, troubles=["5 after 3"])


def mutations(evidence: Evidence, side: str, number: int) -> list[tuple[str, Mutate]]:
    """All that can be changed about one thing of one side."""
    facts, holds, orders = evidence.engine.facts, evidence.told.holds, evidence.feed.orders
    if side == "facts":
        return list(of_a_fact(facts, number % len(facts), evidence.told.bot_silent))
    if side == "holds":
        return list(of_a_hold(evidence, number % len(holds)))
    if side == "orders" and orders:
        return list(of_an_order(orders, number % len(orders)))
    if side == "items":
        return list(of_an_item(evidence.engine.items, ("giulia", "keyring")[number % 2]))
    return list(of_the_rest(evidence))


@settings(max_examples=400)
@given(
    ITEMS,
    LIMITS,
    STEPS,
    st.sampled_from(("facts", "facts", "holds", "orders", "items", "rest")),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
)
def test_an_honest_run_changed_in_one_place_is_red(
    items: tuple[int, int, int | None],
    limit: int | None,
    steps: list[Step],
    side: str,
    number: int,
    which: int,
) -> None:
    evidence = play(the_sale(items, limit), steps)
    possible = mutations(evidence, side, number)
    assume(possible)
    name, mutate = possible[which % len(possible)]
    assert judge(evidence, PATIENT).ok
    mutate()
    assert not judge(evidence, PATIENT).ok, f"{name} of {side} {number} went unnoticed"
