"""Which sales are rehearsals.

A definition may be replaced until the sale opens, and with it the answer. So whoever has read something that only an open
sale has, an order or a reservation, asks after reading it, and is told what is true for ever; an answer to anybody else
holds for now. What is settled is remembered, and costs nothing more.
"""

from collections.abc import Iterable
from typing import Final

from flashsale.store.sales import SaleStore

_MOST: Final = 10_000


class Rehearsals:
    """The rehearsals of one store, as one process knows them. Methods raise `StoreUnavailableError`."""

    def __init__(self, store: SaleStore) -> None:
        self._store = store
        self._settled: dict[str, bool] = {}

    def known(self, sale: str) -> bool | None:
        """Whether a sale is a rehearsal, as far as that is settled and known here."""
        return self._settled.get(sale)

    async def among(self, sales: Iterable[str]) -> set[str]:
        """Those of the sales that are rehearsals. Sales that do not exist are none."""
        wanted = list(sales)
        found = {sale for sale in wanted if self._settled.get(sale)}
        unknown = [sale for sale in wanted if sale not in self._settled]
        marks = await self._store.marks(unknown) if unknown else {}
        found |= {sale for sale, mark in marks.items() if mark.rehearsal}
        if len(self._settled) + len(marks) > _MOST:
            self._settled.clear()
        self._settled |= {sale: mark.rehearsal for sale, mark in marks.items() if mark.settled}
        return found

    async def has(self, sale: str) -> bool:
        """Whether this sale is one."""
        return sale in await self.among([sale])

    def forget(self, sales: Iterable[str] | None = None) -> None:
        """Forgets what it knows of these sales, or of all: they are gone, or the store may be another one."""
        if sales is None:
            self._settled.clear()
        else:
            for sale in sales:
                self._settled.pop(sale, None)
