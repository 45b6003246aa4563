"""The wrapper of `reserve`, the one script on the hot path."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from flashsale.model.outcomes import Reserve
from flashsale.model.reservation import (
    Entry,
    Line,
    Reservation,
    State,
    pack_body,
    unpack_entries,
    unpack_record,
)

RECLAIM_LIMIT: Final = 1000
"""Overdue holds one call takes back at most: a few milliseconds of the server's time."""

_REPEATABLE, _NEW = "r-"
_AVAILABILITY = 5
_pack = msgspec.msgpack.Encoder().encode
_REPLAYED = -Reserve.REPLAYED
_LIMIT_REACHED = -Reserve.LIMIT_REACHED
_SOLD_OUT = -Reserve.SOLD_OUT


@dataclass(slots=True)
class Claim:
    """A reservation to be decided. `lines` name each sku once."""

    token: str
    customer: str
    lines: tuple[Line, ...]
    repeatable: bool
    """The token comes from an Idempotency-Key, so it may exist already."""


@dataclass(slots=True)
class Held:
    """The hold is granted."""

    claim: Claim
    place: int
    held_until_ms: int
    now_ms: int

    @property
    def reservation(self) -> Reservation:
        """The reservation. Made when it is asked for: the usual answer needs little of it."""
        claim = self.claim
        return Reservation(
            claim.token,
            State.HELD,
            False,
            self.now_ms,
            self.held_until_ms,
            self.place,
            claim.customer,
            claim.lines,
        )


@dataclass(slots=True)
class Replayed:
    """The same request had been granted before; this is its reservation as it is now."""

    reservation: Reservation
    now_ms: int


@dataclass(slots=True)
class Refused:
    """Nothing was written. The fields that do not belong to the outcome keep their defaults."""

    outcome: Reserve
    now_ms: int = 0
    opens_ms: int = 0
    sku: str = ""
    """The item that is unknown, sold out or over its limit; empty when it is the sale's limit."""
    entries: tuple[Entry, ...] = ()
    """LIMIT_REACHED: what this customer has."""
    held_by_others: int = 0
    """SOLD_OUT: units of the item that other customers hold and have not paid."""
    next_release_ms: int = 0
    """SOLD_OUT: when the earliest of these holds ends, 0 when none was found."""
    shown: object = field(default=None, compare=False, repr=False)
    """Free for whoever shows it: many are told the very same refusal."""


Decision = Held | Replayed | Refused


@dataclass(slots=True)
class Availability:
    """One item named in a batch, after the batch."""

    available: int
    held: int
    next_release_ms: int
    """When its earliest hold ends; 0 when it is not among the first holds of the sale."""
    certain_until_ms: int
    """With nothing available: no hold of it ends before this instant; 0 when it has none."""


@dataclass(slots=True)
class Batch:
    """What one call decided, in the order of its claims."""

    now_ms: int
    version: int
    """Of the sale's definition."""
    place: int
    """The last place granted in the sale."""
    closes_ms: int
    """0 when the sale has no end of its own."""
    open: bool
    """The sale as a whole refuses nobody: it is neither unknown, closed, paused nor yet to open."""
    items: dict[str, Availability]
    decisions: list[Decision]


def encode(claims: Sequence[Claim], now_ms: int = 0) -> list[str | bytes | int]:
    """ARGV of `reserve`. What every claim has goes in one argument: each argument of its own costs the server more."""
    nth_of: dict[str, int] = {}
    wants: list[int] = []
    bodies: list[bytes] = []
    for claim in claims:
        lines = claim.lines
        if len(lines) == 1 and lines[0][1] == 1:
            wants.append(nth_of.setdefault(lines[0][0], len(nth_of) + 1))
        else:
            wants.append(0)
            bodies.append(pack_body(claim.customer, lines))
    packed = (
        _pack([claim.token for claim in claims]),
        _pack([claim.customer for claim in claims]),
        _pack(wants),
        _pack("".join([_REPEATABLE if claim.repeatable else _NEW for claim in claims])),
    )
    return [now_ms, RECLAIM_LIMIT, b"".join(packed), len(nth_of), *nth_of, *bodies]


def decode(claims: Sequence[Claim], reply: Sequence[Any]) -> Batch:
    """The reply of `reserve` to these claims."""
    now, version, opens_ms, held_until, place, closes_ms, refusal, named, results = reply
    items = {
        named[at].decode(): Availability(*named[at + 1 : at + _AVAILABILITY])
        for at in range(0, len(named), _AVAILABILITY)
    }
    decisions: list[Decision] = []
    short: dict[str, Refused] = {}  # all who are told that an item is sold out are told the same
    for claim, result in zip(claims, results, strict=True):
        if type(result) is not int:
            decisions.append(_detailed(claim, result, now, items))
        elif result > 0:
            decisions.append(Held(claim, result, held_until, now))
        elif result == _SOLD_OUT:
            sku = claim.lines[0][0]
            if sku not in short:
                short[sku] = _sold_out(sku, 0, now, items)
            decisions.append(short[sku])
        else:
            decisions.append(Refused(Reserve(-result), now, opens_ms))
    return Batch(now, version, place, closes_ms, refusal == 0, items, decisions)


def _detailed(claim: Claim, result: Sequence[Any], now: int, items: dict[str, Availability]) -> Decision:
    code = result[0]
    if code == _REPLAYED:
        return Replayed(unpack_record(claim.token, result[1]), now)
    if code == _LIMIT_REACHED:
        return Refused(Reserve.LIMIT_REACHED, now, sku=result[2].decode(), entries=unpack_entries(result[1]))
    sku = result[1].decode()
    if code == _SOLD_OUT:
        return _sold_out(sku, result[2], now, items)
    return Refused(Reserve(-code), now, sku=sku)


def _sold_out(sku: str, own: int, now: int, items: dict[str, Availability]) -> Refused:
    item = items[sku]
    return Refused(
        Reserve.SOLD_OUT,
        now,
        sku=sku,
        held_by_others=max(0, item.held - own),
        next_release_ms=item.next_release_ms,
    )
