"""The course of a sale: the counters as the replay of the audit has them, thinned without losing what matters."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from flashsale.model.audit import Replay
from flashsale.model.course import MOST_BUCKETS, Course, Point
from flashsale.model.facts import Fact, FactType
from flashsale.model.reservation import Line
from tests.model.journals import good, held, opened, paid, renumbered, restocked, said
from tests.support.sales import OPENS_MS, definition


def lines_of(facts: Sequence[Fact]) -> dict[str, tuple[Line, ...]]:
    """As the store has them of every reservation."""
    return {
        fact.token: fact.held().lines for fact in facts if fact.type == FactType.HELD and len(fact.data) > 16
    }


def fed(facts: Sequence[Fact], page: int) -> Course:
    """A course that was given the facts in pages, and of the store only what it has asked for."""
    course, stored = Course(), lines_of(facts)
    for start in range(0, len(facts), page):
        part = facts[start : start + page]
        course.apply(part, {token: stored[token] for token in course.wanted(part) if token in stored})
    return course


@pytest.mark.parametrize("journal", [good, paid])
@pytest.mark.parametrize("page", [1, 2, 3, 7, 100])
def test_the_counters_are_those_of_the_audit_after_every_fact(
    journal: Callable[[], list[Fact]], page: int
) -> None:
    facts = journal()
    replay = Replay()
    for number, fact in enumerate(facts, start=1):
        replay.apply(fact)
        course = fed(facts[:number], page)
        assert course.counters() == {
            sku: (item.available, item.held, item.sold) for sku, item in replay.items.items()
        }, fact
        assert course.seq == number
        if course.opened_ms:
            points = course.points(1000)
            assert points[0].at_ms == course.opened_ms
            flat = tuple(count for counters in course.counters().values() for count in counters)
            assert points[-1].counters == flat


def test_what_was_done_to_the_sale_is_told() -> None:
    course = fed(good(), 5)
    assert [(change.type, change.sku, change.units) for change in course.changes] == [
        ("paused", None, None),
        ("resumed", None, None),
        ("restocked", "car", 4),
        ("closed", None, None),
    ]
    assert course.opened_ms == OPENS_MS
    assert course.closed_ms == course.changes[-1].at_ms
    assert course.sold_out_ms == 0  # one bus was left all the time
    facts = renumbered(
        [restocked("car", 1), opened(definition({"car": 1}).canonical()), held("a" * 16, "ann", 1)]
    )
    assert fed(facts, 9).sold_out_ms == facts[-1].at_ms


def test_a_fact_that_cannot_be_read_is_passed_over() -> None:
    facts = renumbered(
        [
            restocked("car", 3),
            opened(),
            Fact(0, OPENS_MS, FactType.HELD, b"\xff"),
            said(FactType.SALE_PAUSED, OPENS_MS + 5),
        ]
    )
    course = fed(facts, 2)
    assert course.seq == 4
    assert [change.type for change in course.changes] == ["paused"]
    unknown = Fact(5, OPENS_MS, FactType.EXPIRED, b"x" * 16)
    course.apply([unknown], {})
    assert course.counters()["car"] == (3, 0, 0)


def walk(count: int, chance: random.Random) -> list[Fact]:
    """A sale that sells out in a moment, and goes up and down a little afterwards, with a long silence."""
    facts = [restocked("car", count), opened(definition({"car": count}).canonical())]
    live: list[str] = []
    at_ms = OPENS_MS
    for place in range(1, count + 1):
        at_ms += chance.random() < 0.03
        token = f"{place:016d}"
        live.append(token)
        facts.append(held(token, "c", place, at_ms=at_ms))
    at_ms += 3_600_000
    for token in live[: count // 2]:
        at_ms += chance.randrange(1000)
        facts.append(Fact(0, at_ms, FactType.CANCELLED, token.encode() + b"customer"))
    return renumbered(facts)


def value_at(points: Sequence[Point], at_ms: int) -> int:
    return [point.counters[0] for point in points if point.at_ms <= at_ms][-1]


@pytest.mark.parametrize("most", [2, 3, 4, 5, 10, 50, 200, 1000])
def test_the_points_are_few_and_in_steps_never_far_from_the_truth(most: int) -> None:
    count = 2000
    facts = walk(count, random.Random(7))
    course = fed(facts, 500)
    points = course.points(most)
    assert 2 <= len(points) <= most
    assert [point.at_ms for point in points] == sorted(point.at_ms for point in points)
    assert points[0] == Point(OPENS_MS, (count, 0, 0))
    assert points[-1] == Point(facts[-1].at_ms, (count // 2, count // 2, 0))
    assert course.sold_out_ms == facts[count + 1].at_ms
    if most < 10:
        return
    # Each point but the last stands for so many facts, each of which moved one unit.
    allowed = 2 * len(facts) / ((most - 1) // 3) + len(facts) / MOST_BUCKETS * 2
    left, truth = count, dict[int, int]()
    for fact in facts[2:]:
        left += -1 if fact.type == FactType.HELD else 1
        truth[fact.at_ms] = left
    assert len(truth) > 50
    for at_ms, units in truth.items():
        assert abs(value_at(points, at_ms) - units) <= allowed, at_ms
    assert min(point.counters[0] for point in points) == 0


def test_memory_does_not_grow_with_the_facts() -> None:
    small, large = fed(walk(900, random.Random(1)), 500), fed(walk(9_000, random.Random(1)), 500)
    for course in (small, large):
        assert len(course._buckets) <= MOST_BUCKETS
    many = Course()
    stock = {f"item-{number}": 5 for number in range(500)}
    start = [restocked(sku, units) for sku, units in stock.items()]
    facts = renumbered(
        [*start, opened(definition(stock).canonical())]
        + [held(f"{n:016d}", "c", n + 1, (f"item-{n % 500}", 1)) for n in range(2000)]
    )
    many.apply(facts, {})
    assert len(many._buckets) * len(many.counters()) * 9 <= 200_000
    assert many.counters()["item-0"] == (1, 4, 0)


def test_points_of_one_instant_are_in_the_order_of_their_facts() -> None:
    """The most is left at first, the least then, and at the end something again: all within a millisecond."""
    facts = walk(40, random.Random(7))
    facts = [facts[0], facts[1], *(replace(fact, at_ms=facts[-1].at_ms) for fact in facts[2:])]
    course = fed(facts, 500)
    for most in (4, 7, 10, 50):
        points = course.points(most)
        assert [point.seq for point in points] == sorted(point.seq for point in points)
        assert [point.at_ms for point in points] == sorted(point.at_ms for point in points)
