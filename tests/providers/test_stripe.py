"""Our adapter and Stripe's own client against a real Stripe server.

What localstripe, the server, does not do is said in `tests/support/stripe.py`.
"""

import re
import time
from dataclasses import replace

import pytest
from multidict import CIMultiDict

from flashsale.model.payment import PaymentStatus
from flashsale.providers.protocol import (
    Capture,
    PaymentState,
    Provider,
    ProviderError,
    SignatureError,
    Started,
)
from flashsale.providers.stripe import from_settings
from tests.support.stripe import (
    CARD_WITH_3DS,
    DECLINED_CARD,
    ORDER,
    PUBLISHABLE_KEY,
    SECRET_KEY,
    WEBHOOK_SECRET,
    LocalStripe,
)
from tests.support.webhook_receiver import Receiver


async def webhook(receiver: Receiver, number: int = 1) -> tuple[CIMultiDict[str], bytes]:
    """Headers and body of the webhook that came as this one, waited for."""
    await receiver.until(lambda: len(receiver.received) >= number)
    received = receiver.received[number - 1]
    return CIMultiDict(received.headers), received.body


async def test_starting_opens_a_payment_for_the_chosen_method(
    stripe_provider: Provider, local_stripe: LocalStripe
) -> None:
    started = await stripe_provider.start(ORDER)
    intent = await local_stripe.intent(started.id)
    assert started == Started(
        intent["id"],
        PaymentStatus.REQUIRES_ACTION,
        {
            "type": "client_secret",
            "client_secret": intent["client_secret"],
            "publishable_key": PUBLISHABLE_KEY,
        },
    )
    assert (intent["amount"], intent["currency"], intent["status"]) == (
        3_300,
        "eur",
        "requires_payment_method",
    )
    assert intent["payment_method_types"] == ["card"]
    assert intent["capture_method"] == "manual"
    assert intent["description"] == "Giulia Milano"
    assert intent["metadata"] == {
        "flashsale_shop": "alfa",
        "flashsale_reservation": "giulia.0.abc",
        "flashsale_attempt": "2",
        "flashsale_method": "card",
    }


@pytest.mark.parametrize(
    ("method", "currency", "at_stripe", "manual"),
    [
        ("card", "EUR", "card", True),
        ("klarna", "EUR", "klarna", True),
        ("paypal", "EUR", "paypal", True),
        ("alipay", "CNY", "alipay", False),
        ("bank_transfer", "USD", "customer_balance", False),
    ],
)
async def test_each_method_is_taken_as_the_table_says(
    stripe_provider: Provider,
    local_stripe: LocalStripe,
    method: str,
    currency: str,
    at_stripe: str,
    manual: bool,
) -> None:
    await stripe_provider.start(replace(ORDER, method=method, currency=currency))
    form = (await local_stripe.calls())[-1]["form"]
    assert form["allowed_payment_method_types[0]"] == at_stripe
    assert form.get("capture_method") == ("manual" if manual else None)
    assert stripe_provider.capture_of(method) is (Capture.MANUAL if manual else Capture.AUTOMATIC)


@pytest.mark.parametrize(
    ("currency", "kind"),
    [
        ("EUR", "eu_bank_transfer"),
        ("GBP", "gb_bank_transfer"),
        ("JPY", "jp_bank_transfer"),
        ("MXN", "mx_bank_transfer"),
        ("USD", "us_bank_transfer"),
    ],
)
async def test_a_bank_transfer_goes_to_the_balance_of_a_customer(
    stripe_provider: Provider, local_stripe: LocalStripe, currency: str, kind: str
) -> None:
    started = await stripe_provider.start(replace(ORDER, method="bank_transfer", currency=currency))
    customer, intent = await local_stripe.calls()
    assert customer["path"] == "/v1/customers"
    # The customer's name is not part of the key, which may be no more than ASCII.
    assert customer["idempotency_key"].startswith("customer:alfa:")
    assert "c-17" not in customer["idempotency_key"]
    assert customer["form"]["metadata[flashsale_customer]"] == "c-17"
    assert intent["form"]["customer"] == (await local_stripe.intent(started.id))["customer"]
    options = "payment_method_options[customer_balance]"
    assert intent["form"][f"{options}[funding_type]"] == "bank_transfer"
    assert intent["form"][f"{options}[bank_transfer][type]"] == kind
    country = f"{options}[bank_transfer][eu_bank_transfer][country]"
    assert intent["form"].get(country) == ("DE" if currency == "EUR" else None)


async def test_a_bank_transfer_in_another_currency_is_refused_before_anything_is_made(
    stripe_provider: Provider, local_stripe: LocalStripe
) -> None:
    with pytest.raises(ProviderError, match="A bank transfer in CNY is not possible") as caught:
        await stripe_provider.start(replace(ORDER, method="bank_transfer", currency="CNY"))
    assert not caught.value.retry
    assert await local_stripe.calls() == []


async def test_amounts_go_out_in_the_units_of_stripe(
    stripe_provider: Provider, local_stripe: LocalStripe
) -> None:
    started = await stripe_provider.start(replace(ORDER, amount=5, currency="ISK"))
    assert (await local_stripe.intent(started.id))["amount"] == 500
    found = await stripe_provider.find(started.id)
    assert found is not None
    assert (found.amount, found.currency) == (5, "ISK")
    with pytest.raises(ProviderError, match="multiple of 10") as caught:
        await stripe_provider.start(replace(ORDER, amount=5_124, currency="KWD"))
    assert not caught.value.retry


async def test_every_writing_call_carries_a_key_of_its_own_that_a_repetition_repeats(
    stripe_provider: Provider, local_stripe: LocalStripe
) -> None:
    order = replace(ORDER, method="bank_transfer")
    started = await stripe_provider.start(order)
    await stripe_provider.start(order)
    other = await stripe_provider.start(replace(ORDER, attempt=3))
    await stripe_provider.cancel(other.id)
    await local_stripe.pay(started.id)
    await stripe_provider.refund(started.id, 3_300)
    authorised = await stripe_provider.start(replace(ORDER, attempt=4))
    await local_stripe.pay(authorised.id)
    await stripe_provider.capture(authorised.id)
    ours = [call for call in await local_stripe.calls() if call["version"]]
    customer = ours[0]["idempotency_key"]
    # The last part of the others is the time, in spells of ten minutes.
    assert [re.sub(r"(?<=\w):\d{7}$", "", call["idempotency_key"]) for call in ours] == [
        customer,
        "payment:alfa:giulia.0.abc:2",
        customer,
        "payment:alfa:giulia.0.abc:2",
        "payment:alfa:giulia.0.abc:3",
        f"cancel:{other.id}:requires_payment_method",
        f"refund:{started.id}:0",
        "payment:alfa:giulia.0.abc:4",
        f"capture:{authorised.id}",
    ]
    assert all(call["telemetry"] is None for call in ours)


async def test_an_authorisation_is_found_captured_and_announced(
    stripe_provider: Provider, local_stripe: LocalStripe, receiver: Receiver
) -> None:
    await local_stripe.send_webhooks_to(receiver.url)
    started = await stripe_provider.start(ORDER)
    opened = await stripe_provider.find(started.id)
    assert opened is not None
    assert opened.state is PaymentState.OPEN
    await local_stripe.pay(started.id)
    authorised = await stripe_provider.find(started.id)
    assert authorised is not None
    assert (authorised.state, authorised.amount) == (PaymentState.AUTHORISED, 3_300)
    paid = await stripe_provider.capture(started.id)
    assert (paid.state, paid.amount, paid.currency) == (PaymentState.PAID, 3_300, "EUR")
    assert (paid.shop, paid.reservation, paid.attempt, paid.method) == ("alfa", "giulia.0.abc", 2, "card")
    assert abs(paid.created_ms - time.time() * 1000) < 600_000
    event = stripe_provider.read_event(*await webhook(receiver))
    assert event is not None
    assert event.payment == paid
    # It stays captured, once.
    assert await stripe_provider.capture(started.id) == paid


async def test_real_webhooks_are_believed_only_as_they_came(
    stripe_provider: Provider, local_stripe: LocalStripe, receiver: Receiver
) -> None:
    await local_stripe.send_webhooks_to(receiver.url)
    started = await stripe_provider.start(replace(ORDER, method="alipay"))
    await local_stripe.pay(started.id)
    headers, body = await webhook(receiver)
    event = stripe_provider.read_event(headers, body)
    assert event is not None
    assert (event.payment.id, event.payment.state) == (started.id, PaymentState.PAID)
    with pytest.raises(SignatureError):
        stripe_provider.read_event(headers, body.replace(b"3300", b"3301"))
    await local_stripe.send_webhooks_to(receiver.url, secret="whsec_of_somebody_else")
    other = await stripe_provider.start(replace(ORDER, method="alipay", attempt=3))
    await local_stripe.pay(other.id)
    forged = await webhook(receiver, 2)
    with pytest.raises(SignatureError):
        stripe_provider.read_event(*forged)


async def test_a_decline_is_not_the_end(
    stripe_provider: Provider, local_stripe: LocalStripe, receiver: Receiver
) -> None:
    await local_stripe.send_webhooks_to(receiver.url)
    started = await stripe_provider.start(ORDER)
    assert "error" in await local_stripe.pay(started.id, DECLINED_CARD)
    event = stripe_provider.read_event(*await webhook(receiver))
    found = await stripe_provider.find(started.id)
    assert event is not None
    assert event.payment == found
    assert found is not None
    assert (found.state, found.error, found.final) == (
        PaymentState.FAILED,
        "Your card was declined.",
        False,
    )


async def test_a_card_that_asks_the_bank(stripe_provider: Provider, local_stripe: LocalStripe) -> None:
    started = await stripe_provider.start(ORDER)
    assert started.action is not None
    assert (await local_stripe.pay(started.id, CARD_WITH_3DS))["status"] == "requires_action"
    waiting = await stripe_provider.find(started.id)
    assert waiting is not None
    assert waiting.state is PaymentState.OPEN
    await local_stripe.authenticate(started.action["client_secret"], success=False)
    refused = await stripe_provider.find(started.id)
    assert refused is not None
    assert (refused.state, refused.final) == (PaymentState.FAILED, False)
    await local_stripe.pay(started.id, CARD_WITH_3DS)
    await local_stripe.authenticate(started.action["client_secret"])
    agreed = await stripe_provider.find(started.id)
    assert agreed is not None
    assert agreed.state is PaymentState.AUTHORISED


@pytest.mark.parametrize("paid", [False, True])
async def test_a_cancelled_payment_never_takes_money(
    stripe_provider: Provider, local_stripe: LocalStripe, paid: bool
) -> None:
    started = await stripe_provider.start(ORDER)
    if paid:
        await local_stripe.pay(started.id)
    cancelled = await stripe_provider.cancel(started.id)
    assert cancelled.state is PaymentState.CANCELLED
    assert await stripe_provider.cancel(started.id) == cancelled
    assert await stripe_provider.find(started.id) == cancelled
    assert (await local_stripe.intent(started.id))["status"] == "canceled"


async def test_cancelling_too_late_answers_what_was_paid(
    stripe_provider: Provider, local_stripe: LocalStripe
) -> None:
    started = await stripe_provider.start(replace(ORDER, method="alipay"))
    await local_stripe.pay(started.id)
    assert (await stripe_provider.cancel(started.id)).state is PaymentState.PAID
    assert [call for call in await local_stripe.calls() if call["path"].endswith("/cancel")] == []


async def test_refunding_twice_gives_back_once(stripe_provider: Provider, local_stripe: LocalStripe) -> None:
    started = await stripe_provider.start(replace(ORDER, method="alipay"))
    await local_stripe.pay(started.id)
    first = await stripe_provider.refund(started.id, 3_300)
    # localstripe takes no notice of the key and would refund again: it is the look before that prevents it.
    assert await stripe_provider.refund(started.id, 3_300) == first
    (refund,) = await local_stripe.refunds(started.id)
    assert (refund["id"], refund["amount"]) == (first, 3_300)
    assert refund["metadata"]["flashsale_reservation"] == "giulia.0.abc"
    found = await stripe_provider.find(started.id)
    assert found is not None
    assert (found.state, found.amount, found.refunded) == (PaymentState.PAID, 3_300, 3_300)


async def test_only_what_is_left_is_refunded(stripe_provider: Provider, local_stripe: LocalStripe) -> None:
    started = await stripe_provider.start(replace(ORDER, method="alipay", amount=7, currency="ISK"))
    await local_stripe.pay(started.id)
    # Somebody has given a part back on Stripe's pages.
    await local_stripe.refund(started.id, 300)
    await stripe_provider.refund(started.id, 7)
    assert sorted(refund["amount"] for refund in await local_stripe.refunds(started.id)) == [300, 400]
    found = await stripe_provider.find(started.id)
    assert found is not None
    assert found.refunded == 7


async def test_what_took_no_money_cannot_be_refunded(
    stripe_provider: Provider, local_stripe: LocalStripe
) -> None:
    started = await stripe_provider.start(ORDER)
    await local_stripe.pay(started.id)
    with pytest.raises(ProviderError, match="no money") as caught:
        await stripe_provider.refund(started.id, 3_300)
    assert not caught.value.retry
    assert await local_stripe.refunds(started.id) == []


async def test_every_payment_of_the_account_is_listed_page_by_page(
    stripe_provider: Provider, local_stripe: LocalStripe
) -> None:
    ours = [(await stripe_provider.start(replace(ORDER, attempt=n))).id for n in range(1, 121)]
    await local_stripe.pay(ours[0])
    await stripe_provider.capture(ours[0])
    await stripe_provider.refund(ours[0], 3_300)
    neighbour = from_settings(local_stripe.settings(shop="lancia"))
    assert neighbour is not None
    theirs = await neighbour.start(replace(ORDER, shop="lancia"))
    await neighbour.close()
    found = {payment.id: payment async for payment in stripe_provider.payments()}
    assert sorted(found) == sorted([*ours, theirs.id])
    assert found[theirs.id].shop == "lancia"
    assert (found[ours[0]].state, found[ours[0]].refunded) == (PaymentState.PAID, 3_300)
    assert found[ours[119]].attempt == 120
    # Of the instant from which on to list localstripe knows nothing; it has to be asked for, though.
    with pytest.raises(ProviderError):
        _ = [payment async for payment in stripe_provider.payments(since_ms=1_790_000_000_999)]
    assert (await local_stripe.calls("GET"))[-1]["form"]["created[gte]"] == "1790000000"


async def test_no_secret_is_logged(
    stripe_provider: Provider, caplog: pytest.LogCaptureFixture, local_stripe: LocalStripe
) -> None:
    caplog.set_level("DEBUG")
    started = await stripe_provider.start(ORDER)
    await local_stripe.fail_next("POST", "/v1/payment_intents", 401, message="No such key")
    with pytest.raises(ProviderError):
        await stripe_provider.start(ORDER)
    assert started.action is not None
    # Whoever has the client secret can see the payment and pay it.
    for secret in (started.action["client_secret"], SECRET_KEY, WEBHOOK_SECRET):
        assert secret not in caplog.text


async def test_there_is_no_such_payment(stripe_provider: Provider) -> None:
    assert await stripe_provider.find("pi_nonesuch") is None
    for call in (stripe_provider.cancel("pi_nonesuch"), stripe_provider.capture("pi_nonesuch")):
        with pytest.raises(ProviderError) as caught:
            await call
        assert not caught.value.retry
