"""A good journal, fact by fact, for tests to damage.

`good()` is a whole sale: defined with two items, opened, sold, extended, cancelled, expired, paused, resumed, restocked and
closed. `paid()` is one with money: paid in time and late, twice, wrongly, refunded and given back. `renumbered(facts)`
gives facts their numbers anew, as somebody would who wants to hide what he has done.
"""

from collections.abc import Iterable
from dataclasses import replace

import msgspec

from flashsale.model.facts import ORDER_FACTS, Fact, FactType
from flashsale.model.outcomes import Confirm
from flashsale.model.payment import Money
from flashsale.model.reservation import Line, Reservation, State, pack_record
from tests.support.sales import OPENS_MS, definition

HOLD_MS = 60_000
ANN, BOB, CEM, DAN, STRANGER = (name * 16 for name in "abcds")
TERMS = definition({"car": 3, "bus": 2}, limit=3, item_limits={"bus": 1}, hold_seconds=HOLD_MS // 1000)


def restocked(sku: str, units: object, at_ms: int = OPENS_MS - 1000) -> Fact:
    return Fact(0, at_ms, FactType.ITEM_RESTOCKED, msgspec.msgpack.encode([sku, units, "why"]))


def opened(data: bytes = TERMS.canonical(), at_ms: int = OPENS_MS) -> Fact:
    return Fact(0, at_ms, FactType.SALE_OPENED, data)


def held(
    token: str, customer: str, place: int, *lines: Line, at_ms: int = OPENS_MS, hold_ms: int = HOLD_MS
) -> Fact:
    record = Reservation(
        token, State.HELD, False, at_ms, at_ms + hold_ms, place, customer, lines or (("car", 1),)
    )
    return Fact(0, at_ms, FactType.HELD, token.encode() + pack_record(record))


def extended(token: str, until_ms: int, at_ms: int) -> Fact:
    return Fact(0, at_ms, FactType.EXTENDED, token.encode() + until_ms.to_bytes(6, "big"))


def ended(kind: FactType, token: str, at_ms: int) -> Fact:
    return Fact(0, at_ms, kind, token.encode())


def said(kind: FactType, at_ms: int) -> Fact:
    return Fact(0, at_ms, kind, b"brand")


def confirmed(
    token: str,
    reference: str,
    at_ms: int,
    *,
    late: bool = False,
    amount: int = 100,
    currency: str = "CNY",
    sequence: int = 0,
) -> Fact:
    data = bytes((late, 1)) + _charge(Money(amount, currency), reference)
    return Fact(0, at_ms, FactType.CONFIRMED, token.encode() + sequence.to_bytes(6, "big") + data)


def refunded(
    token: str, reference: str, at_ms: int, *, restock: bool = True, amount: int = 100, sequence: int = 0
) -> Fact:
    data = (b"1" if restock else b"0") + b"\1" + _charge(Money(amount, "CNY"), reference) + b"why"
    return Fact(0, at_ms, FactType.REFUNDED, token.encode() + sequence.to_bytes(6, "big") + data)


def refused(
    token: str, reference: str, reason: int, at_ms: int, *, amount: int = 100, currency: str = "CNY"
) -> Fact:
    data = token.encode() + bytes((reason, 1)) + _charge(Money(amount, currency), reference)
    return Fact(0, at_ms, FactType.CHARGE_REFUSED, data)


def given_back(token: str, reference: str, at_ms: int) -> Fact:
    data = token.encode() + bytes((len(reference),)) + reference.encode() + b"re_1"
    return Fact(0, at_ms, FactType.CHARGE_REFUNDED, data)


def _charge(money: Money, reference: str) -> bytes:
    return money.pack() + bytes((len(reference),)) + reference.encode()


def renumbered(facts: Iterable[Fact]) -> list[Fact]:
    numbered, sequence = [], 0
    for seq, fact in enumerate(facts, start=1):
        data = fact.data
        if fact.type in ORDER_FACTS:
            sequence += 1
            data = data[:16] + sequence.to_bytes(6, "big") + data[22:]
        numbered.append(replace(fact, seq=seq, data=data))
    return numbered


def good() -> list[Fact]:
    """Ends with one car held by dan, nothing else held, and the sale closed."""
    at, end = OPENS_MS, OPENS_MS + HOLD_MS
    return renumbered(
        [
            restocked("car", 3),  # 1
            restocked("bus", 2),  # 2
            opened(),  # 3
            held(ANN, "ann", 1, ("car", 2), ("bus", 1), at_ms=at),  # 4
            held(BOB, "bob", 2, ("car", 1), at_ms=at + 10),  # 5
            extended(BOB, end + 5000, at + 20),  # 6
            ended(FactType.CANCELLED, ANN, at + 30),  # 7
            said(FactType.SALE_PAUSED, at + 40),  # 8
            said(FactType.SALE_RESUMED, at + 50),  # 9
            held(CEM, "cem", 3, ("bus", 1), at_ms=at + 60),  # 10
            restocked("car", 4, at + 70),  # 11
            ended(FactType.EXPIRED, CEM, end + 60),  # 12
            ended(FactType.EXPIRED, BOB, end + 5000),  # 13
            held(DAN, "dan", 4, ("car", 1), at_ms=end + 6000),  # 14
            said(FactType.SALE_CLOSED, end + 7000),  # 15
        ]
    )


def paid() -> list[Fact]:
    """Ends with ann's two cars and cem's late one paid, bob's bus refunded and gone, dan's car refunded and on sale."""
    at, end = OPENS_MS, OPENS_MS + HOLD_MS
    return renumbered(
        [
            restocked("car", 5),  # 1
            restocked("bus", 1),  # 2
            opened(),  # 3
            held(ANN, "ann", 1, ("car", 2), at_ms=at),  # 4
            held(BOB, "bob", 2, ("bus", 1), at_ms=at),  # 5
            held(CEM, "cem", 3, at_ms=at),  # 6
            held(DAN, "dan", 4, at_ms=at),  # 7
            refused(ANN, "sim:1", Confirm.WRONG_AMOUNT, at + 10, amount=199),  # 8
            confirmed(ANN, "sim:2", at + 20, amount=200),  # 9
            refused(ANN, "sim:3", Confirm.PAID_TWICE, at + 30, amount=200),  # 10
            confirmed(BOB, "sim:4", at + 40),  # 11
            confirmed(DAN, "sim:5", at + 50),  # 12
            refunded(BOB, "sim:4", at + 60, restock=False),  # 13
            refunded(DAN, "sim:5", at + 70),  # 14
            given_back(BOB, "sim:4", at + 80),  # 15
            refused(STRANGER, "sim:6", Confirm.UNKNOWN_RESERVATION, at + 90, currency="EUR"),  # 16
            ended(FactType.EXPIRED, CEM, end),  # 17
            confirmed(CEM, "sim:7", end, late=True),  # 18
            given_back(ANN, "sim:3", end + 10),  # 19
        ]
    )
