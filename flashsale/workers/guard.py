"""Keeps the rollback guard: compares the store with the archive whenever the server is another process than before.

The archiver compares for itself too, between two of its rounds; this one is there to be quick: nobody is served meanwhile.
"""

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from flashsale.archive import Archive, ArchiveError
from flashsale.engine.guard import ARCHIVE_AWAY, Guard
from flashsale.store.client import StoreUnavailableError
from flashsale.store.guarding import GuardStore

LOOK_S: Final = 0.1
"""How often it is looked whether the server has started anew."""
AWAY_S: Final = 0.25

log = structlog.get_logger(__name__)


async def run_guard(archive_url: str, redis_url: str, stop: asyncio.Event, *, timeout_ms: int) -> None:
    """Guards a store with an archive until `stop` is set. Whatever is away is tried again."""
    async with GuardStore(redis_url, timeout_ms=timeout_ms) as store:
        archive = await _open(archive_url, store, stop)
        if archive is None:
            return
        try:
            await keep_guard(Guard(store, archive), stop)
        finally:
            await asyncio.to_thread(archive.close)


async def keep_guard(guard: Guard, stop: asyncio.Event) -> None:
    """Compares whenever that is due, until `stop` is set."""
    trouble = ""
    while not stop.is_set():
        try:
            await guard.ensure()
            pause_s = LOOK_S
            if trouble:
                trouble = ""
                log.info("guard.back")
        except (ArchiveError, StoreUnavailableError) as error:
            pause_s = AWAY_S
            if str(error) != trouble:
                trouble = str(error)
                log.warning("guard.cannot_compare", reason=trouble)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause_s)


async def _open(archive_url: str, store: GuardStore, stop: asyncio.Event) -> Archive | None:
    """The archive, once it can be had; None when that is not so before the end. Meanwhile the fence says so."""
    trouble = ""
    while not stop.is_set():
        try:
            return await asyncio.to_thread(Archive.open, archive_url)
        except ArchiveError as error:
            if str(error) != trouble:
                trouble = str(error)
                log.error("guard.no_archive", reason=trouble)  # noqa: TRY400 - the message says it all
        with suppress(StoreUnavailableError):
            async with store.session() as session:
                if not await session.is_open():
                    await session.say_waits(ARCHIVE_AWAY)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), AWAY_S)
    return None
