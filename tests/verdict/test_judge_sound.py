"""What the engine says of itself, what could not be read, and what is too little to judge by: never green."""

from collections.abc import Callable

import pytest

from flashsale.verdict.evidence import Evidence, Item, LoadProcess
from tests.verdict.eventful import red, run
from tests.verdict.honest_sale import HonestSale


@pytest.fixture
def evidence() -> Evidence:
    return run().evidence()


def no_audit(evidence: Evidence) -> None:
    evidence.engine.audit_ok = False


def a_finding(evidence: Evidence) -> None:
    evidence.engine.audit_findings = ["fact 7: giulia was left with -1 units available"]


def engine_trouble(evidence: Evidence) -> None:
    evidence.engine.trouble = ["GET /v1/sales/sale/events: no answer"]


def feed_trouble(evidence: Evidence) -> None:
    evidence.feed.trouble = ["GET /v1/orders: 503"]


def nobody_pressed(evidence: Evidence) -> None:
    evidence.told.pressed = evidence.told.decided = 0


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (no_audit, "The engine's audit failed without saying why."),
        (a_finding, "The engine's audit: fact 7: giulia was left with -1 units available."),
        (engine_trouble, "The engine's books could not be read: GET /v1/sales/sale/events: no answer."),
        (feed_trouble, "The order feed could not be read: GET /v1/orders: 503."),
        (nobody_pressed, "No shopper has pressed: there is nothing to judge."),
    ],
)
def test_what_the_engine_says_and_what_could_not_be_read_is_never_green(
    evidence: Evidence, fault: Callable[[Evidence], None], said: str
) -> None:
    fault(evidence)
    assert red(evidence) == {"engine": said}


def test_no_evidence_is_never_green() -> None:
    found = red(HonestSale([]).evidence())
    assert "No shopper has pressed" in found["engine"]
    assert "has no items" in found["engine"]


def test_a_sale_that_never_opened_is_never_green() -> None:
    sale = HonestSale([Item("giulia", 3)])
    sale.told.pressed = sale.told.decided = 5
    evidence = sale.evidence()
    evidence.engine.facts.pop()
    assert red(evidence).keys() == {"engine"}
    assert "The sale never opened." in red(evidence)["engine"]
    assert "5 shoppers pressed, and nobody got anything" in red(evidence)["engine"]


def test_an_unreadable_journal_is_never_green(evidence: Evidence) -> None:
    evidence.engine.facts.clear()
    assert "there is nothing to judge by" in red(evidence)["engine"]


def test_no_counters_are_never_green(evidence: Evidence) -> None:
    evidence.engine.items.clear()
    assert "The engine counts no items." in red(evidence)["engine"]


def test_a_load_process_is_no_part_of_the_promises(evidence: Evidence) -> None:
    evidence.processes = [LoadProcess("slow", 9.0, 9.0, 1.0, 1, 1, 500.0, 900.0, 950.0, 20.0)]
    assert red(evidence) == {}
