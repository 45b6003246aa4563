"""Adds what order systems read to the application: routes, and the feed behind them."""

from collections.abc import AsyncIterator, Callable
from typing import Final

from aiohttp import web

from flashsale.api.orders import handlers, stream
from flashsale.api.orders.outlet import OUTLETS, Outlets
from flashsale.api.orders.schemas import add_schemas
from flashsale.api.orders.state import FEED, Feeds
from flashsale.api.state import SHOP
from flashsale.engine.cloudevents import EventMaker
from flashsale.engine.facts import FactReader
from flashsale.engine.feed import LOOK_S, Feed
from flashsale.engine.older import OldBooks
from flashsale.settings import Settings
from flashsale.store.orders import OrderStore
from flashsale.store.sales import SaleStore

_SALE: Final = "/v1/sales/{sale:[^/]+}"


def add_orders(app: web.Application, settings: Settings) -> None:
    """To be called when the shop is set up already: the feed begins after it, and ends before it."""
    app[OUTLETS] = Outlets()
    router = app.router
    # Without HEAD, which aiohttp would add: a stream has no length to be told.
    router.add_get("/v1/orders", handlers.feed, allow_head=False)
    router.add_get("/v1/orders/stream", stream.stream, allow_head=False)
    router.add_get(f"{_SALE}/events", handlers.facts, allow_head=False)
    router.add_get(f"{_SALE}/orders/summary", handlers.summary)
    add_schemas(app)
    app.cleanup_ctx.append(_feeds(settings))


def _feeds(settings: Settings) -> Callable[[web.Application], AsyncIterator[None]]:
    async def context(app: web.Application) -> AsyncIterator[None]:
        store, timeout_s = app[SHOP].store, settings.redis_timeout_ms / 1000
        sales, orders = SaleStore(store, timeout_s=timeout_s), OrderStore(store, timeout_s=timeout_s)
        old = OldBooks(settings.archive_url) if settings.archive_url else None
        older, block_s = old.events if old is not None else None, min(LOOK_S, timeout_s / 2)
        feed = Feed(sales, orders, older=older, block_s=block_s)
        # A connection of its own: they would wait for one another.
        rehearsed_orders = OrderStore(store, timeout_s=timeout_s)
        rehearsed = Feed(sales, rehearsed_orders, older=older, block_s=block_s, rehearsals=True)
        maker = EventMaker(sales, settings.shop)
        facts = FactReader(sales, maker, older=old.facts if old is not None else None)
        app[FEED] = Feeds(orders, feed, rehearsed, facts)
        yield
        await feed.close()
        await rehearsed.close()
        await orders.close()
        await rehearsed_orders.close()
        await sales.close()
        if old is not None:
            await old.close()

    return context
