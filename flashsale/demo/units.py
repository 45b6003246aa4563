"""The part of the verdict that is about units: not one too many, not one too few, at any time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from math import inf

from flashsale.demo.case import Case, Counters, Finding, Sold
from flashsale.demo.messages import Answer
from flashsale.demo.tenancy import Fullness, Tenancy, most_at_once
from flashsale.verdict.words import counted

SLACK_MS = 60.0
"""A sold-out answer may come from a worker's memory, which is 50 ms old at most."""


def judge_units(case: Case, told: list[Sold]) -> Iterable[Finding]:
    """Units as the clients were told of them, and as the server counts them."""
    by_sku: dict[str, list[Tenancy]] = defaultdict(list)
    for tenancy in tenancies(case, told):
        by_sku[tenancy.sku].append(tenancy)
    refusals: dict[str, list[Answer]] = defaultdict(list)
    for answer in case.answers:
        if answer.kind == "sold_out":
            refusals[answer.sku].append(answer)
    wanted = Counter(shopper.sku for shopper in case.crowd)
    for sku, units in case.stock.items():
        found = by_sku[sku]
        yield from _never_too_many(sku, units, found)
        promised = len(found)
        if promised < min(units, wanted[sku]):
            yield Finding(
                "undersold",
                f"{sku}: clients were told of {promised:,} units, and {wanted[sku]:,} shoppers wanted "
                f"{units:,} units",
            )
        fullness = Fullness(found, units, SLACK_MS + case.late_ms)
        wrong = [one for one in refusals[sku] if not fullness.within(one.sent_ms, one.received_ms)]
        if wrong:
            yield Finding(
                "undersold",
                f"{sku}: {counted(wrong, 'answer')} said sold out while a unit was free, "
                f"the first {wrong[0].received_ms:,.0f} ms after T0",
            )
        yield from _counted_alike(sku, units, found, case.books.items.get(sku, Counters(0, 0, 0, 0)))


def tenancies(case: Case, told: list[Sold]) -> list[Tenancy]:
    """Who had which unit when, of all reservations that clients were told of."""
    paid_ms = {one.reservation: one.ended_ms for one in case.checkouts if one.outcome == "paid"}
    found: dict[str, Tenancy] = {}
    for sold in told:
        kept = case.books.kept.get(sold.reservation)
        until_ms = sold.begin_ms + case.hold_ms
        if kept is not None and kept.held_until:
            until_ms = case.instant_ms(kept.held_until)
        found[sold.reservation] = Tenancy(
            reservation=sold.reservation,
            sku=sold.sku,
            begin_ms=sold.begin_ms,
            until_ms=until_ms,
            order=kept is not None and kept.status == "confirmed",
            order_from_ms=paid_ms.get(sold.reservation, inf) + case.late_ms,
        )
    return list(found.values())


def _never_too_many(sku: str, units: int, found: list[Tenancy]) -> Iterable[Finding]:
    most, orders = most_at_once(found), sum(tenancy.order for tenancy in found)
    if most > units:
        yield Finding("oversold", f"{sku}: clients had {most:,} units at one time, and there were {units:,}")
    if orders > units:
        yield Finding("oversold", f"{sku}: {orders:,} orders, and there were {units:,} units")


def _counted_alike(sku: str, units: int, found: list[Tenancy], counters: Counters) -> Iterable[Finding]:
    """What the server counts, when everything is over."""
    orders = sum(tenancy.order for tenancy in found)
    if counters.held + counters.sold > units:
        yield Finding(
            "oversold",
            f"{sku}: the server has given away {counters.held + counters.sold:,} units, and there were {units:,}",
        )
    if counters.sold != orders:
        yield Finding(
            "lost",
            f"{sku}: the server has sold {counters.sold:,} units, and {orders:,} of the reservations that clients "
            "were told of are confirmed",
        )
    if counters.held:
        yield Finding(
            "undersold", f"{sku}: {counters.held:,} units are held still, and every hold should have ended"
        )
