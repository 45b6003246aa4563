"""The replay of a journal: a good one adds up, and whatever is done to it is found, with the fact it is found at."""

from dataclasses import replace
from typing import Any

import pytest

from flashsale.model.audit import Counters, FactError, Replay
from flashsale.model.facts import Fact, FactType
from flashsale.model.reservation import Entry, Reservation, State
from tests.model.journals import (
    ANN,
    BOB,
    CEM,
    DAN,
    HOLD_MS,
    TERMS,
    ended,
    extended,
    good,
    held,
    opened,
    renumbered,
    restocked,
    said,
)
from tests.support.sales import OPENS_MS, definition

LATER = OPENS_MS + 3 * HOLD_MS


def replayed(facts: list[Fact]) -> Replay:
    replay = Replay()
    for fact in facts:
        replay.apply(fact)
    return replay


def error_of(facts: list[Fact]) -> FactError:
    with pytest.raises(FactError) as caught:
        replayed(facts)
    return caught.value


def before(seq: int, *facts: Fact) -> list[Fact]:
    """The good journal up to the fact before `seq`, then these."""
    return renumbered([*good()[: seq - 1], *facts])


def test_a_good_journal_adds_up() -> None:
    replay = replayed(good())
    assert (replay.seq, replay.place, replay.state, replay.holds) == (15, 4, "closed", 1)
    assert replay.items == {"car": Counters(7, 6, 1, 0), "bus": Counters(2, 2, 0, 0)}
    assert {token: each.state for token, each in replay.reservations.items()} == {
        ANN: State.CANCELLED,
        BOB: State.EXPIRED,
        CEM: State.EXPIRED,
        DAN: State.HELD,
    }
    assert replay.customers == {"ann": [ANN], "bob": [BOB], "cem": [CEM], "dan": [DAN]}


# --- mutations of every fact ---

EVERY = range(len(good()))


@pytest.mark.parametrize("at", EVERY[:-1])
def test_a_fact_that_was_dropped_is_missed_at_the_next(at: int) -> None:
    facts = good()
    del facts[at]
    error = error_of(facts)
    assert error.seq == at + 2
    assert "1 facts are missing" in error.detail


@pytest.mark.parametrize("at", EVERY)
def test_a_fact_that_is_there_twice_is_found_at_once(at: int) -> None:
    facts = good()
    facts.insert(at, facts[at])
    error = error_of(facts)
    assert error.seq == at + 1
    assert "twice or out of order" in error.detail


@pytest.mark.parametrize("at", EVERY[:-1])
def test_two_facts_that_changed_places_are_found_at_the_first(at: int) -> None:
    facts = good()
    facts[at], facts[at + 1] = facts[at + 1], facts[at]
    assert error_of(facts).seq == at + 2


@pytest.mark.parametrize("at", EVERY)
def test_dropping_a_fact_cannot_be_hidden_by_numbering_them_anew(at: int) -> None:
    facts = good()
    del facts[at]
    assert differs_from(good(), renumbered(facts))


@pytest.mark.parametrize("at", EVERY)
def test_doubling_a_fact_cannot_be_hidden_by_numbering_them_anew(at: int) -> None:
    facts = good()
    facts.insert(at, facts[at])
    assert differs_from(good(), renumbered(facts))


def differs_from(right: list[Fact], facts: list[Fact]) -> bool:
    """Found by the replay, or by comparing what it leads to with what is stored."""
    try:
        replay = replayed(facts)
    except FactError:
        return True
    return replay != replayed(right)


@pytest.mark.parametrize("at", EVERY)
def test_a_fact_of_another_type_is_named(at: int) -> None:
    for kind in ("reservation.sold", "", "charge.settled"):
        facts = good()
        facts[at] = replace(facts[at], type=kind)
        error = error_of(facts)
        assert error.seq == at + 1
        assert "is not a type of fact this version knows" in error.detail


UNREADABLE = [1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14]  # the others hold a text that nothing depends on


@pytest.mark.parametrize("seq", UNREADABLE)
@pytest.mark.parametrize("data", [b"", b"\xff", b"\xff" * 40, b"{}", b"[]", b"null"])
def test_a_fact_that_cannot_be_read_is_named(seq: int, data: bytes) -> None:
    facts = good()
    facts[seq - 1] = replace(facts[seq - 1], data=data)
    assert error_of(facts).seq == seq


# --- each kind of contradiction ---

CONTRADICTIONS: dict[str, tuple[list[Fact], int, str]] = {
    "a hold before the opening": (before(3, held(ANN, "ann", 1)), 3, "before the sale had opened"),
    "a hold during a pause": (before(9, held(DAN, "dan", 3)), 9, "while the sale was paused"),
    "a hold after the close": (before(16, held("e" * 16, "eve", 5)), 16, "while the sale was closed"),
    "a token granted twice": (before(8, held(ANN, "ann", 3)), 8, f"reservation {ANN} was granted twice"),
    "a place twice": (before(5, held(BOB, "bob", 1)), 5, "place 1 follows place 1"),
    "a place skipped": (before(5, held(BOB, "bob", 3)), 5, "place 3 follows place 1"),
    "a hold too long": (before(5, held(BOB, "bob", 2, hold_ms=HOLD_MS + 1)), 5, "not as long as"),
    "a hold too short": (before(5, held(BOB, "bob", 2, hold_ms=HOLD_MS - 1)), 5, "not as long as"),
    "a hold of another instant": (
        before(5, replace(held(BOB, "bob", 2), at_ms=OPENS_MS + 1)),
        5,
        "not as long as",
    ),
    "more than the limit at once": (
        before(4, restocked("car", 9, OPENS_MS), held(BOB, "bob", 1, ("car", 4))),
        5,
        "customer 'bob' has 4 units, the limit is 3",
    ),
    "more than the limit together": (
        before(5, restocked("car", 9, OPENS_MS), held(BOB, "ann", 2)),
        6,
        "customer 'ann' has 4 units, the limit is 3",
    ),
    "more than the limit of an item": (
        before(4, held(BOB, "bob", 1, ("bus", 2))),
        4,
        "customer 'bob' has 2 of bus, the limit is 1",
    ),
    "oversold": (
        before(5, held(BOB, "bob", 2, ("car", 2))),
        5,
        "2 of car were held with 1 available: oversold",
    ),
    "a hold of an unknown item": (before(5, held(BOB, "bob", 2, ("van", 1))), 5, "1 of van were held with 0"),
    "a hold of nothing": (before(5, held(BOB, "bob", 2, ("car", 0))), 5, "0 of car were held"),
    "the end of an unknown hold": (
        before(5, ended(FactType.CANCELLED, BOB, OPENS_MS)),
        5,
        f"reservation {BOB}, which was never granted",
    ),
    "the extension of an unknown hold": (before(5, extended(BOB, LATER, OPENS_MS)), 5, "never granted"),
    "a hold cancelled twice": (
        before(8, ended(FactType.CANCELLED, ANN, OPENS_MS)),
        8,
        f"reservation {ANN}, which was cancelled before",
    ),
    "a cancelled hold expired": (before(8, ended(FactType.EXPIRED, ANN, LATER)), 8, "was cancelled before"),
    "an expired hold cancelled": (
        before(13, ended(FactType.CANCELLED, CEM, LATER)),
        13,
        "was expired before",
    ),
    "a cancelled hold extended": (before(8, extended(ANN, LATER, OPENS_MS)), 8, "was cancelled before"),
    "a hold expired too soon": (
        before(6, ended(FactType.EXPIRED, BOB, OPENS_MS + HOLD_MS + 9)),
        6,
        f"reservation {BOB} was expired before its time",
    ),
    "an extended hold expired too soon": (
        before(7, ended(FactType.EXPIRED, BOB, OPENS_MS + HOLD_MS + 10)),
        7,
        "was expired before its time",
    ),
    "a hold extended twice": (before(7, extended(BOB, LATER, OPENS_MS)), 7, "extended twice, or backwards"),
    "a hold extended backwards": (
        before(6, extended(BOB, OPENS_MS, OPENS_MS)),
        6,
        "extended twice, or backwards",
    ),
    "units taken away after the opening": (
        before(4, restocked("car", -1)),
        4,
        "-1 units of car were added after",
    ),
    "nothing added after the opening": (before(4, restocked("car", 0)), 4, "0 units of car were added after"),
    "an item added after the opening": (before(4, restocked("van", 1)), 4, "1 units of van were added after"),
    "more taken away than there is": (before(2, restocked("car", -4)), 2, "car was left with -1 units"),
    "an opening twice": (before(4, opened()), 4, "the sale opened twice"),
    "units of an item that is not sold": (
        before(3, restocked("van", 2), opened()),
        4,
        "2 units of van are not in the definition",
    ),
    "a pause of a paused sale": (
        before(9, said(FactType.SALE_PAUSED, LATER)),
        9,
        "of a sale that was paused",
    ),
    "a resumption of an open sale": (
        before(8, said(FactType.SALE_RESUMED, LATER)),
        8,
        "of a sale that was open",
    ),
    "a pause of a closed sale": (
        before(16, said(FactType.SALE_PAUSED, LATER)),
        16,
        "of a sale that was closed",
    ),
    "a close of a closed sale": (
        before(16, said(FactType.SALE_CLOSED, LATER)),
        16,
        "of a sale that was closed",
    ),
    "a resumption of a closed sale": (before(16, said(FactType.SALE_RESUMED, LATER)), 16, "that was closed"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_contradiction_is_named_with_its_fact(case: str) -> None:
    facts, seq, detail = CONTRADICTIONS[case]
    replayed(facts[: seq - 1])  # all before it adds up
    error = error_of(facts)
    assert error.seq == seq
    assert detail in error.detail
    assert str(error) == f"fact {seq}: {error.detail}"


def test_before_the_opening_stock_may_be_taken_away_again() -> None:
    terms = definition({"car": 1}, hold_seconds=60)
    facts = [restocked("car", 3), restocked("bus", 2), restocked("car", -2), restocked("bus", -2)]
    replay = replayed(renumbered([*facts, opened(terms.canonical())]))
    assert replay.items == {"car": Counters(1, 1, 0, 0)}


def test_no_limit_is_no_limit() -> None:
    terms = definition({"car": 9}, hold_seconds=HOLD_MS // 1000)
    replay = replayed(
        renumbered([restocked("car", 9), opened(terms.canonical()), held(ANN, "ann", 1, ("car", 9))])
    )
    assert replay.terms is not None
    assert (replay.terms.limit, replay.terms.item_limits) == (None, {"car": None})


# --- comparing what is stored ---


def stored(replay: Replay, token: str) -> Reservation:
    claimed = replay.reservations[token]
    return Reservation(
        token,
        claimed.state,
        claimed.extended,
        claimed.held_ms,
        claimed.held_until_ms,
        claimed.place,
        claimed.customer,
        claimed.lines,
        claimed.late,
    )


def test_what_is_stored_as_the_facts_say_has_no_differences() -> None:
    replay = replayed(good())
    for token in replay.reservations:
        end = OPENS_MS + 2 * HOLD_MS + 6000 if token == DAN else None
        assert not list(replay.differences(token, stored(replay, token), end))


@pytest.mark.parametrize(
    "change",
    [
        {"state": State.CONFIRMED},
        {"extended": True},
        {"held_ms": 1},
        {"held_until_ms": 1},
        {"place": 5},
        {"customer": "eve"},
        {"lines": (("car", 2),)},
        {"lines": (("bus", 1),)},
    ],
)
def test_any_change_of_a_stored_reservation_is_a_difference(change: dict[str, Any]) -> None:
    replay = replayed(good())
    end = OPENS_MS + 2 * HOLD_MS + 6000
    record = stored(replay, DAN)
    (difference,) = replay.differences(DAN, replace(record, **change), end)
    assert DAN in difference


def test_a_reservation_that_is_not_stored_or_not_among_the_holds_is_a_difference() -> None:
    replay = replayed(good())
    end = OPENS_MS + 2 * HOLD_MS + 6000
    assert list(replay.differences(DAN, None, end)) == [f"reservation {DAN} was granted but is not stored"]
    for wrong in (None, end - 1, end + 1):
        (difference,) = replay.differences(DAN, stored(replay, DAN), wrong)
        assert f"ends as a hold at {wrong}" in difference
    (difference,) = replay.differences(ANN, stored(replay, ANN), end)
    assert f"ends as a hold at {end}, the facts say None" in difference


@pytest.mark.parametrize(
    ("customer", "entries", "right"),
    [
        ("dan", (Entry(DAN, 1),), True),
        ("dan", (), False),
        ("dan", (Entry(DAN, 0),), False),
        ("dan", (Entry(DAN, 2),), False),
        ("dan", (Entry(DAN, 1), Entry(ANN, 1)), False),
        ("dan", (Entry(DAN, 1), Entry(ANN, 0)), False),
        ("ann", (Entry(ANN, 0),), True),
        ("ann", (), True),  # ended ones may be dropped
        ("ann", (Entry(ANN, 3),), False),
        ("eve", (), True),
        ("eve", (Entry(DAN, 0),), False),
    ],
)
def test_a_customers_entries_are_compared(customer: str, entries: tuple[Entry, ...], right: bool) -> None:
    differences = list(replayed(good()).entry_differences(customer, entries))
    assert (differences == []) is right
    assert all(repr(customer) in difference for difference in differences)


def test_the_terms_are_those_of_the_definition() -> None:
    replay = replayed(good()[:3])
    assert replay.terms is not None
    assert (replay.terms.hold_ms, replay.terms.limit) == (HOLD_MS, TERMS.limit_per_customer)
    assert replay.terms.item_limits == {"car": None, "bus": 1}
