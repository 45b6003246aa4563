"""Sold out: when it may be said, to the millisecond, and when it is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flashsale.verdict.evidence import Evidence, Item, Levels, LoadProcess, SoldOut, Terms
from flashsale.verdict.journal import Journal
from flashsale.verdict.undersold import Levelling, joined
from tests.verdict.eventful import red
from tests.verdict.honest_sale import T0_MS, HonestSale

SLACK_MS = 7
"""The worst clock of the honest sale's load processes is 2 ms wrong, and 5 more are allowed."""
FREED_MS = 1_000
TAKEN_MS = 1_500


def one_unit_that_is_free_for_a_while() -> HonestSale:
    """One unit: taken at 3 ms, cancelled at 1,000 ms, taken by somebody else at 1,500 ms."""
    sale = HonestSale([Item("giulia", 1), Item("keyring", 1)], hold_ms=60_000)
    sale.press("c-0", {"giulia": 1})
    sale.now = T0_MS + FREED_MS
    sale.cancel(next(iter(sale.reservations.values())))
    sale.now = T0_MS + TAKEN_MS - 3
    sale.press("c-2", {"giulia": 1})
    return sale


def told_sold_out(
    sale: HonestSale, sent: int, told: int, units: dict[str, int] | None = None
) -> dict[str, str]:
    evidence = sale.evidence()
    evidence.told.sold_out.append(SoldOut(units or {"giulia": 1}, T0_MS + sent, T0_MS + told))
    evidence.told.timeline.answers["sold_out"] = {0: len(evidence.told.sold_out)}
    return red(evidence, Levels())


@pytest.mark.parametrize(
    ("sent", "told", "wrong"),
    [
        (20, 30, False),
        (900, FREED_MS + 300, False),  # decided before the unit came back
        (FREED_MS + 1, FREED_MS + 10, False),  # from memory
        (FREED_MS + 50 + SLACK_MS, FREED_MS + 100, False),
        (FREED_MS + 50 + SLACK_MS + 1, FREED_MS + 100, True),
        (1_200, 1_300, True),
        (1_200, TAKEN_MS - SLACK_MS - 1, True),
        (1_200, TAKEN_MS - SLACK_MS, False),  # decided when the unit was taken again
        (1_200, 1_700, False),
        (1_600, 1_700, False),
    ],
)
def test_sold_out_is_wrong_when_the_unit_was_free_all_the_while(sent: int, told: int, wrong: bool) -> None:
    found = told_sold_out(one_unit_that_is_free_for_a_while(), sent, told)
    assert found.keys() == ({"undersold"} if wrong else set())
    if wrong:
        assert (
            f"giulia: 1 answer of 1 said sold out while it could be had, the first {told:,} ms after T0, "
            f"when by the journal 1 of giulia could be had; sent at {sent:,} ms."
        ) in found["undersold"]


def test_a_clock_that_is_wrong_is_given_the_benefit_of_the_doubt() -> None:
    sale = one_unit_that_is_free_for_a_while()
    evidence = sale.evidence()
    evidence.told.sold_out.append(SoldOut({"giulia": 1}, T0_MS + 1_070, T0_MS + 1_080))
    evidence.told.timeline.answers.setdefault("sold_out", {})[0] = 1
    assert red(evidence, Levels()).keys() == {"undersold"}
    evidence.processes.append(LoadProcess("far", 1.0, 9.0, 0.3, 1, 1, 1.0, 2.0, 3.0, clock_error_ms=30.0))
    assert red(evidence, Levels()) == {}


@pytest.mark.parametrize(
    ("units", "wrong"),
    [
        ({"giulia": 2}, False),
        ({"keyring": 1}, True),
        ({"giulia": 1, "keyring": 1}, True),
        ({"giulia": 1, "keyring": 2}, False),
    ],
)
def test_all_that_was_wanted_has_to_be_free(units: dict[str, int], wrong: bool) -> None:
    """The keyring was there all the while; of either there never was a second one."""
    assert bool(told_sold_out(one_unit_that_is_free_for_a_while(), 1_200, 1_300, units)) == wrong


def test_what_is_left_of_one_item_does_not_matter_while_the_other_is_gone() -> None:
    units = {"giulia": 1, "keyring": 1}
    assert not told_sold_out(one_unit_that_is_free_for_a_while(), 500, 600, units)


def test_a_hold_that_is_overdue_is_free_before_anybody_has_noticed() -> None:
    """Reserving takes overdue holds back by itself, so no sweeper is an excuse."""
    sale = HonestSale([Item("giulia", 1)], hold_ms=1_000)
    sale.press("c-0", {"giulia": 1})
    sale.wait(1_500)
    sale.sweep()
    sale.press("c-2", {"giulia": 1})
    assert not told_sold_out(sale, 900, 1_003)
    assert told_sold_out(sale, 1_100, 1_200).keys() == {"undersold"}


def test_a_hold_that_was_extended_is_not_overdue() -> None:
    sale = HonestSale([Item("giulia", 1)], hold_ms=1_000)
    sale.press("c-0", {"giulia": 1})
    sale.pay(next(iter(sale.reservations.values())), dawdle_ms=1_300)
    assert not told_sold_out(sale, 1_100, 1_200)


def test_after_a_restock_it_is_wrong_and_after_a_refund_that_keeps_the_unit_it_is_not() -> None:
    sale = HonestSale([Item("giulia", 1)], hold_ms=60_000)
    sale.press("c-0", {"giulia": 1})
    one = next(iter(sale.reservations.values()))
    sale.pay(one)
    sale.refund(one, restock=False)
    sale.wait(1_000)
    assert not told_sold_out(sale, 500, 600)
    sale.restock("giulia", 1)
    sale.wait(1_000)
    assert "1 of giulia could be had" in told_sold_out(sale, 1_200, 1_300)["undersold"]


def test_before_anybody_was_promised_anything_nothing_is_sold_out_whatever_the_journal_says() -> None:
    """The journal agrees with the engine that all is held by somebody; nobody who came has heard of it."""
    sale = HonestSale([Item("giulia", 2)], hold_ms=60_000)
    sale.press("c-0", {"giulia": 1})
    sale.press("ghost", {"giulia": 1})
    sale.press("c-2", {"giulia": 1})
    evidence = sale.evidence()
    evidence.told.holds.pop()
    found = red(evidence, Levels())
    assert found.keys() == {"undersold", "answers", "agreement"}
    assert found["undersold"] == (
        "giulia: 1 answer said sold out when nobody had been told of what was left; at the first (18 ms after T0) "
        "1 of 2 of giulia had been promised to shoppers."
    )


def test_when_others_buy_too_only_the_journal_can_tell() -> None:
    sale = HonestSale([Item("giulia", 2)], hold_ms=60_000, alone=False)
    for customer in ("c-0", "other", "c-2"):
        sale.press(customer, {"giulia": 1})
    evidence: Evidence = sale.evidence()
    evidence.told.holds.pop()
    assert red(evidence, Levels()) == {}
    evidence.told.sold_out[0].sent_ms -= 14
    evidence.told.sold_out[0].told_ms -= 14
    assert red(evidence, Levels()) == {}, "the last unit may have gone in that very millisecond"


CHANGES = st.lists(st.tuples(st.integers(0, 30), st.integers(-2, 3)), max_size=12)


@given(CHANGES, st.integers(1, 4), st.integers(-2, 33), st.integers(0, 8))
def test_shortages_are_those_that_looking_at_every_millisecond_finds(
    changes: list[tuple[int, int]], units: int, begin: int, length: int
) -> None:
    levelling = Levelling(changes)

    def short_at(at_ms: int) -> bool:
        before = sum(change for since, change in changes if since < at_ms)
        going = sum(change for since, change in changes if since == at_ms and change < 0)
        after = sum(change for since, change in changes if since <= at_ms)
        assert levelling.at(at_ms) == after
        return min(before, before + going, after) < units

    spans = levelling.short_of(units)
    found = any(first <= begin + length and begin <= last for first, last in spans)
    assert found == any(short_at(at_ms) for at_ms in range(begin, begin + length + 1))


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), max_size=9))
def test_joined_times_cover_the_same_and_do_not_overlap(rows: list[tuple[int, int]]) -> None:
    spans = [(float(begin), float(begin + length)) for begin, length in rows]
    begins, ends = joined(spans)
    for at in range(-1, 42):
        inside = any(begin <= at <= end for begin, end in spans)
        assert inside == any(begin <= at <= end for begin, end in zip(begins, ends, strict=True))
    assert all(end < begin for end, begin in zip(ends, begins[1:], strict=False))


def test_what_nobody_sells_may_be_told_sold_out() -> None:
    """An item that neither the sale nor the journal knows: nothing can be said of it."""
    assert not told_sold_out(one_unit_that_is_free_for_a_while(), 1_200, 1_300, {"poster": 1})


def test_a_journal_of_a_sale_without_items_is_empty() -> None:
    journal = Journal(Terms("sale", "Sale", T0_MS, 1_000, [], "EUR"))
    journal.replay([])
    assert not journal.shelves
    assert journal.restocks("giulia") == []
