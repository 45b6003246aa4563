"""The archiver: copies every fact of every sale into the archive, in order, exactly once. Any number may run side by side.

A sale's position in the archive moves in the transaction that takes in the facts, so an archiver that dies has either
archived a batch or not, and whoever comes next begins where the archive ends. Nothing is ever left out: a sale whose next
fact is not there stays as it is, with an error in the log, until somebody has seen to it; the others go on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from flashsale import metrics
from flashsale.archive import Archive, ArchivedFact, ArchiveError, ArchiveUnavailableError, Position
from flashsale.engine.cloudevents import EventMaker
from flashsale.engine.guard import Guard
from flashsale.keys import STRAY
from flashsale.model.facts import Fact
from flashsale.settings import Settings
from flashsale.store.client import Store, StoreUnavailableError
from flashsale.store.fence import Fence
from flashsale.store.guarding import GuardStore
from flashsale.store.journals import journal_ends
from flashsale.store.sales import SaleStore

AT_ONCE: Final = 500
"""Facts in one transaction."""
BATCHES: Final = 20
"""So many of one sale follow one another, before it is the turn of the others."""
FEW: Final = 100
GATHER_S: Final = 0.05
"""With fewer new facts than `FEW`, more are waited for so long: what a transaction costs hardly depends on their number."""
BLOCK_MS: Final = 200
"""How long one call waits for news, so that new sales and the end are heeded soon."""
LOOK_S: Final = 0.25
"""How often new sales are looked for."""
COMPARE_S: Final = 1.0
"""How often the ends of all journals are compared with those of the archive."""
STUCK_S: Final = 10.0
"""How often a sale is tried again that cannot be archived."""
AWAY_S: Final = 0.5

Ensure = Callable[[], Awaitable[None]]
OnBehind = Callable[[Position], Awaitable[None]]
log = structlog.get_logger(__name__)


async def run_archiver(settings: Settings, archive_url: str, redis_url: str, stop: asyncio.Event) -> None:
    """Archives the journals of a store until `stop` is set; a store or a database that is away is tried again."""
    timeout_ms = settings.redis_timeout_ms
    archive = await open_archive(archive_url, stop)
    if archive is None:
        return
    store = Store.connect(redis_url, timeout_ms=timeout_ms, fence=Fence.of(archive_url))
    sales = SaleStore(store, timeout_s=timeout_ms / 1000)
    try:
        async with GuardStore(redis_url, timeout_ms=timeout_ms) as guarded:
            guard, maker = Guard(guarded, archive), EventMaker(sales, settings.shop)
            archiver = Archiver(
                sales,
                maker,
                archive,
                store=store,
                ensure=guard.ensure,
                on_behind=lambda position: guard.mark(position.sale),
            )
            await archiver.run(stop)
    finally:
        await sales.close()
        await store.close()
        await asyncio.to_thread(archive.close)


async def open_archive(url: str, stop: asyncio.Event) -> Archive | None:
    """The archive at this address, as soon as it can be had; None when `stop` comes before."""
    trouble = ""
    while not stop.is_set():
        try:
            archive = await asyncio.to_thread(Archive.open, url)
        except ArchiveError as error:
            if str(error) != trouble:
                trouble = str(error)
                away = isinstance(error, ArchiveUnavailableError)
                (log.warning if away else log.error)("archiver.archive_unavailable", reason=trouble)
            await _pause(stop, AWAY_S)
            continue
        if trouble:
            log.info("archiver.back")
        return archive
    return None


async def nothing() -> None:
    """An `ensure` for a store that nobody guards."""


async def nobody_is_told(_position: Position) -> None:
    """What `on_behind` does as long as nobody cares."""


@dataclass(frozen=True, slots=True)
class _Stuck:
    """A sale that cannot be archived."""

    after: int
    """The last fact archived."""
    reason: str
    again_at: float
    """The loop time at which it is tried again."""


class Archiver:
    """One archiver. It needs a `SaleStore` of its own: it waits on its connection for new facts."""

    def __init__(
        self,
        sales: SaleStore,
        maker: EventMaker,
        archive: Archive,
        *,
        store: Store,
        ensure: Ensure = nothing,
        on_behind: OnBehind = nobody_is_told,
        at_once: int = AT_ONCE,
    ) -> None:
        """`ensure` is awaited before each round: it sees to it that this server's journals are not older than the archive.

        `on_behind` is told where the archive ends of a sale whose journal ends before, or has another fact there. Such a
        sale is not touched until its journal goes on from where the archive ends.
        """
        self._sales = sales
        self._maker = maker
        self._archive = archive
        self._store = store
        self._ensure = ensure
        self._on_behind = on_behind
        self._at_once = at_once
        self._places: dict[str, int] = {}
        """sale -> the last fact archived. Sales that are behind or stuck are not here."""
        self._begun_with: list[str] | None = None
        """The sales that the archive had when this archiver began; None when that has to be read again."""
        self._behind: dict[str, int] = {}
        """sale -> the last fact archived, of which the journal falls short"""
        self._stuck: dict[str, _Stuck] = {}
        self._away: set[str] = set()
        """What was said to be away, and is not yet back."""
        self._looked_at = self._compared_at = float("-inf")

    async def run(self, stop: asyncio.Event) -> None:
        """Archives until `stop` is set; a store or a database that fails is tried again."""
        while not stop.is_set():
            try:
                count = await self.step()
                self._say_back()
                if count < FEW:
                    await _pause(stop, LOOK_S if not self._places else GATHER_S if count else 0)
            except StoreUnavailableError as error:
                await self._wait(stop, "archiver.store_unavailable", error.reason)
            except ArchiveError as error:
                await self._wait(stop, "archiver.archive_unavailable", str(error))

    async def step(self, *, block_ms: int = BLOCK_MS) -> int:
        """Archives what is new, waiting up to `block_ms` for it; how many facts that were.

        Raises:
            StoreUnavailableError, ArchiveError: after that it begins anew.
        """
        try:
            await self._ensure()
            await self._follow()
            if not self._places:
                return 0
            found = await self._sales.tail(dict(self._places), block_ms=block_ms, limit=self._at_once)
            return sum([await self._take(sale, facts) for sale, facts in found.items()])
        except (StoreUnavailableError, ArchiveError):
            # Either may come back older than it was.
            self._places.clear()
            self._begun_with = None
            self._looked_at = self._compared_at = float("-inf")
            self._maker.forget()
            raise

    # --- which sales there are, and where each stands ---

    async def _follow(self) -> None:
        """Begins with sales that are new; once in a while compares where all of them end."""
        now = asyncio.get_running_loop().time()
        if now - self._looked_at < LOOK_S:
            return
        self._looked_at = now
        if self._begun_with is None:
            self._begun_with = list(await asyncio.to_thread(self._archive.positions))
        listed = await self._sales.sale_ids()
        known = list(dict.fromkeys([*listed, STRAY, *self._begun_with, *self._places]))
        if now - self._compared_at < COMPARE_S:
            for sale in known:
                if sale not in {STRAY, *self._places, *self._behind, *self._stuck}:
                    await self._begin(sale)
            return
        self._compared_at = now
        lag = 0
        for sale, end in zip(known, await journal_ends(self._store, known), strict=True):
            seq = end[0] if end is not None else 0
            place = self._places.get(sale)
            if place is not None and seq >= place:
                lag += seq - place
                continue
            self._places.pop(sale, None)
            stuck = self._stuck.get(sale)
            if stuck is not None:
                lag += max(0, seq - stuck.after)
            if stuck is None or stuck.again_at <= now:
                await self._begin(sale)
        metrics.ARCHIVE_LAG.set(lag)

    async def _begin(self, sale: str) -> None:
        """Begins where the archive ends, if the journal goes on from there."""
        # In this order: meanwhile another archiver may archive what is new in the journal.
        position = await asyncio.to_thread(self._archive.position, sale)
        (end,) = await journal_ends(self._store, [sale])
        if position is None:
            if end is not None:
                self._places[sale] = 0
            return
        if end is None or end[0] < position.seq or not await self._same(position, end):
            if self._behind.get(sale) != position.seq:
                self._behind[sale] = position.seq
                journal = end[0] if end is not None else 0
                log.error("archiver.behind", sale=sale, archive=position.seq, journal=journal)
                await self._on_behind(position)
            return
        if self._behind.pop(sale, None) is not None:
            log.info("archiver.level", sale=sale, archive=position.seq)
        self._places[sale] = position.seq

    async def _same(self, position: Position, end: tuple[int, int]) -> bool:
        """Whether the last fact archived is in the journal as well; one that was trimmed there can only be believed."""
        if end[0] == position.seq and end[1] != position.at_ms:
            return False
        there = await self._sales.facts(position.sale, after=position.seq - 1, limit=1)
        if not there or there[0].seq != position.seq:
            return True
        return there == await asyncio.to_thread(
            self._archive.facts, position.sale, after=position.seq - 1, limit=1
        )

    # --- the facts ---

    async def _take(self, sale: str, facts: Sequence[Fact]) -> int:
        """Archives facts that were found behind the sale's place, and what is behind them; how many."""
        count = 0
        try:
            pairs = await self._made(sale, self._places[sale], facts)
            for _ in range(BATCHES):
                following, appended = await self._append(sale, self._places[sale], pairs)
                if not appended:  # somebody else was faster
                    del self._places[sale]
                    self._looked_at = float("-inf")
                    return count
                self._say_archived(sale, pairs[-1][0].seq, len(pairs))
                count += len(pairs)
                pairs = await following
                if not pairs:
                    break
        except ArchiveUnavailableError:
            raise
        except (ValueError, LookupError, ArchiveError) as error:
            self._give_up(sale, self._places[sale], str(error))
        return count

    async def _append(
        self, sale: str, after: int, pairs: Sequence[ArchivedFact]
    ) -> tuple[asyncio.Task[list[ArchivedFact]], bool]:
        """Archives a batch. Meanwhile the one behind it is read: its task comes back with whether this one is archived."""
        following = asyncio.create_task(self._following(sale, pairs))
        try:
            appended = await asyncio.to_thread(self._archive.append, sale, after, pairs)
        finally:
            await asyncio.wait([following])
            following.exception()  # seen: when this batch has failed, nobody else asks for it
        return following, appended

    async def _following(self, sale: str, pairs: Sequence[ArchivedFact]) -> list[ArchivedFact]:
        """What is behind a full batch."""
        if len(pairs) < self._at_once:
            return []
        after = pairs[-1][0].seq
        facts = await self._sales.facts(sale, after=after, limit=self._at_once)
        return await self._made(sale, after, facts) if facts else []

    async def _made(self, sale: str, after: int, facts: Sequence[Fact]) -> list[ArchivedFact]:
        """Facts that follow `after`, with their events.

        Raises:
            ValueError, LookupError: they do not, or one cannot be read.
        """
        if facts[0].seq != after + 1:
            raise ValueError(
                f"its journal goes on with fact {facts[0].seq}: those before were trimmed, or deleted"
            )
        return list(zip(facts, await self._maker.make(sale, facts), strict=True))

    def _say_archived(self, sale: str, seq: int, count: int) -> None:
        self._places[sale] = seq
        if self._stuck.pop(sale, None) is not None:
            log.info("archiver.unstuck", sale=sale, archived=seq)
        metrics.FACTS_ARCHIVED.inc(count)

    def _give_up(self, sale: str, after: int, reason: str) -> None:
        """Nothing may be left out, so the sale waits until somebody has looked at it; the other sales go on."""
        del self._places[sale]
        known = self._stuck.get(sale)
        self._stuck[sale] = _Stuck(after, reason, asyncio.get_running_loop().time() + STUCK_S)
        if known is None or (known.after, known.reason) != (after, reason):
            log.error("archiver.stuck", sale=sale, after_fact=after, reason=reason)

    # --- what is away ---

    async def _wait(self, stop: asyncio.Event, what: str, reason: str) -> None:
        if what not in self._away:
            self._away.add(what)
            log.warning(what, reason=reason)
        await _pause(stop, AWAY_S)

    def _say_back(self) -> None:
        if self._away:
            self._away.clear()
            log.info("archiver.back")


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    if seconds <= 0:
        return
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
