"""One run in which everything has happened that may: what is changed in one place to see that the judge turns red."""

from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from flashsale.verdict.evidence import Evidence, Item, Levels
from flashsale.verdict.judge import judge
from flashsale.verdict.shapes import CHECKS
from tests.verdict.honest_sale import HonestSale, Reservation

T = TypeVar("T", bound=Struct)
LEVELS = Levels(silences=1)
GIULIAS, KEYRINGS = 6, 3


def run(kind: type[HonestSale] = HonestSale, *, alone: bool = True) -> HonestSale:
    """Units are bought, given back, cancelled, expired, paid too late, sold out, restocked, and asked for again."""
    sale = kind([Item("giulia", GIULIAS), Item("keyring", KEYRINGS, limit=2)], 2, alone=alone)
    for number in range(4):
        sale.press(f"c-{number}", {"giulia": 1})
    sale.press("bot-1", {"giulia": 1}, bot=True)
    sale.press("c-5", {"giulia": 1, "keyring": 1}, lost=True)
    sale.press("c-6", {"giulia": 1})
    sale.press("c-7", {"keyring": 2})
    sale.press("c-8", {"keyring": 1})
    _second_thoughts(sale)
    _too_late(sale)
    _more_comes(sale)
    return sale


def _second_thoughts(sale: HonestSale) -> None:
    sale.wait(100)
    for customer in ("c-0", "c-1", "c-5"):
        _of(sale, customer, sale.pay)
    _of(sale, "c-2", sale.cancel)
    sale.press("c-9", {"giulia": 1})
    sale.wait(MEMORY_OVER_MS)
    sale.press("c-10", {"giulia": 1})
    _of(sale, "c-1", lambda one: sale.refund(one, restock=True))
    sale.wait(MEMORY_OVER_MS)
    sale.press("c-11", {"giulia": 1})
    sale.press("c-0", {"giulia": 1})
    sale.press("c-12", {"giulia": 1})
    _of(sale, "c-5", lambda one: sale.refund(one, restock=False))


def _too_late(sale: HonestSale) -> None:
    """Three agree to pay when their hold is over: one unit is still there, and the others are somebody else's."""
    for customer in ("c-3", "c-9", "c-11"):
        _of(sale, customer, sale.start)
    sale.wait(sale.hold_ms + 600)
    for customer in ("c-13", "c-14", "c-15"):
        sale.press(customer, {"giulia": 1})
    _of(sale, "c-3", sale.agree)
    sale.press("c-16", {"giulia": 1})
    _of(sale, "c-9", sale.agree)
    _of(sale, "c-11", lambda one: sale.agree(one, authorised=True))
    sale.wait(MEMORY_OVER_MS)


def _more_comes(sale: HonestSale) -> None:
    sale.restock("giulia", 2)
    for customer in ("c-17", "c-18", "c-19"):
        sale.press(customer, {"giulia": 1})
    _of(sale, "c-17", sale.pay)
    sale.wait(sale.hold_ms + 600)
    for number in range(20, 26):
        sale.press(f"c-{number}", {"giulia": 1})
    for customer in ("c-20", "c-21"):
        _of(sale, customer, sale.pay)
    sale.press("c-26", {"keyring": 1})


def _of(sale: HonestSale, customer: str, does: Callable[[Reservation], object]) -> None:
    """What a customer does with what they got first, if they got anything."""
    for one in [each for each in sale.reservations.values() if each.customer == customer][:1]:
        does(one)


MEMORY_OVER_MS = 80


def change(rows: list[T], index: int, **fields: object) -> T:
    """Puts a changed copy in the place of one of these."""
    rows[index] = replace(rows[index], **fields)
    return rows[index]


def red(evidence: Evidence, levels: Levels = LEVELS) -> dict[str, str]:
    """The checks that are red, and what they say."""
    verdict = judge(evidence, levels)
    assert [check.name for check in verdict.checks] == [name for name, _ in CHECKS]
    assert [check.question for check in verdict.checks] == [question for _, question in CHECKS]
    found = {check.name: "\n".join(check.findings) for check in verdict.checks if not check.ok}
    assert verdict.ok == (not found and all(level.ok for level in verdict.levels))
    return found
