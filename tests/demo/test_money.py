"""The verdict on money: the provider's books, the shop's, and what shoppers were told of their payments."""

from typing import Any

import pytest

from flashsale.demo.case import Kept, Reconciled, Sum, Sums
from flashsale.demo.money import sums_of
from flashsale.demo.provider import Entry
from tests.demo.stories import PRICE, Story, checkout, entry, kept


def test_the_sums_of_a_sale_as_it_should_be() -> None:
    story = Story()
    assert sums_of(story.entries, story.case().books) == story.money


def book(story: Story, *entries: Entry) -> None:
    """Put other entries into the provider's books, and let the shop's agree with them."""
    story.entries = list(entries)
    story.money = sums_of(story.entries, story.case().books)
    story.reconciled = Reconciled(ok=True, charges=sum(one.charged for one in entries))


@pytest.mark.parametrize(
    ("second", "faults", "said"),
    [
        (entry(2, 2), {"charged_for_nothing", "sums"}, "pays for no order and was not given back: pay-2"),
        (entry(2, 2, refunded=PRICE - 1), {"refunds", "sums"}, "had only a part given back: pay-2"),
        (entry(2, 2, refunded=2 * PRICE), {"refunds", "sums"}, "had more given back than was taken: pay-2"),
    ],
)
def test_a_charge_without_an_order(second: Entry, faults: set[str], said: str) -> None:
    story = Story()
    book(story, entry(1, 1), second, entry(3, 3))
    assert story.faults() == faults
    assert said in story.details()


def test_a_charge_for_a_reservation_that_nobody_was_told_of() -> None:
    story = Story()
    book(story, entry(1, 1), entry(2, 2, refunded=PRICE), entry(3, 3), entry(9, 9))
    assert "charged_for_nothing" in story.faults()
    assert "pay-9" in story.details()


def test_a_charge_to_which_nobody_has_agreed() -> None:
    story = Story()
    story.checkouts[1] = checkout(1, 2, "walked_away", attempts=0)
    assert story.faults() == {"charged_for_nothing"}
    assert "1 charge to which no shopper has agreed: pay-2" in story.details()
    story.checkouts[1] = checkout(1, 2, "interrupted")
    assert story.findings() == [], "whoever was interrupted may have agreed without hearing the answer"


def test_an_order_that_nobody_has_paid() -> None:
    story = Story()
    book(story, entry(1, 1), entry(2, 2, refunded=PRICE))
    story.checkouts[2] = checkout(2, 3, "paid", ended_ms=8000.0, taken=[])
    assert story.faults() == {"unpaid_order"}
    assert "1 order that nobody has paid: r-3" in story.details()


def test_an_order_that_names_the_payment_of_another() -> None:
    story = Story()
    story.kept["r-3"] = kept(3, "c-2", "confirmed", held_ms=5002.0, reference="pay-1")
    assert {"unpaid_order", "charged_for_nothing"} <= story.faults()


def test_an_order_whose_money_was_given_back() -> None:
    story = Story()
    book(story, entry(1, 1, refunded=PRICE), entry(2, 2, refunded=PRICE), entry(3, 3))
    assert story.faults() == {"refunds", "sums"}
    assert "had money given back, and the order stands: pay-1" in story.details()


def test_an_order_paid_twice() -> None:
    story = Story()
    book(story, entry(1, 1), entry(5, 1), entry(2, 2, refunded=PRICE), entry(3, 3))
    story.checkouts[0] = checkout(0, 1, "paid", taken=["pay-1", "pay-5"])
    assert story.faults() == {"charged_twice", "charged_for_nothing", "sums"}
    assert "1 reservation paid more than once: r-1" in story.details()


def test_an_order_paid_twice_and_given_back_once_is_fine() -> None:
    story = Story()
    book(story, entry(1, 1), entry(5, 1, refunded=PRICE), entry(2, 2, refunded=PRICE), entry(3, 3))
    story.checkouts[0] = checkout(0, 1, "paid", taken=["pay-1", "pay-5"])
    assert story.findings() == []


@pytest.mark.parametrize("changes", [{"amount": PRICE + 1}, {"currency": "USD"}])
def test_another_amount_than_was_due(changes: dict[str, Any]) -> None:
    story = Story()
    book(story, entry(1, 1, **changes), entry(2, 2, refunded=PRICE), entry(3, 3))
    assert story.faults() == {"amount"}


def test_a_payment_of_which_the_provider_knows_nothing() -> None:
    story = Story()
    story.checkouts[1] = checkout(1, 2, "refunded", taken=["pay-2", "pay-9"])
    assert story.faults() == {"sums"}
    assert "pay-9" in story.details()


@pytest.mark.parametrize(
    "ours",
    [
        Sums(Sum(2, 2 * PRICE), Sum(2, 2 * PRICE), Sum(), Sum()),
        Sums(Sum(3, 3 * PRICE), Sum(3, 3 * PRICE), Sum(), Sum()),
        Sums(Sum(3, 3 * PRICE + 1), Sum(2, 2 * PRICE), Sum(), Sum(1, PRICE)),
    ],
)
def test_a_journal_that_tells_of_other_money(ours: Sums) -> None:
    story = Story(money={"EUR": ours})
    assert story.faults() == {"sums"}


def test_money_that_the_shop_is_still_giving_back() -> None:
    story = Story(
        money={"EUR": Sums(Sum(3, 3 * PRICE), Sum(2, 2 * PRICE), Sum(1, PRICE), Sum())},
    )
    assert story.faults() == {"sums", "refunds"}


def test_money_of_a_currency_that_the_shop_does_not_know() -> None:
    story = Story(money={})
    assert story.faults() == {"sums"}


@pytest.mark.parametrize(
    ("reconciled", "said"),
    [
        (Reconciled(ok=False, charges=3, open=["simulator:pay-2: it has no fate"]), "pay-2: it has no fate"),
        (Reconciled(ok=True, charges=2), "of 2 charges, and the provider has 3"),
    ],
)
def test_a_comparison_that_finds_something_else(reconciled: Reconciled, said: str) -> None:
    story = Story(reconciled=reconciled)
    assert story.faults() == {"sums"}
    assert said in story.details()


def test_a_payment_that_was_never_taken_is_no_charge() -> None:
    story = Story()
    found: Kept | None = story.kept["r-2"]
    assert found is not None
    book(story, entry(1, 1), entry(2, 2, charged=False), entry(3, 3))
    story.checkouts[1] = checkout(1, 2, "released", taken=["pay-2"])
    assert story.findings() == []
