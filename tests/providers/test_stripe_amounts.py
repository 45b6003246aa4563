"""How Stripe counts money, by its page on currencies; what goes out comes back as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flashsale.model.currency import DECIMALS
from flashsale.providers.stripe.amounts import from_stripe, to_stripe


@pytest.mark.parametrize(
    ("amount", "currency", "at_stripe"),
    [
        (33_000_000, "CNY", 33_000_000),
        (1_050, "EUR", 1_050),
        (500, "JPY", 500),
        (5, "ISK", 500),  # "to charge 5 ISK, provide an amount value of 500"
        (5, "UGX", 500),
        (500, "MGA", 5),  # ISO counts hundredths of an ariary, Stripe whole ones
        (1_045, "HUF", 1_045),  # whole only in payouts
        (80_045, "TWD", 80_045),
        (5_120, "KWD", 5_120),
    ],
)
def test_amounts_in_the_units_of_each(amount: int, currency: str, at_stripe: int) -> None:
    assert to_stripe(amount, currency) == at_stripe
    assert from_stripe(at_stripe, currency) == amount


@pytest.mark.parametrize(("amount", "currency", "step"), [(5_124, "KWD", 10), (150, "MGA", 100)])
def test_what_stripe_cannot_collect_is_refused(amount: int, currency: str, step: int) -> None:
    with pytest.raises(ValueError, match=rf"An amount in {currency} has to be a multiple of {step} "):
        to_stripe(amount, currency)


def test_an_unknown_currency_is_left_as_it_is() -> None:
    assert from_stripe(123, "XYZ") == 123


@given(st.integers(0, 1 << 48), st.sampled_from(sorted(DECIMALS)))
def test_what_goes_out_comes_back(amount: int, currency: str) -> None:
    try:
        at_stripe = to_stripe(amount, currency)
    except ValueError:
        assert currency in {"BHD", "JOD", "KWD", "MGA", "OMR", "TND"}
        return
    assert from_stripe(at_stripe, currency) == amount
