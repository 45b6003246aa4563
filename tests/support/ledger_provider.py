"""A payment provider in the memory of the test: exact books, and faults only when the test wants one.

It keeps every promise of `flashsale/providers/protocol.py`. What it would tell by webhooks is kept in `told`, for the test
to deliver in any order, twice, or never. `faults` are for the next calls: "lost" is carried out and not answered, "away" is
not carried out, "refused" is refused for good when it is a start, "bounces" lets the refund that is made fail later.
"""

from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from flashsale.model.payment import PaymentStatus
from flashsale.model.reservation import Reservation
from flashsale.providers.protocol import (
    Capture,
    Event,
    PaymentOrder,
    PaymentState,
    ProviderError,
    ProviderPayment,
    SignatureError,
    Started,
)
from flashsale.settings import Settings
from tests.support.shop import Shop

Fault = Literal["lost", "away", "refused", "bounces"]

HEADERS: Final = {"Ledger-Signature": "signed by the ledger"}
MANUAL: Final = frozenset({"card", "paypal", "klarna"})
UNPAID: Final = frozenset({PaymentState.OPEN, PaymentState.FAILED})

LEDGERS: Final[dict[str, "Ledger"]] = {}
"""By the address that stands for each in the settings."""


@dataclass
class Back:
    """Money given back."""

    id: str
    failed: bool = False


def payment_for(
    shop: Shop, held: Reservation, payment_id: str, *, account: str, state: PaymentState = PaymentState.PAID
) -> ProviderPayment:
    """What is due for a hold of one of the shop's sales, paid by card; `account` is the shop's name at the provider."""
    due = shop.due(held)
    return ProviderPayment(
        id=payment_id,
        state=state,
        amount=due.amount,
        currency=due.currency,
        shop=account,
        reservation=f"{shop.sale}.0.{held.token}",
        attempt=1,
        method="card",
    )


class Ledger:
    """All payments there are, by id."""

    name = "simulator"
    rate = 0

    def __init__(self) -> None:
        self.payments_by_id: dict[str, ProviderPayment] = {}
        self.refunds: dict[str, list[Back]] = {}
        self.told: list[Event] = []
        self.faults: deque[Fault] = deque()
        self._by_key: dict[str, str] = {}

    def clear(self) -> None:
        """As new."""
        self.payments_by_id.clear()
        self.refunds.clear()
        self.told.clear()
        self.faults.clear()
        self._by_key.clear()

    # --- the customer ---

    def pay(self, payment_id: str, amount: int | None = None) -> None:
        """The customer agrees, or pays at once; nothing happens where that is not possible any more."""
        payment = self.payments_by_id[payment_id]
        if payment.state in UNPAID and not payment.final:
            manual = self.capture_of(payment.method) is Capture.MANUAL
            state = PaymentState.AUTHORISED if manual else PaymentState.PAID
            self._change(payment_id, state=state, amount=amount or payment.amount, error="")

    def decline(self, payment_id: str, *, final: bool) -> None:
        """The customer's bank says no."""
        payment = self.payments_by_id[payment_id]
        if payment.state in UNPAID and not payment.final:
            self._change(payment_id, state=PaymentState.FAILED, error="declined", final=final)

    # --- the shop ---

    def capture_of(self, method: str) -> Capture:
        return Capture.MANUAL if method in MANUAL else Capture.AUTOMATIC

    async def start(self, order: PaymentOrder) -> Started:
        fault = self._fault()
        if fault == "refused":
            raise ProviderError("not possible", retry=False)
        if order.key not in self._by_key:
            payment_id = f"p{len(self._by_key)}"
            self._by_key[order.key] = payment_id
            self.refunds[payment_id] = []
            self.payments_by_id[payment_id] = ProviderPayment(
                payment_id,
                PaymentState.OPEN,
                order.amount,
                order.currency,
                order.shop,
                order.reservation,
                order.attempt,
                order.method,
            )
        self._answer(fault)
        payment = self.payments_by_id[self._by_key[order.key]]
        if payment.state is PaymentState.CANCELLED or payment.final:
            raise ProviderError("cancelled or refused", retry=False)
        if payment.state in UNPAID:
            return Started(payment.id, PaymentStatus.REQUIRES_ACTION, {"type": "redirect", "url": payment.id})
        return Started(payment.id, PaymentStatus.PROCESSING, None)

    async def capture(self, payment_id: str) -> ProviderPayment:
        fault = self._fault()
        payment = self._known(payment_id)
        if payment.state not in {PaymentState.AUTHORISED, PaymentState.PAID}:
            raise ProviderError("nobody has agreed", retry=False)
        if payment.state is PaymentState.AUTHORISED:
            self._change(payment_id, state=PaymentState.PAID)
        self._answer(fault)
        return self.payments_by_id[payment_id]

    async def cancel(self, payment_id: str) -> ProviderPayment:
        fault = self._fault()
        if self._known(payment_id).state not in {PaymentState.PAID, PaymentState.CANCELLED}:
            self._change(payment_id, state=PaymentState.CANCELLED, error="")
        self._answer(fault)
        return self.payments_by_id[payment_id]

    async def refund(self, payment_id: str, amount: int) -> str:
        fault = self._fault()
        payment, made = self._known(payment_id), self.refunds[payment_id]
        if payment.state is not PaymentState.PAID or amount != payment.amount:
            raise ProviderError("that was not taken", retry=False)
        if payment.refunded == 0:
            made.append(Back(f"back-{payment_id}-{len(made)}"))
            self._change(payment_id, refunded=amount)
            if fault == "bounces":
                made[-1].failed = True
                self._change(payment_id, refund_failed=True, refunded=0)
        self._answer(fault)
        return made[-1].id

    async def find(self, payment_id: str) -> ProviderPayment | None:
        self._answer(self._fault())
        return self.payments_by_id.get(payment_id)

    async def payments(self, *, since_ms: int = 0) -> AsyncIterator[ProviderPayment]:
        self._answer(self._fault())
        for payment_id in list(self.payments_by_id):
            yield self.payments_by_id[payment_id]

    def read_event(self, headers: Mapping[str, str], body: bytes) -> Event | None:
        """The body is the event's place in `told`."""
        if any(headers.get(name) != value for name, value in HEADERS.items()):
            raise SignatureError("The signature is not the ledger's.")
        return self.told[int(body)]

    async def close(self) -> None:
        """There is nothing to close."""

    # --- inside ---

    def _change(self, payment_id: str, *, refund_failed: bool = False, **changes: Any) -> None:
        payment = replace(self.payments_by_id[payment_id], **changes)
        self.payments_by_id[payment_id] = payment
        self.told.append(Event(f"e{len(self.told)}", payment, refund_failed))

    def _known(self, payment_id: str) -> ProviderPayment:
        if payment_id not in self.payments_by_id:
            raise ProviderError("there is no such payment", retry=False)
        return self.payments_by_id[payment_id]

    def _fault(self) -> Fault | None:
        fault = self.faults.popleft() if self.faults else None
        if fault == "away":
            raise ProviderError("away", retry=True)
        return fault

    def _answer(self, fault: Fault | None) -> None:
        if fault == "lost":
            raise ProviderError("no answer", retry=True)


def from_settings(settings: Settings) -> Ledger | None:
    """The ledger at the address in the settings."""
    return LEDGERS.get(settings.simulator_url or "")
