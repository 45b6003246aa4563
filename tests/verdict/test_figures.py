"""Figures, service levels and warnings of a run."""

from collections import Counter
from math import ceil

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flashsale.verdict.evidence import (
    SLOT_FACTOR,
    Evidence,
    Item,
    Levels,
    LoadProcess,
    Silence,
    Timeline,
    slot_of,
)
from flashsale.verdict.figures import percentiles_of
from flashsale.verdict.judge import judge
from flashsale.verdict.shapes import Level
from flashsale.verdict.words import counted, named
from tests.verdict.eventful import LEVELS, run
from tests.verdict.honest_sale import T0_MS, HonestSale


@pytest.fixture
def evidence() -> Evidence:
    return run().evidence()


def level_of(evidence: Evidence, name: str, levels: Levels) -> Level:
    verdict = judge(evidence, levels)
    (level,) = (each for each in verdict.levels if each.name == name)
    assert verdict.ok == (
        all(each.ok for each in verdict.levels) and all(check.ok for check in verdict.checks)
    )
    return level


@given(st.lists(st.floats(0.01, 100_000.0), min_size=1, max_size=300))
def test_percentiles_are_true_to_the_slot_and_never_too_short(latencies: list[float]) -> None:
    found = percentiles_of(Counter(slot_of(latency) for latency in latencies))
    assert found is not None
    latencies.sort()
    assert found.count == len(latencies)
    for percent, shown in ((50, found.p50), (95, found.p95), (99, found.p99), (100, found.max)):
        exact = max(0.1, latencies[ceil(len(latencies) * percent / 100) - 1])
        assert exact <= shown * (1 + 1e-9)
        assert shown <= exact * SLOT_FACTOR * (1 + 1e-9)


def test_percentiles_of_nothing_are_none() -> None:
    assert percentiles_of({}) is None
    assert percentiles_of({3: 0}) is None


def test_three_numbers_that_are_never_the_same_thing(evidence: Evidence) -> None:
    """Nineteen were granted something, nine heard that it is sold out, and five orders stand."""
    figures = judge(evidence, LEVELS).figures
    assert (figures.accepted, figures.sold_out_answers, figures.sales) == (19, 9, 5)


def test_all_the_other_numbers(evidence: Evidence) -> None:
    figures = judge(evidence, LEVELS).figures
    assert (figures.shoppers, figures.pressed, figures.decided) == (26, 26, 26)
    assert (figures.stock, figures.sold_units, figures.units_held_ever) == (11, 5, 21)
    assert (figures.holds, figures.confirmed, figures.refunded) == (19, 7, 2)
    assert (figures.expired, figures.cancelled) == (9, 1)
    assert (figures.paid, figures.charges, figures.charges_given_back) == (9, 8, 3)
    assert (figures.requests, figures.silences, figures.share_5xx) == (28, 1, 0.0)
    assert (figures.first_hold_ms, figures.sold_out_ms, figures.all_paid_ms) == (3, 68, None)
    assert figures.latency["reserve"].count == 27
    assert (figures.load_cpu_share_max, figures.fire_late_p99_ms) == (0.3, 4.0)
    assert figures.fired_in_first_second == 27


def test_sold_out_is_when_the_last_item_was_held_and_all_paid_when_the_last_was_bought() -> None:
    sale = HonestSale([Item("giulia", 1), Item("keyring", 1), Item("poster", 0)])
    sale.press("c-0", {"giulia": 1})
    assert judge(sale.evidence(), Levels()).figures.sold_out_ms is None
    sale.wait(100)
    sale.press("c-2", {"keyring": 1})
    for one in list(sale.reservations.values()):
        sale.pay(one)
    figures = judge(sale.evidence(), Levels()).figures
    assert (
        figures.sold_out_ms
        == sale.reservations["sale.0.0000000000000002"].until_ms - 500 - sale.hold_ms - T0_MS
    )
    assert figures.all_paid_ms == sale.orders[-1].at_ms - T0_MS


def test_what_was_sold_out_once_stays_so_when_units_come_back() -> None:
    sale = HonestSale([Item("giulia", 1)])
    sale.press("c-0", {"giulia": 1})
    sale.cancel(next(iter(sale.reservations.values())))
    assert judge(sale.evidence(), Levels()).figures.sold_out_ms == 3


def test_levels_that_nobody_has_asked_for_are_not_told(evidence: Evidence) -> None:
    assert [level.name for level in judge(evidence, Levels()).levels] == ["silences"]


@pytest.mark.parametrize(
    ("name", "levels", "value", "measured"),
    [
        ("reserve_p99_ms", Levels(reserve_p99_ms=30.0), 29.5, "29.5 ms"),
        ("sell_out_seconds", Levels(sell_out_seconds=0.068), 0.068, "0.068 s"),
        ("silences", Levels(silences=1), 1.0, "1"),
        ("fire_late_p99_ms", Levels(fire_late_p99_ms=4.0), 4.0, "4.0 ms"),
        ("share_5xx", Levels(share_5xx=0.0), 0.0, "0.000% of 27 answers (1 more without an answer)"),
    ],
)
def test_a_level_is_kept(evidence: Evidence, name: str, levels: Levels, value: float, measured: str) -> None:
    level = level_of(evidence, name, levels)
    assert level.ok
    assert level.value == pytest.approx(value, rel=0.01)
    assert level.measured == measured
    assert level.wanted.startswith("at most ")


@pytest.mark.parametrize(
    ("name", "levels"),
    [
        ("reserve_p99_ms", Levels(reserve_p99_ms=29.0)),
        ("sell_out_seconds", Levels(sell_out_seconds=0.067)),
        ("silences", Levels(silences=0)),
        ("fire_late_p99_ms", Levels(fire_late_p99_ms=3.9)),
    ],
)
def test_a_level_is_missed(evidence: Evidence, name: str, levels: Levels) -> None:
    assert not level_of(evidence, name, levels).ok
    assert not judge(evidence, levels).ok


def test_failed_answers_are_a_share_of_all_answers_and_silences_of_none(evidence: Evidence) -> None:
    evidence.told.timeline.statuses = {"201": 90, "503": 8, "500": 2, "0": 100, "499": 0}
    level = level_of(evidence, "share_5xx", Levels(share_5xx=0.1, silences=1))
    assert (level.ok, level.value) == (True, 0.1)
    assert level.measured == "10.000% of 100 answers (100 more without an answer)"
    assert not level_of(evidence, "share_5xx", Levels(share_5xx=0.099, silences=1)).ok
    assert judge(evidence, LEVELS).figures.requests == 200


def test_never_sold_out_is_red_only_when_it_was_asked_for() -> None:
    sale = HonestSale([Item("giulia", 5)])
    sale.press("c-0", {"giulia": 1})
    assert judge(sale.evidence(), Levels()).ok
    level = level_of(sale.evidence(), "sell_out_seconds", Levels(sell_out_seconds=3_600))
    assert (level.ok, level.value, level.measured) == (False, None, "never sold out")


@pytest.mark.parametrize("name", ["reserve_p99_ms", "share_5xx", "fire_late_p99_ms"])
def test_what_could_not_be_measured_is_not_kept(evidence: Evidence, name: str) -> None:
    evidence.told.timeline = Timeline(answers=evidence.told.timeline.answers)
    evidence.processes.clear()
    level = level_of(evidence, name, msgspec.structs.replace(Levels(silences=1), **{name: 1_000.0}))
    assert (level.ok, level.value, level.measured) == (False, None, "not measured")


def test_silences_are_told_apart_from_failures(evidence: Evidence) -> None:
    evidence.told.silences += [Silence("pay", "c-1", T0_MS, T0_MS + 9, "timeout")] * 3
    level = level_of(evidence, "silences", LEVELS)
    assert (level.ok, level.measured, level.wanted) == (False, "4", "at most 1")


@pytest.mark.parametrize(
    ("process", "said"),
    [
        (LoadProcess("load-9", 9.0, 9.0, 0.97, 1, 1, 1.0, 2.0, 3.0, 1.0), "load-9 (97% of a core)"),
        (LoadProcess("load-9", 9.0, 9.0, 0.2, 1, 1, 1.0, 120.0, 300.0, 1.0), "load-9 (120 ms)"),
        (LoadProcess("load-9", 9.0, 9.0, 0.2, 1, 1, 1.0, 2.0, 3.0, 80.0), "load-9 (80 ms)"),
    ],
)
def test_a_load_process_at_its_limit_is_a_warning_and_no_fault(
    evidence: Evidence, process: LoadProcess, said: str
) -> None:
    before = judge(evidence, LEVELS).warnings
    evidence.processes.append(process)
    verdict = judge(evidence, LEVELS)
    assert verdict.ok
    (warning,) = set(verdict.warnings) - set(before)
    assert said in warning


def test_a_level_says_from_when_on_a_load_process_is_late(evidence: Evidence) -> None:
    warnings = judge(evidence, Levels(fire_late_p99_ms=3.0, silences=1)).warnings
    assert any("3 load processes pressed late (p99): load-0 (4 ms)" in warning for warning in warnings)


def test_shoppers_that_never_pressed_are_a_warning(evidence: Evidence) -> None:
    evidence.told.pressed = evidence.told.decided = 20
    assert "6 of 26 shoppers never pressed." in judge(evidence, LEVELS).warnings


def test_a_run_without_load_processes_says_so(evidence: Evidence) -> None:
    evidence.processes.clear()
    assert any("No load process told what it cost" in warning for warning in judge(evidence, LEVELS).warnings)


def test_five_are_named_and_the_rest_counted() -> None:
    assert named(["a"]) == "a"
    assert named("abcde") == "a, b, c, d, e"
    assert named("abcdefg") == "a, b, c, d, e and 2 more"
    assert counted([], "hold") == "0 holds"
    assert counted(1, "process", "processes") == "1 process"
    assert counted(1_200, "process", "processes") == "1,200 processes"
