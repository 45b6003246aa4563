"""What goes to a webhook next: events of a sale behind a position, of the types that it asks for."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import orjson

from flashsale.engine.cloudevents import EventMaker
from flashsale.engine.older import OldBooks
from flashsale.engine.rehearsals import Rehearsals
from flashsale.model.events import event_type
from flashsale.model.webhooks import Webhook
from flashsale.store.client import StoreUnavailableError
from flashsale.store.orders import OrderStore
from flashsale.store.sales import SaleStore

ORDERS_AT_ONCE: Final = 100
FACTS_AT_ONCE: Final = 500
T = TypeVar("T")


Reading = Callable[[str, int, int], Awaitable[list[T]]]
"""(sale, after, limit) -> what there is"""


class OutOfReachError(Exception):
    """What comes next cannot be read, so nothing behind it may go either. Says why."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One event that is to be delivered."""

    number: int
    """The position once it has arrived."""
    id: str
    type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """Events in order; once they have arrived, everything up to `through` is done."""

    events: list[Outgoing]
    through: int


class Outbox:
    """Reads what goes to webhooks. `older` has what is no longer in the store, None where there is no archive."""

    def __init__(
        self, orders: OrderStore, sales: SaleStore, maker: EventMaker, older: OldBooks | None = None
    ) -> None:
        self._orders = orders
        self._sales = sales
        self._maker = maker
        self._older = older
        self._rehearsals = Rehearsals(sales)

    async def page(self, webhook: Webhook, sale: str, after: int) -> Page:
        """What is next behind a position of the webhook; nothing of a rehearsal.

        Raises:
            OutOfReachError: it is there, but cannot be read.
            StoreUnavailableError: the store failed.
        """
        read = self._page_of_orders if webhook.of_orders else self._page_of_facts
        page = await read(frozenset(webhook.types), sale, after)
        # Asked when it was read: the sale may have been defined anew since it was found to have something.
        if page.events and await self._rehearsals.has(sale):
            return Page([], after)
        return page

    async def news(self, after: Mapping[str, int], *, block_ms: int) -> dict[str, int]:
        """Sales in which orders were published behind these sequences, and how far; waits up to `block_ms` for the first.

        Raises:
            StoreUnavailableError: the store failed.
        """
        found = await self._orders.tail(after, block_ms=block_ms, limit=ORDERS_AT_ONCE)
        return {each.sale: each.sequence for each in found}

    async def _page_of_orders(self, types: frozenset[str], sale: str, after: int) -> Page:
        found = await self._orders.read(sale, after=after, limit=ORDERS_AT_ONCE)
        if not found or found[0].sequence != after + 1:
            older = await _from_archive(
                self._older.events if self._older else None, sale, after, ORDERS_AT_ONCE
            )
            found = _joined([each.sequence for each in older], older, after, bool(found))
        events = []
        for each in found:
            kind = str(orjson.loads(each.body)["type"])
            if kind in types:
                events.append(Outgoing(each.sequence, f"{sale}.0.{each.seq}", kind, each.body))
        return Page(events, found[-1].sequence if found else after)

    async def _page_of_facts(self, types: frozenset[str], sale: str, after: int) -> Page:
        found = await self._sales.facts(sale, after=after, limit=FACTS_AT_ONCE)
        if not found or found[0].seq != after + 1:
            older = await _from_archive(
                self._older.facts if self._older else None, sale, after, FACTS_AT_ONCE
            )
            found = _joined([each.seq for each in older], older, after, bool(found))
        wanted = [fact for fact in found if event_type(fact.type) in types]
        try:
            made = await self._maker.make(sale, wanted) if wanted else []
        except (ValueError, LookupError) as error:
            raise OutOfReachError(f"an event cannot be made: {error}") from error
        events = [Outgoing(event.seq, event.id, event.type, event.body) for event in made]
        return Page(events, found[-1].seq if found else after)


async def _from_archive(read: Reading[T] | None, sale: str, after: int, limit: int) -> list[T]:
    """What the archive has behind a number; nothing where there is none."""
    if read is None:
        return []
    try:
        return await read(sale, after, limit)
    except StoreUnavailableError as error:
        raise OutOfReachError(error.reason) from error


def _joined(numbers: Sequence[int], older: list[T], after: int, newer: bool) -> list[T]:
    """What the archive has, if it goes on right behind the position; `newer` says that the store goes on later."""
    if older and numbers[0] == after + 1:
        return older
    if newer or older:
        raise OutOfReachError(
            f"what follows number {after} is no longer in the store, nor in an archive of this worker"
        )
    return []
