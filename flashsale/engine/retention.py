"""Trimming: facts, and published orders, that are old enough leave Redis once they are in the archive and nobody needs them.

Never before they are archived; never what has not been published yet, what a webhook has still to be told, or what a
consumer group has not read and acknowledged. The last fact that the archive has stays, for the guard compares it; so does
the newest published order, where the publisher goes on.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog

from flashsale.archive import Archive
from flashsale.store.retention import Extent, Needed, RetentionStore

DAY_MS: Final = 86_400_000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What was removed of a sale."""

    facts: int = 0
    orders: int = 0


class Retention:
    """Trims the sales of one store."""

    def __init__(self, store: RetentionStore, archive: Archive, *, days: float) -> None:
        """`days`, more than none, is how long facts stay that are archived."""
        self._store = store
        self._archive = archive
        self._days = days
        self._held: dict[tuple[str, str], str] = {}
        """(sale, what) -> who keeps it from being trimmed, as last said"""

    async def trim(self, sale: str) -> Trimmed:
        """Trims one sale.

        Raises:
            ArchiveError, StoreUnavailableError: run it again.
        """
        position = await asyncio.to_thread(self._archive.position, sale)
        extent = await self._store.extent(sale)
        if position is None or extent.recovering or position.seq > extent.seq:
            return Trimmed()
        cutoff_ms = await self._store.now_ms() - round(self._days * DAY_MS)
        # What is old enough and archived; `seq` is the first fact that is not.
        seq = min(position.seq, await self._store.younger(sale, cutoff_ms, extent))
        orders = await self._trim_orders(sale, seq, extent)
        facts = await self._trim_facts(sale, seq, extent)
        if facts or orders:
            log.info("trimmer.trimmed", sale=sale, facts=facts, orders=orders)
        return Trimmed(facts, orders)

    async def _trim_facts(self, sale: str, seq: int, extent: Extent) -> int:
        if not extent.oldest or seq <= extent.oldest:
            return 0
        needed = await self._store.needed_facts(sale)
        if extent.published < extent.orders:
            needed.append(Needed(extent.published_seq + 1, "the publisher"))
        return await self._store.trim_journal(sale, self._limit(sale, "facts", seq, needed), extent)

    async def _trim_orders(self, sale: str, seq: int, extent: Extent) -> int:
        if not extent.published:
            return 0
        sequence = min(await self._store.order_from(sale, seq, extent), extent.published)
        if sequence <= extent.first_order:
            return 0
        needed = await self._store.needed_orders(sale)
        return await self._store.trim_orders(sale, self._limit(sale, "orders", sequence, needed), extent)

    def _limit(self, sale: str, what: str, until: int, needed: list[Needed]) -> int:
        """Up to where may be trimmed; says who keeps it from more, once for each."""
        first = min(needed, key=lambda each: each.entry, default=None)
        if first is None or first.entry >= until:
            self._held.pop((sale, what), None)
            return until
        if self._held.get((sale, what)) != first.by:
            self._held[sale, what] = first.by
            log.warning("trimmer.held", sale=sale, what=what, by=first.by, until=first.entry)
        return first.entry
