"""How Stripe counts money: in minor units too, but not everywhere in those of ISO 4217.

The rules are those of Stripe's page on currencies, "zero-decimal currencies", "three-decimal currencies" and
"special cases" (docs.stripe.com/currencies).
"""

from typing import Final

from flashsale.model.currency import DECIMALS

_DECIMALS: Final = {"ISK": 2, "UGX": 2, "MGA": 0}
"""Where Stripe's decimals differ: krona and Ugandan shilling keep two for old programs' sake, always 00; the ariary,
of which ISO knows hundredths that no coin has, is whole."""
_SCALES: Final = (1, 10, 100, 1000)
_LAST_DIGIT_ZERO: Final = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
"""Three decimals, of which the networks behind Stripe take two: the last digit has to be 0."""


def to_stripe(amount: int, currency: str) -> int:
    """Minor units of ISO 4217 in Stripe's.

    Raises:
        ValueError: Stripe cannot collect just this amount; the text is fit to show to the customer.
    """
    theirs, ours = _scales(currency)
    step = 10 if currency in _LAST_DIGIT_ZERO else max(ours // theirs, 1)
    if amount % step:
        raise ValueError(f"An amount in {currency} has to be a multiple of {step} of its smallest unit.")
    return amount * theirs // ours


def from_stripe(amount: int, currency: str) -> int:
    """Stripe's minor units in those of ISO 4217: the exact reverse of `to_stripe`.

    Stripe takes no fractions of a krona or a shilling, so nothing is lost where ISO has fewer decimals.
    """
    theirs, ours = _scales(currency)
    return amount * ours // theirs


def _scales(currency: str) -> tuple[int, int]:
    """Minor units of one major unit, at Stripe and of ISO 4217; a currency that we do not know is left as it is."""
    ours = DECIMALS.get(currency, 2)
    return _SCALES[_DECIMALS.get(currency, ours)], _SCALES[ours]
