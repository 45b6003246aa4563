"""The rollback guard: no sale goes on with an older journal than the archive has.

A server that has started is compared with the archive, sale by sale, before anybody else works with it: until then the fence
(flashsale/store/fence.py) keeps them out. A sale that is behind, or that has another fact where the archive has its last, is
marked, and every script refuses to change it, until `flashsale recover`. Then the fence is opened for this server process.

Nothing slips through, because of the order in which things are done:

- The archive is asked after the run id of the server is known. So it has every fact that was archived before this server
  started, and the ones it has of this server's own life are in its journal.
- All of a comparison goes over one connection. If the server ends meanwhile, the comparison fails, and begins anew; the run
  id that a late one still writes opens the fence for a process that is gone, and so for nobody.
- Each sale is compared and marked by one script, so two comparisons, or one and a `recover`, cannot come between each other:
  the mark of whoever knows of more facts stays.
- An archiver asks `ensure` before each round. So one that was writing to the archive while the server went away compares
  again once that is written.
- A sale that cannot be compared, since its last fact is missing in the archive, is marked. One whose journal was trimmed
  beyond all that the archive has is let go: somebody has put an older archive in place, which knows of nothing to guard.
- With the archive away nothing is compared, and the fence stays as it is: closed, when the server has just started.
"""

import asyncio
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

import structlog

from flashsale.archive import Archive, ArchiveError, Position
from flashsale.model.facts import Fact
from flashsale.model.outcomes import Compare
from flashsale.store.guarding import GuardSession, GuardStore

_PAGE: Final = 1000
_TRIES: Final = 5
"""How often a sale is compared that is being trimmed at the same time."""
ARCHIVE_AWAY: Final = "the archive cannot be reached"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Behind:
    """A sale that must not go on as it is."""

    sale: str
    seq: int
    """The last fact that the store has."""
    archived: int
    """The last fact that the archive has."""
    differs_at: int | None = None
    """The first fact that is another one here than in the archive; None when only the last ones are missing."""

    def __str__(self) -> str:
        if self.differs_at is not None:
            return (
                f"fact {self.differs_at} of {self.sale} is another one in the store than in the archive, "
                f"which has {self.archived}"
            )
        return f"{self.sale} has {self.seq} facts in the store, and {self.archived} in the archive"


class Guard:
    """Compares one store with one archive. Each process that has an archive has one of these."""

    def __init__(self, store: GuardStore, archive: Archive) -> None:
        """`store` goes past the fence."""
        self._store = store
        self._archive = archive
        self._one_at_a_time = asyncio.Lock()
        self.verified_run_id: str | None = None
        """The server process that this one has compared."""

    async def ensure(self) -> None:
        """Compares, if the server is another process than the one that was compared last. Cheap when it is not.

        Raises:
            ArchiveError, StoreUnavailableError: as for `verify`.
        """
        if self.verified_run_id is None or await self._store.run_id() != self.verified_run_id:
            await self.verify()

    async def verify(self) -> list[Behind]:
        """Compares every sale with the archive, marks those that are behind, and opens the fence.

        Raises:
            ArchiveError: the archive cannot be asked; the fence stays as it is, and says why.
            StoreUnavailableError: the store failed; the fence stays as it is.
        """
        async with self._one_at_a_time, self._store.session() as session:
            try:
                positions = await asyncio.to_thread(self._archive.positions)
                found = [await self._check(session, position) for position in positions.values()]
            except ArchiveError:
                if not await session.is_open():
                    await session.say_waits(ARCHIVE_AWAY)
                raise
            await session.open_fence()
            if session.run_id != self.verified_run_id:
                log.info("guard.compared", sales=len(positions), archive=self._archive.where)
            self.verified_run_id = session.run_id
        return [each for each in found if each is not None]

    async def check(self, sale: str) -> Behind | None:
        """Compares one sale, and marks it when it is behind. None when it is not, or the archive has nothing of it.

        Raises:
            ArchiveError, StoreUnavailableError: nothing is known.
        """
        async with self._store.session() as session:
            position = await asyncio.to_thread(self._archive.position, sale)
            return await self._check(session, position) if position is not None else None

    async def mark(self, sale: str) -> None:
        """The same, for whoever has found out otherwise that a sale may be behind.

        Raises:
            ArchiveError, StoreUnavailableError: nothing is known.
        """
        await self.check(sale)

    async def _check(self, session: GuardSession, position: Position) -> Behind | None:
        sale, now = position.sale, position
        for _ in range(_TRIES):
            compared = await session.compare(sale, await self._fact(now))
            if compared.outcome is Compare.SAME:
                return None
            if compared.outcome is not Compare.TRIMMED:
                await session.list_sale(sale)
                differs_at = await self._difference(session, sale)
                if compared.outcome is Compare.OTHER and differs_at is None:
                    differs_at = now.seq
                behind = Behind(sale, compared.seq, now.seq, differs_at)
                self._say(behind)
                return behind
            newer = await asyncio.to_thread(self._archive.position, sale)
            now = now if newer is None else newer
        # The archive is the older one of the two: there is nothing in it to guard the sale by. The archiver says so too.
        log.error("guard.archive_is_older", sale=sale, archive=now.seq)
        return None

    async def _fact(self, position: Position) -> Fact:
        found = await asyncio.to_thread(self._archive.facts, position.sale, after=position.seq - 1, limit=1)
        if found and found[0].seq == position.seq:
            return found[0]
        # Nothing is the same as this one: the sale stays as it is until somebody has looked, and the others go on.
        log.error("guard.archive_lacks_fact", sale=position.sale, seq=position.seq)
        return Fact(position.seq, position.at_ms, "", b"")

    async def _difference(self, session: GuardSession, sale: str) -> int | None:
        """The first fact that is another one in the journal than in the archive. The sale is marked: it does not change."""
        seq = 0
        while here := await session.facts(sale, after=seq, limit=_PAGE):
            first = here[0].seq
            there = await asyncio.to_thread(self._archive.facts, sale, after=first - 1, limit=len(here))
            for mine, its in zip_longest(here, there):
                if mine is None or its is None:
                    return None
                if mine != its:
                    return min(int(mine.seq), int(its.seq))
            seq = here[-1].seq
        return None

    def _say(self, behind: Behind) -> None:
        if behind.differs_at is not None:
            log.error(
                "guard.differs",
                sale=behind.sale,
                first_fact=behind.differs_at,
                store=behind.seq,
                archive=behind.archived,
                do=f"flashsale recover {behind.sale} says more",
            )
            return
        log.error(
            "guard.behind",
            sale=behind.sale,
            missing=behind.archived - behind.seq,
            store=behind.seq,
            archive=behind.archived,
            do=f"flashsale recover {behind.sale}",
        )
