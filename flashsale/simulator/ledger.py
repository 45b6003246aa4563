"""The books of the simulator: payments, refunds and the events they cause. No input or output, no clock, no chance.

What is asked is first turned into a `Change`, or refused; `apply` carries a change out. So a change can be written down
before it happens, and the changes of a file, applied in order, make the same books again. Asking twice changes nothing
twice: the second time there is no change to be made.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from flashsale.providers.protocol import PaymentState
from flashsale.simulator.records import (
    Cancelled,
    Captured,
    Change,
    Happening,
    Opened,
    Order,
    Outcome,
    Payment,
    Refund,
    Refunded,
    RefundState,
    Tried,
)

MAX_PAYMENTS: Final = 1_000_000
MAX_REFUNDS_OF_PAYMENT: Final = 100
DECLINED: Final = "The payment was declined. Try again, or pay in another way."
REFUSED: Final = "The payment was refused."


class LedgerError(Exception):
    """What is asked cannot be done; `code` is stable, the message says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Ledger:
    """All payments of the simulator. `seed` makes its identifiers: the same key has the same one in every run."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._payments: list[Payment] = []
        self._by_id: dict[str, Payment] = {}
        self._refunds: list[Refund] = []
        self._refund_numbers: dict[str, int] = {}
        self._last_ms = 0

    def find(self, payment_id: str) -> Payment:
        """The payment of this id. Raises `LedgerError` when there is none."""
        payment = self._by_id.get(payment_id)
        if payment is None:
            raise LedgerError("unknown_payment", "There is no such payment.")
        return payment

    def id_of(self, key: str) -> str:
        """The id of the payment that this idempotency key makes."""
        return "pay_" + hashlib.sha256(f"{self._seed}:{key}".encode()).hexdigest()[:24]

    def payments(self, *, after: str, since_ms: int, limit: int) -> Sequence[Payment]:
        """Payments in the order of their making: those that follow `after`, made at `since_ms` or later."""
        start = bisect_left(self._payments, since_ms, key=lambda payment: payment.created_ms)
        if after:
            start = max(start, self.find(after).number + 1)
        return self._payments[start : start + limit]

    def refunds(self, *, after: str, limit: int) -> Sequence[Refund]:
        """Refunds in the order of their making: those that follow `after`."""
        if after and after not in self._refund_numbers:
            raise LedgerError("unknown_refund", "There is no such refund.")
        start = self._refund_numbers[after] + 1 if after else 0
        return self._refunds[start : start + limit]

    def open(self, key: str, order: Order, now_ms: int) -> Opened | None:
        """A payment is asked for; None when the key has made it already."""
        payment = self._by_id.get(self.id_of(key))
        if payment is not None:
            if payment.order != order:
                raise LedgerError("idempotency_mismatch", "The key belongs to another order.")
            return None
        if len(self._payments) >= MAX_PAYMENTS:
            raise LedgerError("full", f"The simulator keeps {MAX_PAYMENTS} payments at most.")
        return Opened(max(now_ms, self._last_ms), key, order)

    def pay(
        self, payment: Payment, outcome: Outcome, now_ms: int, money: tuple[int, str] | None = None
    ) -> Tried:
        """The shopper tries to pay; another amount or currency than was asked for is possible, as by bank transfer."""
        if payment.state in {PaymentState.AUTHORISED, PaymentState.PAID}:
            raise LedgerError("already_paid", "This payment is done; nothing more was taken.")
        if payment.state is PaymentState.CANCELLED:
            raise LedgerError("cancelled", "This payment was cancelled; nothing was taken.")
        if payment.final:
            raise LedgerError("refused", "This payment was refused; nothing was taken.")
        amount, currency = money or (payment.order.amount, payment.order.currency)
        return Tried(now_ms, payment.id, outcome, amount, currency)

    def capture(self, payment: Payment, now_ms: int) -> Captured | None:
        """The shop takes the money of an authorised payment."""
        if payment.state is PaymentState.PAID:
            return None
        if payment.state is not PaymentState.AUTHORISED:
            raise LedgerError("not_authorised", f"The payment is {payment.state.value}.")
        return Captured(now_ms, payment.id)

    def cancel(self, payment: Payment, now_ms: int) -> Cancelled | None:
        """The shop gives a payment up; one that is paid stays so."""
        if payment.state in {PaymentState.PAID, PaymentState.CANCELLED}:
            return None
        return Cancelled(now_ms, payment.id)

    def refund(self, payment: Payment, key: str, amount: int, now_ms: int) -> Refunded | None:
        """The shop gives money back: never more than was taken."""
        known = payment.refund_of(key)
        if known is not None:
            if known.amount != amount:
                raise LedgerError("idempotency_mismatch", "The key belongs to another refund.")
            return None
        if payment.state is not PaymentState.PAID:
            raise LedgerError("not_paid", f"The payment is {payment.state.value}.")
        left = payment.amount - payment.refunded
        if not 0 < amount <= left:
            raise LedgerError("exceeds_charge", f"{left} of {payment.amount} can be given back.")
        if len(payment.refunds) >= MAX_REFUNDS_OF_PAYMENT:
            raise LedgerError("too_many_refunds", "The payment has been refunded too often.")
        return Refunded(now_ms, payment.id, key, amount)

    def apply(self, change: Change) -> Happening | None:
        """Carries a change out; the event that it causes, if any."""
        if isinstance(change, Opened):
            self._add(change)
            return None
        payment = self._by_id[change.payment]
        refund = None
        if isinstance(change, Tried):
            kind = _try(payment, change)
        elif isinstance(change, Captured):
            payment.state, kind = PaymentState.PAID, "payment.paid"
        elif isinstance(change, Cancelled):
            payment.state, payment.error, kind = PaymentState.CANCELLED, "", "payment.cancelled"
        elif isinstance(change, Refunded):
            refund, kind = self._give_back(payment, change), "refund.succeeded"
        else:
            refund, kind = payment.refunds[change.number], "refund.failed"
            refund.state = RefundState.FAILED
        payment.events += 1
        return Happening.of(kind, change.at_ms, payment, refund)

    def _add(self, change: Opened) -> None:
        self._last_ms = change.at_ms
        payment = Payment(
            id=self.id_of(change.key),
            number=len(self._payments),
            key=change.key,
            order=change.order,
            created_ms=change.at_ms,
            amount=change.order.amount,
            currency=change.order.currency,
        )
        self._payments.append(payment)
        self._by_id[payment.id] = payment

    def _give_back(self, payment: Payment, change: Refunded) -> Refund:
        refund = Refund(
            id=f"ref_{payment.id[4:]}_{len(payment.refunds)}",
            key=change.key,
            payment=payment.id,
            amount=change.amount,
            created_ms=change.at_ms,
        )
        payment.refunds.append(refund)
        self._refund_numbers[refund.id] = len(self._refunds)
        self._refunds.append(refund)
        return refund


def _try(payment: Payment, change: Tried) -> str:
    payment.tries += 1
    if change.outcome is Outcome.SUCCEED:
        payment.amount, payment.currency, payment.error = change.amount, change.currency, ""
        automatic = payment.order.capture == "automatic"
        payment.state = PaymentState.PAID if automatic else PaymentState.AUTHORISED
        return "payment.paid" if automatic else "payment.authorised"
    payment.state = PaymentState.FAILED
    payment.final = change.outcome is Outcome.REFUSE
    payment.error = REFUSED if payment.final else DECLINED
    return "payment.failed"
