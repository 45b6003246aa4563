"""Stripe, through its own library: PaymentIntents, which the shopper's page confirms with Stripe's own elements.

`methods.py` says what each of our methods is over there, `amounts.py` how Stripe counts money, `reading.py` turns its
objects into ours, and `adapter.py` calls it.
"""

from flashsale.providers.protocol import Provider
from flashsale.settings import Settings


def from_settings(settings: Settings) -> Provider | None:
    """Stripe as the settings describe it; None without a secret key and a webhook secret.

    Raises:
        ImportError: Stripe's library is not installed; `load_settings` names that as a fault before it comes to this.
    """
    if settings.stripe_secret_key is None or settings.stripe_webhook_secret is None:
        return None
    # Imported only where Stripe is used: its library takes half a second, and is an extra.
    from flashsale.providers.stripe.adapter import Stripe  # noqa: PLC0415 - slow

    return Stripe(
        secret_key=settings.stripe_secret_key.get_secret_value(),
        webhook_secret=settings.stripe_webhook_secret.get_secret_value(),
        publishable_key=settings.stripe_publishable_key,
        shop=settings.shop,
        rate=settings.stripe_rate,
        tolerance_seconds=settings.stripe_tolerance_seconds,
        bank_country=settings.stripe_bank_country,
        api_base=settings.stripe_api_base,
    )
