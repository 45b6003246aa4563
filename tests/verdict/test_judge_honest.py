"""Evidence of runs in which every promise was kept: nothing may be found in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flashsale.verdict.evidence import Evidence, Item, Levels, decode, encode
from flashsale.verdict.judge import judge
from flashsale.verdict.shapes import CHECKS
from tests.verdict.honest_sale import HonestSale, Step, play

PATIENT = Levels(silences=1_000)
STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(
        st.sampled_from(
            3 * ("press",) + 2 * ("wait", "pay") + ("bot", "sweep", "restock", "cancel", "refund", "read")
        ),
        st.integers(0, 20),
        st.integers(0, 13),
    ),
    max_size=80,
)
ITEMS = st.tuples(st.integers(1, 5), st.integers(2, 4), st.sampled_from((None, 2, 3)))
LIMITS = st.sampled_from((None, 2, 3))


def the_sale(items: tuple[int, int, int | None], limit: int | None) -> HonestSale:
    giulia, keyring, keyring_limit = items
    sale = HonestSale([Item("giulia", giulia), Item("keyring", keyring, keyring_limit)], limit)
    sale.press("c-first", {"giulia": 1})
    return sale


def red(evidence: Evidence, levels: Levels = PATIENT) -> dict[str, list[str]]:
    verdict = judge(evidence, levels)
    assert [check.name for check in verdict.checks] == [name for name, _ in CHECKS]
    found = {check.name: check.findings for check in verdict.checks if not check.ok}
    assert verdict.ok == (not found and all(level.ok for level in verdict.levels))
    return found


@given(ITEMS, LIMITS, STEPS)
def test_nothing_is_found_in_an_honest_run(
    items: tuple[int, int, int | None], limit: int | None, steps: list[Step]
) -> None:
    assert red(play(the_sale(items, limit), steps)) == {}


@given(ITEMS, LIMITS, STEPS)
def test_nothing_is_found_when_others_buy_too(
    items: tuple[int, int, int | None], limit: int | None, steps: list[Step]
) -> None:
    """What others take is in the journal and in the feed, and no shopper of the run was told of it."""
    sale = the_sale(items, limit)
    sale.alone = False
    evidence = play(sale, steps)
    told = evidence.told
    others = {hold.customer for hold in told.holds[1:] if len(hold.customer) % 2}
    told.holds = [hold for hold in told.holds if hold.customer not in others]
    told.bot_holds = []
    assert red(evidence) == {}


@given(STEPS)
def test_evidence_is_judged_alike_when_it_comes_from_a_file(steps: list[Step]) -> None:
    evidence = play(the_sale((3, 3, 2), 3), steps)
    assert judge(decode(encode(evidence)), PATIENT) == judge(evidence, PATIENT)


@pytest.mark.parametrize("hold_ms", [40, 200, 2_000, 300_000])
def test_nothing_is_found_however_long_holds_are(hold_ms: int) -> None:
    sale = HonestSale([Item("giulia", 4)], 1, hold_ms=hold_ms)
    for number in range(60):
        sale.press(f"c-{number}", {"giulia": 1})
        sale.wait(17 * (number % 5))
        if number % 3 == 2:
            sale.sweep()
    assert red(sale.evidence()) == {}
