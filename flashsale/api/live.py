"""GET /v1/sales/{sale}/live: the public view of a sale as server-sent events.

However many watch, one task a sale asks the store four times a second, and one encoded frame goes to all. A watcher that
reads slowly skips frames; it never makes the server keep them.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Final

import orjson
from aiohttp import web

from flashsale.api import problems, render
from flashsale.api.state import DRAIN, SHOP, Shop
from flashsale.engine.sales import SaleView
from flashsale.store.client import StoreUnavailableError

INTERVAL_S: Final = 0.25
HEARTBEAT_S: Final = 15.0
MOST_WATCHERS: Final = 20_000
"""Of one worker."""


@dataclass(slots=True)
class _Feed:
    """The latest frame of one sale, and those who wait for the next."""

    frame: bytes
    body: dict[str, object]
    """What the frame says, without the clock."""
    number: int
    next: "asyncio.Future[None]"
    watchers: int = 0
    task: "asyncio.Task[None] | None" = None


@dataclass(slots=True)
class Live:
    """The feeds of one worker."""

    feeds: dict[str, _Feed] = field(default_factory=dict)
    watchers: int = 0

    async def close(self) -> None:
        """Ends the tasks that ask the store."""
        for feed in self.feeds.values():
            if feed.task is not None:
                feed.task.cancel()


LIVE: Final = web.AppKey("live", Live)


def _frame(number: int, view: SaleView) -> tuple[bytes, dict[str, object]]:
    data = render.sale(view)
    text = b"id: %d\ndata: %b\n\n" % (number, orjson.dumps(data))
    data.pop("server_time")
    return text, data


async def _follow(shop: Shop, sale: str, feed: _Feed) -> None:
    """Keeps a feed up to date while anyone watches; a failing store only delays it."""
    while feed.watchers:
        await asyncio.sleep(INTERVAL_S)
        try:
            view = await shop.sales.view(sale)
        except StoreUnavailableError:
            continue
        if view is None:
            continue
        frame, body = _frame(view.state.seq, view)
        if body != feed.body:
            feed.frame, feed.body, feed.number = frame, body, feed.number + 1
            waiting, feed.next = feed.next, asyncio.get_running_loop().create_future()
            waiting.set_result(None)


async def watch(request: web.Request) -> web.StreamResponse:
    """The handler."""
    shop, live, sale = request.app[SHOP], request.app[LIVE], request.match_info["sale"]
    if live.watchers >= MOST_WATCHERS:
        raise problems.busy()
    feed = live.feeds.get(sale)
    if feed is None:
        view = await shop.sales.view(sale)
        if view is None:
            raise problems.Problem("unknown_sale", f"There is no sale {sale[:100]}.")
        frame, body = _frame(view.state.seq, view)
        feed = live.feeds.setdefault(sale, _Feed(frame, body, 0, asyncio.get_running_loop().create_future()))
    # Counted before anything is awaited: the feed of a watcher must not end under it.
    live.watchers += 1
    feed.watchers += 1
    if feed.task is None:
        feed.task = asyncio.get_running_loop().create_task(_follow(shop, sale, feed))
    try:
        response = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        response.content_type = "text/event-stream"
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):  # the watcher has gone
            await _send_frames(request, response, feed)
    finally:
        live.watchers -= 1
        feed.watchers -= 1
        if feed.watchers == 0:
            live.feeds.pop(sale, None)
            feed.task.cancel()
    return response


async def _send_frames(request: web.Request, response: web.StreamResponse, feed: _Feed) -> None:
    sent, loop = -1, asyncio.get_running_loop()
    spoke_at = loop.time()
    while not request.app[DRAIN].active and request.transport is not None:
        if feed.number != sent:
            sent = feed.number
            await response.write(feed.frame)
            spoke_at = loop.time()
        elif loop.time() - spoke_at >= HEARTBEAT_S:
            await response.write(b": still here\n\n")
            spoke_at = loop.time()
        if feed.number == sent:  # another frame may have come while this one was written
            await asyncio.wait(
                {feed.next}, timeout=1.0
            )  # a second at most, so that a drain ends the stream soon
