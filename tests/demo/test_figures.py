from dataclasses import replace
from pathlib import Path

import pytest

from flashsale.demo.curve import draw_curve
from flashsale.demo.definitions import load_sale
from flashsale.demo.figures import Moment, Result, Setting, latencies, result_of, staircase
from flashsale.demo.messages import Answer, Clock, Done
from flashsale.demo.ranks import percentile
from flashsale.demo.server import Trouble
from flashsale.verdict.report import MissingExtraError
from tests.demo.stories import OPENS_AT_MS, PRICE, Story, answer, checkout, instant, unpaid


def held(shopper: int, place: int, at_ms: float) -> Answer:
    return answer(shopper, "sale", place, held_until=instant(at_ms + 5000))


def setting() -> Setting:
    return Setting(
        name="s",
        connections=4,
        workers=1,
        seed=1,
        opens_at_ms=OPENS_AT_MS,
        opens_at="2030-01-01T00:00:00.000Z",
        clock=Clock(40, 0.2),
        trouble=Trouble(),
    )


HISTORY = [Moment(-100.0, 2, 0, 0), Moment(200.0, 0, 2, 0), Moment(3100.0, 0, 1, 1), Moment(8100.0, 0, 0, 2)]


def result(units: int, story: Story) -> Result:
    sale = load_sale("giulia", units)
    done = Done(story.crowd, 9.0, 9000.0)
    case = replace(story.case(), stock={"car": units})
    return result_of(sale, setting(), done, case, story.findings(), HISTORY)


def test_percentiles_are_by_nearest_rank() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, percent) for percent in (50, 99, 100)] == [50.0, 99.0, 100.0]
    assert percentile([7.0], 50) == percentile([7.0], 99) == 7.0
    assert percentile([1.0, 2.0], 99) == 2.0


def test_latency_is_counted_from_the_intended_press_and_apart_by_kind() -> None:
    answers = [
        answer(0, "sale", 1, intended_ms=0.0, sent_ms=500.0, received_ms=501.0),
        answer(1, "sold_out", intended_ms=100.0, sent_ms=100.5, received_ms=102.0),
    ]
    found = latencies(answers)
    assert found["sale"].p50_ms == 501.0
    assert found["sold_out"].max_ms == 2.0
    assert set(found) == {"sale", "sold_out"}


def test_units_are_held_at_the_end_of_the_hold_less_its_length() -> None:
    story = unpaid()
    story.answers = [
        held(0, 1, 12.0),
        answer(0, "replay", 1, held_until=instant(9000.0)),
        held(1, 2, 3.0),
        answer(2, "sold_out"),
    ]
    found = result(2, story)
    assert found.curve == [(3.0, 1), (12.0, 2)], "a payment has extended the first, and it was held before"
    assert found.last_unit_held_ms == 12.0
    assert found.sold_out


def test_what_is_sold_again_is_no_part_of_the_sell_out() -> None:
    found = result(2, Story())
    assert found.sold_out
    assert found.curve == [(1.0, 2)]
    assert found.payments.sold_again == found.payments.sold_again_and_paid == 1


def test_a_sell_out_that_took_longer_than_a_hold_is_none() -> None:
    story = Story()
    story.change(3, held_until=instant(10_001))
    assert not result(2, story).sold_out


def test_the_curve_has_a_step_for_each_instant() -> None:
    assert staircase([3.0, 3.0, 5.0]) == [(3.0, 2), (5.0, 3)]
    assert staircase([]) == []


def test_counts_are_kept_apart() -> None:
    found = result(2, Story())
    assert (found.sales, found.sold_out_answers, found.replays, found.not_open_answers) == (2, 3, 1, 1)
    assert found.errors == {"busy": 1, "cut": 1, "other": 0}
    assert found.requests_answered == 8
    back = found.payments.came_back
    assert (back.shoppers, back.presses, back.holds, back.sold_out_answers) == (1, 1, 1, 0)


def test_what_became_of_the_holds() -> None:
    story = Story()
    payments = result(2, story).payments
    one = payments.checkouts
    assert (one.holds, one.paid, one.refunded, one.declined, one.declined_and_paid) == (3, 2, 1, 1, 1)
    assert (one.late, one.late_paid, one.late_refunded) == (1, 0, 1)
    assert (payments.paid_orders, payments.all_paid, payments.last_paid_ms) == (2, True, 8000.0)
    assert payments.holds_ended_unpaid == 1
    (money,) = payments.money
    assert money.currency == "EUR"
    assert (money.charges.amount, money.orders.amount, money.refunds.amount) == (3 * PRICE, 2 * PRICE, PRICE)
    story = unpaid()
    story.checkouts[0] = checkout(0, 1, "declined", declines=1)
    payments = result(2, story).payments
    assert (payments.checkouts.gave_up, payments.checkouts.walked_away, payments.all_paid) == (1, 1, False)
    assert payments.last_paid_ms is None


def test_the_ratio_is_given_only_for_as_many_units_as_the_record() -> None:
    story = unpaid()
    story.answers = [held(number, number + 1, 33.0) for number in range(350)]
    whole = result(350, story)
    assert whole.sold_out
    assert whole.last_unit_held_ms == 33
    assert whole.record is not None
    assert whole.record.ratio == 1000.0
    story.answers.pop()
    part = result(350, story)
    assert not part.sold_out
    assert part.record is not None
    assert part.record.ratio is None
    story.answers = story.answers[:40]
    other = result(40, story)
    assert other.sold_out
    assert other.record is not None
    assert other.record.ratio is None


@pytest.mark.parametrize("answers", [[], Story().answers])
def test_a_picture_is_drawn_whatever_happened(tmp_path: Path, answers: list[Answer]) -> None:
    story = Story(answers=answers)
    path = tmp_path / "curve.png"
    draw_curve(result(2, story), answers, path)
    png = path.read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert (int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")) == (1440, 1260)


def test_without_matplotlib_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'flashsale\[demo\]'"):
        draw_curve(result(2, Story()), [], tmp_path / "curve.png")
    assert list(tmp_path.iterdir()) == []
