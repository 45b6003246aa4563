"""A receiver of webhooks on a real socket, which answers as a test likes, and a deliverer to send to it.

- `Inbox`: notes every message; `answers` decides what is said to each, 204 unless told otherwise.
- `inbox()`: one that listens.
- `delivering(...)`: publisher and deliverer at work in this process.
- `Hands`: the clock of a deliverer, which a test puts forward instead of waiting.
- `verified(message, secret)`: by the official library; `read(message)`: by that of CloudEvents.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web
from cloudevents.core.bindings.http import HTTPMessage, from_http
from cloudevents.core.formats.json import JSONFormat
from standardwebhooks import Webhook as OfficialWebhook
from standardwebhooks import WebhookVerificationError

from flashsale.engine.cloudevents import EventMaker
from flashsale.engine.older import OldBooks
from flashsale.engine.outgoing import Outbox
from flashsale.engine.publisher import Publisher
from flashsale.model.events import ORDER_EVENTS
from flashsale.store.client import Store
from flashsale.store.orders import OrderStore
from flashsale.store.sales import SaleStore
from flashsale.store.webhooks import WebhookStore
from flashsale.webhooks.addresses import Guard
from flashsale.webhooks.sender import Sender
from flashsale.workers.deliveries import Deliverer
from flashsale.workers.outbox import publish
from tests.support.server import PATIENCE_MS
from tests.support.shop import Shop

ORDERS = sorted(ORDER_EVENTS)
PATIENCE_S = 60.0
LEASE_MS = 60_000
"""However slow the machine is, nobody else delivers meanwhile: what comes is counted."""


@dataclass(frozen=True)
class Message:
    """One webhook as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def event(self) -> dict[str, Any]:
        return dict(orjson.loads(self.body))

    @property
    def sequence(self) -> int:
        return int(self.event["sequence"])

    @property
    def sale(self) -> str:
        return str(self.event["data"]["sale"])


def verified(message: Message, *secrets: str) -> bool:
    """Whether the official library accepts the message with every one of these secrets."""
    try:
        for secret in secrets:
            OfficialWebhook(secret).verify(message.body, dict(message.headers))
    except WebhookVerificationError:
        return False
    return True


def read(message: Message) -> Any:
    """The event as the official library of CloudEvents reads it."""
    headers = {name.lower(): value for name, value in message.headers.items()}
    return from_http(HTTPMessage(headers=headers, body=message.body), JSONFormat())


Answers = Callable[[Message, web.Request], Awaitable[web.StreamResponse]]


class Inbox:
    """What has come, in the order of coming. Every path is a receiver of its own."""

    def __init__(self) -> None:
        self.url = ""
        self.messages: list[Message] = []
        self.answers: Answers | None = None
        self.statuses: dict[str, int] = {}
        """Path -> the status that is answered there."""
        self._changed = asyncio.Event()

    def at(self, path: str) -> list[Message]:
        return [each for each in self.messages if each.path == path]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = dict(request.headers)
        message = Message(request.path, headers, await request.read(), time.monotonic())
        self.messages.append(message)
        self._changed.set()
        if self.answers is not None:
            return await self.answers(message, request)
        return web.Response(status=self.statuses.get(request.path, 204))

    async def until(self, enough: Callable[[], Any]) -> None:
        """Waits until enough has come."""
        async with asyncio.timeout(PATIENCE_S):
            while not enough():
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def inbox(port: int = 0) -> AsyncIterator[Inbox]:
    made = Inbox()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield made
    finally:
        await runner.cleanup()


def wall_clock_ms() -> int:
    return round(time.time() * 1000)


class Hands:
    """The hands of a clock that stands still, however long a test takes, but for what it puts them forward."""

    def __init__(self) -> None:
        self._now_ms = wall_clock_ms()

    def __call__(self) -> int:
        return self._now_ms

    def forward(self, seconds: float) -> None:
        self._now_ms += round(seconds * 1000)


@asynccontextmanager
async def delivering(
    url: str,
    *,
    hands: Hands | None = None,
    timeout_s: float = 60,
    days: float = 5,
    older: OldBooks | None = None,
    store_timeout_ms: int = PATIENCE_MS,
    lease_ms: int = LEASE_MS,
) -> AsyncIterator[None]:
    """A publisher and a deliverer, with connections of their own, as long as the block lasts."""
    store, stop = Store.connect(url, timeout_ms=store_timeout_ms), asyncio.Event()
    sales = SaleStore(store, timeout_s=store_timeout_ms / 1000)
    orders = OrderStore(store, timeout_s=store_timeout_ms / 1000)
    maker = EventMaker(sales, "test")
    sender = Sender(Guard(private_networks=True), timeout_s=timeout_s)
    deliverer = Deliverer(
        WebhookStore(store),
        sales,
        Outbox(orders, sales, maker, older),
        sender,
        days=days,
        lease_ms=lease_ms,
        clock_ms=hands or wall_clock_ms,
        chance=lambda: 0.0,
    )
    try:
        async with asyncio.TaskGroup() as work:
            work.create_task(publish(Publisher(sales, orders, maker), sales, stop))
            work.create_task(deliverer.run(stop))
            try:
                yield
            finally:
                stop.set()
    finally:
        await sender.close()
        await orders.close()
        await sales.close()
        await store.close()


async def eventually(look: Callable[[], Awaitable[Any]], what: str) -> Any:
    """What `look` answers as soon as that is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not (seen := await look()):
        assert time.monotonic() < deadline, f"never came true: {what}"
        await asyncio.sleep(0.02)
    return seen


async def sell(shop: Shop, count: int, start: int = 0) -> None:
    """Makes so many orders of one car, by customers that are numbered."""
    for number in range(start, start + count):
        await shop.paid(f"c-{number}", ("car", 1), reference=f"sim:{shop.sale}-{number}")


def sequences(messages: Sequence[Message]) -> list[int]:
    """Of order events, in the order in which they came."""
    return [each.sequence for each in messages]
