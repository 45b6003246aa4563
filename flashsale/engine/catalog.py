"""The definitions a worker has at hand, so that a request need not read them again."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

from flashsale.model.ids import is_sale_id
from flashsale.model.reservation import Line
from flashsale.model.sale import SaleDefinition
from flashsale.model.schedule import Schedule
from flashsale.store.sales import SaleStore

_MOST = 10_000
_MOST_AMOUNTS = 1_000


@dataclass(frozen=True, slots=True)
class Offer:
    """A sale's definition in the version in force when it was read."""

    sale: str
    version: int
    definition: SaleDefinition
    prices: dict[str, int]
    _schedules: dict[int, Schedule] = field(default_factory=dict, init=False, repr=False, compare=False)
    patterns: dict[tuple[Line, ...], bytes] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """Free for whoever shows reservations of these lines: what all of them have in common."""

    def amount(self, lines: tuple[tuple[str, int], ...]) -> int:
        """What the lines cost, in minor units."""
        return sum(self.prices[sku] * units for sku, units in lines)

    def schedule(self, amount: int) -> Schedule:
        """What of the amount is paid when. Remembered: most reservations of a sale cost the same, and all show it."""
        known = self._schedules.get(amount)
        if known is None:
            if len(self._schedules) >= _MOST_AMOUNTS:
                self._schedules.clear()
            known = self._schedules[amount] = self.definition.schedule(amount)
        return known


class Catalog:
    """Definitions by sale, the ones read longest ago dropped first.

    A definition may be replaced until the sale opens; every answer of the store carries the version in force, and `fresh`
    reads again when it differs. Once a sale has opened its definition cannot change.
    """

    def __init__(self, store: SaleStore) -> None:
        self._store = store
        self._offers: OrderedDict[str, Offer] = OrderedDict()
        self._reading: dict[str, asyncio.Future[Offer | None]] = {}

    def known(self, sale: str) -> Offer | None:
        """The offer at hand, which may be out of date."""
        return self._offers.get(sale)

    async def get(self, sale: str) -> Offer | None:
        """The offer at hand, or as read from the store; None when there is no such sale."""
        offer = self._offers.get(sale)
        if offer is not None:
            return offer
        # Those who come to a cold worker together read it once, not on a connection each.
        reading = self._reading.get(sale)
        if reading is None:
            reading = self._reading[sale] = asyncio.ensure_future(self._read(sale))
            reading.add_done_callback(lambda done: self._has_read(sale, done))
        return await asyncio.shield(reading)

    async def fresh(self, sale: str, version: int) -> Offer | None:
        """The offer in this version, or whichever is in force when it is not."""
        offer = self._offers.get(sale)
        if offer is not None and offer.version == version:
            return offer
        return await self._read(sale)

    def _has_read(self, sale: str, done: "asyncio.Future[Offer | None]") -> None:
        del self._reading[sale]
        if not done.cancelled():
            done.exception()  # told to those who wait, if anybody still does

    async def _read(self, sale: str) -> Offer | None:
        stored = await self._store.definition(sale) if is_sale_id(sale) else None
        if stored is None:
            self._offers.pop(sale, None)
            return None
        prices = {item.sku: item.price for item in stored.definition.items}
        offer = Offer(sale, stored.version, stored.definition, prices)
        self._offers[sale] = offer
        self._offers.move_to_end(sale)
        while len(self._offers) > _MOST:
            self._offers.popitem(last=False)
        return offer
