"""Defining, watching and steering sales."""

import asyncio
from dataclasses import dataclass

from flashsale.engine.audit import Audit, AuditReport
from flashsale.engine.audit_outgoing import OldFacts
from flashsale.engine.catalog import Catalog, Offer
from flashsale.model.ids import is_sale_id
from flashsale.model.outcomes import OpenSale, Restock, SetState
from flashsale.model.sale import SaleDefinition
from flashsale.scripts.calls import SaleState
from flashsale.store.client import SaleRecoveringError, sale_recovering
from flashsale.store.orders import OrderStore
from flashsale.store.sales import SaleStore

_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class SaleView:
    """A sale's definition and its counters as one look shows them."""

    offer: Offer
    state: SaleState


class Sales:
    """The sales of one store."""

    def __init__(
        self,
        store: SaleStore,
        catalog: Catalog,
        *,
        orders: OrderStore | None = None,
        old: OldFacts | None = None,
    ) -> None:
        """`orders` and `old`, the archive, are what the audit looks at besides the store's own counters."""
        self._store = store
        self._catalog = catalog
        self._orders = orders
        self._old = old

    async def define(self, sale: str, definition: SaleDefinition) -> OpenSale:
        """Defines a sale, or redefines one that has not opened yet."""
        outcome, _, version = await self._store.open_sale(sale, definition)
        await self._catalog.fresh(sale, version)
        return outcome

    async def view(self, sale: str) -> SaleView | None:
        """None when there is no such sale. One that is recovering is shown as it is, and paused.

        Raises:
            SaleRecoveringError: nothing is left of it to show.
        """
        look = await self._store.shared_look(sale) if is_sale_id(sale) else None
        if look is None:
            return None
        if look.sale is None:
            if look.recovering:
                raise sale_recovering()
            return None
        offer = await self._catalog.fresh(sale, look.sale.version)
        return SaleView(offer, look.sale) if offer else None

    async def views(self) -> list[SaleView]:
        """Every sale, by id; those of which nothing is left until they were recovered are passed over."""
        found: list[SaleView] = []
        ids = await self._store.sale_ids()
        for start in range(0, len(ids), _AT_ONCE):
            views = await asyncio.gather(*(self._shown(sale) for sale in ids[start : start + _AT_ONCE]))
            found.extend(view for view in views if view is not None)
        return found

    async def _shown(self, sale: str) -> SaleView | None:
        try:
            return await self.view(sale)
        except SaleRecoveringError:
            return None

    async def set_state(self, sale: str, verb: str) -> SetState:
        """`verb` is pause, resume or close."""
        return await self._store.set_state(sale, verb)

    async def restock(self, sale: str, *, sku: str, units: int, reason: str, repeat_key: str) -> Restock:
        """Adds units to an item; the same `repeat_key` ("" for none) adds them once."""
        return await self._store.restock(sale, sku=sku, units=units, reason=reason, repeat_key=repeat_key)

    async def audit(self, sale: str) -> AuditReport | None:
        """None when there is no such sale."""
        return await Audit(self._store, sale, orders=self._orders, old=self._old).run()
