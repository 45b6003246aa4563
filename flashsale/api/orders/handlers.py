"""Handlers: the orders of all sales, in order and from any point, as often as somebody asks."""

import asyncio

import orjson
from aiohttp import web

from flashsale.api import callers, problems, render
from flashsale.api.orders import queries
from flashsale.api.orders.outlet import OUTLETS, CutOffError, Outlet
from flashsale.api.orders.queries import FactsQuery, OrdersQuery
from flashsale.api.orders.state import FEED, Feeds
from flashsale.api.problems import Problem
from flashsale.api.state import DRAIN, SHOP, Shop
from flashsale.engine.feed import Batch, Feed, Reader
from flashsale.engine.refusals import CursorAheadError, CursorExpiredError, TooManyReadersError
from flashsale.model import ids
from flashsale.model.cursor import Cursor
from flashsale.model.events import Event
from flashsale.store.client import StoreUnavailableError

SLICE_S = 1.0
"""How often somebody who waits is looked after: whether they are still there, and whether the server stays."""
POLL_S = 0.2
"""How often the journal of a sale is read for those who wait for its next fact."""


async def feed(request: web.Request) -> web.StreamResponse:
    """GET /v1/orders."""
    shop, feeds = request.app[SHOP], request.app[FEED]
    query = queries.orders(request, limit=queries.DEFAULT_LIMIT, wait_s=0)
    await callers.require_scope(request, shop, "orders")
    asked = query.after.copy() if query.after is not None else None
    try:
        with await admitted(feeds, query, query.after) as reader:
            batch = await _awaited(request, reader, query)
            cursor = reader.cursor.encode()
    except (CursorExpiredError, CursorAheadError, TooManyReadersError) as error:
        raise problem_of(error, asked) from None
    tail = f'],"cursor":"{cursor}","more":{"true" if batch.more else "false"}}}'
    return await _send(request, b'{"events":[', [event.body for event in batch.events], tail.encode())


async def admitted(feeds: Feeds, query: OrdersQuery, after: Cursor | None) -> Reader:
    """A reader of what is asked for; `after` None stands for now.

    Raises:
        Problem: 404 for an unknown sale, and for a rehearsal where none is asked for, or the other way round.
        CursorAheadError, TooManyReadersError, StoreUnavailableError: as they say.
    """
    feed, other = (feeds.rehearsed, feeds.feed) if query.rehearsal else (feeds.feed, feeds.rehearsed)
    if query.sale is not None and not (ids.is_sale_id(query.sale) and await feed.knows(query.sale)):
        raise problems.unknown_sale(query.sale, await _why_not(query, other))
    reader = feed.reader(after or Cursor(), sale=query.sale, types=query.types)
    if after is None:
        await reader.skip()
    else:
        await reader.check()
    return reader


async def _why_not(query: OrdersQuery, other: Feed) -> str | None:
    """Why a sale that there is, is not in the feed that was asked for."""
    sale = query.sale or ""
    if not (ids.is_sale_id(sale) and await other.knows(sale)):
        return None
    if query.rehearsal:
        return f"The sale {sale} is no rehearsal: leave out rehearsal=true."
    return f"The sale {sale} is a rehearsal, and rehearsals are left out. Ask with rehearsal=true for its orders."


def problem_of(
    error: CursorExpiredError | CursorAheadError | TooManyReadersError, asked: Cursor | None = None
) -> Problem:
    """Why somebody cannot read, and what they can do. `asked` is the cursor that they have come with."""
    match error:
        case CursorExpiredError():
            detail = f"{str(error).capitalize()}. Read those that are missing from the archive, then go on."
            if asked is not None and error.first:
                asked.move(error.sale, error.first - 1)
            return Problem(
                "cursor_expired",
                detail,
                sale=error.sale,
                after=error.after,
                first=error.first,
                cursor=asked.encode() if asked is not None else None,
            )
        case CursorAheadError():
            return Problem(
                "cursor_ahead",
                f"{str(error).capitalize()}. Either the cursor is another shop's, or this store has lost orders.",
                sale=error.sale,
                after=error.after,
                last=error.decided,
            )
        case TooManyReadersError():
            return problems.busy("Too many others are reading orders. Try again, or read with fewer readers.")


async def _awaited(request: web.Request, reader: Reader, query: OrdersQuery) -> Batch:
    """What there is, or what comes within the time that the caller waits; a store that goes away meanwhile may come back."""
    loop, room = asyncio.get_running_loop(), request.app[OUTLETS].room()
    deadline, limit = loop.time() + (query.wait_s or 0), query.limit or queries.DEFAULT_LIMIT
    batch = await reader.take(limit, room)
    while not batch.events and not batch.more and waits(request):
        left = deadline - loop.time()
        if left <= 0:
            break
        await reader.wait(min(left, SLICE_S))
        try:
            batch = await reader.take(limit, room)
        except StoreUnavailableError:
            if loop.time() >= deadline:
                raise
    return batch


def waits(request: web.Request) -> bool:
    """Whether the caller is still there, and the server stays."""
    return request.transport is not None and not request.app[DRAIN].active


async def _send(request: web.Request, head: bytes, bodies: list[bytes], tail: bytes) -> web.StreamResponse:
    """One JSON document of bodies that are JSON already."""
    parts = [head]
    for number, body in enumerate(bodies):
        parts += (b",", body) if number else (body,)
    parts.append(tail)
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    outlet = Outlet(request, headers, length=sum(map(len, parts)))
    try:
        async with outlet:
            await outlet.send(parts)
    except CutOffError:
        pass  # they come again, with the cursor that they have
    return outlet.response


async def facts(request: web.Request) -> web.StreamResponse:
    """GET /v1/sales/{sale}/events."""
    shop, feeds, sale = request.app[SHOP], request.app[FEED], request.match_info["sale"]
    query = queries.facts(request)
    await callers.require_scope(request, shop, "orders")
    if not ids.is_sale_id(sale) or await shop.sales.view(sale) is None:
        raise problems.unknown_sale(sale)
    try:
        with feeds.feed.place():
            events = await _awaited_facts(request, feeds, sale, query)
    except (CursorExpiredError, TooManyReadersError) as error:
        raise problem_of(error) from None
    bodies: list[bytes] = []
    room = request.app[OUTLETS].room()
    for event in events:
        room -= len(event.body)
        if bodies and room < 0:
            break
        bodies.append(event.body)
    last = events[len(bodies) - 1].seq if bodies else query.after
    more = len(bodies) < len(events) or len(bodies) == query.limit
    return await _send(
        request, b'{"events":[', bodies, b'],"last_seq":%d,"more":%b}' % (last, b"true" if more else b"false")
    )


async def _awaited_facts(request: web.Request, feeds: Feeds, sale: str, query: FactsQuery) -> list[Event]:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + query.wait_s
    while True:
        events = await feeds.facts.read(sale, query.after, query.limit)
        left = deadline - loop.time()
        if events or left <= 0 or not waits(request):
            return events
        await asyncio.sleep(min(left, POLL_S))


async def summary(request: web.Request) -> web.Response:
    """GET /v1/sales/{sale}/orders/summary."""
    shop, feeds, sale = request.app[SHOP], request.app[FEED], request.match_info["sale"]
    queries.nothing(request.query)
    await callers.require_scope(request, shop, "orders")
    return render.json_response(await _summary(shop, feeds, sale), headers={"Cache-Control": "no-store"})


async def _summary(shop: Shop, feeds: Feeds, sale: str) -> dict[str, object]:
    # The stream is read first, so that it is never ahead of what has been decided.
    last, tally = await feeds.orders.last(sale) if ids.is_sale_id(sale) else (None, None)
    view = await shop.sales.view(sale)
    if view is None or tally is None:
        raise problems.unknown_sale(sale)
    return {
        "sale": sale,
        "sequence": tally.sequence,
        "decided": view.state.orders,
        "behind": max(0, view.state.orders - tally.sequence),
        "orders": tally.confirmed - tally.refunded,
        "confirmed": {"count": tally.confirmed, "amount": tally.confirmed_amount},
        "refunded": {"count": tally.refunded, "amount": tally.refunded_amount},
        "currency": view.offer.definition.currency,
        "digest": tally.digest,
        "last_event": orjson.loads(last.body)["id"] if last is not None else None,
    }
