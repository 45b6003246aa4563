"""Settings of Stripe: the keys of the account, and how its calls and webhooks are treated."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, SecretStr

from flashsale.settings.checks import check_http_url, check_root_key, is_true


def check_secret_key(key: SecretStr) -> SecretStr:
    """Accept a secret or a restricted key; the keys lie side by side on Stripe's page and are easily mixed up."""
    if not key.get_secret_value().startswith(("sk_", "rk_")):
        raise ValueError("must be a secret key (sk_...) or a restricted one (rk_...)")
    return check_root_key(key)


def check_webhook_secret(secret: SecretStr) -> SecretStr:
    """Accept the signing secret of a webhook endpoint."""
    if not secret.get_secret_value().startswith("whsec_"):
        raise ValueError("must be the signing secret of the webhook endpoint (whsec_...)")
    return check_root_key(secret)


def check_publishable_key(key: str) -> str:
    """Accept a publishable key, and no other: the shopper's page is told it."""
    if not key.startswith("pk_"):
        raise ValueError("must be a publishable key (pk_...)")
    return check_root_key(SecretStr(key)).get_secret_value()


class StripeSettings(BaseModel):
    """The part of `flashsale.settings.Settings` that is about Stripe."""

    stripe_secret_key: Annotated[SecretStr, AfterValidator(check_secret_key)] | None = Field(
        default=None, description="Secret key of the Stripe account; without it Stripe is not used."
    )
    stripe_webhook_secret: Annotated[SecretStr, AfterValidator(check_webhook_secret)] | None = Field(
        default=None, description="Signing secret of the webhook endpoint at .../v1/payments/stripe/events."
    )
    stripe_publishable_key: Annotated[str, AfterValidator(check_publishable_key)] | None = Field(
        default=None,
        description="Publishable key (pk_...), given to the shopper's page; left out, the page has its own.",
    )
    stripe_elements: bool = Field(
        default=False,
        description="Have the shop page take payments with Stripe's Payment Element, which it loads from Stripe.",
    )
    stripe_api_base: Annotated[str, AfterValidator(check_http_url)] = Field(
        default="https://api.stripe.com", description="Where Stripe's API is; another one for tests."
    )
    stripe_rate: int = Field(
        default=100,
        ge=0,
        le=1_000_000,
        description="Calls a second that Stripe is sent: 100 suit a live account, 25 a sandbox; 0 for any number.",
    )
    stripe_tolerance_seconds: int = Field(
        default=300, ge=1, le=86_400, description="Seconds after which the signature of a webhook is too old."
    )
    stripe_bank_country: Literal["DE", "FR", "IE", "NL"] = Field(
        default="DE",
        description="Country of the bank account that transfers in euro go to: DE, FR, IE or NL.",
    )


def missing_of_stripe(values: Mapping[str, object]) -> list[tuple[str, str]]:
    """What Stripe cannot be used without, each as a field and the rest of the sentence."""
    key, secret = "stripe_secret_key" in values, "stripe_webhook_secret" in values
    wanted = values.get("payment_provider") == "stripe"
    found = []
    if is_true(values.get("stripe_elements")) and "stripe_publishable_key" not in values:
        found.append(
            ("stripe_elements", "needs FLASHSALE_STRIPE_PUBLISHABLE_KEY, which the page begins with")
        )
    if not key and (wanted or secret):
        found.append(("stripe_secret_key", "is not set: Stripe is called with it"))
    if not secret and (wanted or key):
        found.append(("stripe_webhook_secret", "is not set: Stripe's webhooks are verified with it"))
    if key and "payment_provider" not in values:
        # Beside an embedded store the simulator would be taken, and orders be confirmed that nobody has paid for.
        found.append(
            ("payment_provider", "is not set, though Stripe's key is: say whether stripe takes new payments")
        )
    if key and find_spec("stripe") is None:
        remedy = "pip install 'flashsale[stripe]'"
        found.append(("stripe_secret_key", f"is set, but Stripe's library is not installed: {remedy}"))
    return found
