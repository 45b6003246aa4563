"""What is paid when: exact in every currency, whatever the amount."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flashsale.model.sale import MAX_AMOUNT
from flashsale.model.schedule import Schedule, deposit, schedule

AMOUNTS = st.integers(1, MAX_AMOUNT) | st.integers(1, 500)
PERCENTS = st.integers(1, 100)
INSTALMENTS = st.integers(0, 120)


@given(AMOUNTS, PERCENTS, INSTALMENTS)
def test_it_adds_up_in_rates_as_equal_as_can_be(amount: int, percent: int, instalments: int) -> None:
    split = schedule(amount, percent, instalments)
    rates = split.instalments
    assert split.deposit + split.balance + sum(rates) == amount
    assert split.deposit == deposit(amount, percent)
    assert split.balance >= 0
    assert not (rates and split.balance)
    assert len(rates) == min(instalments, amount - split.deposit)
    if rates:
        assert min(rates) >= 1
        assert max(rates) - min(rates) <= 1
        assert list(rates) == sorted(rates, reverse=True)


@given(AMOUNTS, PERCENTS)
def test_the_deposit_is_the_nearest_whole_unit_and_the_upper_of_two(amount: int, percent: int) -> None:
    down = deposit(amount, percent)
    assert 1 <= down <= amount
    if down > 1:
        assert -50 <= amount * percent - 100 * down < 50


@given(AMOUNTS)
def test_all_of_it_at_once_leaves_nothing(amount: int) -> None:
    assert schedule(amount, 100, 0) == Schedule(amount, 0, ())


@pytest.mark.parametrize(
    ("amount", "percent", "instalments", "expected"),
    [
        # 330,000.00 CNY: a car with 10 % down and three years of rates
        (33_000_000, 10, 36, Schedule(3_300_000, 0, (825_000,) * 36)),
        # 100.00 EUR, the cents that are left over go to the first rates
        (10_000, 10, 7, Schedule(1_000, 0, (1_286,) * 5 + (1_285,) * 2)),
        # 5,000,000 JPY: no decimals, the yen is the unit
        (5_000_000, 10, 36, Schedule(500_000, 0, (125_000,) * 36)),
        (1_000_001, 33, 3, Schedule(330_000, 0, (223_334, 223_334, 223_333))),
        # 9,999.999 KWD: three decimals
        (9_999_999, 20, 12, Schedule(2_000_000, 0, (666_667,) * 7 + (666_666,) * 5)),
        # the rest on hand-over
        (10_005, 50, 0, Schedule(5_003, 5_002, ())),
        # fewer units than rates
        (3, 10, 36, Schedule(1, 0, (1, 1))),
        (1, 1, 120, Schedule(1, 0, ())),
        # the largest amount: a hundred times it is beyond what a double keeps exact
        (2**53 - 1, 99, 2, Schedule(8_917_127_262_193_581, 0, (45_035_996_273_705,) * 2)),
    ],
)
def test_examples(amount: int, percent: int, instalments: int, expected: Schedule) -> None:
    assert schedule(amount, percent, instalments) == expected
