"""What is no longer in Redis, read from the archive where this process has one."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import structlog

from flashsale.model.facts import Fact
from flashsale.store.client import StoreUnavailableError
from flashsale.store.orders import Published

if TYPE_CHECKING:
    from flashsale.archive import Archive, Books

T = TypeVar("T")
log = structlog.get_logger(__name__)


class OldBooks:
    """The archive, opened when it is first needed. Its calls block, so threads make them.

    Every method may raise `StoreUnavailableError`, when the archive cannot be read now.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._archive: Archive | None = None
        self._opening = asyncio.Lock()

    async def events(self, sale: str, after: int, limit: int) -> list[Published]:
        """Order events of a sale with a sequence above `after`."""
        found = await self._call(lambda archive: archive.events(sale, after=after, limit=limit))
        return [Published(sale, event.sequence, event.seq, event.body) for event in found]

    async def facts(self, sale: str, after: int, limit: int) -> list[Fact]:
        """Facts of a sale with a seq above `after`."""
        return await self._call(lambda archive: archive.facts(sale, after=after, limit=limit))

    async def books(self, sale: str) -> "Books":
        """The sums of a sale."""
        return await self._call(lambda archive: archive.books(sale))

    async def close(self) -> None:
        """Closes its connections."""
        if self._archive is not None:
            await asyncio.to_thread(self._archive.close)

    async def _call(self, ask: "Callable[[Archive], T]") -> T:
        # Imported when it is needed, for it takes as long as all the rest: few processes ever read what is old.
        from flashsale.archive import Archive, ArchiveError  # noqa: PLC0415 - see above

        try:
            async with self._opening:
                if self._archive is None:
                    self._archive = await asyncio.to_thread(Archive.open, self._url)
            return await asyncio.to_thread(ask, self._archive)
        except ArchiveError as error:
            log.warning("archive.unavailable", reason=str(error))
            raise StoreUnavailableError("the archive cannot be read now", applied=False) from error
