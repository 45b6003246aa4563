"""Webhooks in Redis: the hash `fs:webhooks`, and what belongs to each of them (see flashsale/keys.py)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from redis.exceptions import WatchError

from flashsale import keys
from flashsale.keys import SaleKeys, WebhookKeys
from flashsale.model.outcomes import Advance
from flashsale.model.webhooks import Attempt, Progress, Retry, Webhook
from flashsale.scripts import webhooks as scripts
from flashsale.store.client import Store

MAX_WEBHOOKS: Final = 100
"""Webhooks that may exist at once: one read of the hash lists them all, and a worker delivers all of them."""
_PAGE: Final = 500
_MOST_PAGES: Final = 10

_encode = msgspec.json.Encoder().encode
decode_webhook = msgspec.json.Decoder(Webhook).decode
decode_retry = msgspec.json.Decoder(Retry).decode
_decode_attempt = msgspec.json.Decoder(Attempt).decode


class TooManyWebhooksError(Exception):
    """There are `MAX_WEBHOOKS` already; one has to be removed first."""


@dataclass(frozen=True, slots=True)
class Head:
    """How far a sale is: order events made, and facts."""

    orders: int
    seq: int

    def of(self, webhook: Webhook) -> int:
        """The number that the webhook's position has when it has got everything."""
        return self.orders if webhook.of_orders else self.seq


class WebhookStore:
    """The webhooks of one store. Every method may raise `StoreUnavailableError`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # --- what is registered ---

    async def now_ms(self) -> int:
        """The clock of Redis, as milliseconds since the Unix epoch."""
        seconds, microseconds = await self._store.call(self._store.redis.time())
        return int(seconds * 1000 + microseconds // 1000)

    async def add(self, webhook_id: str, webhook: Webhook, positions: Mapping[str, int]) -> None:
        """Stores a new webhook that begins behind these positions.

        Webhooks made at the same instant may pass the limit by a few: it bounds the hash, and need not be exact.
        Raises `TooManyWebhooksError`.
        """
        async with self._store.guard() as redis:
            if await redis.hlen(keys.WEBHOOKS) >= MAX_WEBHOOKS:
                raise TooManyWebhooksError
            if positions:
                flat = [part for pair in positions.items() for part in pair]
                await redis.hset(WebhookKeys.of(webhook_id).positions, items=flat)
            await redis.hset(keys.WEBHOOKS, webhook_id, _encode(webhook))

    async def get(self, webhook_id: str) -> Webhook | None:
        """One webhook."""
        value = await self._store.call(self._store.redis.hget(keys.WEBHOOKS, webhook_id))
        return None if value is None else decode_webhook(value)

    async def all(self) -> dict[str, Webhook]:
        """Every webhook by its id, the oldest first."""
        found = await self._store.call(self._store.redis.hgetall(keys.WEBHOOKS))
        webhooks = {_text(webhook_id): decode_webhook(value) for webhook_id, value in found.items()}
        return dict(sorted(webhooks.items(), key=lambda one: (one[1].created_at_ms, one[0])))

    async def change(self, webhook_id: str, how: Callable[[Webhook], Webhook]) -> Webhook | None:
        """Changes a webhook, whatever others change at the same time. None when there is none of this id."""
        async with self._store.guard() as redis, redis.pipeline(transaction=True) as pipe:
            while True:
                await pipe.watch(keys.WEBHOOKS)
                value: Any = await pipe.hget(keys.WEBHOOKS, webhook_id)
                if value is None:
                    return None
                changed = how(decode_webhook(value))
                pipe.multi()
                pipe.hset(keys.WEBHOOKS, webhook_id, _encode(changed))
                try:
                    await pipe.execute()
                except WatchError:
                    continue
                return changed

    async def remove(self, webhook_id: str) -> bool:
        """Forgets a webhook and all that belongs to it. False when there is none of this id."""
        async with self._store.guard() as redis:
            removed = await redis.hdel(keys.WEBHOOKS, webhook_id)
        if removed:
            await self.forget(webhook_id)
        return bool(removed)

    async def forget(self, webhook_id: str) -> None:
        """Deletes the keys of a webhook that has been removed. Without the lease no worker can write them again."""
        await self._store.call(self._store.redis.delete(*WebhookKeys.of(webhook_id).all()))

    # --- how far it is ---

    async def heads(self, sales: Sequence[str]) -> dict[str, Head]:
        """How far these sales are. Rehearsals are left out: nothing of them goes to webhooks."""
        async with self._store.guard() as redis:
            pipe = redis.pipeline(transaction=False)
            for sale in sales:
                pipe.hmget(SaleKeys.of(sale).sale, ["orders", "seq", "rehearsal"])
            found = await pipe.execute()
        return {
            sale: Head(int(orders or 0), int(seq or 0))
            for sale, (orders, seq, rehearsal) in zip(sales, found, strict=True)
            if rehearsal is None
        }

    async def progress(self, webhook_id: str) -> Progress:
        """How far a webhook is in every sale, and what is to be tried again."""
        names = WebhookKeys.of(webhook_id)
        async with self._store.guard() as redis:
            pipe = redis.pipeline(transaction=True)
            pipe.hgetall(names.positions)
            pipe.hgetall(names.retries)
            positions, retries = await pipe.execute()
        return Progress(
            {_text(sale): int(number) for sale, number in positions.items()},
            {_text(sale): decode_retry(value) for sale, value in retries.items()},
        )

    async def standing(self, webhook_id: str, sale: str) -> tuple[int, Retry | None]:
        """Position in one sale, and what is to be tried again there."""
        names = WebhookKeys.of(webhook_id)
        async with self._store.guard() as redis:
            pipe = redis.pipeline(transaction=True)
            pipe.hget(names.positions, sale)
            pipe.hget(names.retries, sale)
            number, retry = await pipe.execute()
        return int(number or 0), None if retry is None else decode_retry(retry)

    async def move(self, webhook_id: str, sale: str, number: int) -> None:
        """Sets the position in one sale, and tries there again at once."""
        names = WebhookKeys.of(webhook_id)
        async with self._store.guard() as redis:
            pipe = redis.pipeline(transaction=True)
            pipe.hset(names.positions, sale, number)
            pipe.hdel(names.retries, sale)
            await pipe.execute()

    async def try_now(self, webhook_id: str) -> None:
        """Forgets all failures: what waits is tried again at once, as if for the first time."""
        await self._store.call(self._store.redis.delete(WebhookKeys.of(webhook_id).retries))

    async def attempts(self, webhook_id: str, *, sale: str | None, limit: int) -> list[Attempt]:
        """The last tries, the newest first; only those of one sale when it is named."""
        found: list[Attempt] = []
        last = "+"
        for _ in range(_MOST_PAGES):
            async with self._store.guard() as redis:
                entries: Any = await redis.xrevrange(
                    WebhookKeys.of(webhook_id).deliveries, max=last, count=_PAGE
                )
            attempts = [_decode_attempt(fields[b"try"]) for _, fields in entries]
            found += [each for each in attempts if sale is None or each.sale == sale]
            if len(found) >= limit or len(entries) < _PAGE:
                break
            last = f"({_text(entries[-1][0])}"
        return found[:limit]

    # --- who delivers it, and what comes of that ---

    async def lease(self, webhook_id: str, owner: str, *, ttl_ms: int, take: bool) -> bool:
        """Takes (or only renews) the right to deliver a webhook. False when another worker has it."""
        async with self._store.guard() as redis:
            names = WebhookKeys.of(webhook_id)
            return await scripts.lease(redis, names, owner, ttl_ms=ttl_ms, take=take)

    async def give_back(self, webhook_id: str, owner: str) -> None:
        """Lets another worker deliver a webhook, if it is still this one's."""
        await self.lease(webhook_id, owner, ttl_ms=0, take=False)

    async def advance(
        self,
        webhook_id: str,
        owner: str,
        sale: str,
        *,
        before: int,
        after: int,
        retry: Retry | None = None,
        attempt: Attempt | None = None,
    ) -> Advance:
        """Records a try and moves the position, if the webhook is the owner's and where it is believed to be."""
        async with self._store.guard() as redis:
            return await scripts.advance(
                redis,
                WebhookKeys.of(webhook_id),
                owner,
                sale,
                before=before,
                after=after,
                retry=retry,
                attempt=attempt,
            )


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
