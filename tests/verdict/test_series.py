"""The series behind the pictures, against journals and counts small enough to do by hand."""

from collections.abc import Sequence
from math import isnan

import pytest

from flashsale.verdict.evidence import (
    Engine,
    Evidence,
    Fact,
    Feed,
    Item,
    Run,
    Terms,
    Timeline,
    Told,
    ms_of,
    slot_of,
)
from flashsale.verdict.report import series
from flashsale.verdict.report.series import Moment
from tests.verdict import eventful
from tests.verdict.honest_sale import T0_MS
from tests.verdict.made_run import Plan, made_run


def evidence(facts: Sequence[Fact] = (), timeline: Timeline | None = None, *, pressed: int = 0) -> Evidence:
    return Evidence(
        Run("", "flash", "http://shop.test", 10, T0_MS - 5_000, T0_MS + 10_000, alone=True),
        Terms("sale", "A sale", T0_MS, 5_000, [Item("a", 6), Item("b", 4)], "EUR"),
        Told(timeline or Timeline(), pressed=pressed),
        Engine("open", {}, True, [], list(facts)),
        Feed(),
    )


def journal(*facts: tuple[int, str, str, dict[str, int]], restocked: bool = False) -> list[Fact]:
    return [
        Fact(seq, T0_MS + at_ms, kind, who, f"c-{who}", units, restocked=restocked)
        for seq, (at_ms, kind, who, units) in enumerate(facts, 1)
    ]


def test_every_fact_that_moves_units_moves_them() -> None:
    facts = journal(
        (10, "reservation.held", "x", {"a": 2, "b": 1}),
        (20, "reservation.held", "y", {"a": 1}),
        (30, "reservation.held", "z", {"b": 1}),
        (40, "reservation.extended", "x", {"a": 2, "b": 1}),
        (50, "reservation.confirmed", "x", {"a": 2, "b": 1}),
        (60, "reservation.expired", "y", {"a": 1}),
        (70, "reservation.cancelled", "z", {"b": 1}),
    )
    assert series.moments(evidence(facts)) == [
        Moment(0, 10, 0, 0),
        Moment(10, 7, 3, 0),
        Moment(20, 6, 4, 0),
        Moment(30, 5, 5, 0),
        Moment(50, 5, 2, 3),
        Moment(60, 6, 1, 3),
        Moment(70, 7, 0, 3),
    ]


@pytest.mark.parametrize(
    "run",
    [eventful.run().evidence(), made_run(), made_run(Plan(refund=0.2, units=400))],
    ids=["eventful", "plain", "refunds"],
)
def test_in_the_end_the_units_are_where_the_engine_counts_them(run: Evidence) -> None:
    items = run.engine.items.values()
    end = series.moments(run)[-1]
    assert (end.available, end.held, end.sold) == (
        sum(item.available for item in items),
        sum(item.held for item in items),
        sum(item.sold for item in items),
    )


def test_a_late_payment_takes_units_that_had_gone_back() -> None:
    facts = journal(
        (10, "reservation.held", "x", {"a": 1}),
        (20, "reservation.expired", "x", {"a": 1}),
        (30, "reservation.confirmed", "x", {"a": 1}),
    )
    assert series.moments(evidence(facts))[-1] == Moment(30, 9, 0, 1)


@pytest.mark.parametrize(("restocked", "then"), [(True, Moment(30, 10, 0, 0)), (False, Moment(20, 9, 0, 1))])
def test_a_refund_gives_units_back_only_when_it_says_so(restocked: bool, then: Moment) -> None:
    facts = journal(
        (10, "reservation.held", "x", {"a": 1}),
        (20, "reservation.confirmed", "x", {"a": 1}),
        (30, "reservation.refunded", "x", {"a": 1}),
        restocked=restocked,
    )
    assert series.moments(evidence(facts))[-1] == then


def test_the_first_stock_is_no_restock() -> None:
    facts = journal(
        (-900, "item.restocked", "", {"a": 6}),
        (-800, "item.restocked", "", {"b": 4}),
        (1, "sale.opened", "", {}),
        (10, "item.restocked", "", {"b": 5}),
    )
    assert series.moments(evidence(facts)) == [Moment(0, 10, 0, 0), Moment(10, 15, 0, 0)]


def test_many_moments_are_thinned_and_the_last_of_each_part_stays() -> None:
    history = [Moment(at_ms, 10_000 - at_ms, at_ms, 0) for at_ms in range(10_000)]
    thin = series.units(history, (0, 10_000))
    assert len(thin.x_ms) <= series.POINTS_MAX + 2
    assert all(held == at_ms for held, at_ms in zip(thin.rows["held"][:-1], thin.x_ms[:-1], strict=True))
    assert thin.rows["held"][-1] == 9_999


def test_a_window_begins_with_what_was_before_it() -> None:
    history = [Moment(0, 10, 0, 0), Moment(100, 5, 5, 0), Moment(900, 5, 0, 5)]
    shown = series.units(history, (500, 800))
    assert (shown.x_ms, shown.rows["held"], shown.rows["sold"]) == ([500, 800], [5, 5], [0, 0])


def test_answers_are_counted_per_second() -> None:
    timeline = Timeline(100, {"held": {0: 3, 1: 4}, "sold_out": {1: 10, 7: 5}})
    shown = series.answers(evidence(timeline=timeline), (-1_000, 1_000))
    assert shown.width_ms == 100
    assert shown.x_ms == [0, 100, 200, 300, 400, 500, 600, 700]
    assert shown.rows == {
        "held": [30, 40, 0, 0, 0, 0, 0, 0],
        "sold_out": [0, 100, 0, 0, 0, 0, 0, 50],
    }


@pytest.mark.parametrize("last", [59, 60, 599, 36_000])
def test_no_answer_is_lost_in_wider_bins(last: int) -> None:
    timeline = Timeline(100, {"held": {bucket: 1 + bucket % 3 for bucket in range(-7, last + 1)}})
    shown = series.answers(evidence(timeline=timeline), (-10_000, 4_000_000))
    assert len(shown.x_ms) <= series.BINS_MAX + 1
    assert 0 in shown.x_ms
    counted = sum(count * shown.width_ms / 1_000 for count in shown.rows["held"])
    assert round(counted) == sum(timeline.answers["held"].values())


def test_percentiles_of_a_bin_are_those_of_its_latencies() -> None:
    slots = {slot_of(1): 50, slot_of(20): 45, slot_of(300): 4, slot_of(5_000): 1}
    shown = series.latency(
        evidence(timeline=Timeline(100, {}, {"reserve": {3: slots, 5: {7: 1}}})), (0, 1_000)
    )
    assert [shown.rows[name][0] for name in ("p50", "p95", "p99")] == [
        round(ms_of(slot_of(ms)), 2) for ms in (1, 20, 300)
    ]
    assert shown.rows["count"] == [100, 0, 1]
    assert isnan(shown.rows["p99"][1])


def test_fates_count_up_to_all_facts() -> None:
    facts = journal(
        *((number, "reservation.held", f"r-{number}", {"a": 1}) for number in range(2_000)),
        *((3_000 + number, "reservation.expired", f"r-{number}", {"a": 1}) for number in range(700)),
    )
    shown = series.fates(evidence(facts), (0, 4_000))
    assert len(shown.x_ms) <= 2 * series.POINTS_MAX
    assert {name: row[-1] for name, row in shown.rows.items()} == {"held": 2_000, "expired": 700}
    assert all(row == sorted(row) for row in shown.rows.values())
    assert shown.x_ms == sorted(shown.x_ms)


def test_the_pace_of_payment_has_every_payment() -> None:
    shown = series.payment_pace([0, 4_999, 5_000, 12_345], 5_000)
    assert sum(shown.rows["paid"]) == 4
    assert shown.x_ms[-1] <= 12_345 < shown.x_ms[-1] + shown.width_ms


def test_a_rush_within_a_long_run_is_shown_by_itself() -> None:
    run = made_run(Plan(shoppers=300, units=40, answers_per_second=3_000))
    whole = series.whole_run(run)
    sold_out = next(one.at_ms for one in series.moments(run) if not one.available)
    rush = series.rush_of_units(run, whole, sold_out)
    assert rush is not None
    assert rush[0] < 0 < sold_out < rush[1] < whole[1] / 5
    answers = series.rush_of_answers(run, whole)
    assert answers is not None
    shown = series.answers(run, answers)
    assert sum(map(sum, shown.rows.values())) * shown.width_ms / 1_000 >= 300


def test_a_sale_that_takes_the_whole_run_has_no_rush() -> None:
    facts = journal(*((at_ms, "reservation.held", f"r-{at_ms}", {"a": 1}) for at_ms in range(0, 10_000, 100)))
    timeline = Timeline(100, {"held": dict.fromkeys(range(100), 1)})
    run = evidence(facts, timeline, pressed=100)
    whole = series.whole_run(run)
    assert series.rush_of_units(run, whole, None) is None
    assert series.rush_of_answers(run, whole) is None


def test_nothing_is_shown_of_nothing() -> None:
    nothing = evidence()
    whole = series.whole_run(nothing)
    assert whole[0] < whole[1]
    assert all(
        one.empty
        for one in (
            series.units(series.moments(nothing), whole),
            series.answers(nothing, whole),
            series.latency(nothing, whole),
            series.fates(nothing, whole),
            series.payment_pace([], 5_000),
        )
    )
