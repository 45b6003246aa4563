"""Puts the simulator together: an application of aiohttp, made from the settings."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import structlog
from aiohttp import web

from flashsale.settings import Settings
from flashsale.simulator.answers import answer
from flashsale.simulator.bodies import MAX_BODY_BYTES
from flashsale.simulator.books import Books
from flashsale.simulator.desk import Desk
from flashsale.simulator.faults import Faults
from flashsale.simulator.ledger import Ledger
from flashsale.simulator.shop import Shop
from flashsale.simulator.shopper import Shopper
from flashsale.simulator.webhooks import Webhooks

FLUSH_SECONDS: Final = 0.1

log = structlog.get_logger(__name__)


def build_app(settings: Settings, url: str) -> web.Application:
    """The application. `url` is where it listens.

    Raises:
        BooksError: the file cannot be used.
        ValueError: the settings have no secret.
    """
    if settings.simulator_secret is None:
        raise ValueError("a simulator needs simulator_secret")
    secret = settings.simulator_secret.get_secret_value()
    books = Books(settings.simulator_file) if settings.simulator_file is not None else None
    desk = Desk(Ledger(settings.simulator_seed), books, Faults.from_settings(settings))
    undelivered = desk.restore()
    webhooks = Webhooks(settings.simulator_webhook_url, secret.encode(), lambda: desk.faults, desk.note_sent)
    desk.tell = webhooks.add

    async def context(_app: web.Application) -> AsyncIterator[None]:
        for event in undelivered:
            webhooks.add(event)
        undelivered.clear()
        flushing = asyncio.create_task(_flush(desk))
        yield
        flushing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await flushing
        await webhooks.close()
        desk.close()

    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.cleanup_ctx.append(context)
    shopper = Shopper(desk, secret, settings.simulator_public_url or url)
    Shop(desk, shopper, secret).add_routes(app.router)
    shopper.add_routes(app.router)
    app.router.add_get("/healthz", _healthz)
    log.warning("payments.simulated", reason="this provider is a simulator: nobody is charged", url=url)
    return app


async def _flush(desk: Desk) -> None:
    """Sees that what was delivered is written down soon, also when nothing else happens."""
    while True:
        await asyncio.sleep(FLUSH_SECONDS)
        desk.flush()


async def _healthz(_request: web.Request) -> web.StreamResponse:
    return answer({"status": "ok"})
