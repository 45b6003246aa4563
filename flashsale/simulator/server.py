"""Puts the simulator together, from the settings."""

import asyncio
import contextlib
import socket
from typing import Final, Self

import structlog

from flashsale.settings import Settings
from flashsale.simulator.answers import answer, refusal
from flashsale.simulator.books import Books
from flashsale.simulator.desk import Desk
from flashsale.simulator.faults import Faults
from flashsale.simulator.http import Answer, Request, Server
from flashsale.simulator.ledger import Ledger
from flashsale.simulator.shop import Shop
from flashsale.simulator.shopper import PATH, Shopper
from flashsale.simulator.webhooks import Webhooks

FLUSH_SECONDS: Final = 0.1

log = structlog.get_logger(__name__)


class Simulator:
    """The simulator on a socket; as a context manager it serves inside the block.

    `url` is where the socket listens.

    Raises:
        BooksError: the file that the settings name cannot be used.
        ValueError: the settings have no secret.
    """

    def __init__(self, settings: Settings, listener: socket.socket, url: str, backlog: int = 128) -> None:
        if settings.simulator_secret is None:
            raise ValueError("a simulator needs simulator_secret")
        secret = settings.simulator_secret.get_secret_value()
        self._listener, self._backlog = listener, backlog
        books = Books(settings.simulator_file) if settings.simulator_file is not None else None
        self._desk = desk = Desk(Ledger(settings.simulator_seed), books, Faults.from_settings(settings))
        self._undelivered = desk.restore()
        address = settings.simulator_webhook_url
        self._webhooks = Webhooks(address, secret.encode(), lambda: desk.faults, desk.note_sent)
        desk.tell = self._webhooks.add
        self._shopper = Shopper(desk, secret, settings.simulator_public_url or url)
        self._shop = Shop(desk, self._shopper, secret)
        self._server = Server(self._handle)
        self._flushing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        log.warning("payments.simulated", reason="this payment provider is a simulator: nobody is charged")
        for event in self._undelivered:
            self._webhooks.add(event)
        self._undelivered.clear()
        self._flushing = asyncio.create_task(self._flush())
        await self._server.start(self._listener, self._backlog)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        if self._flushing is not None:
            self._flushing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._flushing
        await self._webhooks.close()
        self._desk.close()

    def _handle(self, request: Request) -> Answer:
        if request.path.startswith("/v1/"):
            return self._shop.handle(request)
        if request.path.startswith(PATH):
            return self._shopper.handle(request)
        if request.path == "/healthz" and request.method == "GET":
            return answer({"status": "ok"})
        return refusal(404, "not_found", "There is nothing here.")

    async def _flush(self) -> None:
        """Sees that what was delivered is written down soon, also when nothing else happens."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            self._desk.flush()
