"""Runs in which others buy too, before, during and after: what may differ then, and what may not."""

import pytest
from msgspec.structs import replace

from flashsale.verdict.evidence import Consumer, Counters, Evidence, Hold, Item
from flashsale.verdict.judge import judge
from flashsale.verdict.money import on_their_way
from tests.verdict.eventful import LEVELS, red, run
from tests.verdict.honest_sale import T0_MS, HonestSale


@pytest.fixture
def evidence() -> Evidence:
    """As `run`, and somebody else buys a keyring, of which no shopper of the run hears."""
    sale = run(alone=False)
    sale.press("other", {"keyring": 1})
    sale.pay(next(one for one in sale.reservations.values() if one.customer == "other"))
    sale.told.holds.pop()
    sale.told.pressed -= 1
    sale.told.decided -= 1
    return sale.evidence()


def test_all_is_well_as_it_is(evidence: Evidence) -> None:
    assert red(evidence) == {}


def test_it_is_not_when_the_run_is_said_to_have_been_alone() -> None:
    sale = run()
    sale.press("other", {"keyring": 1})
    sale.pay(next(one for one in sale.reservations.values() if one.customer == "other"))
    sale.told.holds.pop()
    found = red(sale.evidence())
    assert found.keys() == {"answers", "money", "agreement"}
    assert "of other" in found["answers"]


def test_an_order_may_be_made_between_one_reading_and_the_next(evidence: Evidence) -> None:
    """The feed was read first: it does not have the last order yet, and the order system neither."""
    last = evidence.feed.orders.pop()
    assert last.customer == "other"
    evidence.feed.consumers[0] = Consumer("books", 9, 9)
    assert red(evidence) == {}


def test_an_order_may_be_newer_than_the_journal(evidence: Evidence) -> None:
    facts = evidence.engine.facts
    assert facts.pop().customer == "other"
    evidence.engine.items["keyring"] = Counters(3, 0, 2, 1)
    assert red(evidence) == {}


def test_an_order_of_ours_may_not_be_missing(evidence: Evidence) -> None:
    gone = evidence.feed.orders.pop(2)
    found = red(evidence)
    assert found.keys() == {"answers", "feed", "agreement"}
    assert gone.reservation in found["feed"]


def test_our_last_order_may_not_be_missing_either(evidence: Evidence) -> None:
    """A feed that ends too early looks as if it had been read too early; but its shopper was told."""
    del evidence.feed.orders[-2:]
    found = red(evidence)
    assert found.keys() == {"answers", "feed"}
    assert "of c-21" in found["answers"]
    assert "Order system books got orders up to number 10, and the feed goes up to 8." in found["feed"]


def test_an_order_system_may_not_stay_behind_our_own_orders(evidence: Evidence) -> None:
    evidence.feed.consumers[0] = Consumer("books", 8, 8)
    assert red(evidence) == {
        "feed": "Order system books got orders up to number 8, and the feed goes up to 10."
    }


def test_the_sums_may_be_of_another_moment(evidence: Evidence) -> None:
    evidence.engine.summary |= {"sequence": 11, "confirmed": {"count": 9, "amount": 900}, "behind": 1}
    assert red(evidence) == {}
    evidence.engine.summary |= {"sequence": 10, "confirmed": {"count": 9, "amount": 900}}
    assert red(evidence).keys() == {"feed"}


def test_counters_may_differ_only_when_they_are_of_another_moment(evidence: Evidence) -> None:
    evidence.engine.items["keyring"] = Counters(3, 0, 2, 1)
    assert red(evidence).keys() == {"agreement"}
    evidence.engine.at_one_moment = False
    assert red(evidence) == {}
    assert any("Others kept buying" in warning for warning in judge(evidence, LEVELS).warnings)
    evidence.engine.items["keyring"] = Counters(3, 0, 1, 1)
    assert red(evidence).keys() == {"undersold"}


def test_what_a_customer_of_ours_got_before_the_run_nobody_was_told_of() -> None:
    """The same names come again in the next run."""
    sale = HonestSale([Item("giulia", 3)], alone=False)
    sale.press("c-1", {"giulia": 1})
    sale.told.holds.clear()
    sale.wait(1_000)
    began = sale.now
    sale.press("c-1", {"giulia": 1})
    evidence = sale.evidence()
    assert "that nobody was told of: sale.0.0000000000000001 of c-1" in red(evidence)["answers"]
    evidence.run = replace(evidence.run, started_ms=began)
    assert red(evidence) == {}


def test_what_was_added_before_the_run_is_not_counted_twice() -> None:
    """The sale says that it has three units, and one of them was added after it had opened."""
    sale = HonestSale([Item("giulia", 2)], alone=False)
    sale.restock("giulia", 1)
    sale.items = [Item("giulia", 3)]
    for number in range(3):
        sale.press(f"c-{number}", {"giulia": 1})
    evidence = sale.evidence()
    assert red(evidence) == {}
    evidence.told.holds.append(Hold("fake", "f", {"giulia": 1}, 9, T0_MS + 20, T0_MS + 26))
    assert "4 units at one time" in red(evidence)["oversold"]


def test_whoever_reads_a_journal_can_see_what_is_on_its_way_back(evidence: Evidence) -> None:
    facts = evidence.engine.facts
    assert on_their_way(facts) == []
    last = max(index for index, fact in enumerate(facts) if fact.type == "charge.refunded")
    assert on_their_way(facts[:last]) == [facts[last].payment]
    assert on_their_way([]) == []
