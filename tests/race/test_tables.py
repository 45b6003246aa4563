"""What the race says of its figures, and where it puts them."""

import dataclasses
import math
from pathlib import Path

import pytest

from bench.race.arithmetic import Count
from bench.race.arrivals import Arrived
from bench.race.field import GIN, ONE_EACH, OURS, by_key
from bench.race.heat import Heat, stock_for
from bench.race.numbers import Measured, numbers_table, own_rows, race_rows
from bench.race.publish import DOCUMENT, MarkerError, replaced
from bench.race.results import Results
from bench.race.table import markdown, notes, number, race_table
from bench.race.wrk import Load


def heat(key: str, rate: float, *, oversold: int = 0, **changes: int) -> Heat:
    load = Load(rate, int(rate), 0, 0, 1.0, 2.0, 0.9, 0.3, 0.4, 0.02)
    count = Count(10_000, 10_000 - int(rate), int(rate))
    sell_out = Count(500, -oversold, 500 + oversold)
    return Heat(key, dataclasses.replace(load, **changes), count, load, sell_out)


@pytest.fixture
def results() -> Results:
    found = Results("a machine", "its versions", "its cores", 4)
    for rate in (6000.0, 5000.0, 7000.0):
        found.add(heat(OURS, rate))
        found.add(heat(GIN, rate / 2.5))
        found.add(heat("get-decr", rate / 10, oversold=8))
    found.halves[OURS] = [Arrived(3000, 1, 0, 1.0, 4.5, 9.0, 0.1)]
    return found


def test_a_table_is_markdown() -> None:
    assert markdown(("a", "b"), [("x", "1")]) == "| a | b |\n| --- | --: |\n| x | 1 |"
    assert (number(1234.5), number(0.256, 2), number(math.nan)) == ("1,234", "0.26", "-")


def test_the_table_of_the_race_has_the_fastest_first_and_says_who_oversold(results: Results) -> None:
    lines = race_table(results).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [
        "| **flashsale**",
        "| Go: gin + redigo",
        "| GET, then DECR",
    ]
    assert "| 6,000 | 5,000 to 7,000 | 1.00 |" in lines[2]
    assert "| 2.50 |" in lines[3]
    assert "**8 of 500**" in lines[4]
    assert not results.faults  # it is known to


def test_a_machine_that_was_not_quiet_is_named(results: Results) -> None:
    assert "Others used 2 % of a core meanwhile" in notes(results)
    assert "worth little" not in notes(results)
    for heats in results.heats.values():
        heats[:] = [
            dataclasses.replace(each, peak=dataclasses.replace(each.peak, others_share=0.5)) for each in heats
        ]
    assert "these figures are worth little" in notes(results)


def test_an_oversell_of_anybody_else_is_a_fault(results: Results) -> None:
    results.add(heat(ONE_EACH, 100.0, oversold=1))
    assert results.faults == ["aiohttp-evalsha, sell-out: oversold by 1 of 500"]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (heat(GIN, 100.0, refused=3), "3 answers were refusals"),
        (heat(GIN, 100.0, failed=2), "2 requests got no answer"),
        (heat(GIN, 100.0, answers=400), "400 were promised, 100 are recorded"),
        (
            dataclasses.replace(heat(GIN, 100.0), peak_count=Count(1000, 800, 100)),
            "counter and reservations differ by 100",
        ),
    ],
)
def test_a_figure_that_is_worth_nothing_is_called_so(found: Heat, words: str) -> None:
    assert words in " ".join(found.faults())


def test_the_asked_numbers_say_whether_they_are_met(results: Results) -> None:
    gin, own_lane, one_each, half = numbers_table(race_rows(results)).splitlines()[2:]
    assert "≥ 2 times | 2.50 (2.50 to 2.50) times | yes" in gin
    assert "not measured" in own_lane
    assert "not measured" in one_each
    assert "≤ 5 ms | 4.50 (4.50 to 4.50) ms | yes" in half


def test_the_other_numbers_are_ratios_of_one_round() -> None:
    found = Measured(
        sold_out=[70.0, 160.0],
        sold_out_known=[90.0, 190.0],
        echo=[100.0, 200.0],
        connections={64: [10.0], 512: [9.0], 2048: [8.0]},
    )
    found.fsync = {"always": [90.0], "no": [100.0]}
    rows = numbers_table(own_rows(found)).splitlines()[2:]
    assert "0.75 (0.70 to 0.80) times | **no**" in rows[0]
    assert "0.93 (0.90 to 0.95) times | yes" in rows[1]
    assert "0.90 (0.90 to 0.90) times | yes" in rows[2]
    assert "0.80 (0.80 to 0.80) times | **no**" in rows[3]
    assert "10.00 (10.00 to 10.00) % | yes" in rows[4]


def test_stock_for_a_sell_out_is_sold_within_it() -> None:
    assert [stock_for(rate) for rate in (50_000.0, 200.0, 3.0)] == [500, 100, 10]


def test_a_table_replaces_what_was_between_its_markers() -> None:
    text = "before\n<!-- race:one -->\nold\n<!-- /race:one -->\nafter"
    once = replaced(text, "one", "| new |\n")
    assert once == "before\n<!-- race:one -->\n\n| new |\n\n<!-- /race:one -->\nafter"
    assert replaced(once, "one", "| new |") == once


@pytest.mark.parametrize("text", ["", "<!-- race:one -->", "<!-- /race:one --> <!-- race:one -->"])
def test_a_document_without_a_place_for_it_is_left_alone(text: str) -> None:
    with pytest.raises(MarkerError):
        replaced(text, "one", "| new |")


@pytest.mark.parametrize("name", ["table", "ratios", "numbers", "curves"])
def test_the_document_has_a_place_for_every_table(name: str) -> None:
    text = Path(DOCUMENT).read_text(encoding="utf-8")
    assert replaced(text, name, "| new |") != text


def test_a_contender_that_is_not_there_is_named() -> None:
    with pytest.raises(KeyError, match="rust is no contender; there are flashsale,"):
        by_key("rust")
