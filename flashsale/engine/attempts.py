"""Notes of refused tries, so that support can tell somebody when they pressed, and why they have nothing.

At T0 most answers are refusals, so noting one may cost next to nothing: a worker adds to a dictionary, and writes what is in
it once a second, packed. Nothing depends on it: what cannot be noted or written is dropped, and counted. A worker that is
killed takes up to a second of notes with it, and a batch whose answer was lost is written again, and may count twice.
Whoever has no valid token is nobody, and is not noted.
"""

import asyncio
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from flashsale import metrics
from flashsale.engine.history import Breather
from flashsale.model import attempts
from flashsale.model.attempts import NAMES, Attempt, Note
from flashsale.store.attempts import AttemptStore
from flashsale.store.client import StoreUnavailableError

MOST: Final = 20_000
"""Customers that one worker notes in a second, or keeps while the store is away: some megabytes."""
EVERY_S: Final = 1.0
IN_BATCH: Final = 256
"""Notes in one entry of the stream."""
CUT_EVERY: Final = 16
"""Rounds of writing between two looks at how much memory a sale's notes take."""
MOST_S: Final = 10.0
"""How long the notes of a sale are read for one customer."""

_COUNT_BITS: Final = 24
_MOST_COUNT: Final = (1 << _COUNT_BITS) - 1
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of one customer's refused tries."""

    attempts: tuple[Attempt, ...]
    dropped: int
    """Tries of anybody in this sale that could not be noted."""
    cut: bool
    """The oldest notes of the sale have made room for newer ones."""
    complete: bool = True
    """All notes were read that there are."""


class _Page:
    """The notes of one sale with one outcome."""

    __slots__ = ("first", "last")

    def __init__(self) -> None:
        self.first: dict[str, int] = {}
        """customer -> first_ms, then in 24 bits how often: a number is made faster than a pair, and is no garbage"""
        self.last: dict[str, int] = {}
        """customer -> last_ms, of those who were refused more than once"""

    def notes(self, outcome: int) -> list[Note]:
        """What is on it."""
        found = []
        for customer, noted in self.first.items():
            first_ms = noted >> _COUNT_BITS
            last_ms = self.last.get(customer, first_ms)
            found.append((customer, outcome, first_ms, last_ms, noted & _MOST_COUNT))
        return found


class Notes:
    """The notes of one worker that are yet to be written."""

    def __init__(self, store: AttemptStore, *, most: int = MOST) -> None:
        self._store = store
        self._most = self._room = most
        self._pages: dict[tuple[str, int], _Page] = {}
        self._dropped: Counter[str] = Counter()
        self._rounds = 0
        self._away = False

    def note(self, sale: str, customer: str, outcome: int) -> None:
        """Notes a refusal. On the way of every refusal: a small part of a microsecond.

        The clock is read each time: at T0 one turn of the event loop hears thousands, and is far from an instant.
        """
        now_ms = int(time.time() * 1000)
        page = self._pages.get((sale, outcome))
        if page is None:
            page = self._pages[sale, outcome] = _Page()
        noted = page.first.get(customer)
        if noted is not None:
            page.first[customer] = noted + 1
            page.last[customer] = now_ms
        elif self._room:
            self._room -= 1
            page.first[customer] = now_ms << _COUNT_BITS | 1
        else:
            self._dropped[sale] += 1

    async def run(self) -> None:
        """Writes once a second, until it is cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.write()
            except Exception:
                # What was under way is counted as dropped; the others are written the next time.
                log.exception("attempts.fault")

    async def write(self) -> None:
        """Writes what was noted. What is not written now is written the next time, as far as there is room."""
        pages, self._pages, self._room = self._pages, {}, self._most
        dropped, self._dropped = self._dropped, Counter()
        self._rounds += 1
        by_sale: dict[str, list[Note]] = {sale: [] for sale in dropped}
        for (sale, outcome), page in pages.items():
            if outcome in NAMES:
                by_sale.setdefault(sale, []).extend(page.notes(int(outcome)))
        rest = [(sale, list(reversed(notes))) for sale, notes in reversed(by_sale.items())]
        breather = Breather()
        try:
            while rest:
                sale, left = rest[-1]
                try:
                    await self._write_of(sale, left, dropped, breather)
                except StoreUnavailableError as error:
                    self._put_back(sale, left, dropped[sale])
                    if not self._away:
                        self._away = True
                        log.warning("attempts.store_unavailable", reason=error.reason)
                except Exception:
                    # Perhaps these cannot be written at all: tried for ever, they would keep all others from it.
                    dropped[sale] += sum(note[-1] for note in left[-IN_BATCH:])
                    del left[-IN_BATCH:]
                    raise
                else:
                    self._away = False
                rest.pop()
        except BaseException:
            for sale, left in rest:
                self._put_back(sale, left, dropped[sale])
            raise

    async def _write_of(self, sale: str, left: list[Note], dropped: Counter[str], breather: Breather) -> None:
        """Writes the last ones first; what is written is taken away, and is no more owed."""
        while left or dropped[sale]:
            part = left[-IN_BATCH:]
            await self._store.add(sale, [attempts.pack(int(time.time() * 1000), dropped[sale], part)])
            metrics.ATTEMPTS_DROPPED.inc(dropped.pop(sale, 0))
            del left[-IN_BATCH:]
            await breather.rest()
        if self._rounds % CUT_EVERY == 0:
            await self._store.cut(sale)

    def _put_back(self, sale: str, left: list[Note], dropped: int) -> None:
        self._dropped[sale] += dropped
        for customer, outcome, first_ms, last_ms, count in left:
            page = self._pages.setdefault((sale, outcome), _Page())
            newer = page.first.get(customer)
            if newer is None and not self._room:
                self._dropped[sale] += count
                continue
            if newer is None:
                self._room -= 1
                page.last[customer] = last_ms
            else:
                page.last.setdefault(customer, newer >> _COUNT_BITS)
            times = count + ((newer or 0) & _MOST_COUNT)
            page.first[customer] = first_ms << _COUNT_BITS | min(times, _MOST_COUNT)

    async def close(self) -> None:
        """Writes what is left, if the store takes it."""
        await self.write()


async def attempts_of(store: AttemptStore, sale: str, customer: str) -> Told:
    """What was noted of a customer.

    Raises:
        StoreUnavailableError: the store failed.
    """
    found: list[Attempt] = []
    dropped, complete = 0, True
    needle, breather, until = customer.encode(), Breather(), time.monotonic() + MOST_S
    async for page in store.all(sale):
        for stored_ms, packed in page:
            with suppress(ValueError):  # damaged, or from a later version: it tells nothing
                dropped += attempts.dropped_of(packed)
                if needle in packed:
                    found += attempts.of_customer(packed, customer, stored_ms)
        if time.monotonic() >= until:
            complete = False
            break
        await breather.rest()
    return Told(tuple(attempts.together(found)), dropped, await store.was_cut(sale), complete)
