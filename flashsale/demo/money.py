"""The part of the verdict that is about money: every charge in the provider's books is an order or was given back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from flashsale.demo.case import Books, Case, Fault, Finding, Kept, Sum, Sums
from flashsale.demo.provider import Entry
from flashsale.verdict.words import counted, named


def judge_money(case: Case) -> list[Finding]:
    """Every contradiction between what shoppers were told, the provider's books and the shop's."""
    books = case.books
    charges = [entry for entry in books.entries if entry.charged]
    return [
        *_one_fate_each(charges, books),
        *_orders_paid_once(charges, books),
        *_nothing_behind_backs(case, charges),
        *_sums_agree(charges, books),
    ]


def sums_of(entries: Iterable[Entry], books: Books) -> dict[str, Sums]:
    """The provider's charges by currency: those that pay for orders of the shop, and those given back."""
    lists: dict[str, tuple[list[int], list[int], list[int]]] = defaultdict(lambda: ([], [], []))
    for entry in entries:
        if entry.charged:
            charges, orders, refunds = lists[entry.currency]
            charges.append(entry.amount)
            if pays(entry, books.kept.get(entry.reservation)):
                orders.append(entry.amount)
            if entry.refunded:
                refunds.append(entry.refunded)
    return {
        currency: Sums(_sum(charges), _sum(orders), Sum(), _sum(refunds))
        for currency, (charges, orders, refunds) in sorted(lists.items())
    }


def pays(entry: Entry, kept: Kept | None) -> bool:
    """Whether this is the charge that an order names as its own."""
    return kept is not None and kept.status == "confirmed" and kept.reference == entry.id


def _one_fate_each(charges: list[Entry], books: Books) -> Iterable[Finding]:
    """Each charge pays for its order and was left alone, or was given back to the last unit, once."""
    wrong: dict[tuple[Fault, str], list[str]] = defaultdict(list)
    for entry in charges:
        kept = books.kept.get(entry.reservation)
        order = pays(entry, kept)
        if entry.refunded > entry.amount:
            wrong["refunds", "had more given back than was taken"].append(entry.id)
        elif order and entry.refunded:
            wrong["refunds", "had money given back, and the order stands"].append(entry.id)
        elif not order and 0 < entry.refunded < entry.amount:
            wrong["refunds", "had only a part given back"].append(entry.id)
        elif not order and not entry.refunded:
            wrong["charged_for_nothing", "pays for no order and was not given back"].append(entry.id)
        if order and kept is not None and (entry.amount, entry.currency) != (kept.due, kept.currency):
            wrong["amount", "is not of the amount that was due"].append(entry.id)
    for (fault, what), ids in wrong.items():
        yield Finding(fault, f"{counted(ids, 'charge')}, each of which {what}: {named(ids)}")


def _orders_paid_once(charges: list[Entry], books: Books) -> Iterable[Finding]:
    by_reservation: dict[str, list[Entry]] = defaultdict(list)
    for entry in charges:
        by_reservation[entry.reservation].append(entry)
    unpaid = [
        reservation
        for reservation, kept in books.kept.items()
        if kept is not None
        and kept.status == "confirmed"
        and not any(pays(entry, kept) for entry in by_reservation[reservation])
    ]
    if unpaid:
        yield Finding("unpaid_order", f"{counted(unpaid, 'order')} that nobody has paid: {named(unpaid)}")
    twice = [
        reservation
        for reservation, entries in by_reservation.items()
        if sum(1 for entry in entries if not entry.refunded) > 1
    ]
    if twice:
        yield Finding("charged_twice", f"{counted(twice, 'reservation')} paid more than once: {named(twice)}")


def _nothing_behind_backs(case: Case, charges: list[Entry]) -> Iterable[Finding]:
    """Money was taken from those who have said yes, and from nobody else; and the provider stands by its word."""
    agreed = {payment for checkout in case.checkouts for payment in checkout.taken}
    known = {entry.id for entry in case.books.entries}
    unknown = sorted(agreed - known)
    if unknown:
        yield Finding(
            "sums",
            f"{counted(unknown, 'payment')} that shoppers made, of which the provider knows nothing: {named(unknown)}",
        )
    # Whoever was interrupted may have said yes without hearing the answer.
    unsure = {checkout.reservation for checkout in case.checkouts if checkout.outcome == "interrupted"}
    unasked = [entry.id for entry in charges if entry.id not in agreed and entry.reservation not in unsure]
    if unasked:
        yield Finding(
            "charged_for_nothing",
            f"{counted(unasked, 'charge')} to which no shopper has agreed: {named(unasked)}",
        )


def _sums_agree(charges: list[Entry], books: Books) -> Iterable[Finding]:
    provider = sums_of(charges, books)
    for currency in sorted(provider.keys() | books.money.keys()):
        theirs, ours = provider.get(currency, Sums()), books.money.get(currency, Sums())
        if theirs.charges.amount != theirs.orders.amount + theirs.refunds.amount:
            yield Finding(
                "sums",
                f"{currency}: the provider has charges of {theirs.charges}, which is not orders of {theirs.orders} "
                f"+ refunds of {theirs.refunds}",
            )
        for what in ("charges", "orders", "refunds"):
            if getattr(theirs, what) != getattr(ours, what):
                yield Finding(
                    "sums",
                    f"{currency}: {what} by the provider's books {getattr(theirs, what)}, by the shop's journal "
                    f"{getattr(ours, what)}",
                )
        if ours.refunding.count:
            yield Finding("refunds", f"{currency}: {ours.refunding} charges are on their way back still")
    if not books.reconciled.ok:
        yield Finding(
            "sums", f"the shop's own comparison finds charges without a fate: {named(books.reconciled.open)}"
        )
    elif books.reconciled.charges != len(charges):
        yield Finding(
            "sums",
            f"the shop's own comparison is of {books.reconciled.charges:,} charges, and the provider has {len(charges):,}",
        )


def _sum(amounts: list[int]) -> Sum:
    return Sum(len(amounts), sum(amounts))
