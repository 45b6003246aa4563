"""What a payment worker does with one job.

Every job may come twice, and its worker may die between any two lines. So each of them reads what is recorded, asks the
provider under a key that makes a repetition harmless, records what came of it in one script, and only then is done.
`step` is called between every two effects; tests end the process there.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, TypeVar

import stamina
import structlog

from flashsale import metrics
from flashsale.engine import events
from flashsale.engine.events import Received, token_of
from flashsale.engine.pacing import Breaker
from flashsale.engine.till import Till
from flashsale.model.jobs import Job, JobKind
from flashsale.model.outcomes import Attempt, Confirm, Settle
from flashsale.model.payment import MAX_REFERENCE_BYTES, Fate, Money, PaymentRecord, PaymentStatus
from flashsale.model.reservation import Reservation, State
from flashsale.providers.protocol import (
    PaymentOrder,
    PaymentState,
    Provider,
    ProviderError,
    ProviderPayment,
)
from flashsale.scripts.payments import ChargeClaim, ChargeDecision, Try

T = TypeVar("T")
log = structlog.get_logger(__name__)

QUICK_TRIES: Final = 3
"""A fault that passes at once is not worth a way through the queue."""
NOT_POSSIBLE: Final = "This payment is not possible now. Please try another method."
FINAL_REASON: Final = "payment_failed"
"""Why a reservation was cancelled whose payment has failed for good."""

Step = Callable[[str], None]


class HopelessJobError(Exception):
    """Trying this job again is of no use; the message says why."""


class Settlement:
    """The work on jobs. Methods raise `ProviderError`, `StoreUnavailableError` and `HopelessJobError`."""

    def __init__(self, till: Till, *, step: Step = lambda _name: None) -> None:
        self._till = till
        self._store = till.payments
        self._step = step
        self._breaker = Breaker()

    async def do(self, sale: str, job: Job) -> None:
        """Does one job and acknowledges it."""
        match job.kind:
            case JobKind.START:
                await self._start(sale, job)
            case JobKind.VOID:
                await self._void(sale, job)
            case JobKind.REFUND:
                await self._refund(sale, job)
            case JobKind.EVENT:
                await self._event(sale, job, received_of(job))
            case JobKind.WAKE:
                await self._done(sale, job)
            case _:
                raise HopelessJobError(f"nobody knows what a job {job.kind[:40]!r} is")

    async def confirm(self, sale: str, claims: list[ChargeClaim]) -> list[ChargeDecision]:
        """Gives charges their fates, and acknowledges the jobs that brought them."""
        self._step("confirm.decide")
        simulated = self._till.simulated
        decisions = await self._store.confirm(sale, claims, simulated=simulated)
        self._step("confirm.decided")
        while again := [i for i, each in enumerate(decisions) if each.outcome is Confirm.RECLAIMING]:
            self._step("confirm.decide")
            repeated = await self._store.confirm(sale, [claims[i] for i in again], simulated=simulated)
            self._step("confirm.decided")
            for i, decision in zip(again, repeated, strict=True):
                decisions[i] = decision
        for outcome, count in Counter(decision.outcome for decision in decisions).items():
            metrics.CHARGES.labels(outcome.name.lower()).inc(count)
        return decisions

    async def given_up(self, sale: str, job: Job) -> None:
        """A job is put aside as dead: the customer of a payment that never began can choose another method."""
        if job.kind == JobKind.START:
            record = (await self._store.records(sale, [job.token]))[0]
            if record is not None and record.status is PaymentStatus.QUEUED:
                await self._failed(sale, job.token, record.attempt, NOT_POSSIBLE)

    # --- start ---

    async def _start(self, sale: str, job: Job) -> None:
        glance = await self._till.sales.find_one(sale, job.token)
        (reservation,), (record,) = glance.reservations, glance.payments
        if reservation is None or record is None or record.status is not PaymentStatus.QUEUED:
            await self._done(sale, job)
            return
        if reservation.state_at(glance.now_ms) is not State.HELD:
            await self._attempt(sale, Try(job.token, record.attempt, PaymentStatus.CANCELLED))
            await self._done(sale, job)
            return
        provider = self._provider_named(await self._till.provider_of(sale))
        order = await self._order(sale, reservation, record)
        self._step("start.ask")
        try:
            started = await self._call(provider, lambda: provider.start(order), paced=job.tries > 0)
        except ProviderError as error:
            if error.retry:
                raise
            await self._failed(sale, job.token, record.attempt, error.message)
            await self._done(sale, job)
            return
        self._step("start.asked")
        reference = events.reference(provider.name, started.id)
        details = {"action": started.action} if started.action else {}
        begun = Try(job.token, record.attempt, started.status, reference, details, job.entry_id)
        outcome = await self._attempt(sale, begun)
        self._step("start.recorded")
        if outcome is Attempt.DONE:
            return
        if not await self._pays(sale, job.token, reference):
            await self._cancel_there(sale, provider, started.id)
        await self._done(sale, job)

    async def _order(self, sale: str, reservation: Reservation, record: PaymentRecord) -> PaymentOrder:
        offer = await self._till.catalog.get(sale)
        if offer is None or record.method is None:
            raise HopelessJobError("the sale or the method of this payment is not known")
        return PaymentOrder(
            shop=self._till.name,
            reservation=f"{sale}.0.{reservation.token}",
            attempt=record.attempt,
            customer=reservation.customer,
            description=offer.definition.title,
            method=record.method,
            amount=record.money.amount,
            currency=record.money.currency,
        )

    async def _pays(self, sale: str, token: str, reference: str) -> bool:
        """Whether this very payment has been charged already: then it must be left alone."""
        record = (await self._store.records(sale, [token]))[0]
        return record is not None and record.charge(reference) is not None

    # --- void ---

    async def _void(self, sale: str, job: Job) -> None:
        _, reference = job.voided()
        name, payment_id = events.split(reference)
        self._step("void.ask")
        await self._cancel_there(sale, self._provider_named(name), payment_id)
        self._step("void.asked")
        await self._done(sale, job)

    async def _cancel_there(self, sale: str, provider: Provider, payment_id: str) -> None:
        """Sees that a payment takes no money; one that has taken it already gets its fate."""
        try:
            payment = await self._call(provider, lambda: provider.cancel(payment_id))
        except ProviderError as error:
            if error.retry:
                raise
            log.warning(
                "payments.cannot_cancel", provider=provider.name, payment=payment_id, reason=error.message
            )
            found = await self._call(provider, lambda: provider.find(payment_id))
            if found is None:
                return
            payment = found
        if payment.state is PaymentState.PAID:
            await self.confirm(sale, [claim_of(provider.name, payment)])

    # --- refund ---

    async def _refund(self, sale: str, job: Job) -> None:
        money, reference = job.refunded()
        name, payment_id = events.split(reference)
        provider = self._provider_named(name)
        self._step("refund.ask")
        refund_id = await self._call(provider, lambda: provider.refund(payment_id, money.amount))
        self._step("refund.asked")
        settled = await self._store.settle(
            sale, job.token, reference=reference, refund_id=refund_id, entry_id=job.entry_id
        )
        self._step("refund.settled")
        if settled is not Settle.DONE:
            log.info("payments.settled_before", sale=sale, reference=reference, outcome=settled.name)

    # --- event ---

    async def _event(self, sale: str, job: Job, received: Received) -> None:
        payment = received.event.payment
        token = token_of(payment.reservation)
        if received.event.refund_failed:
            await self._refund_failed(sale, job, token, received)
            return
        match payment.state:
            case PaymentState.PAID:
                await self.confirm(sale, [claim_of(received.provider, payment, job.entry_id)])
                return
            case PaymentState.AUTHORISED:
                await self.authorised(sale, received.provider, payment)
            case PaymentState.FAILED:
                outcome = await self._failed(sale, token, payment.attempt, payment.error)
                self._step("failed.recorded")
                if payment.final and outcome is Attempt.DONE:
                    await self._till.sales.cancel(sale, token, reason=FINAL_REASON)
            case PaymentState.CANCELLED:
                await self._attempt(sale, Try(token, payment.attempt, PaymentStatus.CANCELLED))
            case PaymentState.OPEN:
                pass
        await self._done(sale, job)

    async def authorised(self, sale: str, provider_name: str, payment: ProviderPayment) -> None:
        """Takes the money of a payment that the customer has agreed to, if its reservation can still become an order."""
        provider = self._provider_named(provider_name)
        reference = events.reference(provider_name, payment.id)
        token = token_of(payment.reservation)
        glance = await self._till.sales.find_one(sale, token)
        (reservation,), (record,) = glance.reservations, glance.payments
        if record is not None and record.charge(reference) is not None:
            return
        wanted = await self._is_wanted(sale, glance.now_ms, reservation, record, payment)
        if not (wanted and await self._till.takes_from(sale, provider_name)):
            self._step("release.ask")
            await self._cancel_there(sale, provider, payment.id)
            return
        self._step("capture.ask")
        try:
            captured = await self._call(provider, lambda: provider.capture(payment.id))
        except ProviderError as error:
            if error.retry:
                raise
            await self._failed(sale, token, payment.attempt, error.message)
            return
        self._step("capture.asked")
        if captured.state is PaymentState.PAID:
            await self.confirm(sale, [claim_of(provider_name, captured)])
        elif captured.state in {PaymentState.FAILED, PaymentState.CANCELLED}:
            await self._failed(sale, token, payment.attempt, captured.error)

    async def _refund_failed(self, sale: str, job: Job, token: str, received: Received) -> None:
        """Money that could not be given back needs a person: the refund is put aside, to be tried again on request."""
        record = (await self._store.records(sale, [token]))[0]
        charge = record.charge(received.reference) if record is not None else None
        if charge is None or charge.fate is Fate.ORDER:
            await self._done(sale, job)
            return
        text = charge.reference.encode("ascii")
        payload = token.encode("ascii") + charge.money.pack() + bytes((len(text),)) + text
        again = replace(job, kind=JobKind.REFUND, payload=payload)
        error = received.event.payment.error or "the refund did not reach the customer"
        await self._store.defer(sale, again, delay_ms=None, error=error)

    # --- what they share ---

    async def _call(self, provider: Provider, call: Callable[[], Awaitable[T]], *, paced: bool = True) -> T:
        """One call to a provider, in its turn, and again at once when it fails for a moment."""
        try:
            return await self._call_once(provider, call, paced=paced)
        except ProviderError as error:
            if not error.retry:
                raise
        async for attempt in stamina.retry_context(
            on=_passes,
            attempts=QUICK_TRIES - 1,
            timeout=None,
            wait_initial=0.05,
            wait_jitter=0.1,
            wait_max=1.0,
        ):
            with attempt:
                return await self._call_once(provider, call, paced=True)
        raise AssertionError("the last try returns or raises")

    async def _call_once(self, provider: Provider, call: Callable[[], Awaitable[T]], *, paced: bool) -> T:
        self._breaker.check(provider)
        if paced:
            await self._till.pacers.turn(provider)
        try:
            answer = await call()
        except ProviderError as error:
            (self._breaker.failed if error.retry else self._breaker.heard)(provider)
            raise
        self._breaker.heard(provider)
        return answer

    async def _attempt(self, sale: str, each: Try) -> Attempt:
        return (await self._store.attempt(sale, each)).outcome

    async def _failed(self, sale: str, token: str, number: int, error: str) -> Attempt:
        details = {"error": error[:500]} if error else {}
        return await self._attempt(sale, Try(token, number, PaymentStatus.FAILED, details=details))

    async def _is_wanted(
        self,
        sale: str,
        now_ms: int,
        reservation: Reservation | None,
        record: PaymentRecord | None,
        payment: ProviderPayment,
    ) -> bool:
        """Whether a payment would become an order, were it taken now. confirm.lua decides; this only saves refunds."""
        if reservation is None or record is None or record.money != Money(payment.amount, payment.currency):
            return False
        if reservation.state is State.EXPIRED:
            state = (await self._till.sales.look(sale)).sale
            available = {item.sku: item.available for item in state.stock} if state is not None else {}
            return all(available.get(sku, 0) >= units for sku, units in reservation.lines)
        return reservation.state_at(now_ms) in {State.HELD, State.EXPIRED}

    async def _done(self, sale: str, job: Job) -> None:
        self._step("job.acknowledge")
        await self._store.done(sale, [job.entry_id])

    def _provider_named(self, name: str) -> Provider:
        provider = self._till.providers.get(name)
        if provider is None:
            raise HopelessJobError(f"the payment provider {name!r} is not set up")
        return provider


def received_of(job: Job) -> Received:
    """The event of an `event` job.

    Raises:
        HopelessJobError: it is none.
    """
    try:
        return events.unpack(job.payload)
    except ValueError as error:
        raise HopelessJobError(str(error)) from error


def claim_of(provider: str, payment: ProviderPayment, entry_id: str = "") -> ChargeClaim:
    """The charge that a PAID payment is.

    Raises:
        HopelessJobError: no record can hold it.
    """
    money = Money(payment.amount, payment.currency)
    reference = events.reference(provider, payment.id)
    try:
        money.pack()
        if not 0 < len(reference.encode("ascii")) <= MAX_REFERENCE_BYTES:
            raise ValueError(f"its reference has {len(reference)} characters")  # noqa: TRY301 - as encode() would
    except ValueError as error:
        raise HopelessJobError(f"no record can hold this charge: {error}") from error
    attempt = payment.attempt if 0 < payment.attempt < 256 else 0
    return ChargeClaim(token_of(payment.reservation), attempt, payment.method, money, reference, entry_id)


def _passes(error: Exception) -> bool:
    return isinstance(error, ProviderError) and error.retry
