"""The verdict can turn red: every way in which a sale can go wrong is found, and named. Money has `test_money`."""

from dataclasses import replace

import pytest

from flashsale.demo.case import Counters, Kept
from flashsale.demo.messages import Shopper
from flashsale.demo.verdict import judge
from tests.demo.stories import Story, answer, checkout, instant, kept, unpaid


@pytest.mark.parametrize("story", [Story(), unpaid()])
def test_a_sale_as_it_should_be_has_no_findings(story: Story) -> None:
    assert story.findings() == []


def test_a_shopper_who_learned_of_the_sale_only_by_the_retry_is_fine() -> None:
    story = Story()
    story.answers[:2] = [
        answer(0, "cut"),
        answer(0, "replay", 1, attempt=2, at_ms=9.0, held_until=instant(5001)),
    ]
    assert story.findings() == []


def test_fewer_shoppers_than_units_are_no_fault() -> None:
    story = unpaid()
    story.stock, story.items = {"car": 5}, {"car": Counters(5, 5, 0, 0)}
    story.crowd, story.answers = story.crowd[:2], story.answers[:4]
    assert story.findings() == []


def test_a_reservation_lost_by_the_server() -> None:
    story = Story()
    story.kept["r-2"] = None
    assert story.faults() == {"lost"}
    assert "r-2" in story.details()


@pytest.mark.parametrize(
    "found",
    [
        kept(2, "c-9", "expired"),
        kept(3, "c-1", "expired"),
        kept(2, "c-1", "expired", units={"car": 2}),
        kept(2, "c-1", "expired", units={"bus": 1}),
        kept(2, "c-1", "cancelled"),
        kept(2, "c-1", "refunded"),
    ],
)
def test_a_reservation_that_is_not_what_the_client_was_told(found: Kept) -> None:
    story = Story(limit=None)
    story.kept["r-2"] = found
    assert story.faults() == {"lost"}


def test_told_paid_and_no_order() -> None:
    story = Story()
    story.checkouts[1] = checkout(1, 2, "paid", ended_ms=3000.0)
    assert story.faults() == {"lost"}
    assert "r-2: c-1 was told that it is paid, and it is expired" in story.details()


def test_a_place_given_twice() -> None:
    story = Story()
    story.change(3, place=1)
    story.kept["r-2"] = kept(1, "c-1", "expired")
    assert story.faults() == {"place"}
    assert "place 1 was given to 2 reservations" in story.details()
    assert "missing: 2" in story.details()


def test_a_gap_in_the_places() -> None:
    story = Story(place=4)
    story.change(3, place=4)
    story.kept["r-2"] = kept(4, "c-1", "expired")
    assert story.faults() == {"place"}
    assert "missing: 2; outside: 4" in story.details()


def test_a_unit_held_by_two_at_one_time() -> None:
    story = Story()
    story.change(9, held_until=instant(9_999))
    assert story.faults() == {"oversold"}
    assert "clients had 3 units at one time, and there were 2" in story.details()


def test_a_unit_sold_again_the_moment_its_hold_has_ended_is_fine() -> None:
    story = Story()
    story.change(9, held_until=instant(10_001))
    assert story.findings() == []


def test_a_paid_unit_sold_again() -> None:
    story = Story(items={"car": Counters(2, 0, 0, 3)})
    story.kept["r-2"] = kept(2, "c-1", "confirmed")
    story.checkouts[1] = checkout(1, 2, "paid")
    assert "oversold" in story.faults()
    assert "clients had 3 units at one time" in story.details()
    assert "3 orders, and there were 2 units" in story.details()


def test_more_sold_than_there_are_although_nobody_was_told() -> None:
    story = Story(items={"car": Counters(2, -1, 0, 3)})
    assert story.faults() == {"oversold", "lost", "counters"}


def test_a_hold_that_never_ends() -> None:
    story = unpaid()
    story.items = {"car": Counters(2, 1, 1, 0)}
    story.kept["r-2"] = kept(2, "c-1", "held")
    assert story.faults() == {"undersold", "lost"}
    assert "1 units are held still" in story.details()
    assert "r-2 is held" in story.details()


def test_one_unit_given_to_two_customers() -> None:
    story = Story()
    story.answers[5] = answer(2, "sale", 2)
    assert "oversold" in story.faults()
    assert "r-2 was given to 2 customers: c-1, c-2" in story.details()


def test_sold_out_although_a_unit_was_never_held() -> None:
    story = unpaid()
    story.place = 1
    story.answers[3] = answer(1, "sold_out")
    del story.kept["r-2"]
    assert story.faults() == {"undersold"}
    assert "clients were told of 1 units" in story.details()
    assert "3 answers said sold out while a unit was free" in story.details()


def test_sold_out_although_the_holds_have_ended() -> None:
    story = unpaid()
    story.answers.append(answer(3, "sold_out", at_ms=6000.0, visit=1))
    assert story.faults() == {"undersold"}
    assert "1 answer said sold out while a unit was free, the first 6,004 ms after T0" in story.details()


def test_sold_out_while_all_is_paid_for_is_fine() -> None:
    story = Story()
    story.answers.append(answer(3, "sold_out", at_ms=60_000.0, visit=1))
    assert story.findings() == []


def test_held_by_somebody_who_was_told_sold_out() -> None:
    story = Story()
    story.answers[9] = answer(2, "sold_out", at_ms=5002.0, visit=1)
    assert {"lost", "place"} <= story.faults()


def test_an_unanswered_shopper() -> None:
    story = Story()
    del story.answers[8]
    assert story.faults() == {"unanswered"}
    assert "c-4" in story.details()


def test_many_unanswered_shoppers_are_counted_and_some_named() -> None:
    story = Story()
    story.crowd += [Shopper(f"c-{number}", "car") for number in range(5, 40)]
    assert story.findings()[0].detail == (
        "35 shoppers never got a final answer: c-5, c-6, c-7, c-8, c-9 and 30 more"
    )


def test_a_replay_with_another_reservation() -> None:
    story = Story()
    story.change(1, reservation="r-other")
    assert "contradicted" in story.faults()
    assert story.findings()[0].detail == (
        "c-0 pressed with one Idempotency-Key and was told of 2: r-1, r-other"
    )


def test_a_replay_with_another_place() -> None:
    story = Story()
    story.change(1, place=2)
    assert "contradicted" in story.faults()


def test_created_twice() -> None:
    story = Story()
    story.change(1, kind="sale", status=201)
    assert story.faults() == {"contradicted"}


@pytest.mark.parametrize("at_ms", [1.0, 40.0])
def test_told_held_and_sold_out(at_ms: float) -> None:
    story = Story()
    story.answers[1] = answer(0, "sold_out", double=True, at_ms=at_ms)
    assert story.faults() == {"contradicted"}


def test_answered_with_the_reservation_of_another() -> None:
    story = Story()
    story.change(0, told_customer="c-9")
    assert story.faults() == {"contradicted"}


def test_an_answer_that_no_shopper_should_get() -> None:
    story = Story()
    story.answers[8] = answer(4, "error", status=401, code="unauthenticated")
    assert story.faults() == {"refused"}
    assert "1 x 401 unauthenticated" in story.details()


def test_a_checkout_that_met_an_answer_no_shopper_should_get() -> None:
    story = unpaid()
    story.checkouts[1] = checkout(1, 2, "error", detail="paying r-2: 500 b'oh'")
    assert story.faults() == {"refused"}
    assert "paying r-2: 500" in story.details()


def test_over_the_limit() -> None:
    story = Story()
    story.kept["r-2"] = kept(2, "c-0", "expired")
    assert "limit" not in story.faults(), "a hold that has ended does not count"
    story.kept["r-3"] = kept(3, "c-0", "confirmed", held_ms=5002.0)
    assert "limit" in story.faults()
    assert "c-0" in next(one.detail for one in story.findings() if one.fault == "limit")


@pytest.mark.parametrize(
    "counters", [Counters(2, 1, 0, 2), Counters(2, -1, 1, 2), Counters(3, 1, 0, 2), None]
)
def test_counters_that_do_not_add_up(counters: Counters | None) -> None:
    story = Story(items={"car": counters} if counters else {})
    assert "counters" in story.faults()


def test_the_audit_of_the_server() -> None:
    assert Story(audit_ok=False, audit_findings=["fact 3: too many"]).details() == "fact 3: too many"
    assert Story(audit_ok=False).faults() == {"audit"}


def test_the_clocks_may_differ_by_what_the_crowd_knows() -> None:
    story = unpaid()
    late = answer(3, "sold_out", at_ms=5100.0, visit=1)
    story.answers.append(late)
    assert story.faults() == {"undersold"}
    case = replace(story.case(), late_ms=60.0)
    assert judge(case) == []
