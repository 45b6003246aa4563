"""The orders of all sales for those who read them over HTTP: one task reads for everybody in this process.

While anybody reads, the task follows the orders streams and keeps the newest events (flashsale/engine/window.py). A reader
who lacks no more than those gets them from there; one who lacks more reads the streams, and joins the others when there is
nothing left to catch up with. A reader is a cursor: nothing is queued for it, so a slow one costs no more than a fast one.

Rehearsals have a feed of their own. Which of the two feeds a sale belongs to is settled when it opens; nothing of a sale is
taken in before that is known, and each event is read before it is asked.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import structlog

from flashsale.engine.refusals import CursorAheadError, CursorExpiredError, TooManyReadersError
from flashsale.engine.rehearsals import Rehearsals
from flashsale.engine.window import Window
from flashsale.model.cursor import Cursor
from flashsale.model.events import type_of
from flashsale.store.client import StoreUnavailableError, sale_recovering
from flashsale.store.orders import OrderStore, Published
from flashsale.store.sales import SaleStore

MOST_READERS: Final = 5_000
"""Of one process."""
LINGER_S: Final = 5.0
"""How long the task goes on when nobody reads: those who poll are back in a moment."""
LOOK_S: Final = 0.25
"""How often it looks for new sales."""
PACE_S: Final = 0.005
"""What it waits after each piece, so that a rush of orders wakes everybody some 200 times a second and no more."""
RETRY_S: Final = 0.25
_AT_ONCE: Final = 500
_MOST_ROUNDS: Final = 10
"""Pieces that one call passes over, for a reader who wants few of the events, before it answers that there is more."""

Older = Callable[[str, int, int], Awaitable[list[Published]]]
"""Events of a sale behind a sequence, at most so many, from where they are kept when the stream no longer has them."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Batch:
    """Some events, in order within each sale."""

    events: list[Published]
    more: bool
    """Whether it is worth while to ask again at once."""


class Feed:
    """The feed of one process: of all sales but rehearsals, or of rehearsals alone."""

    def __init__(
        self,
        sales: SaleStore,
        orders: OrderStore,
        *,
        older: Older | None = None,
        block_s: float = LOOK_S,
        most_readers: int = MOST_READERS,
        window: Window | None = None,
        rehearsals: bool = False,
    ) -> None:
        """`block_s` is how long one call may wait in the store; it has to be less than the store's timeout."""
        self.window = window or Window()
        self.readers = 0
        self._sales = sales
        self._orders = orders
        self._older = older
        self._block_ms = max(1, round(block_s * 1000))
        self._most_readers = most_readers
        self._of_rehearsals = rehearsals
        self._rehearsals = Rehearsals(sales)
        self._task: asyncio.Task[None] | None = None
        self._up = False
        self._trouble: StoreUnavailableError | None = None
        self._next: asyncio.Future[None] | None = None
        self._touched_at = 0.0
        self._look_at = 0.0
        self._turn = 0

    @property
    def running(self) -> bool:
        """Whether the task is at work."""
        return self._task is not None

    def reader(
        self, cursor: Cursor, *, sale: str | None = None, types: AbstractSet[bytes] | None = None
    ) -> "Reader":
        """Somebody who has read as far as `cursor`; of one sale only, and of some types of event only, if they are given.

        It is a context manager.

        Raises:
            TooManyReadersError: there are too many.
        """
        self._see_room()
        return Reader(self, cursor, sale, types)

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """The place of somebody who reads otherwise, and is counted all the same.

        Raises:
            TooManyReadersError: there is none.
        """
        self._see_room()
        self.readers += 1
        try:
            yield
        finally:
            self.readers -= 1

    def _see_room(self) -> None:
        if self.readers >= self._most_readers:
            raise TooManyReadersError

    async def ready(self) -> None:
        """Returns when the task is at work.

        Raises:
            StoreUnavailableError: the store is away.
        """
        loop = asyncio.get_running_loop()
        self._touched_at = loop.time()
        if self._task is None:
            self._trouble = None
            self._task = loop.create_task(self._run())
        while not self._up:
            if self._trouble is not None:
                raise type(self._trouble)(self._trouble.reason, applied=False)
            await asyncio.wait({self.next()})

    def next(self) -> "asyncio.Future[None]":
        """Is done as soon as there is anything new. Who has found nothing takes it before awaiting anything else."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        return self._next

    async def knows(self, sale: str) -> bool:
        """Whether there is such a sale, and it is one of this feed's.

        Raises:
            StoreUnavailableError: the store is away.
        """
        await self.ready()
        if sale not in self.window.tails:
            await self._look()
        return sale in self.window.tails and sale in await self._own([sale])

    async def read(self, behind: Mapping[str, int], limit: int) -> list[Published]:
        """About `limit` events of these sales behind these sequences, something of each if possible.

        Raises:
            CursorExpiredError, StoreUnavailableError: they cannot be had, or not now.
        """
        names = sorted(behind)
        self._turn += 1
        start = self._turn % len(names)
        chosen = [*names[start:], *names[:start]][:limit]
        share = -(-limit // len(chosen))
        found = await asyncio.gather(*(self._read(sale, behind[sale], share) for sale in chosen))
        return [event for events in found for event in events]

    async def check(self, sale: str, after: int) -> None:
        """Sees that a sale has come as far as somebody says that they have read.

        Raises:
            CursorAheadError: it has not.
            StoreUnavailableError: the store failed, or the sale is being brought back from the archive.
        """
        look = await self._sales.look(sale)
        if look.recovering:
            raise sale_recovering()
        decided = look.sale.orders if look.sale is not None else 0
        if after > decided:
            raise CursorAheadError(sale, after, decided)

    async def ends(self, sales: Sequence[str]) -> dict[str, int]:
        """The last sequence of each of these sales that are this feed's, 0 of those without orders.

        Raises:
            StoreUnavailableError: the store failed.
        """
        found: dict[str, int] = {}
        for start in range(0, len(sales), _AT_ONCE):
            part = sales[start : start + _AT_ONCE]
            ends = await asyncio.gather(*(self._orders.last(sale) for sale in part))
            pairs = zip(part, ends, strict=True)
            found |= {sale: last.sequence if last is not None else 0 for sale, (last, _) in pairs}
        own = await self._own(sales)
        return {sale: sequence for sale, sequence in found.items() if sale in own}

    async def close(self) -> None:
        """Ends the task."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _read(self, sale: str, after: int, limit: int) -> list[Published]:
        events = await self._orders.read(sale, after=after, limit=limit)
        if events and events[-1].sequence == after + len(events):
            return events
        last, _ = await self._orders.last(sale)
        if last is None or last.sequence <= after:
            # What this process took for the end of the sale is gone: the store was emptied under it.
            self.window.tails[sale] = last.sequence if last is not None else 0
            return []
        if self._older is not None:
            events = await self._older(sale, after, limit)
            if events and events[-1].sequence == after + len(events):
                return events
        raise CursorExpiredError(sale, after, await self._orders.first(sale))

    async def _own(self, sales: Iterable[str]) -> set[str]:
        """Those of the sales that are this feed's; for ever, if something was read before that only open sales have."""
        named = set(sales)
        rehearsals = await self._rehearsals.among(named)
        return rehearsals if self._of_rehearsals else named - rehearsals

    # --- the task ---

    def _wanted(self) -> bool:
        return self.readers > 0 or asyncio.get_running_loop().time() - self._touched_at < LINGER_S

    def _wake(self) -> None:
        waiting, self._next = self._next, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    async def _run(self) -> None:
        try:
            while self._wanted():
                try:
                    await self._look()
                    self._up = True
                    self._wake()
                    while self._wanted():
                        await self._follow()
                except StoreUnavailableError as error:
                    await self._pause(error)
                except Exception:
                    log.exception("feed.failed")
                    reason = "the order feed has failed; the fault is in the server's log"
                    await self._pause(StoreUnavailableError(reason, applied=False))
        finally:
            self._task, self._up = None, False
            self.window.reset()
            self._rehearsals.forget()
            self._wake()

    async def _pause(self, trouble: StoreUnavailableError) -> None:
        """Begins anew in a moment: the store may come back with other data."""
        self._up, self._trouble = False, trouble
        self.window.reset()
        self._rehearsals.forget()
        self._wake()
        await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        """Takes in what comes, for a moment."""
        if asyncio.get_running_loop().time() >= self._look_at:
            await self._look()
        if not self.window.tails:
            await asyncio.sleep(self._block_ms / 1000)
            return
        found = await self._orders.tail(self.window.tails, block_ms=self._block_ms, limit=_AT_ONCE)
        if found:
            sales = {event.sale for event in found}
            own = await self._own(sales)
            self.window.drop(sales - own)  # they were defined anew before they opened
            for event in found:
                self.window.add(event)
            self._wake()
            await asyncio.sleep(PACE_S)

    async def _look(self) -> None:
        """Takes in the list of sales."""
        self._look_at = asyncio.get_running_loop().time() + LOOK_S
        names = set(await self._sales.sale_ids())
        known = self.window.tails
        gone = known.keys() - names
        self.window.drop(gone)
        self._rehearsals.forget(gone)
        # Until a sale opens it may come to this feed, and it is asked for at every look.
        new = sorted(
            sale
            for sale in names - known.keys()
            if self._rehearsals.known(sale) in {None, self._of_rehearsals}
        )
        ends = await self.ends(new)
        # Another call may have taken some of them in meanwhile, and the task may have followed them further.
        self.window.follow({sale: sequence for sale, sequence in ends.items() if sale not in known})
        if ends:
            self._wake()


class Reader:
    """Somebody who reads the feed, from the beginning of the block to its end."""

    def __init__(
        self, feed: Feed, cursor: Cursor, sale: str | None, types: AbstractSet[bytes] | None
    ) -> None:
        self.cursor = cursor
        """How far they have read. It moves with every batch."""
        self._feed = feed
        self._sale = sale
        self._types = types
        self._number = -1
        self._epoch = -1

    def __enter__(self) -> Self:
        self._feed.readers += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._feed.readers -= 1

    async def skip(self) -> None:
        """Moves to the end: only what comes from now on is read.

        Raises:
            StoreUnavailableError: the store is away.
        """
        await self._feed.ready()
        sales = list(self._feed.window.tails) if self._sale is None else [self._sale]
        for sale, sequence in (await self._feed.ends(sales)).items():
            self.cursor.move(sale, sequence)

    async def check(self) -> None:
        """Sees that the cursor is not ahead of the sales. One that names sales that are not known is right.

        Raises:
            CursorAheadError: it is.
            StoreUnavailableError: the store failed.
        """
        await self._feed.ready()
        for sale, sequence in list(self._feed.window.tails.items()):
            if self._sale in {None, sale} and self.cursor.of(sale) > sequence:
                await self._feed.check(sale, self.cursor.of(sale))

    async def take(self, limit: int, most_bytes: int) -> Batch:
        """What comes next: at most `limit` events, of about `most_bytes` together; at once, and perhaps nothing.

        Raises:
            CursorExpiredError, StoreUnavailableError: they cannot be had, or not now.
        """
        events: list[Published] = []
        size = 0
        for _ in range(_MOST_ROUNDS):
            await self._feed.ready()
            behind = self._behind()
            if not behind:
                return Batch(events, more=False)
            found = self._feed.window.missing(behind)
            if found is None:
                found = await self._feed.read(
                    behind, max(limit - len(events), _AT_ONCE if self._types else 1)
                )
            for event in found:
                wanted = self._types is None or type_of(event.body) in self._types
                if wanted and events and (len(events) == limit or size + len(event.body) > most_bytes):
                    return Batch(events, more=True)
                self.cursor.move(event.sale, event.sequence)
                if wanted:
                    events.append(event)
                    size += len(event.body)
            if len(events) >= limit:
                return Batch(events, more=bool(self._behind()))
        return Batch(events, more=True)

    async def wait(self, seconds: float) -> None:
        """Until there may be something new, or the time is over. To be called when `take` has found nothing."""
        await asyncio.wait({self._feed.next()}, timeout=seconds)

    def _behind(self) -> dict[str, int]:
        """The sales that have gone on, and how far they were read. Awaits nothing, so that nothing comes in between."""
        window = self._feed.window
        behind = {}
        for sale in window.touched_since(self._number, self._epoch):
            if self._sale in {None, sale}:
                sequence = self.cursor.of(sale)
                if window.tails.get(sale, 0) > sequence:
                    behind[sale] = sequence
        if not behind:
            self._number, self._epoch = window.end, window.epoch
        return behind
