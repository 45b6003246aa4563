"""Adds what the console asks for to the application: routes, and what is behind them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from aiohttp import web

from flashsale.api.console import handlers
from flashsale.api.console.state import DESK, Desk
from flashsale.api.state import SHOP
from flashsale.engine.activity import Activities
from flashsale.engine.attempts import Notes
from flashsale.engine.curve import Curves
from flashsale.engine.history import History
from flashsale.engine.older import OldBooks
from flashsale.engine.story import Stories
from flashsale.settings import Settings
from flashsale.store.attempts import AttemptStore
from flashsale.store.pulse import PulseStore
from flashsale.store.sales import SaleStore

_SALE: Final = "/v1/sales/{sale:[^/]+}"


def add_console(app: web.Application, settings: Settings) -> None:
    """To be called when the shop is set up already: the desk opens after it, and closes before it."""
    router = app.router
    router.add_get(f"{_SALE}/definition", handlers.definition)
    router.add_get(f"{_SALE}/activity", handlers.activity)
    router.add_get(f"{_SALE}/curve", handlers.curve)
    router.add_get(f"{_SALE}/story", handlers.story)
    app.cleanup_ctx.append(_desk(settings))


def _desk(settings: Settings) -> Callable[[web.Application], AsyncIterator[None]]:
    async def context(app: web.Application) -> AsyncIterator[None]:
        store, timeout_s = app[SHOP].store, settings.redis_timeout_ms / 1000
        # A connection of its own: nobody who buys waits behind a page of a journal.
        sales = SaleStore(store, timeout_s=timeout_s)
        old = OldBooks(settings.archive_url) if settings.archive_url is not None else None
        history = History(sales, old.facts if old is not None else None)
        curves = Curves(sales, history)
        attempts = AttemptStore(store, timeout_s=timeout_s)
        notes = Notes(attempts) if settings.keep_attempts else None
        writing = None
        if notes is not None:
            app[SHOP].reservations.tell_refusals(notes.note)
            writing = asyncio.create_task(notes.run())
        reservations = app[SHOP].reservations
        stories = Stories(sales, history, curves, reservations, attempts if notes is not None else None)
        app[DESK] = Desk(Activities(PulseStore(store)), curves, stories)
        yield
        if writing is not None and notes is not None:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            await notes.close()
        await attempts.close()
        await curves.close()
        await sales.close()
        if old is not None:
            await old.close()

    return context
