"""An archiver at work beside a test, and something for it to copy."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from flashsale.archive import Archive, Position
from flashsale.engine.cloudevents import EventMaker
from flashsale.store.client import Store
from flashsale.store.sales import SaleStore
from flashsale.workers import archiver as module
from flashsale.workers.archiver import Archiver
from tests.support.server import PATIENCE_MS, PATIENCE_S
from tests.support.shop import Shop

OTHER = "other"


class Desk:
    """An archiver at work on a store of its own."""

    def __init__(self, url: str, archive: Archive, **options: Any) -> None:
        self.store = Store.connect(url, timeout_ms=PATIENCE_MS)
        self.sales = SaleStore(self.store, timeout_s=PATIENCE_S)
        self.maker = EventMaker(self.sales, "test")
        self.behind: list[Position] = []
        self.archiver = Archiver(
            self.sales, self.maker, archive, store=self.store, on_behind=self._on_behind, **options
        )

    async def _on_behind(self, position: Position) -> None:
        self.behind.append(position)

    async def drain(self) -> int:
        """Archives until there is nothing left; how many facts that were."""
        total = 0
        self.look()
        while count := await self.archiver.step(block_ms=1):
            total += count
        return total

    def look(self) -> None:
        """Lets it compare at once what it would in a second."""
        self.archiver._looked_at = self.archiver._compared_at = float("-inf")
        self.archiver._stuck = {
            sale: module._Stuck(each.after, each.reason, 0.0) for sale, each in self.archiver._stuck.items()
        }

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        task = asyncio.create_task(self.archiver.run(stop))
        yield
        stop.set()
        await asyncio.wait_for(task, 60)

    async def close(self) -> None:
        await self.sales.close()
        await self.store.close()


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - it becomes so in other threads and on servers
            await asyncio.sleep(0.01)


def of(logs: Any, event: str) -> list[Any]:
    return [entry for entry in logs if entry["event"] == event]


async def trade(shop: Shop, customers: int = 3) -> None:
    """Orders, an order undone, a cancelled hold, and one that ends."""
    await shop.open({"car": 100}, hold_seconds=60)
    for number in range(customers):
        await shop.paid(f"c{number}", ("car", 1), reference=f"sim:{number}")
    gone = await shop.paid("gone", reference="sim:gone")
    await shop.refund(gone.token, reason="broken")
    await shop.cancel((await shop.hold("other")).token)
    await shop.hold("late")
    shop.clock.advance(61)
    await shop.expire()


# --- copying ---
