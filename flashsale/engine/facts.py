"""The facts of one sale as events, for those who want more than orders."""

from collections.abc import Awaitable, Callable

from flashsale.engine.cloudevents import EventMaker
from flashsale.engine.refusals import CursorExpiredError
from flashsale.model.events import Event
from flashsale.model.facts import Fact
from flashsale.store.sales import SaleStore

Older = Callable[[str, int, int], Awaitable[list[Fact]]]
"""Facts of a sale behind a seq, at most so many, from where they are kept when the journal no longer has them."""


class FactReader:
    """Reads the journals."""

    def __init__(self, sales: SaleStore, maker: EventMaker, *, older: Older | None = None) -> None:
        self._sales = sales
        self._maker = maker
        self._older = older

    async def read(self, sale: str, after: int, limit: int) -> list[Event]:
        """Up to `limit` (at most 1000) events of a sale, of the facts behind this seq.

        Raises:
            CursorExpiredError: they are gone.
            StoreUnavailableError: the store failed.
            ValueError, LookupError: a fact cannot be read.
        """
        facts = await self._sales.facts(sale, after=after, limit=limit)
        if not facts or facts[0].seq != after + 1:
            facts = await self._gone(sale, after, limit, facts)
        return await self._maker.make(sale, facts) if facts else []

    async def _gone(self, sale: str, after: int, limit: int, kept: list[Fact]) -> list[Fact]:
        """What the journal no longer has, or nothing when there is nothing yet."""
        found = (await self._sales.look(sale)).sale
        if found is None or found.seq <= after:
            return []
        facts = await self._older(sale, after, limit) if self._older is not None else []
        if facts and facts[0].seq == after + 1:
            return facts
        raise CursorExpiredError(sale, after, kept[0].seq if kept else 0, what="facts")
