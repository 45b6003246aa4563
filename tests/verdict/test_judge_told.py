"""One thing wrong with what shoppers were told: the judge sees it, and says of whom."""

import pytest

from flashsale.verdict.evidence import Evidence, Hold, Levels, Oddity, Silence
from flashsale.verdict.judge import judge
from tests.verdict.eventful import LEVELS, red, run
from tests.verdict.honest_sale import T0_MS


@pytest.fixture
def evidence() -> Evidence:
    return run().evidence()


def hold_of(evidence: Evidence, customer: str) -> Hold:
    return next(hold for hold in evidence.told.holds if hold.customer == customer)


def test_all_is_well_as_it_is(evidence: Evidence) -> None:
    assert red(evidence) == {}


def test_one_more_is_told_that_it_is_theirs(evidence: Evidence) -> None:
    """As by a proxy that invents a hold when all is sold out."""
    invented = Hold("sale.0.fake", "c-6", {"giulia": 1}, 99, T0_MS + 60, T0_MS + 66)
    evidence.told.holds.append(invented)
    found = red(evidence)
    assert found.keys() == {"oversold", "answers", "agreement"}
    assert "giulia: shoppers were told that they have 7 units at one time (" in found["oversold"]
    assert "1 more than there were" in found["oversold"]
    assert "sale.0.fake of c-6" in found["answers"]


def test_more_are_told_that_they_have_bought_than_there_were(evidence: Evidence) -> None:
    for number in range(4):
        invented = Hold(
            f"fake-{number}", f"f-{number}", {"giulia": 1}, 100 + number, T0_MS, T0_MS, "confirmed"
        )
        evidence.told.holds.append(invented)
    found = red(evidence)
    assert found.keys() == {"oversold", "answers", "agreement"}
    assert "giulia: shoppers were told that they have bought 9 units, and there were 8." in found["oversold"]
    assert "4 reservations told as confirmed, and are not in the order feed" in found["answers"]


def test_one_reservation_is_told_to_two_customers(evidence: Evidence) -> None:
    theirs = hold_of(evidence, "c-22")
    evidence.told.holds.append(
        Hold(theirs.reservation, "c-24", theirs.units, theirs.place, theirs.sent_ms, theirs.told_ms)
    )
    found = red(evidence)
    assert found.keys() == {"oversold", "answers"}
    assert f"{theirs.reservation} (c-22, c-24)" in found["oversold"]
    assert "c-24" in found["answers"]


def test_one_place_is_told_twice(evidence: Evidence) -> None:
    first, second = evidence.told.holds[:2]
    second.place = first.place
    found = red(evidence)
    assert found.keys() == {"oversold", "answers"}
    assert f"1 ({first.reservation}, {second.reservation})" in found["oversold"]
    assert f"told {second.customer}: 1 giulia at place 1" in found["answers"]


def test_the_same_reservation_is_told_with_two_places(evidence: Evidence) -> None:
    one = evidence.told.holds[0]
    evidence.told.holds.append(
        Hold(one.reservation, one.customer, one.units, 77, one.sent_ms, one.told_ms, one.status)
    )
    found = red(evidence)
    assert found.keys() == {"answers"}
    assert f"changing places or units: {one.reservation}" in found["answers"]


def test_more_units_are_told_than_were_held(evidence: Evidence) -> None:
    one = hold_of(evidence, "c-22")
    one.units = {"giulia": 2}
    found = red(evidence)
    assert found.keys() == {"answers"}
    assert one.reservation in found["answers"]


def test_a_customer_is_told_of_three(evidence: Evidence) -> None:
    """Two of them they had in the journal, too: there the limit was kept."""
    for place in (97, 98):
        evidence.told.holds.append(
            Hold(f"fake-{place}", "c-26", {"keyring": 1}, place, T0_MS + 5_780, T0_MS + 5_790)
        )
    found = red(evidence)
    assert "limit" in found
    assert (
        "c-26 (3 units instead of 2)" in found["limit"]
        or "c-26 (3 of keyring instead of 2)" in found["limit"]
    )


@pytest.mark.parametrize(
    ("customer", "told"),
    [
        ("c-22", "confirmed"),
        ("c-22", "cancelled"),
        ("c-22", "refunded"),
        ("c-0", "expired"),
        ("c-0", "cancelled"),
        ("c-2", "confirmed"),
        ("c-14", "cancelled"),
        ("c-2", "expired"),
    ],
)
def test_a_shopper_is_told_what_has_not_happened(evidence: Evidence, customer: str, told: str) -> None:
    one = hold_of(evidence, customer)
    one.status = told
    found = red(evidence)
    assert found.keys() == ({"answers", "agreement"} if told == "confirmed" else {"answers"})
    assert f"{told}, and by the journal were not: {one.reservation} of {customer}" in found["answers"]


@pytest.mark.parametrize(("customer", "told"), [("c-0", "held"), ("c-1", "refunded"), ("c-14", "expired")])
def test_a_shopper_may_have_left_before_it_ended_or_have_seen_it_end(
    evidence: Evidence, customer: str, told: str
) -> None:
    hold_of(evidence, customer).status = told
    assert red(evidence) == {}


def test_a_hold_is_over_for_its_shopper_before_the_journal_has_noticed() -> None:
    sale = run()
    sale.wait(sale.hold_ms + 10)
    evidence = sale.evidence()
    hold_of(evidence, "c-22").status = "expired"
    assert red(evidence) == {}


def test_an_answer_is_lost(evidence: Evidence) -> None:
    """Somebody was granted a unit and heard that it is sold out."""
    lost = hold_of(evidence, "c-22")
    evidence.told.holds.remove(lost)
    found = red(evidence)
    assert found.keys() == {"answers", "agreement"}
    assert f"that nobody was told of: {lost.reservation} of c-22" in found["answers"]


def test_an_answer_is_lost_before_all_others_were_told_that_it_is_sold_out(evidence: Evidence) -> None:
    """Whoever heard that it is sold out heard it while there was a unit that nobody had been told of."""
    lost = hold_of(evidence, "c-1")
    evidence.told.holds.remove(lost)
    found = red(evidence)
    assert found.keys() == {"undersold", "answers", "agreement", "money"}
    assert "5 of 6 of giulia had been promised" in found["undersold"]


def test_an_answer_is_lost_of_a_known_customer_among_others() -> None:
    """When others buy too, a reservation of somebody whom the run knows is still theirs to know."""
    sale = run(alone=False)
    sale.press("c-26", {"keyring": 1})
    evidence = sale.evidence()
    lost = evidence.told.holds.pop()
    found = red(evidence)
    assert found.keys() == {"answers"}
    assert f"{lost.reservation} of c-26" in found["answers"]


def test_a_hold_whose_answer_went_silent_may_stay_unknown(evidence: Evidence) -> None:
    """The silence is counted by itself; it is not said a second time."""
    lost = hold_of(evidence, "c-22")
    evidence.told.holds.remove(lost)
    evidence.told.silences.append(Silence("reserve", "c-22", lost.sent_ms, lost.told_ms, "closed"))
    assert red(evidence, Levels(silences=2)) == {}
    found = red(evidence, LEVELS)
    assert found.keys() == {"answers"}
    assert "2 requests got no answer, and 1 may: 2 x reserve (closed); of c-22, c-5." in found["answers"]


def test_what_a_bot_has_that_did_not_wait_for_the_answer_is_nobodys_fault(evidence: Evidence) -> None:
    evidence.told.bot_holds.clear()
    assert red(evidence).keys() == {"undersold", "answers", "agreement"}
    evidence.told.bot_silent.append("bot-1")
    assert red(evidence) == {}


def test_somebody_never_gets_a_final_answer(evidence: Evidence) -> None:
    evidence.told.decided -= 2
    evidence.told.undecided = ["c-10", "c-12"]
    found = red(evidence)
    assert found.keys() == {"answers"}
    assert "2 shoppers of 26 never got a final answer: c-10, c-12." in found["answers"]


def test_a_run_that_was_ended_owes_no_answer_to_who_was_about_to_press_again(evidence: Evidence) -> None:
    evidence.told.decided -= 2
    evidence.told.interrupted = 2
    assert red(evidence) == {}
    evidence.told.interrupted = 1
    assert red(evidence) == {"answers": "1 shopper of 26 never got a final answer."}


def test_more_are_decided_than_have_pressed(evidence: Evidence) -> None:
    evidence.told.decided += 1
    assert red(evidence).keys() == {"answers"}


def test_there_is_an_answer_that_nobody_should_get(evidence: Evidence) -> None:
    evidence.told.oddities += [Oddity("pay", f"c-{number}", T0_MS, "422 invalid") for number in range(7)]
    found = red(evidence)
    assert found.keys() == {"answers"}
    assert (
        "7 answers that nobody should get: 7 x pay: 422 invalid; of c-0, c-1, c-2, c-3, c-4 and 2 more."
        in found["answers"]
    )


def test_a_payment_was_agreed_to_and_forgotten(evidence: Evidence) -> None:
    one = hold_of(evidence, "c-22")
    one.payment, one.charged = "pay_99", True
    found = red(evidence)
    assert found.keys() == {"money"}
    assert f"pay_99 of c-22 for {one.reservation}" in found["money"]


def test_money_was_taken_for_a_hold_that_had_ended_and_never_seen_again(evidence: Evidence) -> None:
    one = hold_of(evidence, "c-14")
    one.payment = "pay_99"
    assert red(evidence) == {}, "it was only authorised, and released"
    assert "c-14" in "".join(judge(evidence, LEVELS).warnings)
    one.charged = True
    assert "pay_99 of c-14" in red(evidence)["money"]


def test_a_charge_that_nobody_has_agreed_to(evidence: Evidence) -> None:
    one = hold_of(evidence, "c-0")
    payment, one.payment = one.payment, ""
    found = red(evidence)
    assert found.keys() == {"money"}
    assert f"{payment} ({one.reservation})" in found["money"]


def test_somebody_elses_payment_was_used(evidence: Evidence) -> None:
    ours, theirs = hold_of(evidence, "c-0"), hold_of(evidence, "c-17")
    ours.payment, theirs.payment = theirs.payment, ours.payment
    found = red(evidence)
    assert found.keys() == {"money"}
    assert "2 payments used for somebody else's reservation" in found["money"]


def test_answers_of_sold_out_were_not_kept_to_be_judged(evidence: Evidence) -> None:
    evidence.told.sold_out.pop()
    found = red(evidence)
    assert found.keys() == {"engine"}
    assert "9 answers of sold out, and 8 of them" in found["engine"]


def test_a_reservation_is_told_with_another_customer_than_in_the_journal(evidence: Evidence) -> None:
    one = hold_of(evidence, "c-22")
    one.customer = "c-24"
    found = red(evidence)
    assert found.keys() == {"answers"}
    assert "told c-24: 1 giulia at place 17, kept c-22: 1 giulia at place 17" in found["answers"]
