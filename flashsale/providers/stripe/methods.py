"""What each of our payment methods is at Stripe, and how its money is taken."""

from dataclasses import dataclass
from typing import Final

from flashsale.providers.protocol import Capture


@dataclass(frozen=True, slots=True)
class Method:
    """A payment method at Stripe."""

    type: str
    """Stripe's payment method type."""
    capture: Capture
    """MANUAL where Stripe's API takes `capture_method: manual` for the type."""


METHODS: Final = {
    "card": Method("card", Capture.MANUAL),
    "klarna": Method("klarna", Capture.MANUAL),
    "paypal": Method("paypal", Capture.MANUAL),
    "alipay": Method("alipay", Capture.AUTOMATIC),
    "bank_transfer": Method("customer_balance", Capture.AUTOMATIC),
}
"""An authorisation lapses after about a week (card), ten days (PayPal) or four weeks (Klarna); it is captured within
seconds here. Alipay and bank transfers know no authorisation: what is not wanted is given back."""

BANK_TRANSFERS: Final = {
    "EUR": "eu_bank_transfer",
    "GBP": "gb_bank_transfer",
    "JPY": "jp_bank_transfer",
    "MXN": "mx_bank_transfer",
    "USD": "us_bank_transfer",
}
"""Currency -> kind of bank transfer; Stripe has no others."""
