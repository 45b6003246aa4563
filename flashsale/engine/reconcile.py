"""Reconciliation: the providers' own books against ours. Every charge must be an order or a refund, and the other way round.

What is found open is dealt with on the spot: a charge nobody has told us of (a lost webhook) gets its fate as if its webhook
had come, a consent that was not acted upon is acted upon, a refund whose answer was lost is recorded, one that did not reach
the customer is put aside to be made again. What then is still open needs a person, and is named.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog

from flashsale import metrics
from flashsale.engine import events
from flashsale.engine.events import Received, sale_of, token_of
from flashsale.engine.settlement import HopelessJobError, Settlement, claim_of
from flashsale.engine.till import Till
from flashsale.keys import STRAY
from flashsale.model.jobs import JobKind
from flashsale.model.ledger import Sum
from flashsale.model.outcomes import Settle
from flashsale.model.payment import SIMULATOR, UNDER_WAY, Charge, Fate, PaymentRecord, PaymentStatus
from flashsale.providers.patience import patiently
from flashsale.providers.protocol import Event, PaymentState, Provider, ProviderError, ProviderPayment
from flashsale.scripts.payments import Try
from flashsale.store.client import SaleRecoveringError, StoreRefusedError

AT_ONCE: Final = 200
MOST_OPEN: Final = 1000
UNKNOWN_SALE: Final = "its sale is not known here, and nobody has told of it"
UNKNOWN_SALE_ACTION: Final = (
    "bring back the store that has sold it; or give it back: flashsale payments reconcile --sale _stray"
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class OpenCharge:
    """A charge that has no fate, or one whose fate the provider's books contradict."""

    reference: str
    reservation: str
    amount: int
    currency: str
    problem: str
    """What is wrong with it."""
    action: str
    """What is done, or to be done, about it."""


@dataclass(slots=True)
class ReconcileReport:
    """What a comparison has found."""

    sale: str | None = None
    """The sale that was compared, None for all."""
    charges: int = 0
    """Charges of this shop in the providers' books."""
    foreign: int = 0
    """Payments of other shops on the same accounts; they were left alone."""
    applied: int = 0
    """Charges and consents that nobody had told us of, and that have been acted upon now."""
    settled: int = 0
    """Refunds that the provider had made and we had not recorded, and have now."""
    fates: dict[str, dict[Fate, Sum]] = field(default_factory=dict)
    """currency -> fate -> how many, how much"""
    open: list[OpenCharge] = field(default_factory=list)
    """At most `MOST_OPEN`."""
    open_count: int = 0

    @property
    def ok(self) -> bool:
        """Whether every charge has its fate."""
        return self.open_count == 0

    def count(self, charge: Charge) -> None:
        """Counts a charge that is not open under its fate."""
        fates = self.fates.setdefault(charge.money.currency, {fate: Sum() for fate in Fate})
        fates[charge.fate].add(charge.money.amount)

    def find(self, found: OpenCharge) -> None:
        """Notes an open charge."""
        self.open_count += 1
        if len(self.open) < MOST_OPEN:
            self.open.append(found)


class Reconciler:
    """Compares, and acts. May run beside workers, and beside itself."""

    def __init__(self, till: Till, settlement: Settlement) -> None:
        self._store = till.payments
        self._sales = till.sales
        self._catalog = till.catalog
        self._providers = till.providers
        self._settlement = settlement
        self._shop = till.name
        self._simulated = till.simulated

    async def run(self, sale: str | None = None, *, since_ms: int = 0) -> ReconcileReport:
        """Compares the books of one sale, or of all; of payments made since an instant, or of all.

        Charges of sales that nobody knows here are only named, unless they are asked for: `_stray` gives them back.

        A simulator that is there for rehearsals only may be away: it keeps no money from being compared.

        Raises:
            ProviderError: a provider does not answer.
            StoreUnavailableError: the store failed.
        """
        report = ReconcileReport(sale)
        for provider in self._providers.values():
            try:
                await self._compare_all(provider, sale, since_ms, report)
            except ProviderError as error:
                if sale is not None or self._simulated or provider.name != SIMULATOR:
                    raise
                log.info("payments.simulator_away", reason=error.message)
        if sale is None:
            metrics.UNDECIDED_CHARGES.set(report.open_count)
        return report

    async def _compare_all(
        self, provider: Provider, sale: str | None, since_ms: int, report: ReconcileReport
    ) -> None:
        """Compares the books of one provider."""
        seen: dict[str, set[str]] = {}
        batch: list[ProviderPayment] = []
        async for payment in provider.payments(since_ms=since_ms):
            if payment.shop != self._shop:
                report.foreign += 1
                continue
            owner = await self._owner(payment)
            if sale is not None and owner != sale:
                continue
            seen.setdefault(owner, set()).add(events.reference(provider.name, payment.id))
            batch.append(payment)
            if len(batch) == AT_ONCE:
                await self._compare(provider, batch, report)
                batch = []
        await self._compare(provider, batch, report)
        if since_ms == 0:
            await self._find_unknown_there(provider, sale, seen, report)

    async def _owner(self, payment: ProviderPayment) -> str:
        sale = sale_of(payment.reservation)
        try:
            return sale if sale != STRAY and await self._catalog.get(sale) is not None else STRAY
        except SaleRecoveringError:
            return sale

    async def _compare(
        self, provider: Provider, payments: list[ProviderPayment], report: ReconcileReport
    ) -> None:
        by_sale: dict[str, list[ProviderPayment]] = {}
        for payment in payments:
            if payment.state in {PaymentState.PAID, PaymentState.AUTHORISED, PaymentState.CANCELLED}:
                by_sale.setdefault(await self._owner(payment), []).append(payment)
        for sale, some in by_sale.items():
            for payment, record in zip(some, await self._read(sale, some), strict=True):
                report.charges += payment.state is PaymentState.PAID
                try:
                    if isinstance(record, ValueError):
                        raise record
                    if payment.state is PaymentState.CANCELLED:
                        await self._end(sale, provider, payment, record, report)
                    else:
                        await self._compare_one(sale, provider, payment, record, report)
                except SaleRecoveringError as error:
                    report.find(_open(provider, payment, error.reason, f"flashsale recover {sale}"))
                except (HopelessJobError, ProviderError, StoreRefusedError, ValueError) as error:
                    again = isinstance(error, ProviderError) and error.retry
                    action = "run this again" if again else "look at it by hand"
                    report.find(_open(provider, payment, str(error), action))
            await asyncio.sleep(0)

    async def _read(
        self, sale: str, payments: list[ProviderPayment]
    ) -> Sequence[PaymentRecord | ValueError | None]:
        """Our record of each; why, where one cannot be read."""
        try:
            return await self._store.records(sale, [token_of(each.reservation) for each in payments])
        except ValueError as error:
            if len(payments) == 1:
                return [error]
            return [(await self._read(sale, [each]))[0] for each in payments]

    async def _end(
        self,
        sale: str,
        provider: Provider,
        payment: ProviderPayment,
        record: PaymentRecord | None,
        report: ReconcileReport,
    ) -> None:
        """A payment that can never be paid any more must not look as if it could."""
        token = token_of(payment.reservation)
        reference = events.reference(provider.name, payment.id)
        if record is not None and record.reference == reference and record.status in UNDER_WAY:
            await self._store.attempt(sale, Try(token, record.attempt, PaymentStatus.CANCELLED))
            report.applied += 1

    async def _charge(self, sale: str, provider: Provider, payment: ProviderPayment) -> Charge | None:
        (record,) = await self._store.records(sale, [token_of(payment.reservation)])
        return _charge_in(record, provider, payment)

    async def _compare_one(
        self,
        sale: str,
        provider: Provider,
        payment: ProviderPayment,
        record: PaymentRecord | None,
        report: ReconcileReport,
    ) -> None:
        charge = _charge_in(record, provider, payment)
        if sale == STRAY and charge is None and report.sale != STRAY:
            # A store that was emptied, or the wrong one, must not give back what another has sold.
            if payment.state is PaymentState.PAID:
                report.find(_open(provider, payment, UNKNOWN_SALE, UNKNOWN_SALE_ACTION))
            return
        if payment.state is PaymentState.AUTHORISED:
            await self._settlement.authorised(sale, provider.name, payment)
            report.applied += 1
            found = await patiently(partial(provider.find, payment.id))
            if found is None or found.state is not PaymentState.PAID:
                return
            payment = found
            report.charges += 1
            charge = await self._charge(sale, provider, payment)
        if charge is None:
            await self._settlement.confirm(sale, [claim_of(provider.name, payment)])
            report.applied += 1
            charge = await self._charge(sale, provider, payment)
        if charge is None:
            report.find(_open(provider, payment, "it has no fate", "run this again"))
            return
        await self._check_fate(sale, provider, payment, charge, report)

    async def _check_fate(
        self,
        sale: str,
        provider: Provider,
        payment: ProviderPayment,
        charge: Charge,
        report: ReconcileReport,
    ) -> None:
        if charge.fate is Fate.REFUNDING and payment.refunded >= payment.amount:
            token = token_of(payment.reservation)
            # It finds the refund there is.
            refund_id = await patiently(partial(provider.refund, payment.id, payment.amount))
            settled = await self._store.settle(sale, token, reference=charge.reference, refund_id=refund_id)
            report.settled += settled is Settle.DONE
            charge = Charge(charge.reference, charge.money, Fate.REFUNDED)
        if _contradiction(sale, payment, charge) is not None:
            # The list was read a while before our records were: only what is so at one time counts.
            now = await patiently(partial(provider.find, payment.id))
            payment = payment if now is None else now
            charge = await self._charge(sale, provider, payment) or charge
        found = _contradiction(sale, payment, charge)
        if found is None and charge.fate is Fate.REFUNDING and await self._is_dead(sale, charge.reference):
            found = ("giving it back was tried too often", _retry(sale))
        if found is None:
            report.count(charge)
            return
        report.find(_open(provider, payment, *found))
        if _has_bounced(payment, charge) and not await self._is_dead(sale, charge.reference):
            # Nobody has told us: a worker puts the refund aside as if somebody had.
            event = Event("", payment, refund_failed=True)
            await self._store.add_event(sale, events.pack(Received(provider.name, event)))

    async def _is_dead(self, sale: str, reference: str) -> bool:
        dead = [each.job for each in await self._store.dead(sale) if each.job.kind == JobKind.REFUND]
        return any(job.refunded()[1] == reference for job in dead)

    async def _find_unknown_there(
        self, provider: Provider, sale: str | None, seen: Mapping[str, set[str]], report: ReconcileReport
    ) -> None:
        """Charges in our books of which the provider knows nothing: orders that nobody has paid."""
        sales = [sale] if sale is not None else [*await self._sales.sale_ids(), STRAY]
        for each in sales:
            for token, record in (await self._store.all_records(each)).items():
                for charge in record.charges:
                    name, _ = events.split(charge.reference)
                    if name == provider.name and charge.reference not in seen.get(each, ()):
                        await self._check_missing(provider, each, token, charge, report)

    async def _check_missing(
        self, provider: Provider, sale: str, token: str, charge: Charge, report: ReconcileReport
    ) -> None:
        """It may only have been made while the list was read."""
        _, payment_id = events.split(charge.reference)
        payment = await patiently(partial(provider.find, payment_id))
        if payment is not None and payment.state is PaymentState.PAID:
            report.charges += 1
            report.count(charge)
            return
        report.find(
            OpenCharge(
                charge.reference,
                f"{sale}.0.{token}",
                charge.money.amount,
                charge.money.currency,
                f"we have it as {charge.fate.name.lower()}, the provider knows no such charge",
                "look at it by hand",
            )
        )


def _charge_in(record: PaymentRecord | None, provider: Provider, payment: ProviderPayment) -> Charge | None:
    return record.charge(events.reference(provider.name, payment.id)) if record is not None else None


def _contradiction(sale: str, payment: ProviderPayment, charge: Charge) -> tuple[str, str] | None:
    """What in the provider's books contradicts the fate we have recorded, and what to do about it."""
    if (charge.money.amount, charge.money.currency) != (payment.amount, payment.currency):
        return (
            f"the provider has {payment.amount} {payment.currency}, we have {charge.money}",
            "look at it by hand",
        )
    if charge.fate is Fate.ORDER and payment.refunded:
        return f"{payment.refunded} of it were given back, and its order stands", "refund the order here too"
    if _has_bounced(payment, charge):
        return f"only {payment.refunded} of it reached the customer", _retry(sale)
    return None


def _retry(sale: str) -> str:
    return f"flashsale payments dead retry {sale} --all"


def _has_bounced(payment: ProviderPayment, charge: Charge) -> bool:
    """Whether a refund that we have as made did not reach the customer."""
    return charge.fate is Fate.REFUNDED and payment.refunded < payment.amount


def _open(provider: Provider, payment: ProviderPayment, problem: str, action: str) -> OpenCharge:
    return OpenCharge(
        events.reference(provider.name, payment.id),
        payment.reservation,
        payment.amount,
        payment.currency,
        problem,
        action,
    )
