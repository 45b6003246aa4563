"""Tells order systems: turns what the journals say of orders into the events of the orders streams.

Any number of publishers may run: the events are the same whoever makes them, and the script appends them only where the
stream ends. Each begins where the stream ends, so nothing is lost or said twice, whenever one dies.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from flashsale.engine.cloudevents import EventMaker
from flashsale.model.events import Tally
from flashsale.model.facts import ORDER_FACTS, Fact
from flashsale.store.orders import OrderStore
from flashsale.store.sales import SaleStore

AT_ONCE: Final = 500
"""Facts read, and events appended, by one call."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Place:
    """How far a sale has been told."""

    seq: int
    """The last fact read."""
    tally: Tally


class Publisher:
    """Publishes the orders of every sale it is told of."""

    def __init__(
        self,
        sales: SaleStore,
        orders: OrderStore,
        maker: EventMaker,
        *,
        on_published: Callable[[int], None] = lambda _count: None,
    ) -> None:
        """`on_published` is told how many events were appended."""
        self._sales = sales
        self._orders = orders
        self._maker = maker
        self._on_published = on_published
        self._places: dict[str, _Place] = {}
        self._stuck: set[str] = set()

    async def follow(self, sales: list[str]) -> None:
        """From now on these are the sales; those that were stuck are tried again."""
        self._places = {sale: place for sale, place in self._places.items() if sale in set(sales)}
        for sale in sales:
            if sale not in self._places:
                await self._begin(sale)

    def forget(self) -> None:
        """Begins anew: the store was away, and may have come back with other data."""
        self._places.clear()
        self._maker.forget()

    async def publish(self, *, block_ms: int) -> int:
        """Publishes what is new, waiting up to `block_ms` for it; how many events that were.

        Raises:
            StoreUnavailableError: the store failed; `forget` and `follow`, then go on.
        """
        found = await self._sales.tail(
            {sale: place.seq for sale, place in self._places.items()}, block_ms=block_ms, limit=AT_ONCE
        )
        return sum([await self._publish(sale, facts) for sale, facts in found.items()])

    async def _begin(self, sale: str) -> None:
        last, tally = await self._orders.last(sale)
        self._places[sale] = _Place(last.seq if last is not None else 0, tally)

    async def _publish(self, sale: str, facts: list[Fact]) -> int:
        place = self._places[sale]
        told = [fact for fact in facts if fact.type in ORDER_FACTS]
        try:
            appended = await self._append(sale, place, told) if told else True
        except (ValueError, LookupError) as error:
            self._say_stuck(sale, place, error)
            return 0
        self._stuck.discard(sale)
        if not appended:  # somebody else was faster
            await self._begin(sale)
            return 0
        place.seq = facts[-1].seq
        return len(told)

    async def _append(self, sale: str, place: _Place, told: list[Fact]) -> bool:
        tally, events = place.tally, []
        for event in await self._maker.make(sale, told):
            tally = tally.plus(event.data)
            events.append((event, tally))
        if not await self._orders.append(sale, events):
            return False
        place.tally = tally
        self._on_published(len(events))
        return True

    def _say_stuck(self, sale: str, place: _Place, error: Exception) -> None:
        """Nothing may be left out, so the sale waits until somebody has looked at it; the other sales go on."""
        del self._places[sale]
        if sale not in self._stuck:
            self._stuck.add(sale)
            log.error("orders.stuck", sale=sale, after_fact=place.seq, reason=str(error))
