"""One thing wrong with the order feed, with who follows it, or with the sums that prove it."""

from typing import Any

import pytest
from msgspec.structs import replace

from flashsale.verdict.evidence import Consumer, Evidence, FeedOrder
from tests.verdict.eventful import change, red, run
from tests.verdict.honest_sale import T0_MS


@pytest.fixture
def evidence() -> Evidence:
    return run().evidence()


def renumbered(orders: list[FeedOrder]) -> list[FeedOrder]:
    return [replace(order, sequence=number) for number, order in enumerate(orders, 1)]


def test_an_order_is_never_told(evidence: Evidence) -> None:
    gone = evidence.feed.orders.pop(2)
    found = red(evidence)
    assert found.keys() == {"answers", "feed", "agreement"}
    assert "1 sequence number missing in the order feed, up to 9: 3." in found["feed"]
    assert f"1 order of the journal missing in the order feed: {gone.reservation} confirmed." in found["feed"]
    assert f"{gone.reservation} of c-5" in found["answers"]


def test_an_order_is_never_told_and_the_others_are_numbered_as_if_it_had_not_been(evidence: Evidence) -> None:
    gone = evidence.feed.orders.pop(2)
    evidence.feed.orders[:] = renumbered(evidence.feed.orders)
    found = red(evidence)
    assert found.keys() == {"answers", "feed", "agreement"}
    assert gone.reservation in found["feed"]


def test_an_order_is_told_twice(evidence: Evidence) -> None:
    evidence.feed.orders.insert(3, evidence.feed.orders[2])
    evidence.feed.consumers.clear()
    assert red(evidence) == {"feed": "1 sequence number more than once in the order feed: 3."}


def test_orders_come_in_another_order(evidence: Evidence) -> None:
    orders = evidence.feed.orders
    orders[3], orders[4] = orders[4], orders[3]
    assert red(evidence) == {"feed": "1 order out of order in the order feed: 4."}


def test_two_orders_have_changed_places(evidence: Evidence) -> None:
    orders = evidence.feed.orders
    orders[0], orders[1] = replace(orders[1], sequence=1), replace(orders[0], sequence=2)
    found = red(evidence)
    assert found.keys() == {"feed"}
    assert "(sequence 1 instead of 2)" in found["feed"]


def test_numbers_begin_below_one(evidence: Evidence) -> None:
    change(evidence.feed.orders, 0, sequence=0)
    assert "1 sequence number below 1 in the order feed: 0." in red(evidence)["feed"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"customer": "somebody"}, "(customer somebody instead of c-0)"),
        ({"payment": "pay_9"}, "(payment pay_9 instead of pay_1)"),
        ({"payment": ""}, "(payment  instead of pay_1)"),
    ],
)
def test_an_order_is_told_otherwise(evidence: Evidence, fields: dict[str, Any], said: str) -> None:
    change(evidence.feed.orders, 0, **fields)
    found = red(evidence)
    assert found.keys() == {"feed"}
    assert said in found["feed"]


def test_an_order_is_told_with_more_units(evidence: Evidence) -> None:
    change(evidence.feed.orders, 0, units={"giulia": 2})
    found = red(evidence)
    assert found.keys() == {"feed", "agreement"}
    assert "(units {'giulia': 2} instead of {'giulia': 1})" in found["feed"]
    assert "giulia: the order feed has sold 7 units, and the engine counts 6." in found["agreement"]


def test_an_order_is_told_that_is_none(evidence: Evidence) -> None:
    """The feed sells one more than there was, to somebody who has what they may."""
    for number in range(10, 14):
        evidence.feed.orders.append(
            FeedOrder(number, "confirmed", f"fake-{number}", "c-0", {"giulia": 1}, "pay_0", T0_MS + 9_000)
        )
    found = red(evidence)
    assert found.keys() == {"oversold", "limit", "feed", "agreement"}
    assert (
        "the order feed sells 9 units, 1 more than there were; the last of them to fake-13 of c-0"
        in found["oversold"]
    )
    assert "sold more by the order feed than the limit allows: c-0 (5 units instead of 2)" in found["limit"]
    assert "4 orders in the order feed that the journal does not have" in found["feed"]


def test_an_order_is_sold_before_there_was_a_unit_for_it() -> None:
    """In the end there are enough; at that instant there were not."""
    sale = run()
    early = [replace(order, at_ms=T0_MS + 200) for order in sale.orders]
    evidence = sale.evidence()
    evidence.feed.orders = early
    early += [
        FeedOrder(number, "confirmed", f"fake-{number}", "f", {"giulia": 1}, "p", T0_MS + 200)
        for number in (10, 11)
    ]
    assert "the order feed sells 7 units, 1 more than there were" in red(evidence)["oversold"]


@pytest.mark.parametrize(
    ("consumer", "said"),
    [
        (
            Consumer("books", 9, 9, ["5 after 3", "7 twice"]),
            "Order system books had 2 troubles: 5 after 3, 7 twice.",
        ),
        (Consumer("books", 9, 8), "Order system books got orders up to number 8, and the feed goes up to 9."),
        (
            Consumer("books", 9, 12),
            "Order system books got orders up to number 12, and the feed goes up to 9.",
        ),
        (Consumer("books", 8, 9), "Order system books got 8 orders, and the feed has 9."),
    ],
)
def test_an_order_system_had_trouble_or_stayed_behind(
    evidence: Evidence, consumer: Consumer, said: str
) -> None:
    evidence.feed.consumers[0] = consumer
    assert red(evidence) == {"feed": said}


def test_an_order_system_may_begin_later_when_others_have_bought_before() -> None:
    evidence = run(alone=False).evidence()
    evidence.feed.consumers[0] = Consumer("books", 4, 9)
    assert red(evidence) == {}


@pytest.mark.parametrize(
    ("what", "value", "said"),
    [
        ("sequence", 8, "sequence 8 instead of 9"),
        ("confirmed", {"count": 6, "amount": 600}, "confirmed 6 instead of 7"),
        ("refunded", {"count": 0, "amount": 0}, "refunded 0 instead of 2"),
        ("behind", 1, "behind 1 instead of 0"),
    ],
)
def test_the_shops_own_sums_are_others(evidence: Evidence, what: str, value: Any, said: str) -> None:
    evidence.engine.summary[what] = value
    assert red(evidence) == {"feed": f"The shop's summary of its orders differs from the order feed: {said}."}


def test_the_shop_gives_no_sums(evidence: Evidence) -> None:
    evidence.engine.summary.clear()
    assert red(evidence) == {"feed": "The shop gave no summary of its orders."}


def test_the_journal_skips_a_number_as_the_feed_does(evidence: Evidence) -> None:
    facts = evidence.engine.facts
    for index, fact in enumerate(facts):
        if fact.sequence > 4:
            change(facts, index, sequence=fact.sequence + 1)
    for index, order in enumerate(evidence.feed.orders):
        if order.sequence > 4:
            change(evidence.feed.orders, index, sequence=order.sequence + 1)
    evidence.feed.consumers[0] = Consumer("books", 9, 10)
    evidence.engine.summary["sequence"] = 10
    found = red(evidence)
    assert found == {
        "feed": "1 sequence number missing in the order feed, up to 10: 5.\n"
        "1 sequence number missing in the journal, up to 10: 5."
    }


def test_there_is_no_feed_at_all(evidence: Evidence) -> None:
    evidence.feed.orders.clear()
    evidence.feed.consumers.clear()
    found = red(evidence)
    assert found.keys() == {"answers", "feed", "agreement"}
    assert "9 orders of the journal missing in the order feed" in found["feed"]
