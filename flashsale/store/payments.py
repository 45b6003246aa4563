"""Everything the engine asks of the store about payments, with failures as `StoreUnavailableError`."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import structlog
from redis.exceptions import ResponseError

from flashsale.keys import SaleKeys
from flashsale.model.jobs import DeadJob, Job
from flashsale.model.outcomes import Settle
from flashsale.model.payment import PaymentRecord, unpack_record
from flashsale.scripts import payments as scripts
from flashsale.scripts.loader import load
from flashsale.scripts.payments import (
    GROUP,
    Attempted,
    ChargeClaim,
    ChargeDecision,
    Dispatched,
    Paying,
    Refunding,
    Try,
    Wish,
)
from flashsale.store.client import Store
from flashsale.store.gather import Gathers
from flashsale.store.lane import Lane

MOST_DEAD: Final = 1000
"""Dead jobs listed, and revived, at once."""
_PAGE: Final = 500
_TRIES_DIGITS: Final = 6
_AT_ONCE: Final = 128
"""Payments in one script call."""


log = structlog.get_logger(__name__)


class PaymentStore:
    """The payments of one store's sales. Every method may raise `StoreUnavailableError`."""

    def __init__(self, store: Store, *, timeout_s: float = 2.0) -> None:
        self._store = store
        self._lane = Lane(store.redis, timeout_s=timeout_s)
        self._attempts = Gathers(self._record_attempts, most=_AT_ONCE)
        self._events = Gathers(self._add_events, most=_AT_ONCE)

    async def pay(
        self, sale: str, wishes: Sequence[Wish], *, extension_ms: int, rate: int, queue_limit: int
    ) -> list[Paying]:
        """Queues payments of holds; `rate` is what the provider takes a second, 0 for any number."""
        args = scripts.pay_args(wishes, extension_ms, rate, queue_limit)
        return scripts.paid(wishes, await self._lane.call(load("pay"), SaleKeys.of(sale).paid_book(), args))

    async def add_event(self, sale: str, payload: bytes) -> None:
        """Queues what a provider has told. Events that come at the same time go together."""
        await self._events.ask(sale, payload)

    async def _add_events(self, sale: str, payloads: Sequence[bytes]) -> Sequence[None]:
        stream = SaleKeys.of(sale).payments
        await self._lane.commands([("XADD", stream, "*", "event", payload) for payload in payloads])
        return [None] * len(payloads)

    async def length(self, sale: str) -> int:
        """Jobs of a sale that are due, those that workers are busy with included."""
        return int(await self._store.call(self._store.redis.xlen(SaleKeys.of(sale).payments)))

    async def attempt(self, sale: str, each: Try) -> Attempted:
        """Records where an attempt stands at the provider. Those that come at the same time go together."""
        return await self._attempts.ask(sale, each)

    async def _record_attempts(self, sale: str, tries: Sequence[Try]) -> Sequence[Attempted]:
        names = SaleKeys.of(sale).paid_book()
        reply = await self._lane.call(load("attempt"), names, scripts.attempt_args(tries))
        return scripts.attempted(tries, reply)

    async def confirm(
        self, sale: str, claims: Sequence[ChargeClaim], *, simulated: bool
    ) -> list[ChargeDecision]:
        """Decides a batch of charges (1 to 1000).

        `simulated`: whether charges of the simulator pay for sales that are no rehearsals.
        """
        names, args = SaleKeys.of(sale).paid_book(), scripts.confirm_args(claims, simulated=simulated)
        return scripts.confirmed(await self._lane.call(load("confirm"), names, args))

    async def refund(self, sale: str, token: str, *, restock: bool, reason: str) -> Refunding:
        """Undoes an order."""
        async with self._store.guard() as redis:
            return await scripts.refund(redis, SaleKeys.of(sale), token, restock=restock, reason=reason)

    async def settle(
        self, sale: str, token: str, *, reference: str, refund_id: str, entry_id: str = ""
    ) -> Settle:
        """Records that a charge was given back, and acknowledges the job that did it."""
        async with self._store.guard() as redis:
            return await scripts.settle(
                redis,
                SaleKeys.of(sale),
                token,
                reference=reference,
                refund_id=refund_id,
                entry_id=entry_id,
            )

    async def dispatch(self, sale: str, *, starts: int, retries: int) -> Dispatched:
        """Puts what is due into the stream: at most so many payments, and so many jobs that were put off."""
        async with self._store.guard() as redis:
            return await scripts.dispatch(redis, SaleKeys.of(sale), starts=starts, retries=retries)

    async def waiting(self, sales: Sequence[str]) -> list[tuple[int, int]]:
        """Of each sale: payments that wait for their turn, and jobs that wait to be tried again."""
        async with self._store.guard() as redis:
            pipe = redis.pipeline(transaction=False)
            for sale in sales:
                names = SaleKeys.of(sale)
                pipe.zcard(names.turns)
                pipe.zcard(names.retries)
            counts = await pipe.execute()
        return list(zip(counts[::2], counts[1::2], strict=True))

    async def pace(self, provider: str, *, rate: int, wanted: int) -> tuple[int, int]:
        """How many calls to a provider may be made now, and how many milliseconds until the next one."""
        async with self._store.guard() as redis:
            return await scripts.pace(redis, provider, rate=rate, wanted=wanted)

    # --- the stream, as a worker reads it ---

    async def exists(self, sale: str) -> bool:
        """Whether anything was ever queued for this sale, or a worker has looked."""
        return bool(await self._store.call(self._store.redis.exists(SaleKeys.of(sale).payments)))

    async def join(self, sale: str) -> None:
        """Makes the consumer group of a sale, if need be; it begins with the first job."""
        async with self._store.guard() as redis:
            try:
                await redis.xgroup_create(SaleKeys.of(sale).payments, GROUP, id="0", mkstream=True)
            except ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise

    async def leave(self, sale: str, consumer: str) -> None:
        """Forgets a consumer, unless it has jobs that somebody has to claim."""
        async with self._store.guard() as redis:
            names = SaleKeys.of(sale)
            mine = await redis.xpending_range(names.payments, GROUP, "-", "+", 1, consumername=consumer)
            if not mine:
                await redis.xgroup_delconsumer(names.payments, GROUP, consumer)

    async def read(
        self, sales: Sequence[str], consumer: str, *, count: int, block_ms: int
    ) -> list[tuple[str, list[Job]]] | None:
        """New jobs, at most `count` a sale, waiting up to `block_ms` for the first.

        None when a sale's group is not there any more: join it again.
        """
        by_key = {SaleKeys.of(sale).payments: sale for sale in sales}
        async with self._store.guard() as redis:
            try:
                reply: Any = await redis.xreadgroup(
                    GROUP, consumer, dict.fromkeys(by_key, ">"), count=count, block=block_ms
                )
            except ResponseError as error:
                if str(error).startswith("NOGROUP"):
                    return None
                raise
        pairs = reply.items() if isinstance(reply, dict) else reply or ()
        return [(by_key[_text(key)], _jobs(_flat(entries))) for key, entries in pairs]

    async def claim(self, sale: str, consumer: str, *, idle_ms: int, count: int) -> list[Job]:
        """Jobs that another consumer took and has not ended for so long; it has probably died."""
        async with self._store.guard() as redis:
            reply: Any = await redis.xautoclaim(
                SaleKeys.of(sale).payments, GROUP, consumer, min_idle_time=idle_ms, count=count
            )
        return _jobs(reply[1])

    async def done(self, sale: str, entry_ids: Sequence[str]) -> None:
        """Deletes and acknowledges jobs that are done.

        In this order: what is deleted and not acknowledged is dropped by whoever claims it; the other way round it would
        stay in the stream for ever, should this process end in between.
        """
        names = SaleKeys.of(sale)
        await self._lane.command("XDEL", names.payments, *entry_ids)
        await self._lane.command("XACK", names.payments, GROUP, *entry_ids)

    async def defer(self, sale: str, job: Job, *, delay_ms: int | None, error: str) -> bool:
        """Puts a job off, or aside as dead when `delay_ms` is None. False when another worker has done with it."""
        async with self._store.guard() as redis:
            return await scripts.defer(redis, SaleKeys.of(sale), job, delay_ms=delay_ms, error=error)

    # --- what was given up, and what is recorded ---

    async def dead(self, sale: str) -> list[DeadJob]:
        """Jobs that were given up, oldest first; at most `MOST_DEAD`."""
        found: dict[str, DeadJob] = {}
        async with self._store.guard() as redis:
            async for entry, packed in redis.hscan_iter(SaleKeys.of(sale).dead, count=_PAGE):
                found[_text(entry)] = scripts.dead_job(_text(entry), packed)
                if len(found) >= MOST_DEAD:
                    break
        return sorted(found.values(), key=lambda each: (each.at_ms, each.job.entry_id))

    async def revive(self, sale: str, ids: Iterable[str]) -> int:
        """Queues dead jobs again, as if they had never been tried; how many there were."""
        wanted = list(ids)
        async with self._store.guard() as redis:
            return sum(
                [
                    await scripts.revive(redis, SaleKeys.of(sale), wanted[start : start + _PAGE])
                    for start in range(0, len(wanted), _PAGE)
                ]
            )

    async def records(self, sale: str, tokens: Sequence[str]) -> list[PaymentRecord | None]:
        """Payment records, one for each token (at most 1000)."""
        async with self._store.guard() as redis:
            found: Any = await redis.hmget(SaleKeys.of(sale).attempts, list(tokens))
        return [unpack_record(packed) if packed else None for packed in found]

    async def all_records(self, sale: str) -> dict[str, PaymentRecord]:
        """Every payment record of a sale that can be read. Memory grows with their number."""
        found: dict[str, PaymentRecord] = {}
        async with self._store.guard() as redis:
            async for token, packed in redis.hscan_iter(SaleKeys.of(sale).attempts, count=_PAGE):
                try:
                    found[_text(token)] = unpack_record(packed)
                except ValueError as error:
                    log.error("payments.unreadable", sale=sale, token=_text(token), reason=str(error))  # noqa: TRY400 - the message says it all
        return found

    async def close(self) -> None:
        """Closes the connection of its own."""
        await self._lane.close()


def _flat(entries: Any) -> Any:
    """RESP3 wraps the entries of a stream once more."""
    return entries[0] if len(entries) == 1 and isinstance(entries[0], list) else entries


def _jobs(entries: Any) -> list[Job]:
    return [_job(_text(entry), fields) for entry, fields in entries if fields]


def _job(entry: str, fields: dict[bytes, bytes]) -> Job:
    """An entry that has not exactly one kind gets a kind that nobody knows, and so is put aside."""
    text = fields.get(b"tries", b"0")
    tries = int(text) if text.isdigit() and len(text) < _TRIES_DIGITS else 0
    kinds = [name for name in fields if name != b"tries"]
    payload = fields[kinds[0]] if len(kinds) == 1 else b""
    return Job(entry, b"+".join(kinds).decode(errors="replace"), payload, tries)


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()
