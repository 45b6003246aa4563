"""What facts about money say."""

from dataclasses import replace

import pytest

from flashsale.model.facts import Confirmed, Fact, FactType, Refunded, Refused
from flashsale.model.outcomes import Confirm
from flashsale.model.payment import Money
from tests.model.journals import ANN, confirmed, given_back, refunded, refused

CNY_100 = Money(100, "CNY")


@pytest.mark.parametrize("late", [False, True])
def test_a_confirmation_tells_the_charge(late: bool) -> None:
    fact = confirmed(ANN, "sim:1", 1, late=late, sequence=7)
    assert (fact.type, fact.token) == (FactType.CONFIRMED, ANN)
    assert fact.confirmed() == Confirmed(7, late, "card", CNY_100, "sim:1")


@pytest.mark.parametrize("reason", Confirm)
def test_a_refusal_tells_why(reason: Confirm) -> None:
    assert refused(ANN, "sim:1", reason, 1).charge_refused() == Refused(reason, "card", CNY_100, "sim:1")


@pytest.mark.parametrize("restock", [False, True])
def test_a_refund_tells_where_the_units_went(restock: bool) -> None:
    fact = refunded(ANN, "sim:1", 1, restock=restock, sequence=8)
    assert fact.refunded() == Refunded(8, restock, "card", CNY_100, "sim:1", "why")


def test_money_back_tells_the_charge_and_the_refund() -> None:
    assert given_back(ANN, "sim:1", 1).charge_refunded() == ("sim:1", "re_1")


def test_the_longest_reference_fits() -> None:
    assert confirmed(ANN, "r" * 255, 1).confirmed().reference == "r" * 255
    assert given_back(ANN, "r" * 255, 1).charge_refunded() == ("r" * 255, "re_1")


def damaged(fact: Fact) -> list[Fact]:
    """The fact cut off anywhere behind its token, and with something behind it."""
    shorter = [replace(fact, data=fact.data[:length]) for length in range(16, len(fact.data))]
    return [*shorter, replace(fact, data=fact.data + b"?")]


@pytest.mark.parametrize("fact", damaged(confirmed(ANN, "sim:1", 1)))
def test_a_damaged_confirmation_is_refused(fact: Fact) -> None:
    with pytest.raises((ValueError, IndexError)):
        fact.confirmed()


@pytest.mark.parametrize("fact", damaged(refused(ANN, "sim:1", Confirm.SOLD_OUT, 1)))
def test_a_damaged_refusal_is_refused(fact: Fact) -> None:
    with pytest.raises((ValueError, IndexError)):
        fact.charge_refused()


@pytest.mark.parametrize("data", [b"", b"2why", b"\x01why"])
def test_a_refund_that_does_not_say_where_the_units_went_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="neither back on sale nor gone"):
        Fact(1, 1, FactType.REFUNDED, ANN.encode() + bytes(6) + data).refunded()
