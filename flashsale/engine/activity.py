"""What goes on around a sale: answers, queues, workers, orders on their way out. For those who watch over it.

Whoever watches asks again every second, and there may be several of them, so an answer is remembered for a second by each
worker, and those who ask while it is being made get the same one. It costs two round trips to the store, three commands of
which look at more than one number, and the reading of a few small files.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from flashsale import metrics
from flashsale.engine.history import seen
from flashsale.metrics import Totals
from flashsale.store.pulse import Pulse, PulseStore, Standing

REMEMBER_S: Final = 0.9
"""Less than the second after which a console asks again, so that it does not get the same answer twice in a row."""
ALIVE_MS: Final = 5_000
"""A worker asks for work five times a second; one that has not for so long is away, or in deep trouble."""
_MOST: Final = 256


@dataclass(frozen=True, slots=True)
class Activity:
    """One look at all of it."""

    sale: str
    pulse: Pulse
    totals: Totals
    webhooks: tuple[Standing, ...]

    @property
    def alive(self) -> bool | None:
        """Whether somebody does the background work; None when nobody ever has for this sale."""
        if not self.pulse.joined:
            return None
        return self.pulse.seen_ms is not None and self.pulse.seen_ms < ALIVE_MS

    def behind(self, standing: Standing) -> int:
        """How many events a webhook has still to be told."""
        head = self.pulse.orders if standing.webhook.of_orders else self.pulse.seq
        return max(0, head - standing.position)


class Activities:
    """The activity of all sales, as one worker tells it."""

    def __init__(self, store: PulseStore, *, totals: Callable[[], Totals] = metrics.totals) -> None:
        self._store = store
        self._totals = totals
        self._known: dict[str, tuple[float, asyncio.Task[Activity | None]]] = {}

    async def of(self, sale: str) -> Activity | None:
        """None when there is no such sale.

        Raises:
            StoreUnavailableError: the store failed, or the sale waits to be recovered.
        """
        loop = asyncio.get_running_loop()
        until, task = self._known.get(sale, (0.0, None))
        if task is None or until <= loop.time():
            if len(self._known) >= _MOST:
                self._known.clear()
            task = loop.create_task(self._look(sale))
            task.add_done_callback(seen)
            self._known[sale] = (loop.time() + REMEMBER_S, task)
        return await asyncio.shield(task)

    async def _look(self, sale: str) -> Activity | None:
        try:
            pulse = await self._store.pulse(sale)
            if pulse is None:
                self._known.pop(sale, None)
                return None
            webhooks = [] if pulse.rehearsal else await self._store.webhooks(sale)
        except BaseException:
            self._known.pop(sale, None)
            raise
        return Activity(sale, pulse, self._totals(), tuple(webhooks))
