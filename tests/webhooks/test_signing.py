"""Secrets and signatures, held against the official library of Standard Webhooks and the example of its specification."""

import base64
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook as OfficialWebhook
from standardwebhooks import WebhookVerificationError

from flashsale.model.webhooks import ROTATION_MS, Webhook
from flashsale.webhooks.signing import PREFIX, SECRET_BYTES, new_secret, signature

AN_OLD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_example_of_the_specification() -> None:
    body = b'{"test": 2432232314}'
    assert (
        signature([AN_OLD_SECRET], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
        == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_a_secret_is_32_bytes_that_are_never_the_same() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    for secret in made:
        assert secret.startswith(PREFIX)
        assert len(base64.b64decode(secret.removeprefix(PREFIX), validate=True)) == SECRET_BYTES


def test_each_secret_signs_and_the_official_library_accepts_either() -> None:
    first, second, other = new_secret(), new_secret(), new_secret()
    now = datetime.now(UTC)
    body = '{"customer":"Zoë","note":"汽车"}'.encode()
    headers = {
        "webhook-id": "giulia.0.17",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature([second, first], "giulia.0.17", int(now.timestamp()), body),
    }
    for secret in (first, second):
        assert OfficialWebhook(secret).verify(body, headers) == {"customer": "Zoë", "note": "汽车"}
    for wrong in ({"webhook-id": "giulia.0.18"}, {"webhook-timestamp": str(int(now.timestamp()) + 1)}):
        with pytest.raises(WebhookVerificationError):
            OfficialWebhook(first).verify(body, headers | wrong)
    with pytest.raises(WebhookVerificationError):
        OfficialWebhook(other).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        OfficialWebhook(first).verify(body + b" ", headers)


@pytest.mark.parametrize("secret", ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_not base64"])
def test_what_is_no_secret_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(ValueError, match="secret") as error:
        signature([secret], "id", 1, b"")
    assert not secret or secret not in str(error.value)


def test_the_old_secret_signs_for_a_day_and_a_second_rotation_ends_it() -> None:
    webhook = Webhook(url="https://example.com", types=(), sale=None, created_at_ms=0, secret="first")
    second = webhook.rotated("second", 1000)
    assert second.secrets_at(1000 + ROTATION_MS - 1) == ("second", "first")
    assert second.secrets_at(1000 + ROTATION_MS) == ("second",)
    assert second.rotated("third", 2000).secrets_at(2000) == ("third", "second")


def test_a_webhook_shows_neither_secret_nor_address() -> None:
    webhook = Webhook(
        url="https://example.com/hidden", types=("t",), sale=None, created_at_ms=0, secret="whsec_one"
    )
    shown = repr(webhook.rotated("whsec_two", 1)) + str(webhook)
    assert not [word for word in ("whsec", "hidden", "example") if word in shown]
