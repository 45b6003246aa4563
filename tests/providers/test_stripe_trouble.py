"""What Stripe refuses, and what goes wrong on the way to it: told apart, and nothing done twice over it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from flashsale.process.ports import ReservedPort
from flashsale.providers.protocol import PaymentState, Provider, ProviderError
from flashsale.providers.stripe import from_settings
from flashsale.settings import Settings
from tests.support.stripe import ORDER, SECRET_KEY, WEBHOOK_SECRET, LocalStripe

ELSEWHERE = "This payment method cannot be used for this purchase. Please choose another."


@pytest.mark.parametrize(
    ("status", "error", "retry", "message"),
    [
        (402, {"type": "card_error", "message": "Your card has expired."}, False, "Your card has expired."),
        (400, {"code": "parameter_invalid_integer"}, False, ELSEWHERE),
        (
            400,
            {"code": "amount_too_small"},
            False,
            "The amount is too small for this payment method.",
        ),
        (400, {"type": "idempotency_error"}, False, ELSEWHERE),
        (
            401,
            {"message": "Invalid API Key provided: sk_test_***"},
            False,
            "Payment is not possible at the moment.",
        ),
        (403, {}, False, "Payment is not possible at the moment."),
        (409, {"code": "idempotency_key_in_use"}, True, "Stripe has a fault or too many calls."),
        (429, {"code": "lock_timeout"}, True, "Stripe has a fault or too many calls."),
        (500, {"type": "api_error"}, True, "Stripe has a fault or too many calls."),
        (503, {"type": "api_error"}, True, "Stripe has a fault or too many calls."),
        (None, {}, True, "Stripe cannot be reached."),
    ],
)
async def test_what_may_work_later_and_what_never_will(
    stripe_provider: Provider,
    local_stripe: LocalStripe,
    status: int | None,
    error: dict[str, Any],
    retry: bool,
    message: str,
) -> None:
    await local_stripe.fail_next("POST", "/v1/payment_intents", status, **error)
    with pytest.raises(ProviderError) as caught:
        await stripe_provider.start(ORDER)
    assert (caught.value.retry, caught.value.message) == (retry, message)
    # The library does not repeat by itself; whoever does, repeats the key.
    assert len(await local_stripe.calls()) == 1
    await stripe_provider.start(ORDER)
    first, second = await local_stripe.calls()
    assert first["idempotency_key"] == second["idempotency_key"]


@pytest.fixture
async def unreachable() -> AsyncIterator[Provider]:
    """Our adapter, told of a Stripe that is not there."""
    with ReservedPort() as nobody:
        provider = from_settings(
            Settings.model_validate(
                {
                    "stripe_secret_key": SECRET_KEY,
                    "stripe_webhook_secret": WEBHOOK_SECRET,
                    "stripe_api_base": f"http://127.0.0.1:{nobody.port}",
                }
            )
        )
        assert provider is not None
        yield provider
        await provider.close()


async def test_without_a_connection_everything_is_to_be_tried_again(unreachable: Provider) -> None:
    for call in (
        unreachable.start(ORDER),
        unreachable.capture("pi_1"),
        unreachable.cancel("pi_1"),
        unreachable.refund("pi_1", 1),
        unreachable.find("pi_1"),
        anext(unreachable.payments()),
    ):
        with pytest.raises(ProviderError) as caught:
            await call
        assert caught.value.retry
        assert SECRET_KEY not in str(caught.value)


async def authorised(provider: Provider, local_stripe: LocalStripe) -> str:
    payment_id = (await provider.start(ORDER)).id
    await local_stripe.pay(payment_id)
    return payment_id


async def paid(provider: Provider, local_stripe: LocalStripe) -> str:
    payment_id = (await provider.start(replace(ORDER, method="alipay"))).id
    await local_stripe.pay(payment_id)
    return payment_id


async def test_a_capture_that_was_carried_out_though_the_answer_is_a_fault(
    stripe_provider: Provider, local_stripe: LocalStripe
) -> None:
    payment_id = await authorised(stripe_provider, local_stripe)
    await local_stripe.fail_next("POST", f"/v1/payment_intents/{payment_id}/capture", 500, carried_out=True)
    assert (await stripe_provider.capture(payment_id)).state is PaymentState.PAID


async def test_a_capture_whose_answer_is_lost_is_found_by_the_next(
    stripe_provider: Provider, local_stripe: LocalStripe
) -> None:
    payment_id = await authorised(stripe_provider, local_stripe)
    await local_stripe.fail_next("POST", f"/v1/payment_intents/{payment_id}/capture", None, carried_out=True)
    with pytest.raises(ProviderError) as caught:
        await stripe_provider.capture(payment_id)
    assert caught.value.retry
    assert (await stripe_provider.capture(payment_id)).state is PaymentState.PAID


async def test_a_capture_that_was_refused_is_refused(
    stripe_provider: Provider, local_stripe: LocalStripe
) -> None:
    payment_id = (await stripe_provider.start(ORDER)).id
    await local_stripe.fail_next(
        "POST", f"/v1/payment_intents/{payment_id}/capture", 400, code="payment_intent_unexpected_state"
    )
    with pytest.raises(ProviderError) as caught:
        await stripe_provider.capture(payment_id)
    assert not caught.value.retry


async def test_a_capture_after_the_authorisation_has_lapsed_answers_cancelled(
    stripe_provider: Provider, local_stripe: LocalStripe
) -> None:
    payment_id = await authorised(stripe_provider, local_stripe)
    await stripe_provider.cancel(payment_id)
    await local_stripe.fail_next(
        "POST", f"/v1/payment_intents/{payment_id}/capture", 400, code="payment_intent_unexpected_state"
    )
    assert (await stripe_provider.capture(payment_id)).state is PaymentState.CANCELLED


async def test_what_is_being_processed_is_cancelled_later(
    stripe_provider: Provider, local_stripe: LocalStripe
) -> None:
    payment_id = (await stripe_provider.start(ORDER)).id
    await local_stripe.fail_next(
        "POST", f"/v1/payment_intents/{payment_id}/cancel", 400, code="payment_intent_unexpected_state"
    )
    with pytest.raises(ProviderError) as caught:
        await stripe_provider.cancel(payment_id)
    assert caught.value.retry
    assert (await stripe_provider.cancel(payment_id)).state is PaymentState.CANCELLED


async def test_a_payment_made_between_the_look_and_the_cancelling_is_answered(
    stripe_provider: Provider, local_stripe: LocalStripe
) -> None:
    payment_id = await authorised(stripe_provider, local_stripe)
    await local_stripe.fail_next(
        "POST", f"/v1/payment_intents/{payment_id}/cancel", 400, captured_before=payment_id
    )
    assert (await stripe_provider.cancel(payment_id)).state is PaymentState.PAID


@pytest.mark.parametrize("status", [500, None])
async def test_a_refund_that_was_carried_out_though_nobody_said_so_is_found(
    stripe_provider: Provider, local_stripe: LocalStripe, status: int | None
) -> None:
    payment_id = await paid(stripe_provider, local_stripe)
    await local_stripe.fail_next("POST", "/v1/refunds", status, carried_out=True)
    with pytest.raises(ProviderError) as caught:
        await stripe_provider.refund(payment_id, 3_300)
    assert caught.value.retry
    (refund,) = await local_stripe.refunds(payment_id)
    assert await stripe_provider.refund(payment_id, 3_300) == refund["id"]
    assert len(await local_stripe.refunds(payment_id)) == 1


async def test_a_refund_that_another_was_faster_with(
    stripe_provider: Provider, local_stripe: LocalStripe
) -> None:
    payment_id = await paid(stripe_provider, local_stripe)
    await local_stripe.fail_next("POST", "/v1/refunds", 400, code="charge_already_refunded")
    with pytest.raises(ProviderError) as caught:
        await stripe_provider.refund(payment_id, 3_300)
    assert caught.value.retry


async def test_a_refund_that_failed_is_made_again_with_another_key(
    stripe_provider: Provider, local_stripe: LocalStripe
) -> None:
    payment_id = await paid(stripe_provider, local_stripe)
    first = await stripe_provider.refund(payment_id, 3_300)
    await local_stripe.set_refund_status(first, "failed")
    bounced = await stripe_provider.find(payment_id)
    assert bounced is not None
    assert bounced.refunded == 0
    second = await stripe_provider.refund(payment_id, 3_300)
    assert second != first
    keys = [call["idempotency_key"] for call in await local_stripe.calls() if call["path"] == "/v1/refunds"]
    assert [key.rsplit(":", 1)[0] for key in keys] == [f"refund:{payment_id}:0", f"refund:{payment_id}:1"]
    found = await stripe_provider.find(payment_id)
    assert found is not None
    assert found.refunded == 3_300


async def test_a_method_that_stripe_does_not_offer_for_this_purchase(
    stripe_provider: Provider, local_stripe: LocalStripe
) -> None:
    # What is allowed but not possible, Stripe leaves out of `payment_method_types` without a word.
    await local_stripe.offer_only("card")
    with pytest.raises(ProviderError, match="cannot be used") as caught:
        await stripe_provider.start(replace(ORDER, method="klarna"))
    assert not caught.value.retry
    await stripe_provider.start(ORDER)


async def test_without_keys_there_is_no_stripe() -> None:
    assert from_settings(Settings()) is None
