"""The sweeper: ends overdue holds, opens and closes sales by the clock. Any number may run side by side."""

import asyncio
from typing import Final

import structlog

from flashsale import metrics
from flashsale.store.client import SaleRecoveringError, StoreUnavailableError
from flashsale.store.sales import SaleStore

BATCH: Final = 200
"""Holds ended by one script call: about two milliseconds of the store's time."""
_QUIET_S: Final = 1.0
"""How often sales are looked at that are closed and have no holds left."""

log = structlog.get_logger(__name__)


class Sweeper:
    """Visits every sale each `interval_s`; a sale with more to end than one batch is visited again at once."""

    def __init__(self, store: SaleStore, *, interval_s: float) -> None:
        self._store = store
        self._interval_s = interval_s
        self._quiet: dict[str, float] = {}
        """Sales that need no visit before this loop time."""
        self._failing: set[str] = set()
        """Sales that could not be swept when they were last tried; the others come before them."""
        self._recovering: set[str] = set()
        """Sales that wait for `flashsale recover`: of each it is said once."""

    async def run(self, stop: asyncio.Event) -> None:
        """Sweeps until `stop` is set; a failing store is tried again."""
        away = False
        while not stop.is_set():
            try:
                await self.sweep()
                if away:
                    away = False
                    log.info("sweeper.back")
            except StoreUnavailableError as error:
                if not away:
                    away = True
                    log.warning("sweeper.store_unavailable", reason=error.reason)
            try:
                await asyncio.wait_for(stop.wait(), self._interval_s)
            except TimeoutError:
                continue

    async def sweep(self) -> int:
        """One round over all sales; returns how many holds ended."""
        now = asyncio.get_running_loop().time()
        ended = 0
        for sale in sorted(await self._store.sale_ids(), key=self._failing.__contains__):
            if self._quiet.get(sale, 0.0) <= now:
                self._failing.add(sale)
                try:
                    ended += await self._sweep_sale(sale, now)
                except SaleRecoveringError as error:
                    self._quiet[sale] = now + _QUIET_S
                    if sale not in self._recovering:
                        self._recovering.add(sale)
                        log.warning("sweeper.recovering", sale=sale, reason=error.reason)
                else:
                    self._recovering.discard(sale)
                self._failing.remove(sale)
        return ended

    async def _sweep_sale(self, sale: str, now: float) -> int:
        ended = 0
        while True:
            swept = await self._store.expire(sale, limit=BATCH)
            ended += swept.expired
            if swept.expired < BATCH:
                break
        if ended:
            metrics.HOLDS_EXPIRED.inc(ended)
            log.info("sweeper.expired", sale=sale, holds=ended)
        if swept.state in {"closed", ""} and not swept.next_due_ms:
            self._quiet[sale] = now + _QUIET_S
        else:
            self._quiet.pop(sale, None)
        return ended
