"""The figures of the order system: what it has received, and how long after the shop had made each order."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from flashsale.demo.order_books import Delivered, Posting
from flashsale.demo.ranks import percentile


class OrderSystemFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the order system's books in the end.

    Delays are from the instant at which the journal says that it is an order to the one at which the order system had it in
    hand, in milliseconds; both clocks are this machine's. Orders made while it was down are left out of them: `waited` is
    how many, and `waited_max_ms` is the longest time one of them waited for it.
    """

    orders: int
    refunds: int
    last_sequence: int
    dropped: int
    """Told once more, and dropped."""
    killed_after: int | None
    """Orders it had when it was killed; None when it was not."""
    processes: int
    delay_p50_ms: float | None
    delay_p99_ms: float | None
    delay_max_ms: float | None
    waited: int
    waited_max_ms: float | None
    curve: list[tuple[float, int]]
    """The orders it had, refunded ones left out, at each instant at which that changed: milliseconds from T0."""


def received_of(delivered: Delivered, opens_at_ms: int) -> OrderSystemFigures:
    """Put the figures together."""
    ledger = delivered.ledger
    began_ms = dict(enumerate(ledger.began_ms, start=1))
    late: list[float] = []
    usual: list[float] = []
    for posting in ledger.postings:
        down = posting.told_ms < began_ms.get(posting.run, 0.0)
        (late if down else usual).append(delay_ms(posting))
    usual.sort()
    return OrderSystemFigures(
        orders=len(ledger.orders),
        refunds=sum(order.status == "refunded" for order in ledger.orders.values()),
        last_sequence=ledger.postings[-1].sequence if ledger.postings else 0,
        dropped=len(ledger.dropped),
        killed_after=delivered.killed_after,
        processes=len(ledger.began_ms),
        delay_p50_ms=round(percentile(usual, 50), 1) if usual else None,
        delay_p99_ms=round(percentile(usual, 99), 1) if usual else None,
        delay_max_ms=round(usual[-1], 1) if usual else None,
        waited=len(late),
        waited_max_ms=round(max(late), 1) if late else None,
        curve=_curve(ledger.postings, opens_at_ms),
    )


def _curve(postings: Sequence[Posting], opens_at_ms: int) -> list[tuple[float, int]]:
    steps: dict[float, int] = {}
    orders = 0
    for posting in postings:
        orders += 1 if posting.status == "confirmed" else -1
        steps[round(posting.received_ms - opens_at_ms, 1)] = orders
    return list(steps.items())


def delay_ms(posting: Posting) -> float:
    """From the order to the order system's hands, not less than nothing: the one clock ticks in milliseconds."""
    return max(0.0, posting.received_ms - posting.told_ms)
