"""A server that has orders, and answers about them what no shop of ours would, when it is told to.

Its events are made by the code that makes those of the shop. What a shop does answer is tested with a shop:
tests/client/test_feed_of_a_shop.py.
"""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import orjson
from aiohttp import web

from flashsale.model.cursor import Cursor
from flashsale.model.events import make_event
from flashsale.model.facts import Fact
from flashsale.model.reservation import Reservation, State
from flashsale.model.terms import Terms
from tests.model.journals import TERMS, confirmed, refunded
from tests.support.sales import OPENS_MS

KEY: Final = "fs_a-key-that-must-never-be-shown"
SALE: Final = "giulia"

_TERMS: Final = Terms.read(TERMS.canonical())
Event = dict[str, Any]
Lie = Callable[[web.Request, "LyingShop"], Awaitable[web.StreamResponse]]


def order(sequence: int, sale: str = SALE, *, undone: int = 0) -> Event:
    """The event of an order; with `undone` the number of the order that it undoes."""
    token = f"{undone or sequence:016d}"
    make = refunded if undone else confirmed
    told = make(token, f"sim:{undone or sequence}", OPENS_MS + sequence, sequence=sequence)
    fact = Fact(3 * sequence, told.at_ms, told.type, told.data)
    holder = Reservation(
        token, State.HELD, False, OPENS_MS, OPENS_MS, sequence, f"c-{sequence}", (("car", 1),)
    )
    event: Event = orjson.loads(make_event("test", sale, fact, _TERMS, holder).body)
    return event


def orders(first: int, last: int, sale: str = SALE) -> list[Event]:
    """The events with these numbers."""
    return [order(sequence, sale) for sequence in range(first, last + 1)]


class LyingShop:
    """`events` are what there is. Each of `lies` is one answer; when there are no more, the answer is an honest one."""

    def __init__(self) -> None:
        self.url = ""
        self.events: list[Event] = []
        self.lies: deque[Lie] = deque()
        self.asked: list[dict[str, str]] = []
        """The queries so far."""
        self.keys: set[str] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.query))
        self.keys.add(request.headers.get("Authorization", ""))
        if self.lies:
            return await self.lies.popleft()(request, self)
        return self.page(request)

    def page(self, request: web.Request) -> web.Response:
        """An honest answer, but for one thing: it does not wait."""
        cursor = Cursor.decode(request.query["after"])
        behind = [each for each in self.events if int(each["sequence"]) > cursor.of(each["data"]["sale"])]
        page = behind[: int(request.query["limit"])]
        for each in page:
            cursor.move(each["data"]["sale"], int(each["sequence"]))
        return answer(page, cursor.encode(), more=len(page) < len(behind))


def answer(events: list[Any], cursor: str | None = None, *, more: bool = False) -> web.Response:
    """An answer with these events, whatever was asked."""
    body = {"events": events, "cursor": Cursor().encode() if cursor is None else cursor, "more": more}
    return web.Response(body=orjson.dumps(body), content_type="application/json")


def gives(*events: Any, cursor: str | None = None, more: bool = False) -> Lie:
    """Answers with these events, whatever was asked."""

    async def lie(_request: web.Request, _shop: LyingShop) -> web.StreamResponse:
        return answer(list(events), cursor, more=more)

    return lie


def refuses(status: int, code: str = "busy", **headers: str) -> Lie:
    """A problem document."""

    async def lie(_request: web.Request, _shop: LyingShop) -> web.StreamResponse:
        body = {"type": "about:blank", "title": code.title(), "status": status, "code": code}
        return web.json_response(
            body, status=status, headers={name.replace("_", "-"): text for name, text in headers.items()}
        )

    return lie


def says(body: bytes, status: int = 200, content_type: str = "application/json") -> Lie:
    """Any bytes."""

    async def lie(_request: web.Request, _shop: LyingShop) -> web.StreamResponse:
        return web.Response(body=body, status=status, content_type=content_type)

    return lie


def cut_off(after_bytes: int) -> Lie:
    """The honest answer, up to so many bytes; then the connection ends."""

    async def lie(request: web.Request, shop: LyingShop) -> web.StreamResponse:
        whole = shop.page(request).body
        assert isinstance(whole, bytes)
        response = web.StreamResponse(headers={"Content-Length": str(len(whole))})
        response.content_type = "application/json"
        await response.prepare(request)
        await response.write(whole[:after_bytes])
        assert request.transport is not None
        request.transport.abort()
        return response

    return lie


@asynccontextmanager
async def lying_shop(port: int = 0) -> AsyncIterator[LyingShop]:
    """One that listens."""
    shop = LyingShop()
    app = web.Application()
    app.router.add_get("/v1/orders", shop.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        host, bound = runner.addresses[0][:2]
        shop.url = f"http://{host}:{bound}"
        yield shop
    finally:
        await runner.cleanup()
