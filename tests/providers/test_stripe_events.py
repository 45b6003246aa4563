"""Stripe's webhooks: which are believed, and what each says. Signed by Stripe's own library."""

import json
import time
from typing import Any

import pytest
from multidict import CIMultiDict

from flashsale.providers.protocol import Event, PaymentState, Provider, ProviderPayment, SignatureError
from flashsale.providers.stripe import from_settings
from flashsale.providers.stripe.reading import payment_of
from flashsale.settings import Settings
from tests.support.stripe import SECRET_KEY, WEBHOOK_SECRET, signed, signed_event

METADATA = {
    "flashsale_shop": "alfa",
    "flashsale_reservation": "giulia.0.abc",
    "flashsale_attempt": "2",
    "flashsale_method": "card",
}


@pytest.fixture
def provider() -> Provider:
    """Never asked to call anybody."""
    made = from_settings(
        Settings.model_validate(
            {"shop": "alfa", "stripe_secret_key": SECRET_KEY, "stripe_webhook_secret": WEBHOOK_SECRET}
        )
    )
    assert made is not None
    return made


def intent(status: str, **changes: Any) -> dict[str, Any]:
    """A PaymentIntent as it stands in an event."""
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 3_300,
        "amount_capturable": 0,
        "amount_received": 0,
        "created": 1_790_000_000,
        "currency": "eur",
        "last_payment_error": None,
        "latest_charge": "ch_1",
        "metadata": METADATA,
        "status": status,
        **changes,
    }


def refund(status: str, **changes: Any) -> dict[str, Any]:
    """A Refund as it stands in an event."""
    return {
        "id": "re_1",
        "object": "refund",
        "amount": 3_300,
        "created": 1_790_000_000,
        "currency": "eur",
        "metadata": METADATA,
        "payment_intent": "pi_1",
        "status": status,
        **changes,
    }


def failed_charge(kind: str, reason: str) -> dict[str, Any]:
    """A Charge that was not made, as it stands in an event."""
    return {
        "id": "ch_1",
        "object": "charge",
        "amount": 3_300,
        "created": 1_790_000_000,
        "currency": "eur",
        "metadata": METADATA,
        "outcome": {"type": kind, "reason": reason},
        "payment_intent": "pi_1",
        "status": "failed",
    }


def read(provider: Provider, kind: str, thing: dict[str, Any]) -> Event | None:
    return provider.read_event(*signed_event(kind, thing))


def payment(state: PaymentState, amount: int = 3_300, **changes: Any) -> ProviderPayment:
    told: dict[str, Any] = {"shop": "alfa", "reservation": "giulia.0.abc", "attempt": 2, "method": "card"}
    told |= changes
    return ProviderPayment("pi_1", state, amount, "EUR", created_ms=1_790_000_000_000, **told)


@pytest.mark.parametrize(
    ("kind", "thing", "expected"),
    [
        (
            "payment_intent.succeeded",
            intent("succeeded", amount_received=3_200),
            payment(PaymentState.PAID, 3_200),
        ),
        (
            "payment_intent.amount_capturable_updated",
            intent("requires_capture", amount_capturable=3_300),
            payment(PaymentState.AUTHORISED),
        ),
        (
            "payment_intent.payment_failed",
            intent(
                "requires_payment_method",
                last_payment_error={"type": "card_error", "message": "Your card has insufficient funds."},
            ),
            payment(PaymentState.FAILED, error="Your card has insufficient funds."),
        ),
        (
            "payment_intent.payment_failed",
            intent("requires_payment_method"),
            payment(PaymentState.FAILED, error="The payment was declined."),
        ),
        ("payment_intent.canceled", intent("canceled"), payment(PaymentState.CANCELLED)),
        ("payment_intent.processing", intent("processing"), payment(PaymentState.OPEN)),
        (
            "charge.failed",
            failed_charge("blocked", "highest_risk_level"),
            payment(PaymentState.FAILED, error="The payment was refused as unsafe.", final=True),
        ),
    ],
)
def test_what_an_event_says_of_a_payment(
    provider: Provider, kind: str, thing: dict[str, Any], expected: ProviderPayment
) -> None:
    event = read(provider, kind, thing)
    assert event is not None
    assert event.payment == expected
    assert event.id.startswith("evt_")
    assert not event.refund_failed


@pytest.mark.parametrize(("reason", "final"), [("highest_risk_level", True), ("rule", False)])
def test_a_verdict_that_no_event_brought_is_found_with_the_charge(reason: str, final: bool) -> None:
    found = payment_of(
        intent(
            "requires_payment_method",
            latest_charge=failed_charge("blocked", reason),
            last_payment_error={"type": "card_error", "message": "Your card was declined."},
        )
    )
    error = "The payment was refused as unsafe." if final else "Your card was declined."
    assert found == payment(PaymentState.FAILED, error=error, final=final)


@pytest.mark.parametrize("kind", ["refund.failed", "refund.updated", "charge.refund.updated"])
@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_a_refund_that_failed(provider: Provider, kind: str, status: str) -> None:
    event = read(provider, kind, refund(status))
    assert event is not None
    assert event.refund_failed
    assert (event.payment.id, event.payment.reservation) == ("pi_1", "giulia.0.abc")


@pytest.mark.parametrize(
    ("kind", "thing"),
    [
        ("payment_intent.created", intent("requires_payment_method")),
        ("payment_intent.requires_action", intent("requires_action")),
        ("charge.succeeded", failed_charge("authorized", "")),
        # A wrong check number or a small hope of success: another card may do, and the other event tells of the decline.
        ("charge.failed", failed_charge("blocked", "rule")),
        ("charge.failed", failed_charge("blocked", "low_probability_of_authorization")),
        ("charge.failed", failed_charge("issuer_declined", "insufficient_funds")),
        ("refund.updated", refund("succeeded")),
        ("refund.failed", refund("failed", payment_intent=None)),
        # Made by hand, or by another program on the same account.
        ("payment_intent.succeeded", intent("succeeded", metadata={})),
        (
            "payment_intent.succeeded",
            intent("succeeded", metadata={**METADATA, "flashsale_shop": "lancia"}),
        ),
    ],
)
def test_what_is_nothing_of_ours(provider: Provider, kind: str, thing: dict[str, Any]) -> None:
    assert read(provider, kind, thing) is None


def test_metadata_changed_by_hand_does_no_harm(provider: Provider) -> None:
    for attempt in ("", "zwei", "²", "9" * 5_000):
        event = read(
            provider,
            "payment_intent.succeeded",
            intent("succeeded", amount_received=1, metadata={**METADATA, "flashsale_attempt": attempt}),
        )
        assert event is not None
        assert event.payment.attempt == 0


def test_amounts_are_in_the_units_of_iso_4217(provider: Provider) -> None:
    event = read(
        provider, "payment_intent.succeeded", intent("succeeded", amount_received=500, currency="isk")
    )
    assert event is not None
    assert (event.payment.amount, event.payment.currency) == (5, "ISK")


def test_a_forged_body_is_refused(provider: Provider) -> None:
    headers, body = signed_event("payment_intent.succeeded", intent("succeeded"))
    for forged in (body.replace(b"pi_1", b"pi_2"), body[:-1], body + b" ", b"", b"\xff" + body):
        with pytest.raises(SignatureError):
            provider.read_event(headers, forged)


def test_a_signature_of_somebody_else_is_refused(provider: Provider) -> None:
    with pytest.raises(SignatureError):
        provider.read_event(
            *signed_event("payment_intent.succeeded", intent("succeeded"), secret="whsec_of_somebody_else")
        )


def test_an_old_signature_is_refused_and_a_fresh_one_is_not_however_often_it_comes(
    provider: Provider,
) -> None:
    now = int(time.time())
    thing = intent("succeeded", amount_received=3_300)
    old = signed_event("payment_intent.succeeded", thing, timestamp=now - 400)
    with pytest.raises(SignatureError, match="tolerance"):
        provider.read_event(*old)
    # Stripe repeats itself, and so may anybody within the tolerance: what the same event does twice is not decided here.
    headers, body = signed_event("payment_intent.succeeded", thing, timestamp=now - 200)
    assert provider.read_event(headers, body) == provider.read_event(headers, body)
    # A replay with a new instant would need a new signature.
    fresh = {"Stripe-Signature": old[0]["Stripe-Signature"].replace(f"t={now - 400}", f"t={now}")}
    with pytest.raises(SignatureError):
        provider.read_event(fresh, old[1])


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "t=1",
        "v1=00",
        "t=,v1=",
        "t=1,v1=\xe9\udcff",
        "t=" + "9" * 5_000 + ",v1=00",
        "nonsense",
        ",,,===",
    ],
)
def test_a_header_that_is_no_signature(provider: Provider, header: str | None) -> None:
    _, body = signed_event("payment_intent.succeeded", intent("succeeded"))
    headers = {} if header is None else {"Stripe-Signature": header}
    with pytest.raises(SignatureError) as caught:
        provider.read_event(headers, body)
    assert WEBHOOK_SECRET not in str(caught.value)


def test_the_name_of_the_header_is_found_in_any_case(provider: Provider) -> None:
    headers, body = signed_event("payment_intent.canceled", intent("canceled"))
    lower = CIMultiDict({"stripe-signature": headers["Stripe-Signature"]})
    assert provider.read_event(lower, body) is not None


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"object": "event"}',
        '{"object": "event", "id": "evt_1", "type": "payment_intent.succeeded", "data": {"object": {}}}',
        json.dumps(
            {"object": "event", "id": 7, "type": "payment_intent.canceled", "data": {"object": intent("")}}
        ),
        json.dumps(
            {
                "object": "event",
                "id": "evt_1",
                "type": "payment_intent.canceled",
                "data": {"object": intent("", metadata=[1])},
            }
        ),
    ],
)
def test_a_signed_body_that_is_no_event(provider: Provider, body: str) -> None:
    with pytest.raises(SignatureError, match="not an event"):
        provider.read_event(*signed(body))


def test_a_thin_event_is_nothing_of_ours(provider: Provider) -> None:
    assert provider.read_event(*signed('{"object": "v2.core.event", "id": "evt_1"}')) is None
