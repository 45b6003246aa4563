"""A consumer's own sums of the orders it was given, and how to compare them with those of the shop."""

from collections.abc import Mapping
from typing import Any

from flashsale.client.orders import Order
from flashsale.client.shapes import OrdersSummary
from flashsale.model.events import Tally


class Books:
    """The sums of every sale whose orders were added, in the order in which the feed gives them.

    books = Books()
    async for order in feed:
        books.add(order)
    print(books.differences(await client.orders_summary("giulia-milano")) or "the books agree")

    The digest is a chain over all orders of a sale, so it agrees only when the same orders came in the same order.
    """

    def __init__(self, tallies: Mapping[str, Tally] | None = None) -> None:
        """`tallies` are the sums to go on from, by sale, such as those that were stored."""
        self._tallies = dict(tallies or {})

    def add(self, order: Order) -> Tally:
        """Count an order made or undone; the sums with it.

        Raises:
            ValueError: it is not the next one of its sale.
        """
        tally = self._tallies[order.sale] = self.tally(order.sale).plus(order.event["data"])
        return tally

    def tally(self, sale: str) -> Tally:
        """The sums of a sale: all zero when nothing was added."""
        return self._tallies.get(sale, Tally())

    def differences(self, summary: OrdersSummary) -> list[str]:
        """What a shop's summary of a sale says otherwise than these books: nothing when they agree.

        A summary of later orders than the last one added is one difference: read on, and compare again.
        """
        sale, own = summary["sale"], self.tally(summary["sale"])
        if own.sequence != summary["sequence"]:
            return [
                f"{sale}: the last order here is number {own.sequence}, that of the shop {summary['sequence']}"
            ]
        confirmed, refunded = summary["confirmed"], summary["refunded"]
        pairs: dict[str, tuple[Any, Any]] = {
            "orders made": (own.confirmed, confirmed["count"]),
            "paid for them": (own.confirmed_amount, confirmed["amount"]),
            "orders undone": (own.refunded, refunded["count"]),
            "given back for them": (own.refunded_amount, refunded["amount"]),
            "digest": (own.digest, summary["digest"]),
        }
        return [
            f"{sale}: {what}: {ours} here, {theirs} in the shop"
            for what, (ours, theirs) in pairs.items()
            if ours != theirs
        ]
