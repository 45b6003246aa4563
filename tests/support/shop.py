"""`Shop`: one sale on the real server, at an instant of the test's choosing.

Every method is the method of `SaleStore` of the same name, or the wrapper of the script of that name, for this sale and at
the clock's instant. What it adds:

- `open(stock, ...)`: defines the sale and lets it be open;
- `hold(customer, ...)`: reserves and returns the reservation, which must have been granted;
- `refusal(customer, ...)`: reserves and returns the refusal, which must have come;
- `paid(customer, ...)`: reserves, pays and confirms, and returns the reservation;
- `snapshot()`: everything stored of the sale, to prove that something has changed nothing.
"""

from collections.abc import Mapping
from typing import Any

from flashsale.engine.audit import Audit, AuditReport
from flashsale.keys import PER_SALE, SaleKeys
from flashsale.model.facts import Fact
from flashsale.model.jobs import Job
from flashsale.model.outcomes import Confirm, OpenSale, Pay, Reserve, Restock, SetState, Settle
from flashsale.model.payment import Money, PaymentRecord, PaymentStatus
from flashsale.model.reservation import Entry, Line, Reservation
from flashsale.model.sale import SaleDefinition
from flashsale.scripts import payments as scripts
from flashsale.scripts.calls import Look, Resolved, SaleState, Stock, Sweep
from flashsale.scripts.payments import (
    Attempted,
    ChargeClaim,
    ChargeDecision,
    Dispatched,
    Paying,
    Refunding,
)
from flashsale.scripts.reserve import Batch, Claim, Decision, Held, Refused
from flashsale.store.client import Store
from flashsale.store.payments import PaymentStore
from flashsale.store.sales import SaleStore
from tests.support.sales import SALE, Clock, claim, definition
from tests.support.server import PATIENCE_S

Snapshot = dict[str, Any]
"""Last part of the key -> its whole content."""


async def snapshot(store: Store, sale: str = SALE) -> Snapshot:
    """Everything stored of a sale. Nobody may change it meanwhile: a transaction is refused when memory is full."""
    keys = SaleKeys.of(sale)
    async with store.redis.pipeline(transaction=False) as pipe:
        for key, kind in zip(keys.all(), PER_SALE.values(), strict=True):
            if kind == "hash":
                pipe.hgetall(key)
            elif kind == "zset":
                pipe.zrange(key, 0, -1, withscores=True)
            else:
                pipe.xrange(key)
        return dict(zip(PER_SALE, await pipe.execute(), strict=True))


def job_of(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Job:
    """The job of an entry of the stream, which has exactly one kind."""
    ((kind, payload),) = ((name, value) for name, value in fields.items() if name != b"tries")
    return Job(entry_id.decode(), kind.decode(), payload, int(fields.get(b"tries", b"0")))


class Shop:
    """One sale at `clock.now_ms`."""

    def __init__(self, store: Store, sale_store: SaleStore, clock: Clock, sale: str = SALE) -> None:
        self.store = store
        self.sale_store = sale_store
        self.clock = clock
        self.sale = sale
        self.keys = SaleKeys.of(sale)
        self.terms: SaleDefinition | None = None
        self._lane = sale_store.lane()

    @property
    def now_ms(self) -> int:
        return self.clock.now_ms

    async def define(self, terms: SaleDefinition) -> OpenSale:
        outcome, now_ms, _ = await self.sale_store.open_sale(self.sale, terms, now_ms=self.now_ms)
        assert now_ms == self.now_ms
        if outcome in {OpenSale.CREATED, OpenSale.REDEFINED}:
            self.terms = terms
        return outcome

    async def open(self, stock: Mapping[str, int], **terms: Any) -> None:
        """Defines the sale by `tests.support.sales.definition`; it is open from OPENS_MS on, where clocks begin."""
        assert await self.define(definition(stock, **terms)) is OpenSale.CREATED

    async def reserve_batch(self, *claims: Claim) -> Batch:
        return await self.sale_store.reserve(self._lane, self.sale, claims, now_ms=self.now_ms)

    async def reserve(self, *claims: Claim) -> list[Decision]:
        return (await self.reserve_batch(*claims)).decisions

    async def hold(self, customer: str, *lines: Line, key: str | None = None) -> Reservation:
        (decision,) = await self.reserve(claim(customer, *lines, key=key, sale=self.sale))
        assert isinstance(decision, Held), decision
        return decision.reservation

    async def refusal(self, customer: str, *lines: Line, key: str | None = None) -> Refused:
        (decision,) = await self.reserve(claim(customer, *lines, key=key, sale=self.sale))
        assert isinstance(decision, Refused), decision
        return decision

    async def refused(self, customer: str, *lines: Line, key: str | None = None) -> Reserve:
        """The outcome of `refusal`."""
        return (await self.refusal(customer, *lines, key=key)).outcome

    async def cancel(self, token: str, reason: str = "customer") -> Resolved:
        return await self.sale_store.cancel(self.sale, token, reason=reason, now_ms=self.now_ms)

    async def extend(self, token: str, seconds: float) -> Resolved:
        return await self.sale_store.extend(
            self.sale, token, extension_ms=round(seconds * 1000), now_ms=self.now_ms
        )

    async def expire(self, limit: int = 1000) -> Sweep:
        return await self.sale_store.expire(self.sale, limit=limit, now_ms=self.now_ms)

    async def restock(self, sku: str, units: int, *, reason: str = "found", repeat_key: str = "") -> Restock:
        return await self.sale_store.restock(
            self.sale, sku=sku, units=units, reason=reason, repeat_key=repeat_key, now_ms=self.now_ms
        )

    async def set_state(self, verb: str) -> SetState:
        return await self.sale_store.set_state(self.sale, verb, now_ms=self.now_ms)

    # --- payments ---

    def due(self, reservation: Reservation) -> Money:
        """What pays for it."""
        assert self.terms is not None
        return Money(self.terms.amount_due(self.terms.amount(reservation.lines)), self.terms.currency)

    async def pay(
        self,
        reservation: Reservation,
        method: str = "card",
        *,
        extension_s: float = 0,
        rate: int = 100,
        queue_limit: int = 1000,
    ) -> Paying:
        (paying,) = await scripts.pay(
            self.store.redis,
            self.keys,
            [scripts.Wish(reservation.token, method, self.due(reservation))],
            extension_ms=round(extension_s * 1000),
            rate=rate,
            queue_limit=queue_limit,
            now_ms=self.now_ms,
        )
        return paying

    async def attempt(
        self,
        token: str,
        status: PaymentStatus,
        reference: str = "",
        *,
        attempt: int = 1,
        details: dict[str, Any] | None = None,
    ) -> Attempted:
        (attempted,) = await scripts.attempt(
            self.store.redis,
            self.keys,
            [scripts.Try(token, attempt, status, reference, details or {})],
            now_ms=self.now_ms,
        )
        return attempted

    def charge(
        self, reservation: Reservation, reference: str = "sim:1", *, attempt: int = 1, method: str = "card"
    ) -> ChargeClaim:
        """A charge of what is due."""
        return ChargeClaim(reservation.token, attempt, method, self.due(reservation), reference)

    async def confirm(self, *claims: ChargeClaim, simulated: bool = False) -> list[ChargeDecision]:
        return await scripts.confirm(
            self.store.redis, self.keys, claims, simulated=simulated, now_ms=self.now_ms
        )

    async def confirmed(self, *claims: ChargeClaim) -> list[Confirm]:
        """The outcomes of `confirm`."""
        return [decision.outcome for decision in await self.confirm(*claims)]

    async def paid(self, customer: str, *lines: Line, reference: str = "sim:1") -> Reservation:
        held = await self.hold(customer, *lines)
        assert (await self.pay(held)).outcome is Pay.DONE
        assert await self.confirmed(self.charge(held, reference)) == [Confirm.CONFIRMED]
        return held

    async def refund(self, token: str, *, restock: bool = True, reason: str = "broken") -> Refunding:
        return await scripts.refund(
            self.store.redis, self.keys, token, restock=restock, reason=reason, now_ms=self.now_ms
        )

    async def settle(
        self, token: str, reference: str = "sim:1", *, refund_id: str = "back-1", entry_id: str = ""
    ) -> Settle:
        return await scripts.settle(
            self.store.redis,
            self.keys,
            token,
            reference=reference,
            refund_id=refund_id,
            entry_id=entry_id,
            now_ms=self.now_ms,
        )

    async def dispatch(self, starts: int = 1000, retries: int = 1000) -> Dispatched:
        return await scripts.dispatch(
            self.store.redis, self.keys, starts=starts, retries=retries, now_ms=self.now_ms
        )

    async def defer(self, job: Job, seconds: float | None, error: str = "no answer") -> bool:
        """Puts it aside as dead when `seconds` is None."""
        delay_ms = None if seconds is None else round(seconds * 1000)
        return await scripts.defer(
            self.store.redis, self.keys, job, delay_ms=delay_ms, error=error, now_ms=self.now_ms
        )

    async def revive(self, *entry_ids: str) -> int:
        return await scripts.revive(self.store.redis, self.keys, entry_ids, now_ms=self.now_ms)

    async def payment(self, token: str) -> PaymentRecord | None:
        return (await self.look(tokens=[token])).payments[0]

    async def jobs(self) -> list[Job]:
        """Everything in the stream, oldest first, taken by nobody."""
        entries: Any = await self.store.redis.xrange(self.keys.payments)
        return [job_of(entry_id, fields) for entry_id, fields in entries]

    async def job_kinds(self) -> list[str]:
        return [job.kind for job in await self.jobs()]

    async def waiting(self) -> list[str]:
        """Tokens of the payments that wait for their turn, the next one first."""
        redis: Any = self.store.redis
        return [token.decode() for token in await redis.zrange(self.keys.turns, 0, -1)]

    async def take_jobs(self, consumer: str = "worker") -> list[Job]:
        """What a worker of the group is given: all jobs that nobody has taken yet."""
        queue = PaymentStore(self.store, timeout_s=PATIENCE_S)
        await queue.join(self.sale)
        found = await queue.read([self.sale], consumer, count=10_000, block_ms=1)
        await queue.close()
        return [job for _, jobs in found or () for job in jobs]

    async def done(self, *jobs: Job) -> None:
        queue = PaymentStore(self.store, timeout_s=PATIENCE_S)
        await queue.done(self.sale, [job.entry_id for job in jobs])
        await queue.close()

    async def look(self, **wanted: Any) -> Look:
        return await self.sale_store.look(self.sale, now_ms=self.now_ms, **wanted)

    async def state(self) -> SaleState:
        """The sale, which must exist."""
        sale = (await self.look()).sale
        assert sale is not None
        return sale

    async def stock(self, sku: str = "car") -> Stock:
        return next(item for item in (await self.state()).stock if item.sku == sku)

    async def entries(self, customer: str) -> tuple[Entry, ...]:
        return (await self.look(customers=[customer])).entries[0]

    async def facts(self, *, after: int = 0) -> list[Fact]:
        return await self.sale_store.facts(self.sale, after=after)

    async def fact_types(self, *, after: int = 0) -> list[str]:
        return [fact.type for fact in await self.facts(after=after)]

    async def audit(self) -> AuditReport:
        """The audit of the sale, which must exist."""
        report = await Audit(self.sale_store, self.sale).run()
        assert report is not None
        return report

    async def snapshot(self) -> Snapshot:
        return await snapshot(self.store, self.sale)
