"""What a payment provider must be able to do: the one Protocol that every provider implements, and its words.

A provider is a plug-in: one file in this folder, and one line in `flashsale/providers/__init__.py`. It holds no state of
ours. Every call may be repeated: it carries a key, and the same key must never collect, give back or cancel twice.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from flashsale.model.payment import PaymentStatus


class ProviderError(Exception):
    """A call to a provider did not work.

    `retry` tells whether the same call may work later (no connection, timeout, too many calls, a fault over there); then
    nobody knows whether it was carried out, and it must be repeated with the same key. Otherwise the provider has refused
    it for good, and `message` says why, fit to show to the customer; it holds no secret.
    """

    def __init__(self, message: str, *, retry: bool) -> None:
        super().__init__(message)
        self.message = message
        self.retry = retry


class SignatureError(Exception):
    """A webhook is not signed by the provider, or too old, or no event at all. The message holds no secret."""


class Capture(StrEnum):
    """How a provider takes the money of a method."""

    MANUAL = "manual"
    """The customer's consent is kept first; `capture` takes the money once the reservation is known to be good."""
    AUTOMATIC = "automatic"
    """The customer's consent takes the money at once; what turns out not to be wanted is given back."""


class PaymentState(StrEnum):
    """What a provider says of one payment."""

    OPEN = "open"
    """Nothing taken: it waits for the customer, or for the provider's own checks."""
    AUTHORISED = "authorised"
    """The customer has agreed; `capture` would take the money."""
    PAID = "paid"
    """The money is taken. It stays so when some or all of it was given back."""
    FAILED = "failed"
    """The last try was declined; the same payment may still succeed."""
    CANCELLED = "cancelled"
    """It can never take money any more."""


@dataclass(frozen=True, slots=True)
class PaymentOrder:
    """What a provider is asked to collect."""

    shop: str
    """Name of this shop on the provider's account."""
    reservation: str
    """The whole id, `<sale>.<shard>.<token>`."""
    attempt: int
    customer: str
    description: str
    method: str
    amount: int
    """In minor units."""
    currency: str
    """ISO 4217, in capitals."""

    @property
    def key(self) -> str:
        """Its idempotency key: one payment an attempt, however often it is asked for."""
        return f"{self.shop}:{self.reservation}:{self.attempt}"


@dataclass(frozen=True, slots=True)
class Started:
    """A payment that the provider has opened."""

    id: str
    """The provider's own name of the payment, without our prefix."""
    status: PaymentStatus
    """REQUIRES_ACTION or PROCESSING."""
    action: dict[str, Any] | None
    """What the page does next: {"type": "redirect", "url"} or {"type": "client_secret", "client_secret", ...}."""


@dataclass(frozen=True, slots=True)
class ProviderPayment:
    """One payment as the provider has it, in an event or in its list."""

    id: str
    state: PaymentState
    amount: int
    """PAID: what was taken. AUTHORISED: what can be. Otherwise what was asked for. In minor units."""
    currency: str
    """ISO 4217, in capitals."""
    shop: str
    """As in the PaymentOrder; empty when the payment is none of ours."""
    reservation: str
    attempt: int
    method: str
    refunded: int = 0
    """Minor units given back so far, refunds under way included."""
    error: str = ""
    """Why it failed, fit to show to the customer."""
    final: bool = False
    """FAILED: the provider will never take it from this customer (fraud, blocked): the hold is ended."""
    created_ms: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """A verified message of a provider."""

    id: str
    payment: ProviderPayment
    refund_failed: bool = False
    """A refund that had been accepted did not reach the customer."""


class Provider(Protocol):
    """A payment provider. Every coroutine raises `ProviderError`."""

    name: str
    """As in the webhook's path and in references."""
    rate: int
    """Calls a second that the provider allows; 0 for any number."""

    def capture_of(self, method: str) -> Capture:
        """How the money of this method is taken."""

    async def start(self, order: PaymentOrder) -> Started:
        """Opens a payment, or finds the one that the same order has opened before."""

    async def capture(self, payment_id: str) -> ProviderPayment:
        """Takes the money of an AUTHORISED payment; one that is PAID stays so. Answers the payment as it is then."""

    async def cancel(self, payment_id: str) -> ProviderPayment:
        """Sees that an unpaid payment never takes money, an authorised one included.

        Answers the payment as it is then: CANCELLED, or PAID when it was too late.
        """

    async def refund(self, payment_id: str, amount: int) -> str:
        """Gives the whole charge of `amount` minor units back, once, however often it is asked to.

        It looks before it acts, because idempotency keys are forgotten. Answers the refund's own id.
        """

    async def find(self, payment_id: str) -> ProviderPayment | None:
        """The payment as it is now; None when there is none."""

    def payments(self, *, since_ms: int = 0) -> AsyncIterator[ProviderPayment]:
        """Every payment on the account made since then, of all shops, in any order."""

    def read_event(self, headers: Mapping[str, str], body: bytes) -> Event | None:
        """Verifies a webhook, signature and age. None for an event that is about nothing of ours.

        `headers` finds names in any case. Raises `SignatureError`. Does no input or output.
        """

    async def close(self) -> None:
        """Closes connections."""
