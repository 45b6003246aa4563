"""The verdict can turn red: every way in which a sale can go wrong is found, and named."""

import pytest

from flashsale.demo.messages import Shopper
from flashsale.demo.verdict import Counters, Kept
from tests.demo.stories import Story, answer


def test_a_sale_as_it_should_be_has_no_findings() -> None:
    assert Story().findings() == []


def test_a_shopper_who_learned_of_the_sale_only_by_the_retry_is_fine() -> None:
    story = Story()
    story.answers[:2] = [answer(0, "cut"), answer(0, "replay", 1, attempt=2)]
    assert story.findings() == []


def test_fewer_shoppers_than_units_are_no_fault() -> None:
    story = Story(stock={"car": 5}, items={"car": Counters(5, 3, 2, 0)})
    story.crowd, story.answers = story.crowd[:2], story.answers[:4]
    assert story.findings() == []


def test_a_reservation_lost_by_the_server() -> None:
    story = Story()
    story.kept["r-2"] = None
    assert story.faults() == {"lost"}
    assert "r-2" in story.findings()[0].detail


@pytest.mark.parametrize(
    "kept",
    [
        Kept("c-9", "held", 2, {"car": 1}),
        Kept("c-1", "expired", 2, {"car": 1}),
        Kept("c-1", "held", 3, {"car": 1}),
        Kept("c-1", "held", 2, {"car": 2}),
        Kept("c-1", "held", 2, {"bus": 1}),
    ],
)
def test_a_reservation_that_is_not_what_the_client_was_told(kept: Kept) -> None:
    story = Story(limit=None)
    story.kept["r-2"] = kept
    assert story.faults() == {"lost"}


def test_a_place_given_twice() -> None:
    story = Story()
    story.change(3, place=1)
    story.kept["r-2"] = Kept("c-1", "held", 1, {"car": 1})
    details = [finding.detail for finding in story.findings()]
    assert story.faults() == {"place"}
    assert "place 1 was given to 2 reservations" in details
    assert any("missing: 2" in detail for detail in details)


def test_a_gap_in_the_places() -> None:
    story = Story(place=3)
    story.change(3, place=3)
    story.kept["r-2"] = Kept("c-1", "held", 3, {"car": 1})
    details = [finding.detail for finding in story.findings()]
    assert story.faults() == {"place"}
    assert any("missing: 2" in detail and "outside: 3" in detail for detail in details)


def test_more_told_than_there_are() -> None:
    story = Story(place=3)
    story.answers[5] = answer(2, "sale", 3)
    story.kept["r-3"] = Kept("c-2", "held", 3, {"car": 1})
    story.items["car"] = Counters(2, 0, 2, 0)
    assert "oversold" in story.faults()
    assert "clients were told of 3 units, and there were 2" in " ".join(
        one.detail for one in story.findings()
    )


def test_more_held_than_there_are_although_nobody_was_told() -> None:
    story = Story(items={"car": Counters(2, -1, 3, 0)})
    assert story.faults() >= {"oversold", "lost", "counters"}


def test_one_unit_given_to_two_customers() -> None:
    story = Story()
    story.answers[5] = answer(2, "sale", 2)
    assert "oversold" in story.faults()
    assert "r-2 was given to 2 customers: c-1, c-2" in [finding.detail for finding in story.findings()]


def test_sold_out_although_a_unit_is_left() -> None:
    story = Story(items={"car": Counters(2, 1, 1, 0)}, place=1)
    story.answers[3] = answer(1, "sold_out")
    del story.kept["r-2"]
    assert story.faults() == {"undersold"}
    assert len(story.findings()) == 3


def test_held_by_somebody_who_was_told_sold_out() -> None:
    story = Story()
    story.answers[3] = answer(1, "sold_out")
    assert {"lost", "undersold", "place"} <= story.faults()


def test_an_unanswered_shopper() -> None:
    story = Story()
    del story.answers[7]
    assert story.faults() == {"unanswered"}
    assert "c-3" in story.findings()[0].detail


def test_many_unanswered_shoppers_are_counted_and_some_named() -> None:
    story = Story()
    story.crowd += [Shopper(f"c-{number}", "car") for number in range(4, 40)]
    assert story.findings()[0].detail == (
        "36 shoppers never got a final answer: c-4, c-5, c-6, c-7, c-8 and 31 more"
    )


def test_a_replay_with_another_reservation() -> None:
    story = Story()
    story.change(1, reservation="r-other")
    assert "contradicted" in story.faults()
    assert (
        story.findings()[0].detail == "c-0 pressed with one Idempotency-Key and was told of 2: r-1, r-other"
    )


def test_a_replay_with_another_place() -> None:
    story = Story()
    story.change(1, place=2)
    assert "contradicted" in story.faults()


def test_created_twice() -> None:
    story = Story()
    story.change(1, kind="sale", status=201)
    assert story.faults() == {"contradicted"}


def test_told_held_and_sold_out() -> None:
    story = Story()
    story.answers[1] = answer(0, "sold_out", double=True)
    assert story.faults() == {"contradicted"}


def test_answered_with_the_reservation_of_another() -> None:
    story = Story()
    story.change(0, told_customer="c-9")
    assert story.faults() == {"contradicted"}


def test_an_answer_that_no_shopper_should_get() -> None:
    story = Story()
    story.answers[7] = answer(3, "error", status=401, code="unauthenticated")
    assert story.faults() == {"refused"}
    assert "1 x 401 unauthenticated" in story.findings()[0].detail


def test_over_the_limit() -> None:
    story = Story()
    story.kept["r-2"] = Kept("c-0", "held", 2, {"car": 1})
    assert "limit" in story.faults()
    assert "c-0" in next(one.detail for one in story.findings() if one.fault == "limit")


@pytest.mark.parametrize(
    "counters", [Counters(2, 1, 2, 0), Counters(2, -1, 2, 1), Counters(3, 1, 2, 0), None]
)
def test_counters_that_do_not_add_up(counters: Counters | None) -> None:
    story = Story(items={"car": counters} if counters else {})
    assert "counters" in story.faults()


def test_the_audit_of_the_server() -> None:
    assert (
        Story(audit_ok=False, audit_findings=["fact 3: too many"]).findings()[0].detail == "fact 3: too many"
    )
    assert Story(audit_ok=False).faults() == {"audit"}
