"""What trimming asks of the store: how old facts are, who still has to read what, and the trimming itself."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import ResponseError

from flashsale.keys import SaleKeys
from flashsale.store.client import Store
from flashsale.store.webhooks import WebhookStore

_STEP: Final = 10_000
"""Entries that one command removes, about: a few milliseconds of the store's time."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What there is of a sale."""

    seq: int
    """The last fact."""
    orders: int
    """Orders made and undone."""
    recovering: bool
    oldest: int
    """The first fact that is still in the journal; 0 when it has none."""
    published: int
    """The last order in the stream; 0 when it has none."""
    published_seq: int
    """Its fact."""
    first_order: int
    """The first order that is still in the stream."""


@dataclass(frozen=True, slots=True)
class Needed:
    """The first entry that somebody still has to read, and who that is."""

    entry: int
    by: str


class RetentionStore:
    """Every method may raise `StoreUnavailableError`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._webhooks = WebhookStore(store)

    async def now_ms(self) -> int:
        """The clock of Redis."""
        return await self._webhooks.now_ms()

    async def extent(self, sale: str) -> Extent:
        """What there is of a sale, at one instant."""
        names = SaleKeys.of(sale)
        async with self._store.guard() as redis:
            pipe = redis.pipeline(transaction=True)
            pipe.hmget(names.sale, ["seq", "orders", "recovering"])
            pipe.xrange(names.journal, count=1)
            pipe.xrange(names.orders, count=1)
            pipe.xrevrange(names.orders, count=1)
            (seq, orders, recovering), oldest, first, last = await pipe.execute()
        return Extent(
            seq=int(seq or 0),
            orders=int(orders or 0),
            recovering=recovering is not None,
            oldest=_id(oldest)[0],
            published=_id(last)[0],
            published_seq=_id(last)[1],
            first_order=_id(first)[0],
        )

    async def younger(self, sale: str, cutoff_ms: int, extent: Extent) -> int:
        """The first fact that is not older than this instant; the one after the last when all are."""
        journal = SaleKeys.of(sale).journal

        async def is_younger(seq: int) -> bool:
            entry = await self._at(journal, seq)
            return entry is None or entry[1] >= cutoff_ms

        return await _first(is_younger, max(1, extent.oldest), extent.seq + 1)

    async def order_from(self, sale: str, seq: int, extent: Extent) -> int:
        """The first order of this fact or a later one; the one after the last when there is none."""
        orders = SaleKeys.of(sale).orders

        async def is_later(sequence: int) -> bool:
            entry = await self._at(orders, sequence)
            return entry is None or entry[1] >= seq

        return await _first(is_later, max(1, extent.first_order), extent.published + 1)

    async def _at(self, stream: str, number: int) -> tuple[int, int] | None:
        """The id of the first entry from this one on."""
        found: Any = await self._store.call(self._store.redis.xrange(stream, min=str(number), count=1))
        return _id(found) if found else None

    # --- who still has to read what ---

    async def needed_facts(self, sale: str) -> list[Needed]:
        """By webhooks that are told of all kinds of facts, and by consumer groups."""
        return [
            *await self._by_webhooks(sale, of_orders=False),
            *await self._by_groups(SaleKeys.of(sale).journal),
        ]

    async def needed_orders(self, sale: str) -> list[Needed]:
        """By webhooks that are told of orders, and by consumer groups."""
        return [
            *await self._by_webhooks(sale, of_orders=True),
            *await self._by_groups(SaleKeys.of(sale).orders),
        ]

    async def _by_webhooks(self, sale: str, *, of_orders: bool) -> list[Needed]:
        found = []
        for webhook_id, webhook in (await self._webhooks.all()).items():
            if webhook.of_orders is of_orders and webhook.is_on and webhook.sale in {None, sale}:
                position, _ = await self._webhooks.standing(webhook_id, sale)
                found.append(Needed(position + 1, f"webhook {webhook_id}"))
        return found

    async def _by_groups(self, stream: str) -> list[Needed]:
        async with self._store.guard() as redis:
            try:
                groups: Any = await redis.xinfo_groups(stream)
            except ResponseError as error:
                if "no such key" in str(error):
                    return []
                raise
            found = []
            for group in groups:
                name = group["name"].decode(errors="replace")
                entry = _number(group["last-delivered-id"]) + 1
                if group["pending"]:
                    pending: Any = await redis.xpending(stream, group["name"])
                    entry = min(entry, _number(pending["min"]))
                found.append(Needed(entry, f"consumer group {name}"))
        return found

    # --- trimming ---

    async def trim_journal(self, sale: str, seq: int, extent: Extent) -> int:
        """Removes the facts before this one; how many those were."""
        return await self._trim(SaleKeys.of(sale).journal, extent.oldest, seq)

    async def trim_orders(self, sale: str, sequence: int, extent: Extent) -> int:
        """Removes the published orders before this one; how many those were."""
        return await self._trim(SaleKeys.of(sale).orders, extent.first_order, sequence)

    async def _trim(self, stream: str, first: int, until: int) -> int:
        removed = 0
        while first < until:
            first = min(first + _STEP, until)
            trim = self._store.redis.xtrim(stream, minid=str(first), approximate=False)
            removed += int(await self._store.call(trim))
        return removed


async def _first(holds: Callable[[int], Awaitable[bool]], low: int, high: int) -> int:
    """The first number from `low` on of which it holds, given that it holds of all behind one; `high` when of none."""
    while low < high:
        middle = (low + high) // 2
        if await holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _id(entries: Any) -> tuple[int, int]:
    """Both numbers of the id of the first entry; zeros when there is none."""
    if not entries:
        return 0, 0
    number, _, other = entries[0][0].partition(b"-")
    return int(number), int(other)


def _number(entry_id: Any) -> int:
    text = entry_id.decode() if isinstance(entry_id, bytes) else str(entry_id)
    return int(text.partition("-")[0])
