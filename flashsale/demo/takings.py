"""The figures of what came after the rush: checkouts, what was sold again, and the money."""

from __future__ import annotations

from collections import Counter

import msgspec

from flashsale.demo.case import Case, Sold, Sum
from flashsale.demo.definitions import DemoSale
from flashsale.demo.money import sums_of
from flashsale.demo.server import Trouble


class Checkouts(msgspec.Struct, frozen=True, kw_only=True):
    """Shoppers who got a hold, by what became of it. `paid + gave_up + walked_away + ... ` is all of them.

    `declined` were declined once or more, and some of them have paid in the end. `late` agreed to pay when their hold
    had ended: it was sold to them all the same, or the money was given back, or never taken. Of others who were
    refunded the shop had heard too late that they have paid.
    """

    holds: int
    paid: int
    gave_up: int
    walked_away: int
    refunded: int
    released: int
    expired: int
    untold: int
    interrupted: int
    errors: int
    declined: int
    declined_and_paid: int
    late: int
    late_paid: int
    late_refunded: int
    late_released: int


class CameBack(msgspec.Struct, frozen=True, kw_only=True):
    """Those who had been told that it is sold out and came back for what is free again."""

    shoppers: int
    presses: int
    sold_out_answers: int
    holds: int


class Currency(msgspec.Struct, frozen=True, kw_only=True):
    """The money of one currency by the provider's books, in minor units: charges = orders + refunds."""

    currency: str
    charges: Sum
    orders: Sum
    refunds: Sum


class Takings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything between the hold and the order."""

    hold_seconds: int
    hold_extension_seconds: int
    methods: list[str]
    webhooks_twice_percent: float
    webhooks_lost_percent: float
    webhooks_delayed_percent: float
    webhooks_delay_seconds: float
    checkouts: Checkouts
    came_back: CameBack
    paid_orders: int
    all_paid: bool
    last_paid_ms: float | None
    """When the last shopper was told that their car is paid for, from T0."""
    holds_ended_unpaid: int
    sold_again: int
    """Holds on units that somebody else had held before."""
    sold_again_and_paid: int
    money: list[Currency]
    charges_compared: int
    """By the shop itself, with its provider's books."""


def takings_of(sale: DemoSale, trouble: Trouble, case: Case) -> Takings:
    """Put the figures together."""
    kept = {reservation: one for reservation, one in case.books.kept.items() if one is not None}
    orders = {reservation for reservation, one in kept.items() if one.status == "confirmed"}
    first = {sold.reservation for sold in first_holds(case)}
    again = {sold.reservation for sold in case.told} - first
    paid_ms = [one.ended_ms for one in case.checkouts if one.outcome == "paid"]
    return Takings(
        hold_seconds=sale.hold_seconds,
        hold_extension_seconds=sale.hold_extension_seconds,
        methods=sale.methods,
        webhooks_twice_percent=trouble.twice_percent,
        webhooks_lost_percent=trouble.lost_percent,
        webhooks_delayed_percent=trouble.delayed_percent,
        webhooks_delay_seconds=trouble.delay_seconds,
        checkouts=_checkouts(case),
        came_back=_came_back(case),
        paid_orders=len(orders),
        all_paid=len(orders) == sum(case.stock.values()),
        last_paid_ms=round(max(paid_ms), 2) if paid_ms else None,
        holds_ended_unpaid=sum(one.status == "expired" for one in kept.values()),
        sold_again=len(again),
        sold_again_and_paid=len(again & orders),
        money=[
            Currency(currency=currency, charges=sums.charges, orders=sums.orders, refunds=sums.refunds)
            for currency, sums in sums_of(case.books.entries, case.books).items()
        ],
        charges_compared=case.books.reconciled.charges,
    )


def first_holds(case: Case) -> list[Sold]:
    """The holds that sold the stock out: of each item as many as it has units, the first by place."""
    left = dict(case.stock)
    first: dict[str, Sold] = {}
    for sold in case.told:
        if sold.reservation not in first and left.get(sold.sku, 0) > 0:
            left[sold.sku] -= 1
            first[sold.reservation] = sold
    return list(first.values())


def _checkouts(case: Case) -> Checkouts:
    outcomes = Counter(one.outcome for one in case.checkouts)
    declined = [one for one in case.checkouts if one.declines]
    late = [one for one in case.checkouts if one.intent == "late" and one.taken]
    return Checkouts(
        holds=len(case.checkouts),
        paid=outcomes["paid"],
        gave_up=outcomes["declined"],
        walked_away=outcomes["walked_away"],
        refunded=outcomes["refunded"],
        released=outcomes["released"],
        expired=outcomes["expired"],
        untold=outcomes["untold"],
        interrupted=outcomes["interrupted"],
        errors=outcomes["error"],
        declined=len(declined),
        declined_and_paid=sum(one.outcome == "paid" for one in declined),
        late=len(late),
        late_paid=sum(one.outcome == "paid" for one in late),
        late_refunded=sum(one.outcome == "refunded" for one in late),
        late_released=sum(one.outcome == "released" for one in late),
    )


def _came_back(case: Case) -> CameBack:
    back = [answer for answer in case.answers if answer.visit]
    return CameBack(
        shoppers=len({answer.shopper for answer in back}),
        presses=len(back),
        sold_out_answers=sum(answer.kind == "sold_out" for answer in back),
        holds=len({answer.reservation for answer in back if answer.kind in ("sale", "replay")}),
    )
