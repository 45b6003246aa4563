"""Puts the HTTP application together."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

import structlog
from aiohttp import web

from flashsale import metrics
from flashsale.api import access, codes, live, payments, reservations, sales, system
from flashsale.api.bodies import MAX_BODY_BYTES
from flashsale.api.console.setup import add_console
from flashsale.api.cors import add_cors
from flashsale.api.middleware import answer
from flashsale.api.orders.setup import add_orders
from flashsale.api.pages import add_pages
from flashsale.api.state import DRAIN, SHOP, Drain, Shop
from flashsale.api.webhooks import add_webhooks
from flashsale.engine.batcher import Queue
from flashsale.engine.catalog import Catalog
from flashsale.engine.older import OldBooks
from flashsale.engine.payments import Payments
from flashsale.engine.reconcile import Reconciler
from flashsale.engine.reservations import Reservations
from flashsale.engine.sales import Sales
from flashsale.engine.settlement import Settlement
from flashsale.engine.till import Till
from flashsale.identity.api_keys import ApiKeys
from flashsale.identity.tokens import ShopperTokens
from flashsale.providers import configured
from flashsale.providers.protocol import Provider
from flashsale.settings import Settings
from flashsale.store.client import Store, describe
from flashsale.store.fence import Fence
from flashsale.store.orders import OrderStore
from flashsale.store.payments import PaymentStore
from flashsale.store.sales import SaleStore

# Without a pattern of its own a part of a path takes no braces, which a sku may well have.
_SALE = "/v1/sales/{sale:[^/]+}"
_RESERVATION = "/v1/reservations/{reservation:[^/]+}"

GUARD_WAIT_S: Final = 10.0
"""How long a starting server waits for its store to be compared with the archive, before it says 503 to everybody."""
CLOSE_S: Final = 5.0
"""What the work in the background may take to end, before the process ends without it."""

log = structlog.get_logger(__name__)


def build_app(settings: Settings) -> web.Application:
    """The application of one worker; it opens its own connections to Redis when it starts.

    Raises:
        ValueError: the settings lack what a server needs (`load_settings(purpose="serve")` checks that).
    """
    if settings.redis_url is None or settings.root_key is None:
        raise ValueError("a server needs redis_url and root_key")
    app = web.Application(middlewares=[answer], client_max_size=MAX_BODY_BYTES)
    app[DRAIN] = Drain()
    app[live.LIVE] = live.Live()
    add_cors(app, settings)
    app.cleanup_ctx.append(_shop(settings, settings.redis_url, settings.root_key.get_secret_value()))
    _add_routes(app)
    add_orders(app, settings)
    add_webhooks(app, settings)
    add_console(app, settings)
    add_pages(app, settings)
    return app


def _add_routes(app: web.Application) -> None:
    router = app.router
    # The busiest route comes first: aiohttp tries those with the same first segments in order.
    router.add_post(f"{_SALE}/reservations", reservations.reserve)
    router.add_get(_SALE, sales.read)
    router.add_put(_SALE, sales.put)
    router.add_get("/v1/sales", sales.list_all)
    router.add_get(f"{_SALE}/reservations/mine", reservations.mine)
    router.add_get(f"{_SALE}/live", live.watch)
    for verb in ("pause", "resume", "close"):
        router.add_post(f"{_SALE}/{verb}", sales.steer)
    router.add_post(f"{_SALE}/items/{{sku:[^/]+}}/restock", sales.restock)
    router.add_get(f"{_SALE}/stats", sales.stats)
    router.add_get(f"{_SALE}/audit", sales.audit)
    router.add_get(_RESERVATION, reservations.read)
    router.add_delete(_RESERVATION, reservations.cancel)
    router.add_get(f"{_RESERVATION}/code", codes.show)
    router.add_post(f"{_RESERVATION}/payment", payments.start)
    router.add_post(f"{_RESERVATION}/refund", payments.refund)
    router.add_post("/v1/payments/{provider:[^/]+}/events", payments.receive)
    router.add_get(f"{_SALE}/payments/dead", payments.dead)
    router.add_post(f"{_SALE}/payments/dead/retry", payments.retry)
    router.add_post("/v1/payments/reconcile", payments.reconcile)
    router.add_post("/v1/guests", access.guest)
    router.add_post("/v1/keys", access.create_key)
    router.add_get("/v1/keys", access.list_keys)
    router.add_delete("/v1/keys/{key:[^/]+}", access.revoke_key)
    router.add_get("/healthz", system.healthz)
    router.add_get("/readyz", system.readyz)
    router.add_get("/metrics", system.show_metrics)
    system.add_description(app)


def _shop(
    settings: Settings, redis_url: str, root_key: str
) -> Callable[[web.Application], AsyncIterator[None]]:
    async def context(app: web.Application) -> AsyncIterator[None]:
        store = Store.connect(
            redis_url, timeout_ms=settings.redis_timeout_ms, fence=Fence.of(settings.archive_url)
        )
        sale_store = SaleStore(store, timeout_s=settings.redis_timeout_ms / 1000)
        payment_store = PaymentStore(store, timeout_s=settings.redis_timeout_ms / 1000)
        order_store = OrderStore(store, timeout_s=settings.redis_timeout_ms / 1000)
        old = OldBooks(settings.archive_url) if settings.archive_url is not None else None
        catalog = Catalog(sale_store)
        providers = configured(settings)
        queue = Queue(
            limit=settings.queue_limit,
            deadline_s=settings.request_deadline_ms / 1000,
            batch_limit=settings.batch_limit,
            in_flight_limit=settings.batches_in_flight,
        )
        requests = metrics.Requests()
        secret = settings.shopper_secret.get_secret_value() if settings.shopper_secret else None
        shop = Shop(
            settings=settings,
            store=store,
            sales=Sales(sale_store, catalog, orders=order_store, old=old),
            reservations=Reservations(
                sale_store,
                catalog,
                queue,
                on_batch=requests.batch_done,
                on_memory=requests.answered_from_memory,
            ),
            payments=_payments(settings, payment_store, sale_store, catalog, providers),
            tokens=ShopperTokens(secret, settings.shopper_public_key),
            api_keys=ApiKeys(store, root_key),
            requests=requests,
        )
        await store.wait_for_guard(GUARD_WAIT_S)
        app[SHOP] = shop
        metrics.WORKERS_ALIVE.set(1)
        log.info("api.started", store=describe(redis_url))
        works = (_hand_over(shop), shop.reservations.keep_open())
        working = [asyncio.create_task(each) for each in works]
        yield
        for task in working:
            task.cancel()
        await asyncio.wait(working, timeout=CLOSE_S)
        shop.requests.hand_over(shop.reservations.waiting)
        await app[live.LIVE].close()
        await shop.reservations.close()
        for provider in providers.values():
            await provider.close()
        await payment_store.close()
        await order_store.close()
        await sale_store.close()
        await store.close()
        if old is not None:
            await old.close()

    return context


def _payments(
    settings: Settings,
    store: PaymentStore,
    sales: SaleStore,
    catalog: Catalog,
    providers: Mapping[str, Provider],
) -> Payments:
    till = Till.of(settings, store, sales, catalog, providers)
    reconciler = Reconciler(till, Settlement(till))
    return Payments(
        store,
        catalog,
        providers,
        reconciler,
        provider=settings.provider,
        shop=settings.shop,
        queue_limit=settings.payment_queue_limit,
    )


async def _hand_over(shop: Shop) -> None:
    while True:
        await asyncio.sleep(metrics.HAND_OVER_S)
        shop.requests.hand_over(shop.reservations.waiting)
