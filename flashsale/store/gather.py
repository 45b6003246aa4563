"""Gathers calls that are made at the same time into one: while one is under way the next ones wait for each other.

It is what the batcher of reservations does (flashsale/engine/batcher.py), for calls that are asked for one by one and have
neither deadline nor precedence of their own. A lone call goes out at the end of the same turn of the event loop.

What fails for one item's sake must not fail for its neighbours: then each is sent again by itself, so `send` must be such
that it may be repeated.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

from flashsale.store.client import StoreRefusedError

Item = TypeVar("Item")
Answer = TypeVar("Answer")

ONE_TO_BLAME: Final = (StoreRefusedError, ValueError)
"""What one damaged record does to the call it is part of: a script fails, or its answer cannot be read."""


class Gather(Generic[Item, Answer]):
    """Calls about one sale. `send` answers each item, in order."""

    def __init__(self, send: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]], *, most: int) -> None:
        """`most` is how many go in one call."""
        self._send = send
        self._most = most
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing is under way."""
        return self._task is None and not self._waiting

    async def ask(self, item: Item) -> Answer:
        """The answer to one item.

        Raises:
            Exception: whatever `send` raised for the call that it went with.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((item, future))
        if self._task is None:
            self._task = loop.create_task(self._work())
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._one(batch)
        finally:
            self._task = None

    async def _one(self, batch: Sequence[tuple[Item, "asyncio.Future[Answer]"]]) -> None:
        try:
            answers = await self._send([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait, each of whom gets it
            if len(batch) > 1 and isinstance(error, ONE_TO_BLAME):
                for each in batch:
                    await self._one([each])
                return
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)


class Gathers(Generic[Item, Answer]):
    """One `Gather` for each sale that somebody asks about now."""

    def __init__(
        self, send: Callable[[str, Sequence[Item]], Awaitable[Sequence[Answer]]], *, most: int
    ) -> None:
        """`send` is given the sale and its items."""
        self._send = send
        self._most = most
        self._by_sale: dict[str, Gather[Item, Answer]] = {}

    async def ask(self, sale: str, item: Item) -> Answer:
        """The answer to one item about a sale."""
        gather = self._by_sale.get(sale)
        if gather is None:

            async def send(items: Sequence[Item]) -> Sequence[Answer]:
                return await self._send(sale, items)

            gather = self._by_sale[sale] = Gather(send, most=self._most)
        try:
            return await gather.ask(item)
        finally:
            if gather.idle and self._by_sale.get(sale) is gather:
                del self._by_sale[sale]
