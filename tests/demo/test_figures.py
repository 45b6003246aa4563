from datetime import UTC, datetime
from pathlib import Path

import pytest

from flashsale.demo.curve import NoMatplotlibError, draw_curve
from flashsale.demo.definitions import load_sale
from flashsale.demo.figures import (
    Result,
    Setting,
    held_instants_ms,
    latencies,
    percentile,
    result_of,
    staircase,
)
from flashsale.demo.messages import Answer, Clock, Done
from tests.demo.stories import Story, answer

OPENS_AT_MS = round(datetime(2030, 1, 1, tzinfo=UTC).timestamp() * 1000)


def held(shopper: int, place: int, text: str) -> Answer:
    return answer(shopper, "sale", place, held_until=text)


def setting() -> Setting:
    return Setting(
        name="s",
        connections=4,
        workers=1,
        seed=1,
        opens_at_ms=OPENS_AT_MS,
        opens_at="2030-01-01T00:00:00.000Z",
        clock=Clock(40, 0.2),
    )


def result(units: int, story: Story) -> Result:
    sale = load_sale("giulia", units)
    return result_of(
        sale, setting(), Done(story.crowd, 9.0), story.answers, story.books(), story.findings(), []
    )


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
    answers = [
        held(0, 1, "2030-01-01T00:05:00.012Z"),
        answer(0, "replay", 1, held_until="2030-01-01T00:05:00.012Z"),
        held(1, 2, "2030-01-01T00:05:00.003Z"),
        answer(2, "sold_out"),
    ]
    assert held_instants_ms(answers, 300, OPENS_AT_MS) == [3, 12]


def test_the_curve_has_a_step_for_each_instant() -> None:
    assert staircase([3.0, 3.0, 5.0]) == [(3.0, 2), (5.0, 3)]
    assert staircase([]) == []


def test_counts_are_kept_apart() -> None:
    found = result(2, Story())
    assert (found.sales, found.sold_out_answers, found.replays, found.not_open_answers) == (2, 2, 1, 1)
    assert found.errors == {"busy": 1, "cut": 1, "other": 0}
    assert found.requests_answered == 7


def test_the_ratio_is_given_only_for_as_many_units_as_the_record() -> None:
    story = Story()
    story.answers = [held(number, number + 1, "2030-01-01T00:05:00.033Z") for number in range(350)]
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
    assert (int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")) == (1440, 960)


def test_without_matplotlib_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(NoMatplotlibError, match=r"pip install 'flashsale\[demo\]'"):
        draw_curve(result(2, Story()), [], tmp_path / "curve.png")
    assert list(tmp_path.iterdir()) == []
