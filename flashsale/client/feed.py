"""Every order of a shop, in order, none missing and none twice.

    async for order in OrderFeed("http://127.0.0.1:8080", api_key, cursor="orders.cursor"):
        handle(order)

An order counts as done when its consumer comes back for the next one. Whatever dies in between, the order that was in hand
comes again: at least once. Exactly once takes the consumer's own database, which stores `order.cursor` in the transaction in
which it stores the order, and begins with `OrderFeed(url, key, after=stored)`.
"""

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from flashsale.client.api import Client
from flashsale.client.cursors import CursorStore, MemoryCursor, store_of
from flashsale.client.errors import (
    ApiError,
    CursorStoreError,
    GapError,
    Json,
    OrderFeedError,
    UnreachableError,
)
from flashsale.client.orders import Order, Place, Track, read_order, sequence_of
from flashsale.client.waiting import Backoff
from flashsale.model.cursor import Cursor, CursorError
from flashsale.model.events import ORDER_EVENTS, event_type
from flashsale.model.facts import FactType

MOST_WAIT_SECONDS: Final = 60
MOST_PAGE: Final = 1000
NOW: Final = "now"
"""Instead of a cursor: behind all orders that there are."""
TYPES: Final = {"confirmed": event_type(FactType.CONFIRMED), "refunded": event_type(FactType.REFUNDED)}
"""Status -> the type of the events."""
_ANSWER_SECONDS: Final = 30.0
"""What an answer may take beyond the time that it was asked to wait for orders."""
_HASTY_SECONDS: Final = 0.05
"""Nothing new sooner than this, or than half the time to wait: a server that does not wait, as one that is about to end."""
_PASSING: Final = frozenset({408, 425, 429})
"""With those from 500 on: what may be answered otherwise the next time."""

log = logging.getLogger("flashsale.client")


@dataclass(slots=True)
class _Page:
    """What one answer has told."""

    track: Track
    orders: list[Order] = field(default_factory=list)
    error: OrderFeedError | None = None
    """Why the rest of the answer was not read."""


class OrderFeed:
    """The orders of the shop at `url`, read with an API key that has the scope `orders`.

    Lost connections, restarts and overload are waited out, with a backoff, for ever or for `patience_seconds`; a server
    that says how long to wait is heeded. Each sale's sequence is checked: what was given before is dropped, and what is
    missing raises `GapError` after everything before it was given.

    One loop at a time reads a feed; another process, or another purpose, takes a feed and a cursor of its own.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        cursor: CursorStore | str | os.PathLike[str] | None = None,
        after: str | None = None,
        sale: str | None = None,
        rehearsal: bool = False,
        types: Collection[str] | None = None,
        ignore: Collection[str] = (),
        follow: bool = True,
        save_every: int = 1,
        manual_ack: bool = False,
        page_size: int = 500,
        wait_seconds: int = 30,
        patience_seconds: float | None = None,
    ) -> None:
        """Nothing is asked before the first order is wanted.

        Args:
            url: where the server is.
            key: the API key. It is sent in a header, and never shown.
            cursor: where to keep how far the consumer has come: the path of a file, or a `CursorStore`. None forgets it.
            after: a cursor to begin behind, instead of `cursor`: of an order, of the API, or of a last event id. `NOW`
                leaves out all that there is.
            sale: only the orders of this sale.
            rehearsal: that sale is a rehearsal. No other way leads to the orders of one.
            types: only those with this status, `confirmed` or `refunded`; the others are checked and passed by.
            ignore: types of events that make or undo orders, that this version does not know, and that shall be passed by
                instead of ending the feed.
            follow: wait for new orders for ever. False ends when all there are have been given.
            save_every: after how many orders to keep the position, which is also kept whenever there is no more to give.
                More is faster with a file, and lets as many come again after a crash.
            manual_ack: keep no position but by `ack`.
            page_size: the most orders to ask for at once, 1 to 1000.
            wait_seconds: how long the server may wait for new orders before it answers that there are none, 1 to 60.
            patience_seconds: how long to try without any answer before the failure is raised. None tries for ever.

        Raises:
            ValueError: one of them cannot be so; it says which.
        """
        _check(url, cursor, after, types)
        self._asked = _asked(sale, rehearsal)
        self._url, self._key = url, key
        self._store = MemoryCursor(after) if after is not None else store_of(cursor)
        self._sale = sale
        self._types = frozenset(TYPES[each] for each in (TYPES if types is None else types))
        self._ignore = frozenset(ignore)
        self._follow, self._manual = follow, manual_ack
        self._save_every = _within("save_every", save_every, 1, 1_000_000)
        self._page_size = _within("page_size", page_size, 1, MOST_PAGE)
        self._wait_seconds = _within("wait_seconds", wait_seconds, 1, MOST_WAIT_SECONDS) if follow else 0
        self._patience_seconds = patience_seconds
        self._given = self._loop = 0
        self._cursor = ""
        """What was kept last."""
        self._kept = 0
        """The number of the last order whose position is kept."""
        self._said: set[str] = set()

    def __repr__(self) -> str:
        return f"OrderFeed({self._url!r}, sale={self._sale!r})"

    def __aiter__(self) -> AsyncIterator[Order]:
        return self._orders()

    async def ack(self, order: Order) -> None:
        """Keep that this order, and all before it, are done with; what was kept already is left as it is.

        Raises:
            CursorStoreError: it cannot be kept.
        """
        if order.number > self._kept:
            await self._keep(order.cursor, order.number)

    async def pages(self) -> AsyncGenerator[list[Order]]:
        """The orders as they come, up to `page_size` at once, for consumers that store many in one transaction.

        A page counts as done when its consumer comes back for the next one; `page[-1].cursor` is its position.
        """
        async with aclosing(self._pages()) as pages:
            async for page in pages:
                if page.orders:
                    yield page.orders
                await self._end(page)

    async def _orders(self) -> AsyncGenerator[Order]:
        async with aclosing(self._pages()) as pages:
            async for page in pages:
                for order in page.orders:
                    yield order
                    if not self._manual and order.number - self._kept >= self._save_every:
                        await self.ack(order)
                await self._end(page)

    async def _keep(self, cursor: str, number: int) -> None:
        await self._store.save(cursor)
        self._cursor, self._kept = cursor, number

    async def _end(self, page: _Page) -> None:
        """The consumer is done with all orders of a page."""
        behind = page.orders[-1].number if page.orders else self._kept
        # Others than orders that were given may have moved it on.
        cursor = page.track.cursor(len(page.track.moves))
        if page.track.moves and cursor != self._cursor and not self._manual:
            await self._keep(cursor, behind)
        if page.error is not None:
            raise page.error

    async def _pages(self) -> AsyncGenerator[_Page]:
        """Asks, and reads the answers, until there is no more and nobody wants to wait."""
        self._loop += 1
        loop, idle = self._loop, Backoff()
        async with Client(self._url, self._key) as client:
            cursor = await self._begin(client)
            self._kept = self._given
            asked = cursor.encode()
            while True:
                began = time.monotonic()
                answer = await self._answer(client, asked, self._wait_seconds)
                page = self._read(answer["events"], cursor)
                yield page
                if self._loop != loop:
                    raise RuntimeError(
                        "another loop reads this feed now: each loop needs an OrderFeed of its own"
                    )
                if not answer["more"] and not self._follow:
                    return
                if page.track.moves:
                    asked = cursor.encode()
                    idle.reset()
                    continue
                asked = answer["cursor"]
                if time.monotonic() - began < max(self._wait_seconds / 2, _HASTY_SECONDS):
                    await asyncio.sleep(idle.next())

    async def _begin(self, client: Client) -> Cursor:
        kept = await self._store.load()
        if kept == NOW:
            kept = (await self._answer(client, NOW, 0))["cursor"]
        try:
            return Cursor.decode(kept) if kept else Cursor()
        except CursorError as error:
            raise CursorStoreError(f"the cursor that was kept cannot be used: {error}") from error

    async def _answer(self, client: Client, after: str, wait_seconds: int) -> Json:
        """The answer about what comes behind a cursor, however often it takes.

        Raises:
            ApiError: the server refuses, and would the next time: the key, the cursor, the sale.
            ApiError, UnreachableError: it could not answer for longer than there is patience.
        """
        asked = {"after": after, "limit": self._page_size, "wait": wait_seconds, **self._asked}
        path, backoff, since = f"/v1/orders?{urlencode(asked)}", Backoff(), time.monotonic()
        failed: ApiError | UnreachableError
        while True:
            try:
                return _checked(
                    self._url,
                    await client.request("GET", path, timeout_seconds=wait_seconds + _ANSWER_SECONDS),
                )
            except ApiError as error:
                if error.status < 500 and error.status not in _PASSING:
                    raise
                failed, wanted = error, error.retry_after_seconds
            except UnreachableError as error:
                failed, wanted = error, None
            delay = backoff.next(wanted)
            if self._patience_seconds is not None:
                left = since + self._patience_seconds - time.monotonic()
                if delay > left:
                    raise failed
            log.warning("no orders from %s: %s; trying again in %.1f seconds", self._url, failed, delay)
            await asyncio.sleep(delay)

    def _read(self, events: list[Any], cursor: Cursor) -> _Page:
        """The orders of an answer; `cursor` moves on."""
        page = _Page(Track(cursor.copy() if events else cursor))
        try:
            for event in events:
                self._read_one(event, cursor, page)
        except OrderFeedError as error:
            page.error = error
        return page

    def _read_one(self, event: Any, cursor: Cursor, page: _Page) -> None:
        numbered = sequence_of(event)
        if numbered is None:
            self._pass_by(event["type"])
            return
        sale, sequence = numbered
        expected = cursor.of(sale) + 1
        if sequence < expected or self._sale not in {None, sale}:
            return
        if sequence > expected:
            raise GapError(sale, expected, sequence)
        if event["type"] in self._types:
            page.orders.append(self._order(event, page))
        elif event["type"] in self._ignore:
            self._pass_by(event["type"])
        elif event["type"] not in ORDER_EVENTS:
            read_order(event, Place(0, page.track, 0))
        page.track.moves.append(numbered)
        cursor.move(sale, sequence)

    def _order(self, event: Json, page: _Page) -> Order:
        order = read_order(event, Place(self._given + 1, page.track, len(page.track.moves) + 1))
        self._given += 1
        return order

    def _pass_by(self, kind: str) -> None:
        if kind not in self._said:
            self._said.add(kind)
            log.warning(
                "events of the type %s are passed by: this version of the client does not know them", kind
            )


def _check(url: str, cursor: object, after: str | None, types: Collection[str] | None) -> None:
    """Raises `ValueError` when a feed cannot be made so."""
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"url has to begin with http:// or https://, not {url.partition(':')[0][:20]!r}")
    if "@" in url.split("/")[2]:
        raise ValueError("url must not have a name and a password in it: the key is all that is needed")
    if after is not None and cursor is not None:
        raise ValueError("a feed begins behind `after`, or where `cursor` says: give one of them")
    if after and after != NOW:
        try:
            Cursor.decode(after)
        except CursorError as error:
            raise ValueError(f"`after` cannot be used: {error}") from error
    if unknown := set(types or ()) - TYPES.keys():
        raise ValueError(f"types may be {' and '.join(TYPES)}, not {', '.join(sorted(unknown))}")


def _asked(sale: str | None, rehearsal: bool) -> dict[str, str]:
    """What is asked for in every request. Raises `ValueError` when no sale is a rehearsal."""
    if rehearsal and sale is None:
        raise ValueError("`sale` has to name the rehearsal whose orders are wanted")
    named = {"sale": sale} if sale is not None else {}
    return {**named, "rehearsal": "true"} if rehearsal else named


def _within(name: str, value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise ValueError(f"{name} has to be between {least} and {most}, not {value}")
    return value


def _checked(url: str, answer: Json) -> Json:
    """The answer, when it is one about orders."""
    events, cursor, more = (answer.get(name) for name in ("events", "cursor", "more"))
    if isinstance(events, list) and isinstance(cursor, str) and isinstance(more, bool):
        return answer
    raise UnreachableError(f"{url} answered something else than orders")
