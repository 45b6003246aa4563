"""Stripe's objects, as its API and its webhooks have them, in our words. Pure: knows neither its library nor a network."""

from collections.abc import Mapping
from typing import Any, Final

from flashsale.providers.protocol import Event, PaymentOrder, PaymentState, ProviderPayment
from flashsale.providers.stripe.amounts import from_stripe

Json = Mapping[str, Any]

SHOP, RESERVATION = "flashsale_shop", "flashsale_reservation"
ATTEMPT, METHOD = "flashsale_attempt", "flashsale_method"

REFUND_OVER: Final = frozenset({"failed", "canceled"})
"""Statuses of a refund whose money has come back to the shop."""

_STATES: Final = {
    "requires_capture": PaymentState.AUTHORISED,
    "succeeded": PaymentState.PAID,
    "canceled": PaymentState.CANCELLED,
}
"""Status of a PaymentIntent -> state; the others wait for the customer or for Stripe, after a decline or before any."""
_INTENT_EVENTS: Final = {
    "payment_intent.succeeded": PaymentState.PAID,
    "payment_intent.amount_capturable_updated": PaymentState.AUTHORISED,
    "payment_intent.payment_failed": PaymentState.FAILED,
    "payment_intent.canceled": PaymentState.CANCELLED,
    "payment_intent.processing": PaymentState.OPEN,
}
_REFUND_EVENTS: Final = frozenset({"refund.failed", "refund.updated", "charge.refund.updated"})

_DECLINED: Final = "The payment was declined."
_BLOCKED: Final = "The payment was refused as unsafe."
_MAX_TEXT: Final = 500


def metadata_of(order: PaymentOrder) -> dict[str, str]:
    """What our objects at Stripe carry, so that each can be brought back to its reservation."""
    return {
        SHOP: order.shop,
        RESERVATION: order.reservation,
        ATTEMPT: str(order.attempt),
        METHOD: order.method,
    }


def payment_of(intent: Json, state: PaymentState | None = None) -> ProviderPayment:
    """A PaymentIntent in our words; `state` is what an event says of it, otherwise its own status tells.

    What was given back is known when `latest_charge` is expanded; in an event it never is.
    """
    charge = intent.get("latest_charge")
    charge = charge if isinstance(charge, Mapping) else {}
    error = intent.get("last_payment_error")
    if state is None:
        state = _STATES.get(intent["status"], PaymentState.FAILED if error else PaymentState.OPEN)
    amount = intent["amount"]
    if state is PaymentState.PAID:
        amount = intent.get("amount_received", amount)
    elif state is PaymentState.AUTHORISED:
        amount = intent.get("amount_capturable", amount)
    final = state is PaymentState.FAILED and _unsafe(charge)
    return _payment(
        intent["id"],
        state,
        amount,
        intent,
        refunded=_refunded(charge),
        error=_reason(error, final=final) if state is PaymentState.FAILED else "",
        final=final,
    )


def event_of(body: Any, shop: str) -> Event | None:
    """The event in a webhook's body; None when it is about nothing of this shop's.

    Raises:
        ValueError: the body is no event of Stripe's.
    """
    try:
        if body["object"] != "event":
            return None  # one of the new, thin kind, which holds no payment
        kind, thing = body["type"], body["data"]["object"]
        payment = _payment_in(kind, thing)
        if payment is None or payment.shop != shop:
            return None
        return Event(id=_text(body["id"]), payment=payment, refund_failed=kind in _REFUND_EVENTS)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(f"not an event of Stripe's: {type(error).__name__}") from error


def _payment_in(kind: str, thing: Json) -> ProviderPayment | None:
    state = _INTENT_EVENTS.get(kind)
    if state is not None:
        return payment_of(thing, state)
    if kind in _REFUND_EVENTS and thing["status"] in REFUND_OVER and thing.get("payment_intent"):
        return _payment(thing["payment_intent"], PaymentState.PAID, thing["amount"], thing)
    # Of a PaymentIntent's event the verdict on the charge is no part; that of the charge itself has it.
    if kind == "charge.failed" and thing.get("payment_intent") and _unsafe(thing):
        return _payment(
            thing["payment_intent"],
            PaymentState.FAILED,
            thing["amount"],
            thing,
            error=_BLOCKED,
            final=True,
        )
    return None


def _payment(
    payment_id: Any,
    state: PaymentState,
    amount: int,
    thing: Json,
    *,
    refunded: int = 0,
    error: str = "",
    final: bool = False,
) -> ProviderPayment:
    """A payment of which `thing` tells the currency, the metadata and the age."""
    metadata = thing.get("metadata") or {}
    currency = thing["currency"].upper()
    attempt = metadata.get(ATTEMPT, "")
    return ProviderPayment(
        id=_text(payment_id),
        state=state,
        amount=from_stripe(amount, currency),
        currency=currency,
        shop=metadata.get(SHOP, ""),
        reservation=metadata.get(RESERVATION, ""),
        # Metadata can be changed by hand on Stripe's pages.
        attempt=int(attempt) if attempt.isascii() and attempt.isdecimal() and len(attempt) < 10 else 0,
        method=metadata.get(METHOD, ""),
        refunded=from_stripe(refunded, currency),
        error=error,
        final=final,
        created_ms=thing["created"] * 1000,
    )


def _refunded(charge: Json) -> int:
    """Stripe's minor units given back, refunds under way included, those that failed not."""
    refunds = charge.get("refunds") or {}
    if not refunds or refunds.get("has_more"):
        return int(charge.get("amount_refunded") or 0)
    return sum(refund["amount"] for refund in refunds["data"] if refund["status"] not in REFUND_OVER)


def _unsafe(charge: Json) -> bool:
    """Whether Stripe takes the customer for a fraud.

    A charge is also blocked for a wrong check number or for small hope of success; then another card may do.
    """
    outcome = charge.get("outcome") or {}
    return outcome.get("type") == "blocked" and outcome.get("reason") == "highest_risk_level"


def _reason(error: Json | None, *, final: bool) -> str:
    """Why a payment failed: Stripe's own words to the customer, if it has any."""
    if final:
        return _BLOCKED
    message = (error or {}).get("message")
    return message[:_MAX_TEXT] if isinstance(message, str) and message else _DECLINED


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("an id is a text")
    return value
