from math import inf

import pytest

from flashsale.demo.tenancy import Fullness, Tenancy, most_at_once


def hold(begin: float, until: float) -> Tenancy:
    return Tenancy("r", "car", begin, until, order=False)


def order(begin: float, until: float, since: float = inf) -> Tenancy:
    return Tenancy("r", "car", begin, until, order=True, order_from_ms=since)


@pytest.mark.parametrize(
    ("tenancies", "most"),
    [
        ([], 0),
        ([hold(0, 10), hold(5, 15), hold(10, 20)], 2),
        ([order(0, 10, since=3), hold(10, 20)], 2),
        ([order(0, 10, since=25), hold(10, 20)], 1),
        ([order(0, 10, since=15), hold(10, 20)], 2),
        ([order(0, 10), hold(10, 20)], 1),
    ],
)
def test_only_what_is_certain_counts_against_the_shop(tenancies: list[Tenancy], most: int) -> None:
    assert most_at_once(tenancies) == most


def test_sold_out_may_be_said_while_all_may_be_taken() -> None:
    full = Fullness([hold(0, 10), hold(4, 12), order(30, 40)], 2, slack_ms=1)
    assert full.within(0, 3)
    assert not full.within(0, 2)
    assert full.within(11, 20)
    assert not full.within(11.5, 28)
    assert not full.within(-5, -4)
    assert full.within(2, 90)


def test_an_order_is_for_ever() -> None:
    assert Fullness([order(0, 10)], 1, slack_ms=0).within(1e9, 1e9)


def test_an_item_without_units_is_always_sold_out() -> None:
    assert Fullness([], 0, slack_ms=0).within(5, 6)
    assert not Fullness([], 1, slack_ms=0).within(5, 6)
