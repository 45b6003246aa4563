"""The trimmer: lets what is old and archived leave Redis, sale by sale."""

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from flashsale.archive import Archive, ArchiveError
from flashsale.engine.retention import Retention
from flashsale.keys import STRAY
from flashsale.settings import Settings
from flashsale.store.client import Store, StoreUnavailableError
from flashsale.store.fence import Fence
from flashsale.store.retention import RetentionStore
from flashsale.store.sales import SaleStore

EVERY_S: Final = 30.0
"""How often every sale is looked at."""

log = structlog.get_logger(__name__)


async def run_trimmer(settings: Settings, archive_url: str, redis_url: str, stop: asyncio.Event) -> None:
    """Trims until `stop` is set, if the settings say after how many days; whatever is away is tried again."""
    if not settings.retention_days:
        return
    store = Store.connect(redis_url, timeout_ms=settings.redis_timeout_ms, fence=Fence.of(archive_url))
    sales = SaleStore(store)
    archive: Archive | None = None
    retention: Retention | None = None
    trouble = ""
    try:
        while not stop.is_set():
            try:
                if archive is None or retention is None:
                    archive = await asyncio.to_thread(Archive.open, archive_url)
                    retention = Retention(RetentionStore(store), archive, days=settings.retention_days)
                for sale in [*await sales.sale_ids(), STRAY]:
                    await retention.trim(sale)
                trouble = ""
            except (ArchiveError, StoreUnavailableError) as error:
                if str(error) != trouble:
                    trouble = str(error)
                    log.warning("trimmer.waits", reason=trouble)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), EVERY_S)
    finally:
        await sales.close()
        await store.close()
        if archive is not None:
            await asyncio.to_thread(archive.close)
