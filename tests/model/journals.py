"""A good journal, fact by fact, for tests to damage.

`good()` is a whole sale: defined with two items, opened, sold, extended, cancelled, expired, paused, resumed, restocked and
closed. `renumbered(facts)` gives facts their numbers anew, as somebody would who wants to hide what he has done.
"""

from collections.abc import Iterable
from dataclasses import replace

import msgspec

from flashsale.model.facts import Fact, FactType
from flashsale.model.reservation import Line, Reservation, State, pack_record
from tests.support.sales import OPENS_MS, definition

HOLD_MS = 60_000
ANN, BOB, CEM, DAN = (name * 16 for name in "abcd")
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


def renumbered(facts: Iterable[Fact]) -> list[Fact]:
    return [replace(fact, seq=seq) for seq, fact in enumerate(facts, start=1)]


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
