"""Who bought, and who was told of it."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from flashsale.verdict.advice.said import Advice, Measured
from flashsale.verdict.evidence import Evidence
from flashsale.verdict.numbers import count, duration, none_or, number, percent
from flashsale.verdict.pace import Journey
from flashsale.verdict.shapes import Verdict

BOT_SHARE: Final = 0.1
"""Bots that got more of the holds than this got many."""
DELAY_P99_MS_MAX: Final = 2_000.0
"""An order system that gets its orders later than this does not keep pace."""


def limit(evidence: Evidence, journeys: list[Journey]) -> Iterator[Advice]:
    """What the limit kept for others, or what went to few without one."""
    limited = evidence.terms.limit is not None or any(item.limit is not None for item in evidence.terms.items)
    answers = {kind: sum(counts.values()) for kind, counts in evidence.told.timeline.answers.items()}
    refused = answers.get("limit_reached", 0)
    if limited and refused:
        share = refused / sum(answers.values())
        text = (
            f"{count(refused, 'press', 'presses')} ({percent(share)}) asked for more than one customer may have, and got "
            "nothing more. The limit costs little and keeps the sale with many."
        )
        facts = [Measured("presses over the limit", refused), Measured("of all answers", share, "share")]
        yield Advice("fine", "The limit kept units for others", text, facts)
    if limited:
        return
    had: Counter[str] = Counter()
    for one in journeys:
        if one.confirmed_ms is not None and one.refunded_ms is None:
            had[one.customer] += one.units
    sold = sum(had.values())
    several = sum(units > 1 for units in had.values())
    if several:
        most = had.most_common(1)[0][1]
        in_hands = sum(units for units in had.values() if units > 1)
        text = (
            f"The sale has no limit. {count(several, 'customer')} bought more than one unit, {number(in_hands)} of "
            f"{count(sold, 'unit')} together, and one of them {number(most)}. With `limit_per_customer` more people get one."
        )
        facts = [
            Measured("customers with more than one unit", several),
            Measured("units in their hands", in_hands),
            Measured("units of the one who has most", most),
            Measured("units sold", sold),
        ]
        yield Advice("act", "No limit per customer", text, facts)


def bots(evidence: Evidence, verdict: Verdict) -> Iterator[Advice]:
    """What bots got."""
    got, accepted = len(evidence.told.bot_holds), verdict.figures.accepted
    requests = sum(evidence.told.bots.values())
    if not requests or not accepted:
        return
    share = got / accepted
    facts = [
        Measured("requests of bots", requests),
        Measured("holds of bots", got),
        Measured("of all holds told", share, "share"),
    ]
    text = (
        f"Bots sent {count(requests, 'request')} and got {none_or(got)} of {count(accepted, 'hold')} ({percent(share)}). A "
        "bot that behaves like a customer is one to the engine: what keeps it out is the login that gives out tokens, and "
        "the limit per customer."
    )
    yield Advice("act" if share > BOT_SHARE else "fine", "What bots got", text, facts)


def order_systems(evidence: Evidence) -> Iterator[Advice]:
    """Whether order systems kept pace."""
    last = max((order.sequence for order in evidence.feed.orders), default=0)
    if not last:
        return
    if not evidence.feed.consumers:
        text = "No order system followed the feed while the sale ran, so whether yours keeps pace is open."
        yield Advice(
            "unknown", "Nobody followed the order feed", text, [Measured("orders in the feed", last)]
        )
    for one in evidence.feed.consumers:
        if one.delay_p99_ms is None or one.delay_p50_ms is None:
            continue
        behind = max(0, last - one.last_sequence)
        at_the_end = (
            f"at the end it was {count(behind, 'order')} behind"
            if behind
            else "at the end it had all of them"
        )
        facts = [
            Measured("orders received", one.received),
            Measured("from the fact to the order system, p50", one.delay_p50_ms, "ms"),
            Measured("from the fact to the order system, p99", one.delay_p99_ms, "ms"),
            Measured("orders behind at the end", behind),
        ]
        text = (
            f"{one.name} had half of its {count(one.received, 'order')} within {duration(one.delay_p50_ms)} of the payment "
            f"and 99 % within {duration(one.delay_p99_ms)}; {at_the_end}."
        )
        if behind or one.delay_p99_ms > DELAY_P99_MS_MAX:
            text += " It loses nothing, but what it drives (mail, picking, stock elsewhere) is as late."
            yield Advice("act", "The order system fell behind", text, facts)
        else:
            yield Advice("fine", "The order system kept pace", text, facts)
