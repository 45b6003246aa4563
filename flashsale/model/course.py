"""How the units of a sale moved, fact by fact, kept in bounded memory however many facts there are.

A sale of a hundred thousand units has a million facts, most of them in a few seconds, and then hours in which little
happens. So points are not thinned by the clock, which would make one step of those seconds, but by the number of facts: of
so many facts in a row the state after the last one is kept, and those with the least and the most left. A drawing in steps
is therefore never wrong by more than what these facts have moved.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import orjson

from flashsale.model.facts import Fact, FactType
from flashsale.model.reservation import HEADER_BYTES, Line, unpack_body

MOST_BUCKETS: Final = 1024
MOST_NUMBERS: Final = 100_000
"""Counters in all points together, about: a sale may have a thousand items."""
MOST_CHANGES: Final = 200
AVAILABLE, HELD, SOLD = 0, 1, 2
OF_ONE: Final = 3
"""Counters of one item."""
_TOKEN_BYTES: Final = 16
_STEERED: Final = {
    FactType.SALE_PAUSED: "paused",
    FactType.SALE_RESUMED: "resumed",
    FactType.SALE_CLOSED: "closed",
}
_NEED_LINES: Final = frozenset({FactType.EXPIRED, FactType.CANCELLED, FactType.CONFIRMED, FactType.REFUNDED})

LinesOf = Mapping[str, tuple[Line, ...]]
"""token -> what it claims"""


@dataclass(frozen=True, slots=True)
class Point:
    """The counters after a fact: available, held and sold of each item in turn."""

    at_ms: int
    counters: tuple[int, ...]
    seq: int = field(default=0, compare=False)
    """Of the fact: many have the same instant."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something that was done to the sale as a whole."""

    at_ms: int
    type: str
    """`paused`, `resumed`, `closed` or `restocked`."""
    sku: str | None = None
    units: int | None = None
    detail: str | None = None


@dataclass(slots=True)
class _Bucket:
    """What is kept of so many facts in a row."""

    low: Point
    low_total: int
    high: Point
    high_total: int
    end: Point
    facts: int = 1

    def add(self, other: "_Bucket") -> None:
        """Takes in the one that follows."""
        if other.low_total < self.low_total:
            self.low, self.low_total = other.low, other.low_total
        if other.high_total > self.high_total:
            self.high, self.high_total = other.high, other.high_total
        self.end = other.end
        self.facts += other.facts

    def copy(self) -> "_Bucket":
        """Another one like it."""
        return _Bucket(self.low, self.low_total, self.high, self.high_total, self.end, self.facts)


@dataclass(slots=True)
class Course:
    """The course of a sale up to the facts applied so far."""

    seq: int = 0
    last: Fact | None = None
    skus: list[str] = field(default_factory=list)
    opened_ms: int = 0
    sold_out_ms: int = 0
    """When nothing was available for the first time; 0 when that has not been."""
    closed_ms: int = 0
    changes: list[Change] = field(default_factory=list)
    """Since it was defined; the first `MOST_CHANGES`."""
    _counters: list[int] = field(default_factory=list)
    _available: int = 0
    _first: Point | None = None
    _buckets: list[_Bucket] = field(default_factory=list)
    _of_bucket: int = 1
    """Facts in a bucket that is full."""

    def wanted(self, facts: Iterable[Fact]) -> list[str]:
        """The reservations whose lines have to be known to apply these facts, and which the facts do not tell themselves."""
        told: set[str] = set()
        wanted: dict[str, None] = {}
        for fact in facts:
            with suppress(ValueError):  # what is no token is nobody's
                if fact.type == FactType.HELD:
                    told.add(fact.token)
                elif fact.type in _NEED_LINES and fact.token not in told:
                    wanted[fact.token] = None
        return list(wanted)

    def apply(self, facts: Sequence[Fact], lines: LinesOf) -> None:
        """Takes in the facts that follow. What cannot be read of them moves nothing: the audit is there to say so."""
        known = dict(lines)
        for fact in facts:
            with suppress(ValueError, LookupError, TypeError):
                self._apply(fact, known)
            self.seq, self.last = fact.seq, fact

    def counters(self) -> dict[str, tuple[int, int, int]]:
        """Available, held and sold of each item now."""
        return {
            sku: (self._counters[at], self._counters[at + HELD], self._counters[at + SOLD])
            for sku, at in zip(self.skus, range(0, len(self._counters), OF_ONE), strict=True)
        }

    def points(self, most: int) -> list[Point]:
        """At most so many points (2 or more), in order; the first and the last are exact."""
        if self._first is None:
            return []
        if not self._buckets:
            return [self._first]
        last = self._buckets[-1].end
        if most == 2:
            return [self._first, last]
        merged = self._merged(max(1, (most - 1) // OF_ONE))
        if most == 3:
            found = [self._first, merged[0].low, last]
        else:
            found = [self._first]
            for bucket in merged:
                found += sorted((bucket.low, bucket.high), key=lambda point: point.seq)
                found.append(bucket.end)
        return [point for at, point in enumerate(found) if not at or point is not found[at - 1]]

    def _merged(self, most: int) -> list[_Bucket]:
        size = -(-len(self._buckets) // most)
        merged: list[_Bucket] = []
        for at, bucket in enumerate(self._buckets):
            if at % size:
                merged[-1].add(bucket)
            else:
                merged.append(bucket.copy())
        return merged

    # --- the facts ---

    def _apply(self, fact: Fact, lines: dict[str, tuple[Line, ...]]) -> None:
        kind = fact.type
        if kind == FactType.HELD:
            _, claimed = unpack_body(fact.data[_TOKEN_BYTES + HEADER_BYTES :])
            lines[fact.token] = claimed
            self._move(claimed, AVAILABLE, HELD)
        elif kind in {FactType.EXPIRED, FactType.CANCELLED}:
            self._move(lines[fact.token], HELD, AVAILABLE)
        elif kind == FactType.CONFIRMED:
            self._move(lines[fact.token], AVAILABLE if fact.confirmed().late else HELD, SOLD)
        elif kind == FactType.REFUNDED:
            if not fact.refunded().restocked:
                return
            self._move(lines[fact.token], SOLD, AVAILABLE)
        elif kind == FactType.ITEM_RESTOCKED:
            self._restocked(fact)
        elif kind == FactType.SALE_OPENED:
            self._opened(fact)
            return
        elif kind in _STEERED:
            self._steered(fact)
            return
        else:
            return
        if self.opened_ms:
            self._keep(fact)

    def _at(self, sku: str) -> int:
        """Where the counters of an item begin."""
        return self.skus.index(sku) * OF_ONE if len(self.skus) > 1 or self.skus[0] != sku else 0

    def _move(self, lines: tuple[Line, ...], source: int, target: int) -> None:
        for sku, units in lines:
            at = self._at(sku)
            self._counters[at + source] -= units
            self._counters[at + target] += units
            if source == AVAILABLE:
                self._available -= units
            elif target == AVAILABLE:
                self._available += units

    def _restocked(self, fact: Fact) -> None:
        sku, units, reason = fact.restocked()
        if sku not in self.skus:
            self.skus.append(sku)
            self._counters += [0] * OF_ONE
        self._counters[self._at(sku)] += units
        self._available += units
        if self.opened_ms:
            self._change(Change(fact.at_ms, "restocked", sku, units, reason or None))

    def _opened(self, fact: Fact) -> None:
        named = [str(item["sku"]) for item in orjson.loads(fact.data)["items"]]
        known = self.counters()
        self.skus = named
        self._counters = [count for sku in named for count in known.get(sku, (0, 0, 0))]
        self._available = sum(self._counters[::OF_ONE])
        self.opened_ms = fact.at_ms
        self._first = Point(fact.at_ms, tuple(self._counters), fact.seq)

    def _steered(self, fact: Fact) -> None:
        self._change(
            Change(
                fact.at_ms, _STEERED[FactType(fact.type)], detail=fact.data.decode(errors="replace") or None
            )
        )
        if fact.type == FactType.SALE_CLOSED:
            self.closed_ms = fact.at_ms

    def _change(self, change: Change) -> None:
        if len(self.changes) < MOST_CHANGES:
            self.changes.append(change)

    def _keep(self, fact: Fact) -> None:
        point, total = Point(fact.at_ms, tuple(self._counters), fact.seq), self._available
        if not total and not self.sold_out_ms:
            self.sold_out_ms = fact.at_ms
        bucket = self._buckets[-1] if self._buckets else None
        if bucket is not None and bucket.facts < self._of_bucket:
            bucket.facts += 1
            bucket.end = point
            if total < bucket.low_total:
                bucket.low, bucket.low_total = point, total
            elif total > bucket.high_total:
                bucket.high, bucket.high_total = point, total
            return
        self._buckets.append(_Bucket(point, total, point, total, point))
        most = max(16, min(MOST_BUCKETS, MOST_NUMBERS // (OF_ONE * max(1, len(self._counters)))))
        if len(self._buckets) > most:
            self._of_bucket *= 2
            self._buckets = self._merged(-(-len(self._buckets) // 2))
