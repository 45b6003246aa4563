"""The facts of a sale from its first one on, for those who only tell of them.

They come out of the journal and, where that was trimmed, out of the archive. The audit reads both and compares them; see
flashsale/engine/audit_outgoing.py.
"""

import asyncio
import time
from typing import Any, Final

from flashsale.engine.facts import Older
from flashsale.model.facts import Fact
from flashsale.store.sales import SaleStore

PAGE: Final = 500
"""Facts that are read at once: some milliseconds of this process's time."""
REST: Final = 2.0
"""How many times as long as reading a page took, whoever reads many of them leaves the process to others."""


class History:
    """Reads the journals, and the archive behind them."""

    def __init__(self, store: SaleStore, older: Older | None) -> None:
        """`older` reads the archive, where this process was told of one."""
        self._store = store
        self._older = older

    async def page(self, sale: str, after: int, limit: int = PAGE) -> list[Fact]:
        """The facts that follow `after`; others, or none, when that one is nowhere.

        Raises:
            StoreUnavailableError: the store, or the archive, failed.
        """
        facts = await self._store.facts(sale, after=after, limit=limit)
        if self._older is None or (facts and facts[0].seq == after + 1):
            return facts
        return await self._older(sale, after, limit) or facts


def seen(task: "asyncio.Task[Any]") -> None:
    """To be called when a task has ended whose error nobody may come back for: it is not logged as forgotten."""
    if not task.cancelled():
        task.exception()


class Breather:
    """Rests now and then, so that a long work in a process that sells takes a share of it and no more."""

    def __init__(self) -> None:
        self._since = time.thread_time()

    async def rest(self) -> None:
        """To be called between two parts of the work, each of a few milliseconds."""
        spent = time.thread_time() - self._since
        # What others did meanwhile counts too, which errs on the side of those who buy.
        await asyncio.sleep(min(REST * spent, 0.1))
        self._since = time.thread_time()
