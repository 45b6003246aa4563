"""The verdict on the order system: what its books lack, have twice, or have otherwise than the shop is found, and named."""

from dataclasses import replace
from typing import Any

import pytest

from flashsale.demo.case import Counters
from flashsale.demo.order_books import Delivered, OrderLedger, Posting, Standing
from flashsale.demo.orders import tally_of
from flashsale.demo.received import received_of
from flashsale.model.events import Tally, next_digest
from tests.demo.stories import OPENS_AT_MS, PRICE, Story, kept, ledger_of, posting, unpaid


def told(story: Story, *postings: Posting, **other: Any) -> None:
    """The order system was told this, and the shop's sums for it are of its real orders."""
    story.orders = tally_of(ledger_of(story.kept).postings)
    standing = {one.reservation: Standing(one.status, one.amount, one.currency) for one in postings}
    story.delivered = Delivered(OrderLedger(list(postings), standing, **other))


def refunded(story: Story) -> None:
    """The first order was undone."""
    story.kept["r-1"] = kept(1, "c-0", "refunded")


def order_faults(story: Story) -> set[str]:
    return {fault for fault in story.faults() if fault.startswith("feed_")}


def test_the_same_books_are_fine() -> None:
    story = Story()
    told(story, posting(1, 1), posting(2, 3))
    assert story.findings() == []


def test_no_orders_are_fine() -> None:
    story = unpaid()
    story.delivered, story.orders = Delivered(), Tally(currency="EUR")
    assert story.findings() == []


def test_the_refund_of_an_order_is_fine() -> None:
    story = Story()
    refunded(story)
    told(story, posting(1, 1), posting(2, 1, "refunded"), posting(3, 3))
    assert order_faults(story) == set()


def test_an_order_is_missing() -> None:
    story = Story()
    told(story, posting(1, 1))
    assert story.faults() == {"feed_lost", "feed_summary"}
    assert "1 order of which the order system was never told: r-3" in story.details()
    assert (
        "sequence 1 instead of 2, confirmed 1 instead of 2, confirmed amount 100 instead of 200"
        in story.details()
    )


def test_an_order_is_missing_and_the_shop_sums_up_as_if_there_were_none() -> None:
    story = Story()
    told(story, posting(1, 1))
    story.orders = None
    assert story.faults() == {"feed_lost"}


def test_all_are_missing() -> None:
    story = Story()
    told(story)
    assert story.faults() == {"feed_lost", "feed_summary"}
    assert "digest none instead of" in story.details()


def test_a_refund_is_missing() -> None:
    story = Story()
    refunded(story)
    told(story, posting(1, 1), posting(2, 3))
    story.orders = None
    assert order_faults(story) == {"feed_lost"}
    assert "1 refund of which the order system was never told: r-1" in story.details()


def test_a_refund_of_an_order_that_stands() -> None:
    story = Story()
    told(story, posting(1, 1), posting(2, 3), posting(3, 3, "refunded"))
    assert story.faults() == {"feed_untrue", "feed_summary"}
    assert "1 refund told of orders that stand: r-3" in story.details()


@pytest.mark.parametrize("place", [2, 9])
def test_an_order_that_is_none(place: int) -> None:
    story = Story()
    told(story, posting(1, 1), posting(2, 3), posting(3, place))
    story.orders = None
    assert story.faults() == {"feed_untrue"}
    assert f"1 order told that the shop does not have: r-{place}" in story.details()


def test_an_order_told_twice() -> None:
    story = Story()
    told(story, posting(1, 1), posting(2, 1), posting(3, 3), dropped=["r-1"])
    assert story.faults() == {"feed_twice", "feed_summary"}
    story.orders = None
    assert story.faults() == {"feed_twice"}
    assert "1 order told once more, which the order system has dropped: r-1" in story.details()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"amount": PRICE + 1}, "101 EUR instead of 100 EUR"),
        ({"currency": "USD"}, "100 USD instead of 100 EUR"),
    ],
)
def test_another_amount(changes: dict[str, Any], said: str) -> None:
    story = Story()
    told(story, posting(1, 1), posting(2, 3, **changes))
    assert story.faults() == {"feed_untrue", "feed_summary"}
    assert f"1 order told with a wrong amount: r-3 ({said})" in story.details()


def test_a_gap_in_the_numbers() -> None:
    story = Story()
    told(story, posting(1, 1), posting(4, 3))
    assert story.faults() == {"feed_gap", "feed_summary"}
    assert "2 numbers missing among the orders told, up to 4: 2, 3" in story.details()


@pytest.mark.parametrize(
    "changes",
    [
        {"sequence": 3},
        {"confirmed": 3},
        {"confirmed_amount": 2 * PRICE + 1},
        {"refunded": 1},
        {"refunded_amount": 1},
        {"currency": "USD"},
        {"digest": "0" * 64},
    ],
)
def test_a_summary_that_says_something_else(changes: dict[str, Any]) -> None:
    story = Story()
    honest = tally_of(ledger_of(story.kept).postings)
    story.orders = Tally(**({name: getattr(honest, name) for name in honest.__struct_fields__} | changes))
    assert story.faults() == {"feed_summary"}
    (name,) = changes
    assert f"differ from the shop's summary: {name.replace('_', ' ')} " in story.details()


def test_two_orders_told_in_the_wrong_order() -> None:
    story = Story()
    told(story, posting(1, 3), posting(2, 1))
    assert story.faults() == {"feed_summary"}, "the digest is of the order in which they came"


def test_an_order_system_that_could_not_go_on() -> None:
    story = Story()
    story.delivered = Delivered(ledger_of(story.kept), None, "GapError: orders are missing")
    assert story.faults() == {"feed_ended"}
    assert "the order system could not go on: GapError: orders are missing" in story.details()


def test_sums_are_those_of_the_shop() -> None:
    postings = [posting(1, 1), posting(2, 3), posting(3, 1, "refunded")]
    lines = [("confirmed", "r-1"), ("confirmed", "r-3"), ("refunded", "r-1")]
    digest = ""
    for sequence, (status, reservation) in enumerate(lines, start=1):
        order = {"sequence": sequence, "status": status, "reservation": reservation, "amount_due": PRICE}
        digest = next_digest(digest, order)
    assert tally_of(postings) == Tally(3, 2, 2 * PRICE, 1, PRICE, "EUR", digest)
    assert tally_of([]) == Tally()


def test_delays_are_apart_from_the_time_when_it_was_down() -> None:
    at = OPENS_AT_MS + 3000.0
    postings = [
        posting(1, 1, told_ms=at, received_ms=at + 7.5),
        posting(2, 2, told_ms=at + 10, received_ms=at + 9.8),
        posting(3, 3, told_ms=at + 50, received_ms=at + 800.0, run=2),
        posting(4, 1, "refunded", told_ms=at + 900, received_ms=at + 920.25, run=2),
    ]
    standing = ledger_of({"r-1": kept(1, "c", "refunded"), "r-2": kept(2, "c", "confirmed")}).orders
    ledger = OrderLedger(postings, standing, ["r-9"], [at - 2000, at + 790])
    found = received_of(Delivered(ledger, killed_after=2), OPENS_AT_MS)
    assert (found.orders, found.refunds, found.last_sequence, found.dropped) == (2, 1, 4, 1)
    assert (found.killed_after, found.processes) == (2, 2)
    assert (found.delay_p50_ms, found.delay_p99_ms, found.delay_max_ms) == (7.5, 20.2, 20.2)
    assert (found.waited, found.waited_max_ms) == (1, 750.0)
    assert found.curve == [(3007.5, 1), (3009.8, 2), (3800.0, 3), (3920.2, 2)]
    nothing = received_of(Delivered(), OPENS_AT_MS)
    assert (nothing.orders, nothing.delay_p50_ms, nothing.waited_max_ms, nothing.curve) == (0, None, None, [])


def test_what_nobody_was_told_to_have_been_sold_is_found_from_both_sides() -> None:
    story = Story(items={"car": Counters(2, 0, 0, 2)})
    story.kept["r-3"] = replace(kept(3, "c-2", "expired", held_ms=5002.0))
    told(story, posting(1, 1), posting(2, 3))
    assert {"lost", "feed_untrue"} <= story.faults()
