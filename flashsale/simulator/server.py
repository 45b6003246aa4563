"""Puts the simulator together: an application of aiohttp, made from the settings."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from flashsale.settings import Settings
from flashsale.simulator.answers import answer, refusal, refusal_of, refusal_of_http
from flashsale.simulator.bodies import MAX_BODY_BYTES, BodyError
from flashsale.simulator.books import Books
from flashsale.simulator.desk import Desk, TemporaryError
from flashsale.simulator.faults import Faults
from flashsale.simulator.ledger import Ledger, LedgerError
from flashsale.simulator.records import Happening
from flashsale.simulator.shop import Shop
from flashsale.simulator.shopper import Shopper
from flashsale.simulator.webhooks import Webhooks

FLUSH_SECONDS: Final = 0.1

log = structlog.get_logger(__name__)


def build_app(settings: Settings, url: str) -> web.Application:
    """The application. `url` is where its socket listens.

    Raises:
        BooksError: the file that the settings name cannot be used.
        ValueError: the settings have no secret.
    """
    if settings.simulator_secret is None:
        raise ValueError("a simulator needs simulator_secret")
    secret = settings.simulator_secret.get_secret_value()
    books = Books(settings.simulator_file) if settings.simulator_file is not None else None
    desk = Desk(Ledger(settings.simulator_seed), books, Faults.from_settings(settings))
    undelivered = desk.restore()

    async def context(_app: web.Application) -> AsyncIterator[None]:
        async with _at_work(desk, settings.simulator_webhook_url, secret, undelivered):
            yield

    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_explain])
    app.cleanup_ctx.append(context)
    shopper = Shopper(desk, secret, settings.simulator_public_url or url)
    Shop(desk, shopper, secret).add_routes(app.router)
    shopper.add_routes(app.router)
    app.router.add_get("/healthz", _healthz)
    log.warning("payments.simulated", reason="this payment provider is a simulator: nobody is charged")
    return app


@contextlib.asynccontextmanager
async def _at_work(
    desk: Desk, webhook_url: str | None, secret: str, undelivered: list[Happening]
) -> AsyncIterator[None]:
    """Inside, events are sent, and what was delivered is written down."""
    webhooks = Webhooks(webhook_url, secret.encode(), lambda: desk.faults, desk.note_sent)
    desk.tell = webhooks.add
    for event in undelivered:
        webhooks.add(event)
    flushing = asyncio.create_task(_flush(desk))
    try:
        yield
    finally:
        flushing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await flushing
        await webhooks.close()
        desk.close()


async def _flush(desk: Desk) -> None:
    """Sees that what was delivered is written down soon, also when nothing else happens."""
    while True:
        await asyncio.sleep(FLUSH_SECONDS)
        desk.flush()


@web.middleware
async def _explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever stands in the way of an answer becomes one that says what it is."""
    try:
        return await handler(request)
    except LedgerError as error:
        return refusal_of(error)
    except BodyError as error:
        return refusal(400, "invalid", str(error))
    except TemporaryError as error:
        return refusal(500, "failed", str(error))
    except web.HTTPException as error:
        return refusal_of_http(error)
    except web.RequestPayloadError:
        return refusal(400, "invalid", "The body ends too early, or is not encoded as its header says.")
    except Exception:
        log.exception("request.failed", method=request.method, path=request.path)
        return refusal(500, "failed", "The simulator could not answer; the fault is in its log.")


async def _healthz(_request: web.Request) -> web.StreamResponse:
    return answer({"status": "ok"})
