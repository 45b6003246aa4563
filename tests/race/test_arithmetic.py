"""The arithmetic of the race: a wrong figure in a table is worse than none."""

import math

import pytest

from bench.race.arithmetic import Count, middle, percentile, ratio


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(each) for each in range(1, 101)]
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.99) == 99
    assert percentile(values, 1.0) == 100
    assert percentile(values[::-1], 0.01) == 1
    assert percentile([7.0], 0.99) == 7
    assert math.isnan(percentile([], 0.5))


def test_the_middle_of_rounds() -> None:
    found = middle([3.0, 1.0, 2.0])
    assert (found.median, found.least, found.most) == (2.0, 1.0, 3.0)
    assert found.spread == 1.0
    assert math.isnan(middle([]).median)


def test_a_ratio_is_taken_round_by_round() -> None:
    # The machine was three times as fast in the second round, for both.
    assert ratio([20.0, 60.0, 22.0], [10.0, 30.0, 11.0]) == 2.0
    assert ratio([20.0, 60.0], [10.0]) == 4.0  # no pairs: the medians
    assert math.isnan(ratio([], [1.0]))
    assert math.isnan(ratio([1.0], [0.0]))


@pytest.mark.parametrize(
    ("count", "oversold", "adrift"),
    [
        (Count(stock=100, left=0, recorded=100), 0, 0),
        (Count(stock=100, left=60, recorded=40), 0, 0),
        (Count(stock=100, left=-7, recorded=107), 7, 0),  # the counter went below nothing
        (Count(stock=100, left=0, recorded=103), 3, 3),  # the counter noticed nothing
        (Count(stock=100, left=90, recorded=5), 0, 5),  # units that went nowhere
    ],
)
def test_an_oversell_is_seen(count: Count, oversold: int, adrift: int) -> None:
    assert (count.oversold, count.adrift) == (oversold, adrift)
