"""The part of the verdict that is about the order system: it has every order of the shop once, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flashsale.demo.case import Books, Finding, Kept
from flashsale.demo.order_books import Delivered, OrderLedger, Posting
from flashsale.model.events import Tally, next_digest
from flashsale.verdict.words import counted, named

DIGEST_SHOWN = 12
"""Characters of a digest that are enough to see that it is another one."""


def judge_orders(books: Books) -> list[Finding]:
    """Every contradiction between the order system's own books and the shop's."""
    return [
        *_went_on(books.delivered),
        *_all_told(books.delivered.ledger, books),
        *_nothing_else(books.delivered.ledger, books),
        *_once_each(books.delivered.ledger),
        *_no_gap(books.delivered.ledger.postings),
        *_summed_up_alike(tally_of(books.delivered.ledger.postings), books.orders),
    ]


def tally_of(postings: Sequence[Posting]) -> Tally:
    """The sums of an order system's own books, as the shop makes them of its journal."""
    made = [posting for posting in postings if posting.status == "confirmed"]
    undone = [posting for posting in postings if posting.status == "refunded"]
    digest = ""
    for one in postings:
        said = {"sequence": one.sequence, "status": one.status, "reservation": one.reservation}
        digest = next_digest(digest, {**said, "amount_due": one.amount})
    return Tally(
        sequence=postings[-1].sequence if postings else 0,
        confirmed=len(made),
        confirmed_amount=sum(posting.amount for posting in made),
        refunded=len(undone),
        refunded_amount=sum(posting.amount for posting in undone),
        currency=postings[-1].currency if postings else None,
        digest=digest,
    )


def _went_on(delivered: Delivered) -> Iterable[Finding]:
    if delivered.failure:
        yield Finding("feed_ended", f"the order system could not go on: {delivered.failure}")


def _all_told(ledger: OrderLedger, books: Books) -> Iterable[Finding]:
    """Whatever is an order at the shop, or was one, is one in its books."""
    orders = {name: kept for name, kept in books.kept.items() if kept is not None and _was_order(kept)}
    missing = [name for name in orders if name not in ledger.orders]
    if missing:
        yield Finding(
            "feed_lost",
            f"{counted(missing, 'order')} of which the order system was never told: {named(missing)}",
        )
    standing = [
        name
        for name, kept in orders.items()
        if kept.status == "refunded" and name in ledger.orders and ledger.orders[name].status == "confirmed"
    ]
    if standing:
        yield Finding(
            "feed_lost",
            f"{counted(standing, 'refund')} of which the order system was never told: {named(standing)}",
        )


def _nothing_else(ledger: OrderLedger, books: Books) -> Iterable[Finding]:
    """What is in its books is so at the shop, to the last cent."""
    none, undone, amounts = [], [], []
    for name, standing in ledger.orders.items():
        kept = books.kept.get(name)
        if kept is None or not _was_order(kept):
            none.append(name)
            continue
        if standing.status == "refunded" and kept.status == "confirmed":
            undone.append(name)
        if (standing.amount, standing.currency) != (kept.due, kept.currency):
            told, due = f"{standing.amount:,} {standing.currency}", f"{kept.due:,} {kept.currency}"
            amounts.append(f"{name} ({told} instead of {due})")
    if none:
        yield Finding(
            "feed_untrue", f"{counted(none, 'order')} told that the shop does not have: {named(none)}"
        )
    if undone:
        yield Finding(
            "feed_untrue", f"{counted(undone, 'refund')} told of orders that stand: {named(undone)}"
        )
    if amounts:
        yield Finding(
            "feed_untrue", f"{counted(amounts, 'order')} told with a wrong amount: {named(amounts)}"
        )


def _was_order(kept: Kept) -> bool:
    return kept.status in ("confirmed", "refunded")


def _once_each(ledger: OrderLedger) -> Iterable[Finding]:
    if ledger.dropped:
        yield Finding(
            "feed_twice",
            f"{counted(ledger.dropped, 'order')} told once more, which the order system has dropped: "
            f"{named(ledger.dropped)}",
        )


def _no_gap(postings: Sequence[Posting]) -> Iterable[Finding]:
    told = {posting.sequence for posting in postings}
    last = max(told, default=0)
    missing = [str(sequence) for sequence in range(1, last + 1) if sequence not in told]
    if missing:
        yield Finding(
            "feed_gap",
            f"{counted(missing, 'number')} missing among the orders told, up to {last:,}: {named(missing)}",
        )


def _summed_up_alike(ours: Tally, shop: Tally) -> Iterable[Finding]:
    """The order system's sums are those by which the shop lets it check its books."""
    different = []
    for what in (
        "sequence",
        "confirmed",
        "confirmed_amount",
        "refunded",
        "refunded_amount",
        "currency",
        "digest",
    ):
        here, there = getattr(ours, what), getattr(shop, what)
        if here != there and (what != "currency" or ours.sequence):
            different.append(f"{what.replace('_', ' ')} {_shown(here)} instead of {_shown(there)}")
    if different:
        yield Finding(
            "feed_summary", f"the order system's books differ from the shop's summary: {', '.join(different)}"
        )


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value or "none")[:DIGEST_SHOWN]
