"""Settings of Stripe: keys that lie side by side are not mixed up, and nothing that is needed is forgotten."""

import sys
from importlib.machinery import PathFinder

import pytest

from flashsale.settings import SettingsError, load_settings

KEY, SECRET = "FLASHSALE_STRIPE_SECRET_KEY", "FLASHSALE_STRIPE_WEBHOOK_SECRET"
PUBLISHABLE = "FLASHSALE_STRIPE_PUBLISHABLE_KEY"
WORK = {"FLASHSALE_REDIS_URL": "redis://127.0.0.1:6379/0"}
STRIPE = {**WORK, "FLASHSALE_PAYMENT_PROVIDER": "stripe", KEY: "sk_test_51abc", SECRET: "whsec_abc"}


def faults_of(env: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(env, purpose="work")
    return [str(fault) for fault in caught.value.faults]


def test_defaults_are_the_documented_ones() -> None:
    settings = load_settings(STRIPE, purpose="work")
    assert settings.provider == "stripe"
    assert settings.stripe_api_base == "https://api.stripe.com"
    assert (settings.stripe_rate, settings.stripe_tolerance_seconds) == (100, 300)
    assert (settings.stripe_publishable_key, settings.stripe_bank_country) == (None, "DE")


def test_stripe_needs_its_key_and_its_webhook_secret() -> None:
    assert faults_of({**WORK, "FLASHSALE_PAYMENT_PROVIDER": "stripe"}) == [
        f"{KEY} is not set: Stripe is called with it",
        f"{SECRET} is not set: Stripe's webhooks are verified with it",
    ]
    # Also when new payments go elsewhere: those begun with Stripe have to end.
    elsewhere = {**WORK, "FLASHSALE_PAYMENT_PROVIDER": "none"}
    assert faults_of({**elsewhere, KEY: "sk_test_51abc"}) == [
        f"{SECRET} is not set: Stripe's webhooks are verified with it"
    ]
    assert faults_of({**WORK, SECRET: "whsec_abc"}) == [f"{KEY} is not set: Stripe is called with it"]
    # A command that only talks to a server needs neither.
    assert load_settings({"FLASHSALE_PAYMENT_PROVIDER": "stripe"}, purpose="client").provider == "stripe"


@pytest.mark.parametrize("store", [WORK, {"FLASHSALE_EMBEDDED": "1"}])
def test_a_key_alone_does_not_leave_the_payments_to_the_simulator(store: dict[str, str]) -> None:
    keys = {KEY: "sk_test_51abc", SECRET: "whsec_abc"}
    (fault,) = faults_of({**store, **keys})
    assert fault.startswith("FLASHSALE_PAYMENT_PROVIDER")
    for provider in ("none", "stripe"):
        settings = load_settings({**store, **keys, "FLASHSALE_PAYMENT_PROVIDER": provider}, purpose="work")
        assert settings.provider == provider


@pytest.mark.parametrize(
    ("name", "value", "detail"),
    [
        (KEY, "pk_test_51abc", "must be a secret key (sk_...) or a restricted one (rk_...)"),
        (KEY, "sk_test_51abc\n", "must be printable ASCII without spaces, as it travels in an HTTP header"),
        (SECRET, "sk_test_51abc", "must be the signing secret of the webhook endpoint (whsec_...)"),
        (PUBLISHABLE, "sk_test_51abc", "must be a publishable key (pk_...)"),
    ],
)
def test_a_key_of_another_kind_is_refused_and_not_shown(name: str, value: str, detail: str) -> None:
    (fault,) = faults_of({**STRIPE, name: value})
    assert fault.split(" ", 1)[0] == name
    assert fault.endswith(detail)
    assert "51abc" not in fault


def test_a_restricted_key_will_do() -> None:
    assert load_settings({**STRIPE, KEY: "rk_live_51abc"}, purpose="work").stripe_secret_key is not None


def test_a_missing_library_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = [place for place in sys.path if PathFinder.find_spec("stripe", [place]) is None]
    monkeypatch.setattr(sys, "path", elsewhere)
    monkeypatch.delitem(sys.modules, "stripe", raising=False)
    assert faults_of(STRIPE) == [
        f"{KEY} is set, but Stripe's library is not installed: pip install 'flashsale[stripe]'"
    ]


def test_the_secrets_are_known_as_such_and_survive_the_environment() -> None:
    settings = load_settings(STRIPE, purpose="work")
    assert settings.secret_values() == {"sk_test_51abc", "whsec_abc"}
    assert "51abc" not in f"{settings!r}{settings}"
    assert load_settings(settings.to_env()) == settings
