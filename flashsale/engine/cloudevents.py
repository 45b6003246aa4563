"""Makes events of facts: reads what they are about, and remembers what never changes about a sale."""

from collections.abc import Sequence
from typing import Final

from flashsale.model.events import Event, make_event, needs_reservation
from flashsale.model.facts import Fact, FactType
from flashsale.model.terms import Terms
from flashsale.store.sales import SaleStore

_MOST_TERMS: Final = 10_000


class EventMaker:
    """Makes the events of one shop's sales. `shop` is its name, as in the source of every event."""

    def __init__(self, store: SaleStore, shop: str) -> None:
        self._store = store
        self._shop = shop
        self._terms: dict[str, Terms] = {}

    async def make(self, sale: str, facts: Sequence[Fact]) -> list[Event]:
        """The events of some facts (1 to 1000) of a sale, in the same order.

        Raises:
            StoreUnavailableError: the store failed.
            ValueError, LookupError: a fact, or what it is about, cannot be read.
        """
        tokens = list({fact.token: None for fact in facts if needs_reservation(fact)})
        reservations = dict(zip(tokens, await self._store.reservations(sale, tokens), strict=True))
        events = []
        for fact in facts:
            if fact.type == FactType.SALE_OPENED:
                self._remember(sale, Terms.read(fact.data))
            about = reservations[fact.token] if needs_reservation(fact) else None
            terms = self._terms.get(sale) or (await self._read_terms(sale) if about is not None else None)
            events.append(make_event(self._shop, sale, fact, terms, about))
        return events

    def forget(self) -> None:
        """Forgets what it remembers: the store may be another one."""
        self._terms.clear()

    async def _read_terms(self, sale: str) -> Terms | None:
        text = await self._store.definition_text(sale)
        if text is None:
            return None
        terms = Terms.read(text)
        self._remember(sale, terms)
        return terms

    def _remember(self, sale: str, terms: Terms) -> None:
        # Only what has opened is ever read: its definition cannot change any more.
        if len(self._terms) >= _MOST_TERMS:
            self._terms.clear()
        self._terms[sale] = terms
