"""What happens in the background of a shop: `flashsale work`."""

import asyncio

from flashsale.settings import Settings
from flashsale.store.client import Store
from flashsale.store.sales import SaleStore
from flashsale.workers.sweeper import Sweeper


async def run_workers(settings: Settings, stop: asyncio.Event) -> None:
    """Runs the background work until `stop` is set. Survives a store that is away and goes on when it is back."""
    if settings.redis_url is None:
        raise ValueError("the background work needs redis_url: the caller resolves --embedded to one")
    store = Store.connect(settings.redis_url, timeout_ms=settings.redis_timeout_ms)
    try:
        await Sweeper(SaleStore(store), interval_s=settings.sweep_interval_ms / 1000).run(stop)
    finally:
        await store.close()
