"""One thing wrong with the engine: its counters, its journal, or what it does, with books that agree with each other."""

import pytest
from msgspec.structs import replace

from flashsale.verdict.evidence import Counters, Evidence, Item
from tests.verdict import broken_sale as broken
from tests.verdict.eventful import change, red, run
from tests.verdict.honest_sale import HonestSale


@pytest.fixture
def evidence() -> Evidence:
    return run().evidence()


def fact_of(evidence: Evidence, type_: str, number: int = 0) -> int:
    """Where the journal has this one of the facts of a type."""
    return [index for index, fact in enumerate(evidence.engine.facts) if fact.type == type_][number]


def drop(evidence: Evidence, index: int) -> None:
    """A journal that never had that fact, and is numbered without a gap."""
    facts = evidence.engine.facts
    del facts[index]
    facts[index:] = [replace(fact, seq=fact.seq - 1) for fact in facts[index:]]


# Engines that break one promise and keep consistent books.


@pytest.mark.parametrize(
    ("kind", "expected", "culprit"),
    [
        (broken.Oversells, {"oversold"}, "sale.0.0000000000000007 of c-6"),
        (broken.KeepsTheLast, {"undersold"}, "when by the journal 1 of giulia could be had"),
        (broken.NeverSweeps, {"undersold"}, "when by the journal 4 of giulia could be had"),
        (broken.HoldsForNobody, {"undersold", "answers", "agreement"}, "of ghost"),
        (broken.Remembers, {"undersold"}, "giulia: 17 answers of 19 said sold out while it could be had"),
        (
            broken.LosesReturns,
            {"undersold", "agreement"},
            "giulia: 5 units of 8 neither available (0) nor held",
        ),
        (broken.ShrinksStock, {"undersold", "agreement"}, "giulia: the engine's stock is 3"),
        (broken.SkipsNumbers, {"feed"}, "1 sequence number missing in the order feed, up to 10: 2."),
        (broken.DrawsOut, {"undersold"}, "11 holds longer than the sale allows"),
        (broken.KeepsMoney, {"money"}, "pay_5 (sale.0.0000000000000008)"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_an_engine_breaks_a_promise_and_its_books_agree(
    kind: type[HonestSale], expected: set[str], culprit: str
) -> None:
    found = red(run(kind).evidence())
    assert found.keys() == expected
    assert culprit in "\n".join(found.values())


def test_a_customer_gets_more_than_the_limit() -> None:
    sale = broken.ForgetsLimits([Item("giulia", 9), Item("keyring", 9, limit=2)], 4)
    for _ in range(3):
        sale.press("c-1", {"keyring": 1})
        sale.press("c-2", {"keyring": 1, "giulia": 1})
    for one in list(sale.reservations.values()):
        sale.pay(one)
    found = red(sale.evidence())
    assert found.keys() == {"limit"}
    told, journal, feed = found["limit"].splitlines()
    assert told.startswith("2 customers were told of more at one time than the limit allows: ")
    for said in (told, journal, feed):
        assert "c-1 (3 of keyring instead of 2)" in said
        assert "c-2 (" in said


def test_a_hold_that_never_ends_is_found_when_nobody_asked_again() -> None:
    sale = broken.NeverSweeps([Item("giulia", 2)])
    sale.press("c-1", {"giulia": 1})
    sale.wait(30_000)
    found = red(sale.evidence())
    assert found.keys() == {"undersold"}
    assert (
        "1 hold over, and still kept from everybody else: sale.0.0000000000000001 of c-1 (28 s)."
        in found["undersold"]
    )


# Counters.


@pytest.mark.parametrize(
    ("counters", "expected", "said"),
    [
        (
            Counters(8, 1, 2, 6),
            {"oversold", "agreement"},
            "available 1 + held 2 + sold 6 = 9, and its stock is 8",
        ),
        (Counters(8, 0, 1, 6), {"undersold", "agreement"}, "1 unit of 8 neither available (0) nor held (1)"),
        (Counters(8, -1, 3, 6), {"oversold", "agreement"}, "fewer than no units"),
        (Counters(8, 1, 2, 5), {"agreement"}, "the order feed has sold 6 units, and the engine counts 5"),
        (Counters(9, 1, 2, 6), {"oversold", "agreement"}, "stock is 9, and with all restocks there were 8"),
        (Counters(7, 0, 1, 6), {"undersold", "agreement"}, "stock is 7, and with all restocks there were 8"),
    ],
)
def test_a_counter_is_wrong(evidence: Evidence, counters: Counters, expected: set[str], said: str) -> None:
    assert evidence.engine.items["giulia"] == Counters(8, 0, 2, 6)
    evidence.engine.items["giulia"] = counters
    found = red(evidence)
    assert found.keys() == expected
    assert said in "\n".join(found.values())


def test_an_item_is_not_counted(evidence: Evidence) -> None:
    del evidence.engine.items["keyring"]
    found = red(evidence)
    assert found.keys() == {"undersold", "agreement"}
    assert "keyring" in found["undersold"]


def test_an_item_is_counted_that_nobody_knows(evidence: Evidence) -> None:
    evidence.engine.items["spare"] = Counters(1, 1, 0, 0)
    assert red(evidence).keys() == {"agreement"}


def test_the_sale_began_with_other_units_than_it_was_defined_with(evidence: Evidence) -> None:
    """As when somebody has bought before, and the run is said to have been alone."""
    evidence.terms = replace(evidence.terms, items=[Item("giulia", 7), Item("keyring", 3, limit=2)])
    found = red(evidence)
    assert {"agreement", "undersold"} <= found.keys()
    assert "the journal opens with 6 units, and the sale was defined with 7" in found["agreement"]


# The journal.


@pytest.mark.parametrize(
    ("type_", "number", "expected"),
    [
        ("reservation.held", 3, {"undersold", "answers", "agreement", "engine"}),
        ("reservation.held", -1, {"answers", "agreement"}),
        ("reservation.expired", -1, {"oversold", "agreement"}),
        ("reservation.cancelled", -1, {"oversold", "answers", "agreement"}),
        ("reservation.confirmed", -1, {"answers", "money", "feed", "agreement"}),
        ("reservation.refunded", -1, {"money", "feed", "agreement"}),
        ("charge.refused", -1, {"money"}),
        ("charge.refunded", -1, {"money"}),
        ("item.restocked", -1, {"oversold", "agreement"}),
        ("sale.opened", -1, {"oversold", "agreement", "engine"}),
    ],
)
def test_a_fact_was_never_written(evidence: Evidence, type_: str, number: int, expected: set[str]) -> None:
    drop(evidence, fact_of(evidence, type_, number))
    assert red(evidence).keys() == expected


def test_a_fact_is_missing(evidence: Evidence) -> None:
    del evidence.engine.facts[fact_of(evidence, "reservation.extended")]
    found = red(evidence)
    assert found.keys() == {"engine"}
    assert "The journal has 54 facts up to number 55; missing: 11." in found["engine"]


def test_a_fact_comes_twice(evidence: Evidence) -> None:
    index = fact_of(evidence, "reservation.extended")
    evidence.engine.facts.insert(index, evidence.engine.facts[index])
    assert "some come twice or out of order" in red(evidence)["engine"]


def test_a_fact_is_of_a_type_that_nobody_knows(evidence: Evidence) -> None:
    change(evidence.engine.facts, fact_of(evidence, "reservation.extended"), type="reservation.stolen")
    found = red(evidence)
    assert found.keys() == {"engine"}
    assert "reservation.stolen" in found["engine"]


def test_a_reservation_ends_that_never_was(evidence: Evidence) -> None:
    index = fact_of(evidence, "reservation.cancelled")
    change(evidence.engine.facts, index, reservation="sale.0.nobodys")
    found = red(evidence)
    assert {"answers", "agreement", "engine"} <= found.keys()
    assert "reservation.cancelled of sale.0.nobodys, which was never held" in found["engine"]


def test_a_hold_belongs_to_somebody_else(evidence: Evidence) -> None:
    index = fact_of(evidence, "reservation.held", -1)
    one = change(evidence.engine.facts, index, customer="somebody")
    found = red(evidence)
    assert found.keys() == {"answers"}
    assert (
        f"{one.reservation} (told c-26: 1 keyring at place 19, kept somebody: 1 keyring at place 19)"
        in found["answers"]
    )


def test_an_order_is_made_for_somebody_else_than_its_hold(evidence: Evidence) -> None:
    index = fact_of(evidence, "reservation.confirmed")
    one = change(evidence.engine.facts, index, customer="somebody")
    change(evidence.feed.orders, 0, customer="somebody")
    found = red(evidence)
    assert found.keys() == {"engine"}
    assert (
        f"{one.reservation}, held as {{'giulia': 1}} of c-0, and now {{'giulia': 1}} of somebody"
        in found["engine"]
    )


def test_a_reservation_is_held_twice(evidence: Evidence) -> None:
    facts = evidence.engine.facts
    change(
        facts,
        fact_of(evidence, "reservation.held", 1),
        reservation=facts[fact_of(evidence, "reservation.held")].reservation,
    )
    assert "reservation.held of sale.0.0000000000000001, which was held before" in red(evidence)["engine"]


def test_what_has_ended_ends_once_more(evidence: Evidence) -> None:
    index = fact_of(evidence, "reservation.expired", -1)
    one = change(evidence.engine.facts, index, reservation="sale.0.0000000000000001", customer="c-0")
    assert (
        f"fact {one.seq} (reservation.expired of {one.reservation}, which was confirmed before)"
        in red(evidence)["engine"]
    )


def test_the_sale_opens_twice(evidence: Evidence) -> None:
    change(evidence.engine.facts, fact_of(evidence, "reservation.extended"), type="sale.opened")
    found = red(evidence)
    assert found.keys() == {"engine"}
    assert "fact 11 (the sale opened twice)" in found["engine"]


def test_places_are_out_of_order(evidence: Evidence) -> None:
    change(evidence.engine.facts, fact_of(evidence, "reservation.held", 3), place=40)
    found = red(evidence)
    assert found.keys() == {"answers", "engine"}
    assert "40 instead of 4" in found["engine"]


def test_a_hold_was_ended_before_its_time(evidence: Evidence) -> None:
    index = fact_of(evidence, "reservation.expired")
    fact = evidence.engine.facts[index]
    held = fact_of(evidence, "reservation.held", 3)
    change(evidence.engine.facts, held, until_ms=fact.at_ms + 1)
    found = red(evidence)
    assert fact.reservation == evidence.engine.facts[held].reservation
    assert "1 hold ended before its time" in found["answers"]


def test_an_order_is_made_of_a_hold_that_is_over_as_if_in_time(evidence: Evidence) -> None:
    """The fact that it has expired is missing, and with it that its unit was free."""
    theirs = [
        (index, fact.type) for index, fact in enumerate(evidence.engine.facts) if fact.customer == "c-3"
    ]
    (expired, _), (_, last) = theirs[-2:]
    assert last == "reservation.confirmed"
    drop(evidence, expired)
    found = red(evidence)
    assert "whose hold was over 492 ms before" in found["engine"]


def test_an_order_without_a_charge(evidence: Evidence) -> None:
    index = fact_of(evidence, "reservation.confirmed", -1)
    change(evidence.engine.facts, index, payment="")
    change(evidence.feed.orders, -1, payment="")
    found = red(evidence)
    assert found.keys() == {"money"}
    assert evidence.engine.facts[index].reservation in found["money"]


def test_an_order_is_undone_without_a_charge(evidence: Evidence) -> None:
    index = fact_of(evidence, "reservation.refunded")
    change(evidence.engine.facts, index, payment="")
    change(evidence.feed.orders, 3, payment="")
    found = red(evidence)
    assert found.keys() == {"money"}
    assert "1 order made or undone without any charge: sale.0.0000000000000002." in found["money"]


def test_an_order_is_undone_that_another_charge_had_paid_for(evidence: Evidence) -> None:
    index = fact_of(evidence, "reservation.refunded")
    change(evidence.engine.facts, index, payment="pay_5")
    change(evidence.feed.orders, 3, payment="pay_5")
    assert "given as that of an undone order, which it had not paid for: pay_5" in red(evidence)["money"]


def test_an_order_that_never_was_is_undone(evidence: Evidence) -> None:
    index = fact_of(evidence, "reservation.refunded")
    change(evidence.engine.facts, index, reservation="sale.0.nobodys")
    assert "reservation.refunded of sale.0.nobodys, which was never held" in red(evidence)["engine"]


def test_two_charges_pay_for_one_order(evidence: Evidence) -> None:
    index = fact_of(evidence, "reservation.confirmed", -1)
    change(evidence.engine.facts, index, reservation="sale.0.0000000000000001", customer="c-0")
    found = red(evidence)
    assert "1 order paid more than once: sale.0.0000000000000001 (2 charges)." in found["money"]


def test_one_charge_pays_for_two(evidence: Evidence) -> None:
    index = fact_of(evidence, "reservation.confirmed", -1)
    change(evidence.engine.facts, index, payment="pay_1")
    change(evidence.feed.orders, -1, payment="pay_1")
    found = red(evidence)
    assert found.keys() == {"money"}
    assert "1 charge decided more than once: pay_1 (" in found["money"]


def test_a_charge_is_given_back_and_its_order_stands(evidence: Evidence) -> None:
    change(evidence.engine.facts, fact_of(evidence, "charge.refunded"), payment="pay_1")
    found = red(evidence)
    assert found.keys() == {"money"}
    assert "given back although the order stands: pay_1" in found["money"]
    assert "neither paying for an order nor given back: pay_2" in found["money"]


def test_a_charge_is_given_back_twice(evidence: Evidence) -> None:
    index = fact_of(evidence, "charge.refunded", -1)
    fact = evidence.engine.facts[index]
    later = [replace(each, seq=each.seq + 1) for each in evidence.engine.facts[index:]]
    evidence.engine.facts[index:] = [fact, *later]
    found = red(evidence)
    assert found.keys() == {"money"}
    assert f"given back more than once: {fact.payment}" in found["money"]


def test_a_charge_is_given_back_that_never_was(evidence: Evidence) -> None:
    change(evidence.engine.facts, fact_of(evidence, "charge.refunded"), payment="pay_77")
    assert "given back that nobody had decided on: pay_77" in red(evidence)["money"]
