"""How a sale is doing besides its counters: what waits, what is late, and whether anybody works on it."""

from dataclasses import dataclass
from typing import Any

from redis import exceptions

from flashsale import keys
from flashsale.keys import SaleKeys, WebhookKeys
from flashsale.model.webhooks import Retry, Webhook
from flashsale.scripts.payments import GROUP
from flashsale.store.client import Store, explain, sale_recovering
from flashsale.store.webhooks import decode_retry, decode_webhook


@dataclass(frozen=True, slots=True)
class Pulse:
    """One look. It is no transaction: of a sale that is busy its parts are some microseconds apart."""

    now_ms: int
    orders: int
    """Orders made and undone."""
    seq: int
    """Facts."""
    rehearsal: bool
    published: int
    """The last order that order systems can read."""
    jobs: int
    """Payment jobs in the stream, those that workers are busy with included."""
    under_way: int
    """Those that workers are busy with."""
    oldest_job_ms: int
    """When the oldest job in the stream came into it; 0 when there is none."""
    turns: int
    """Payments that wait for their turn at the provider."""
    retries: int
    dead: int
    overdue: int
    """Holds whose end has passed, and which nobody has ended yet."""
    overdue_since_ms: int
    """When the first of them ended; 0 when there is none."""
    joined: bool
    """A worker has ever looked at the payments of this sale."""
    seen_ms: int | None
    """How many milliseconds ago the worker that was here last asked for work; None when none is left."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A webhook, and how far it is in one sale."""

    id: str
    webhook: Webhook
    position: int
    retry: Retry | None


class PulseStore:
    """Every method may raise `StoreUnavailableError`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def pulse(self, sale: str) -> Pulse | None:
        """None when there is no such sale. One round trip, and a second one while holds are overdue."""
        names = SaleKeys.of(sale)
        async with self._store.guard() as redis:
            pipe = redis.pipeline(transaction=False)
            pipe.time()
            pipe.hmget(names.sale, ["version", "orders", "seq", "rehearsal", "recovering"])
            pipe.xrevrange(names.orders, count=1)
            pipe.xlen(names.payments)
            pipe.xrange(names.payments, count=1)
            pipe.zcard(names.turns)
            pipe.zcard(names.retries)
            pipe.hlen(names.dead)
            pipe.zrange(names.holds, 0, 0, withscores=True)
            pipe.xinfo_consumers(names.payments, GROUP)
            found: Any = await pipe.execute(raise_on_error=False)
            clock, fields, last, jobs, oldest, turns, retries, dead, first, consumers = found
            for each in found[:-1]:
                if isinstance(each, Exception):
                    raise explain(each) from each
            version, orders, seq, rehearsal, recovering = fields
            if version is None:
                if recovering is not None:
                    raise sale_recovering()
                return None
            now_ms = int(clock[0] * 1000 + clock[1] // 1000)
            due_ms = int(first[0][1]) if first else 0
            late = due_ms if 0 < due_ms <= now_ms else 0
            overdue = int(await redis.zcount(names.holds, "-inf", now_ms)) if late else 0
        under_way, seen_ms, joined = _workers(consumers)
        return Pulse(
            now_ms=now_ms,
            orders=int(orders or 0),
            seq=int(seq or 0),
            rehearsal=rehearsal is not None,
            published=_number(last),
            jobs=int(jobs),
            under_way=under_way,
            oldest_job_ms=_number(oldest),
            turns=int(turns),
            retries=int(retries),
            dead=int(dead),
            overdue=overdue,
            overdue_since_ms=late if overdue else 0,
            joined=joined,
            seen_ms=seen_ms,
        )

    async def webhooks(self, sale: str) -> list[Standing]:
        """The webhooks that listen to a sale, the oldest first. Two round trips, however many there are."""
        async with self._store.guard() as redis:
            stored: Any = await redis.hgetall(keys.WEBHOOKS)
            every = {webhook_id.decode(): decode_webhook(value) for webhook_id, value in stored.items()}
            mine = {each: hook for each, hook in every.items() if hook.sale in {None, sale}}
            if not mine:
                return []
            pipe = redis.pipeline(transaction=False)
            for webhook_id in mine:
                names = WebhookKeys.of(webhook_id)
                pipe.hget(names.positions, sale)
                pipe.hget(names.retries, sale)
            found: Any = await pipe.execute()
        standings = [
            Standing(webhook_id, webhook, int(position or 0), None if retry is None else decode_retry(retry))
            for (webhook_id, webhook), position, retry in zip(
                mine.items(), found[::2], found[1::2], strict=True
            )
        ]
        return sorted(standings, key=lambda each: (each.webhook.created_at_ms, each.id))


def _workers(consumers: Any) -> tuple[int, int | None, bool]:
    """Jobs in hand, how long ago somebody asked for work, and whether anybody ever has."""
    if isinstance(consumers, exceptions.ResponseError):
        text = str(consumers)
        if "no such key" in text or "NOGROUP" in text:
            return 0, None, False
    if isinstance(consumers, Exception):
        raise explain(consumers) from consumers
    idle = [int(each["idle"]) for each in consumers]
    return sum(int(each["pending"]) for each in consumers), min(idle, default=None), True


def _number(entries: Any) -> int:
    """The first number of the id of the only entry; 0 when there is none."""
    return int(entries[0][0].partition(b"-")[0]) if entries else 0
