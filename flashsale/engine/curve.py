"""The courses of sales, as one worker follows them: read once, and then only what is new.

A long journal is not read while somebody waits for it: whoever asks is told as far as it was read within a moment, and that
there is more; the reading goes on in the meantime.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from flashsale.engine.history import Breather, History, seen
from flashsale.model.course import Course, LinesOf
from flashsale.model.facts import Fact
from flashsale.scripts.calls import SaleState
from flashsale.store.client import sale_recovering
from flashsale.store.sales import SaleStore

WAIT_S: Final = 2.0
"""How long somebody waits for a journal to be read."""
FRESH_S: Final = 0.5
"""A course that was looked at so recently is told as it is."""
MOST: Final = 32
"""Sales that are followed at once; one that nobody has asked about for the longest time is read anew when it comes back."""


@dataclass(slots=True)
class Told:
    """A course, and how far it is."""

    sale: str
    course: Course = field(default_factory=Course)
    state: SaleState | None = None
    """The sale when it was last looked at."""
    exact: bool = False
    """The counters are those of the sale at that instant."""
    looked_at: float = float("-inf")
    """Loop time at which what was read last was asked for."""
    task: "asyncio.Task[bool] | None" = None
    """The reading that is under way."""

    @property
    def complete(self) -> bool:
        """Everything was read that there was when the sale was last looked at."""
        return self.state is not None and self.course.seq >= self.state.seq


class Curves:
    """The courses that this worker follows."""

    def __init__(self, store: SaleStore, history: History) -> None:
        self._store = store
        self._history = history
        self._told: OrderedDict[str, Told] = OrderedDict()

    async def of(self, sale: str, *, wait_s: float = WAIT_S) -> Told | None:
        """The course of a sale, as far as it could be read in a moment; None when there is no such sale.

        Raises:
            StoreUnavailableError: the store or the archive failed, or the sale waits to be recovered.
        """
        loop = asyncio.get_running_loop()
        told = self._told.get(sale) or Told(sale)
        self._told[sale] = told
        self._told.move_to_end(sale)
        if told.task is None and loop.time() - told.looked_at >= FRESH_S:
            told.task = loop.create_task(self._advance(told))
            told.task.add_done_callback(partial(self._ended, told))
        if told.task is not None:
            task = told.task
            done, _ = await asyncio.wait({task}, timeout=wait_s)
            if done and not task.result():
                return None
        self._drop()
        return told

    def _ended(self, told: Told, task: "asyncio.Task[bool]") -> None:
        """Also when nobody waits any more: whoever comes next is not told the end of a reading of long ago as of now."""
        told.task = None
        seen(task)
        if not task.cancelled() and not task.exception() and not task.result():
            self._told.pop(told.sale, None)

    async def close(self) -> None:
        """Stops reading."""
        tasks = [told.task for told in self._told.values() if told.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _drop(self) -> None:
        for sale in list(self._told):
            if len(self._told) <= MOST:
                return
            if self._told[sale].task is None:
                del self._told[sale]

    async def _advance(self, told: Told) -> bool:
        """Reads what is new. False when there is no such sale."""
        began = asyncio.get_running_loop().time()
        look = await self._store.shared_look(told.sale)
        if look.sale is None:
            if look.recovering:
                raise sale_recovering()
            return False
        target, breather = look.sale.seq, Breather()
        told.state = look.sale
        if not await self._goes_on(told, target):
            told.course = Course()
        course = told.course
        while course.seq < target:
            facts = await self._history.page(told.sale, course.seq)
            facts = [fact for fact in facts if fact.seq <= target]
            if not facts or facts[0].seq != course.seq + 1:
                break  # they are nowhere; what is known is told, and that it is not all
            course.apply(facts, await self._lines(told.sale, course, facts))
            await breather.rest()
        told.exact = course.seq == target and course.counters() == {
            item.sku: (item.available, item.held, item.sold) for item in look.sale.stock
        }
        told.looked_at = began
        return True

    async def _goes_on(self, told: Told, target: int) -> bool:
        """Whether the journal is the one whose facts were read: it is another one when it was lost, and not recovered."""
        last = told.course.last
        if last is None:
            return True
        if target < last.seq:
            return False
        there = await self._history.page(told.sale, last.seq - 1, 1)
        return not there or there[0].seq != last.seq or there[0] == last

    async def _lines(self, sale: str, course: Course, facts: list[Fact]) -> LinesOf:
        tokens = course.wanted(facts)
        try:
            found = await self._store.reservations(sale, tokens)
        except ValueError:
            return {}  # one cannot be read: the audit says which
        return {each.token: each.lines for each in found if each is not None}
