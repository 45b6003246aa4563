"""What the simulator's books are made of: payments, refunds, changes, events; and how each is shown to the outside."""

from enum import StrEnum
from typing import Any, Self

import msgspec

from flashsale.providers.protocol import Capture, PaymentState

_encode = msgspec.json.Encoder().encode


class Outcome(StrEnum):
    """How a shopper's try to pay ends."""

    SUCCEED = "succeed"
    DECLINE = "decline"
    REFUSE = "refuse"
    """As for fraud: there will be no other try."""


class RefundState(StrEnum):
    """What became of a refund."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Order(msgspec.Struct, frozen=True):
    """What a shop asks for: the same for every repetition of a key."""

    amount: int
    """In minor units."""
    currency: str
    method: str
    capture: Capture
    description: str = ""
    metadata: dict[str, str] = {}


class Refund(msgspec.Struct):
    """Money given back, or an attempt at it."""

    id: str
    key: str
    payment: str
    amount: int
    created_ms: int
    state: RefundState = RefundState.SUCCEEDED

    def view(self) -> dict[str, Any]:
        """As the outside sees it."""
        return {
            "id": self.id,
            "payment": self.payment,
            "amount": self.amount,
            "status": self.state,
            "created_ms": self.created_ms,
        }


class Payment(msgspec.Struct):
    """One payment."""

    id: str
    number: int
    """Its place in the order of making."""
    key: str
    order: Order
    created_ms: int
    amount: int
    """What was asked for; once the shopper has paid, what that was."""
    currency: str
    state: PaymentState = PaymentState.OPEN
    error: str = ""
    final: bool = False
    """FAILED: there will be no other try."""
    tries: int = 0
    """Times the shopper has tried to pay."""
    events: int = 0
    refunds: list[Refund] = []

    @property
    def refunded(self) -> int:
        """Minor units given back so far."""
        return sum(refund.amount for refund in self.refunds if refund.state is RefundState.SUCCEEDED)

    def refund_of(self, key: str) -> Refund | None:
        """The refund that this idempotency key has made."""
        return next((refund for refund in self.refunds if refund.key == key), None)

    def view(self) -> dict[str, Any]:
        """As the shop sees it."""
        return {
            "id": self.id,
            "status": self.state,
            "amount": self.amount,
            "currency": self.currency,
            "method": self.order.method,
            "capture": self.order.capture,
            "metadata": self.order.metadata,
            "refunded": self.refunded,
            "refunds": [refund.view() for refund in self.refunds],
            "error": self.error,
            "final": self.final,
            "created_ms": self.created_ms,
        }


class Opened(msgspec.Struct, frozen=True, tag="opened", array_like=True):
    """A payment was asked for."""

    at_ms: int
    key: str
    order: Order


class Tried(msgspec.Struct, frozen=True, tag="tried", array_like=True):
    """The shopper has tried to pay `amount`."""

    at_ms: int
    payment: str
    outcome: Outcome
    amount: int
    currency: str


class Captured(msgspec.Struct, frozen=True, tag="captured", array_like=True):
    """The shop has taken the money of an authorised payment."""

    at_ms: int
    payment: str


class Cancelled(msgspec.Struct, frozen=True, tag="cancelled", array_like=True):
    """The shop has given a payment up."""

    at_ms: int
    payment: str


class Refunded(msgspec.Struct, frozen=True, tag="refunded", array_like=True):
    """The shop has given money back."""

    at_ms: int
    payment: str
    key: str
    amount: int


class Bounced(msgspec.Struct, frozen=True, tag="bounced", array_like=True):
    """The refund of this number, counted from 0, did not reach the customer."""

    at_ms: int
    payment: str
    number: int


Change = Opened | Tried | Captured | Cancelled | Refunded | Bounced


class Happening(msgspec.Struct, frozen=True):
    """An event: what a webhook tells. The same change makes the same one again, byte for byte."""

    id: str
    payment: str
    body: bytes

    @classmethod
    def of(cls, kind: str, at_ms: int, payment: Payment, refund: Refund | None) -> Self:
        """The event of this kind that has just happened to the payment."""
        event_id = f"evt_{payment.id[4:]}_{payment.events}"
        event = {"id": event_id, "type": kind, "created_ms": at_ms, "payment": payment.view()}
        if refund is not None:
            event["refund"] = refund.view()
        return cls(event_id, payment.id, _encode(event))
