"""What happens in the background of a shop: `flashsale work`."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from flashsale import providers
from flashsale.engine.catalog import Catalog
from flashsale.engine.reconcile import Reconciler
from flashsale.engine.settlement import Settlement
from flashsale.engine.till import Till
from flashsale.providers.protocol import ProviderError
from flashsale.settings import Settings
from flashsale.store.client import Store, StoreUnavailableError
from flashsale.store.fence import Fence
from flashsale.store.payments import PaymentStore
from flashsale.store.sales import SaleStore
from flashsale.workers.outbox import run_outbox
from flashsale.workers.payments import PaymentWorker
from flashsale.workers.sweeper import Sweeper

GUARD_WAIT_S: Final = 10.0
"""How long the work waits at its start for the store to be compared with the archive, before it says that it cannot work."""
RECONCILED_DAYS: Final = 14
"""How far back the comparison with a provider's books goes that is made again and again; by command all are compared."""

log = structlog.get_logger(__name__)


async def run_workers(
    settings: Settings, stop: asyncio.Event, *, step: Callable[[str], None] = lambda _name: None
) -> None:
    """Runs the background work until `stop` is set. Survives a store that is away and goes on when it is back.

    `step` is told of every step of a payment job; see `flashsale.engine.settlement`.
    """
    if settings.redis_url is None:
        raise ValueError("the background work needs redis_url: the caller resolves --embedded to one")
    async with asyncio.TaskGroup() as work:
        if settings.work_only != "orders":
            work.create_task(_run_payments(settings, settings.redis_url, stop, step))
        if settings.work_only != "payments":
            work.create_task(run_outbox(settings, settings.redis_url, stop))


async def _run_payments(
    settings: Settings, redis_url: str, stop: asyncio.Event, step: Callable[[str], None]
) -> None:
    """Takes payments, and ends the holds that nobody pays for."""
    store = Store.connect(
        redis_url, timeout_ms=settings.redis_timeout_ms, fence=Fence.of(settings.archive_url)
    )
    timeout_s = settings.redis_timeout_ms / 1000
    sales, payments = SaleStore(store, timeout_s=timeout_s), PaymentStore(store, timeout_s=timeout_s)
    configured = providers.configured(settings)
    till = Till.of(settings, payments, sales, Catalog(sales), configured)
    settlement = Settlement(till, step=step)
    worker = PaymentWorker(till, settlement, tries=settings.payment_tries, claim_ms=settings.payment_claim_ms)
    reconciler = Reconciler(till, settlement)
    try:
        await store.wait_for_guard(GUARD_WAIT_S)
        async with asyncio.TaskGroup() as work:
            work.create_task(Sweeper(sales, interval_s=settings.sweep_interval_ms / 1000).run(stop))
            work.create_task(worker.run(stop))
            if configured and settings.reconcile_seconds:
                work.create_task(_reconcile(reconciler, settings.reconcile_seconds, stop))
    finally:
        for provider in configured.values():
            await provider.close()
        await payments.close()
        await sales.close()
        await store.close()


async def _reconcile(reconciler: Reconciler, every_s: float, stop: asyncio.Event) -> None:
    """Compares the books with the providers' again and again."""
    while not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), every_s)
        except TimeoutError:
            pass
        else:
            return
        since_ms = int((time.time() - RECONCILED_DAYS * 86_400) * 1000)
        try:
            report = await reconciler.run(since_ms=since_ms)
        except (ProviderError, StoreUnavailableError) as error:
            log.warning("payments.not_reconciled", reason=str(error))
            continue
        except Exception:
            log.exception("payments.not_reconciled")
            continue
        say = log.info if report.ok else log.error
        say(
            "payments.reconciled",
            charges=report.charges,
            applied=report.applied,
            settled=report.settled,
            open=report.open_count,
            first_open=[each.reference for each in report.open[:5]],
        )
