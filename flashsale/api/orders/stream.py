"""GET /v1/orders/stream: the feed as server-sent events.

The id of every event is the cursor behind it, so whoever loses the connection goes on where they were: browsers and most
libraries send it back in `Last-Event-ID` by themselves.
"""

import asyncio
from typing import Final

from aiohttp import web

from flashsale.api import callers
from flashsale.api.orders import queries
from flashsale.api.orders.handlers import SLICE_S, admitted, problem_of
from flashsale.api.orders.outlet import PIECE_BYTES, CutOffError, Outlet
from flashsale.api.orders.queries import OrdersQuery
from flashsale.api.orders.state import FEED
from flashsale.api.state import SHOP
from flashsale.engine.feed import Batch, Reader
from flashsale.engine.refusals import CursorAheadError, CursorExpiredError, TooManyReadersError
from flashsale.model.cursor import Cursor
from flashsale.model.events import type_of
from flashsale.store.client import StoreUnavailableError

HEARTBEAT_S: Final = 15.0
RETRY_MS: Final = 1000
AT_ONCE: Final = 32
"""Events taken from the feed before the next are: what a reader who is stuck keeps this process from letting go of."""
MOST_BYTES: Final = 4 * PIECE_BYTES


async def stream(request: web.Request) -> web.StreamResponse:
    """The handler."""
    shop, feeds = request.app[SHOP], request.app[FEED]
    query = queries.orders(request, limit=None, wait_s=None)
    resumed = queries.resumed(request)
    await callers.require_scope(request, shop, "orders")
    after = resumed or query.after
    asked = after.copy() if after is not None else None
    try:
        with await admitted(feeds, query, after) as reader:
            before = reader.cursor.copy()
            # Taken before the answer begins, for what is refused is refused with a status.
            batch = await reader.take(_most(query.limit), MOST_BYTES)
            return await _stream(request, reader, before, batch, query)
    except (CursorExpiredError, CursorAheadError, TooManyReadersError) as error:
        raise problem_of(error, asked) from None


async def _stream(
    request: web.Request, reader: Reader, before: Cursor, batch: Batch, query: OrdersQuery
) -> web.StreamResponse:
    headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    outlet = Outlet(request, headers)
    try:
        async with outlet:
            await outlet.send([f"retry: {RETRY_MS}\nid: {before.encode()}\n\n".encode()])
            await _send_all(outlet, reader, before, batch, query)
    except (CutOffError, CursorExpiredError):
        pass  # who comes back with the last cursor goes on, or is told why not
    return outlet.response


async def _send_all(outlet: Outlet, reader: Reader, before: Cursor, batch: Batch, query: OrdersQuery) -> None:
    """Sends what comes, until the caller has had as many events, or has waited as long, as they asked for."""
    loop, left = asyncio.get_running_loop(), query.limit
    came_at = spoke_at = loop.time()
    while outlet.open:
        if batch.events:
            await outlet.send(_frames(before, batch))
            came_at = spoke_at = loop.time()
            left = None if left is None else left - len(batch.events)
            if left == 0:
                return
        before = reader.cursor.copy()
        wait_s = 0.0 if batch.more else SLICE_S
        if wait_s and query.wait_s is not None:
            left_s = came_at + query.wait_s - loop.time()
            if left_s <= 0 and not batch.events:
                return
            wait_s = max(0.0, min(wait_s, left_s))
        if wait_s and loop.time() - spoke_at >= HEARTBEAT_S:
            await outlet.send([f": still here\nid: {before.encode()}\n\n".encode()])
            spoke_at = loop.time()
        batch = await _next(reader, _most(left), wait_s=wait_s)


async def _next(reader: Reader, limit: int, *, wait_s: float) -> Batch:
    """What comes next, within a moment; nothing while the store is away, for it may come back."""
    if wait_s:
        await reader.wait(wait_s)
    try:
        return await reader.take(limit, MOST_BYTES)
    except StoreUnavailableError:
        return Batch([], more=False)


def _most(left: int | None) -> int:
    return AT_ONCE if left is None else min(AT_ONCE, left)


def _frames(before: Cursor, batch: Batch) -> list[bytes]:
    """The events, each with the cursor behind it. `before` moves along."""
    frames = []
    for event in batch.events:
        before.move(event.sale, event.sequence)
        frames.append(
            b"id: %b\nevent: %b\ndata: %b\n\n" % (before.encode().encode(), type_of(event.body), event.body)
        )
    return frames
