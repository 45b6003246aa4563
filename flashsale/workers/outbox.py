"""What goes out: the order feed, webhooks, the archive."""

import asyncio

import structlog

from flashsale import metrics
from flashsale.engine.cloudevents import EventMaker
from flashsale.engine.publisher import Publisher
from flashsale.settings import Settings
from flashsale.store.client import Store, StoreUnavailableError
from flashsale.store.fence import Fence
from flashsale.store.orders import OrderStore
from flashsale.store.sales import SaleStore
from flashsale.workers.deliveries import run_deliveries

LOOK_S = 0.25
"""How often new sales are looked for."""
BLOCK_MS = 200
"""How long one call waits for news, so that new sales and the end are heeded soon."""
AWAY_S = 0.5

log = structlog.get_logger(__name__)


async def run_outbox(settings: Settings, redis_url: str, stop: asyncio.Event) -> None:
    """Sends out what the journals say until `stop` is set; a failing store is tried again."""
    store = Store.connect(
        redis_url, timeout_ms=settings.redis_timeout_ms, fence=Fence.of(settings.archive_url)
    )
    timeout_s = settings.redis_timeout_ms / 1000
    sales, orders = SaleStore(store, timeout_s=timeout_s), OrderStore(store, timeout_s=timeout_s)
    publisher = Publisher(
        sales, orders, EventMaker(sales, settings.shop), on_published=metrics.ORDERS_PUBLISHED.inc
    )
    try:
        async with asyncio.TaskGroup() as work:
            work.create_task(publish(publisher, sales, stop))
            work.create_task(run_deliveries(settings, redis_url, stop))
            if settings.archive_url is not None:
                # Imported when there is one: with what it needs it takes as long as all the rest.
                from flashsale.workers.archiver import run_archiver  # noqa: PLC0415 - see above
                from flashsale.workers.guard import run_guard  # noqa: PLC0415 - see above
                from flashsale.workers.trimmer import run_trimmer  # noqa: PLC0415 - see above

                url, timeout_ms = settings.archive_url, settings.redis_timeout_ms
                work.create_task(run_guard(url, redis_url, stop, timeout_ms=timeout_ms))
                work.create_task(run_archiver(settings, url, redis_url, stop))
                work.create_task(run_trimmer(settings, url, redis_url, stop))
    finally:
        await orders.close()
        await sales.close()
        await store.close()


async def publish(publisher: Publisher, sales: SaleStore, stop: asyncio.Event) -> None:
    """Publishes the orders of all sales until `stop` is set."""
    loop, away, looked_at = asyncio.get_running_loop(), False, -LOOK_S
    while not stop.is_set():
        try:
            if loop.time() - looked_at >= LOOK_S:
                names = await sales.sale_ids()
                await publisher.follow(names)
                looked_at = loop.time()
                if not names:
                    await _pause(stop, LOOK_S)
                    continue
            await publisher.publish(block_ms=BLOCK_MS)
            if away:
                away = False
                log.info("orders.back")
        except StoreUnavailableError as error:
            if not away:
                away = True
                log.warning("orders.store_unavailable", reason=error.reason)
            publisher.forget()
            looked_at = -LOOK_S
            await _pause(stop, AWAY_S)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
