"""GET /v1/sales/{sale}/live: the public view of a sale as server-sent events.

However many watch, one task a sale asks the store, at most four times a second, and one encoded frame goes to all of them;
`flashsale.api.broadcast` says how, and how much of the process that may take. Nobody watches: nothing is asked.
"""

import asyncio
import contextlib
import random
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import structlog
from aiohttp import HttpVersion11, web

from flashsale import metrics
from flashsale.api import problems, render
from flashsale.api.broadcast import Channel, Message, Pace, Reader
from flashsale.api.problems import Problem
from flashsale.api.protocol import Handler
from flashsale.api.state import DRAIN, SHOP, Drain, Shop
from flashsale.engine.sales import SaleView
from flashsale.store.client import StoreUnavailableError

INTERVAL_S: Final = 0.25
HEARTBEAT_S: Final = 15.0
MOST_WATCHERS: Final = 20_000
"""Of one worker."""
FULL_RETRY_S: Final = (5, 15)
"""Whoever finds the worker full comes back after so long, one sooner than the other."""
RETRY_MS: Final = (2000, 6000)
"""The same for whoever loses the connection: when a server goes, all of them lose it together."""

log = structlog.get_logger(__name__)
_HEADERS: Final = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}
_STILL_HERE: Final = Message.of(b": still here\n\n")
_YOU_HAVE_IT: Final = b": you have the latest\n\n"


@dataclass(frozen=True, slots=True)
class Frame:
    """What there is to see of a sale."""

    id: str
    text: bytes
    body: dict[str, Any]
    """What it says, without the clock."""

    @classmethod
    def of(cls, view: SaleView) -> "Frame":
        """The id names what is seen: the latest fact, the definition, and the state, which also changes with the clock.

        Every worker gives the same thing the same id.
        """
        data = render.sale(view)
        frame_id = f"{view.state.seq}.{view.offer.version}.{view.state.public_state}"
        text = b"id: %b\ndata: %b\n\n" % (frame_id.encode(), orjson.dumps(data))
        data.pop("server_time")
        return cls(frame_id, text, data)


@dataclass(slots=True)
class Feed:
    """One sale that is watched."""

    frame: Frame
    channel: Channel
    watchers: int = 0
    """Those who are about to join the channel included."""
    task: "asyncio.Task[None] | None" = None


@dataclass(slots=True)
class Live:
    """The feeds of one worker."""

    feeds: dict[str, Feed] = field(default_factory=dict)
    watchers: int = 0
    _pace: Pace | None = None

    @property
    def pace(self) -> Pace:
        """What all feeds share."""
        if self._pace is None:
            self._pace = Pace()
        return self._pace

    async def feed(self, shop: Shop, sale: str) -> Feed:
        """The feed of a sale, a new one if need be.

        Raises:
            Problem: there is no such sale.
        """
        known = self.feeds.get(sale)
        if known is not None:
            return known
        view = await shop.sales.view(sale)
        if view is None:
            raise problems.unknown_sale(sale)
        frame = Frame.of(view)
        made = Feed(frame, Channel(self.pace, Message.of(frame.text), _STILL_HERE))
        return self.feeds.setdefault(sale, made)  # somebody else may have made it meanwhile

    def drop(self, sale: str, feed: Feed) -> None:
        """Nobody watches this feed any more, or it has nothing more to say."""
        if self.feeds.get(sale) is feed:
            del self.feeds[sale]
        if feed.task is not None:
            feed.task.cancel()

    async def close(self) -> None:
        """Ends the tasks that ask the store."""
        for sale, feed in list(self.feeds.items()):
            self.drop(sale, feed)
        if self._pace is not None:
            self._pace.close()


_chance: Final = random.SystemRandom()
LIVE: Final = web.AppKey("live", Live)


async def watch(request: web.Request) -> web.StreamResponse:
    """The handler."""
    shop, live, sale = request.app[SHOP], request.app[LIVE], request.match_info["sale"]
    if live.watchers >= MOST_WATCHERS:
        wait = {"Retry-After": str(_chance.randint(*FULL_RETRY_S))}
        raise Problem(
            "busy", "As many watch as this server can serve; look at the sale itself.", headers=wait
        )
    live.watchers += 1
    metrics.WATCHERS.inc()
    try:
        return await _answer(request, shop, live, sale)
    finally:
        live.watchers -= 1
        metrics.WATCHERS.dec()


async def _answer(request: web.Request, shop: Shop, live: Live, sale: str) -> web.StreamResponse:
    feed = await live.feed(shop, sale)
    # Counted before anything is awaited: the feed of a watcher must not end under it.
    feed.watchers += 1
    if feed.task is None:
        following = _follow(shop, request.app[DRAIN], live, sale, feed)
        feed.task = asyncio.get_running_loop().create_task(following)
    response = web.StreamResponse(headers=_HEADERS)
    try:
        with contextlib.suppress(ConnectionError):  # the watcher has gone
            await response.prepare(request)
            if request.method != "HEAD":
                await _show(request, response, feed)
    finally:
        feed.watchers -= 1
        if feed.watchers == 0:
            live.drop(sale, feed)
    return response


async def _show(request: web.Request, response: web.StreamResponse, feed: Feed) -> None:
    """Sends the frame of now, unless they have it, and leaves the connection to the feed until it or they have gone."""
    seen, frame = feed.channel.number, feed.frame
    known = request.headers.get("Last-Event-ID") == frame.id
    retry_ms = _chance.randint(*RETRY_MS)
    await response.write(b"retry: %d\n%b" % (retry_ms, _YOU_HAVE_IT if known else frame.text))
    transport, handler = request.transport, request.protocol
    if transport is None or request.app[DRAIN].active:
        return
    reader = Reader(transport, chunked=request.version >= HttpVersion11)
    if isinstance(handler, Handler):
        handler.on_lost = reader.end
    feed.channel.join(reader, seen)
    try:
        await reader.ended
    finally:
        feed.channel.leave(reader)


async def _follow(shop: Shop, drain: Drain, live: Live, sale: str, feed: Feed) -> None:
    """Keeps a feed up to date while anyone watches, and ends it when the server goes, or the sale is no more."""
    try:
        there = True
        while there:
            await asyncio.sleep(INTERVAL_S)
            feed.channel.try_again()
            if feed.channel.idle_s >= HEARTBEAT_S:
                feed.channel.remind()
            there = not drain.active and await _look(shop, sale, feed)
    except Exception:
        log.exception("live.failed", sale=sale)
    # Whoever comes from now on gets a feed of their own, or is told what is the matter.
    feed.task = None
    live.drop(sale, feed)
    await feed.channel.end()


async def _look(shop: Shop, sale: str, feed: Feed) -> bool:
    """Sends what has changed, and tells whether there still is such a sale. A failing store only delays it."""
    try:
        view = await shop.sales.view(sale)
    except StoreUnavailableError:
        return True
    if view is None:
        return False
    frame = Frame.of(view)
    if frame.body != feed.frame.body:
        feed.frame = frame
        feed.channel.publish(Message.of(frame.text))
    return True
