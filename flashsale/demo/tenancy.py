"""Who had a unit when, by the clock of the shop: the proof that none was given to two, and none kept from those who asked.

Times are milliseconds from the opening.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True)
class Tenancy:
    """One unit in the hands of one reservation."""

    reservation: str
    sku: str
    begin_ms: float
    """When it was held, for certain."""
    until_ms: float
    """When the hold ended, unless it had become an order."""
    order: bool
    """It is an order in the end. Paid late, it may have become one only some time after its hold."""
    order_from_ms: float = inf
    """When it was one for certain."""


def most_at_once(tenancies: Iterable[Tenancy]) -> int:
    """The most units that were certainly taken at one time."""
    changes: list[tuple[float, int]] = []
    for tenancy in tenancies:
        until = inf if tenancy.order and tenancy.order_from_ms <= tenancy.until_ms else tenancy.until_ms
        changes += [(tenancy.begin_ms, 1), (until, -1)]
        if tenancy.order and until < inf:
            changes.append((max(tenancy.order_from_ms, tenancy.until_ms), 1))
    taken = most = 0
    # What ends at an instant ends before anything begins at it, as in the shop.
    for _, change in sorted(changes):
        taken += change
        most = max(most, taken)
    return most


class Fullness:
    """The times at which all units of an item may have been taken: then, and only then, it may be told sold out.

    `slack_ms` is granted on both sides of each tenancy, for clocks that differ and answers that travel.
    """

    def __init__(self, tenancies: Iterable[Tenancy], units: int, slack_ms: float) -> None:
        changes: list[tuple[float, int]] = []
        for tenancy in tenancies:
            changes.append((tenancy.begin_ms - slack_ms, 1))
            if not tenancy.order:
                changes.append((tenancy.until_ms + slack_ms, -1))
        self._begins: list[float] = []
        self._ends: list[float] = []
        taken = 0
        for instant, change in sorted(changes, key=lambda change: (change[0], -change[1])):
            before, taken = taken, taken + change
            if before < units <= taken:
                self._begins.append(instant)
            elif taken < units <= before:
                self._ends.append(instant)
        if units <= 0:
            self._begins, self._ends = [-inf], []
        if len(self._ends) < len(self._begins):
            self._ends.append(inf)

    def within(self, sent_ms: float, received_ms: float) -> bool:
        """Whether all units may have been taken at some instant between the two."""
        last = bisect_right(self._begins, received_ms) - 1
        return last >= 0 and self._ends[last] >= sent_ms
