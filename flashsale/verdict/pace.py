"""How fast things went in a run: answers against presses, and what became of holds after how long."""

from bisect import bisect_left
from collections.abc import Mapping
from math import floor
from typing import Final
from urllib.parse import urlsplit

import msgspec

from flashsale.model.facts import FactType
from flashsale.verdict.evidence import Evidence, Fact, Timeline, ms_of

LOAD_CPU_SHARE_MAX: Final = 0.9
"""Of a core: a load process that uses more was at its limit."""
LOAD_LATE_P99_MS_MAX: Final = 100.0
"""A load process whose presses left later than this was at its limit."""
RATE_MS: Final = 500
"""The best rate is that over so long a time, or over one bucket where buckets are longer."""
QUEUE_BUCKETS_MAX: Final = 400
"""So many buckets around the longest queue are looked at."""


class Journey(msgspec.Struct):
    """What became of one reservation, by the journal; instants in milliseconds since T0."""

    customer: str
    units: int
    held_ms: int
    paying: bool = False
    """Whether a payment had begun."""
    confirmed_ms: int | None = None
    expired_ms: int | None = None
    cancelled_ms: int | None = None
    refunded_ms: int | None = None
    returned_ms: list[int] = []
    """When its units went back on sale."""
    refused: int = 0
    """Charges for it that were refused, to be given back."""

    def note(self, fact: Fact, at_ms: int) -> None:
        """Takes in what a later fact says of it."""
        match fact.type:
            case FactType.EXTENDED:
                self.paying = True
            case FactType.CONFIRMED:
                self.confirmed_ms = at_ms
            case FactType.EXPIRED:
                self.expired_ms = at_ms
                self.returned_ms.append(at_ms)
            case FactType.CANCELLED:
                self.cancelled_ms = at_ms
                self.returned_ms.append(at_ms)
            case FactType.REFUNDED:
                self.refunded_ms = at_ms
                self.returned_ms += [at_ms] if fact.restocked else []
            case FactType.CHARGE_REFUSED:
                self.refused += 1

    @property
    def late(self) -> bool:
        """Whether it was paid after its hold had ended, and got units all the same."""
        return self.confirmed_ms is not None and self.expired_ms is not None

    @property
    def ran_out(self) -> bool:
        """Whether its hold ended after a payment had begun."""
        return self.expired_ms is not None and (self.paying or self.refused > 0 or self.late)


class Queue(msgspec.Struct, frozen=True):
    """How answers kept up with presses."""

    presses: int
    presses_per_second: float
    """At most, over `RATE_MS`."""
    answers_per_second: float
    """At most, over `RATE_MS`."""
    waiting_max: int
    """Presses without an answer, at the end of one bucket."""
    needed_per_second: float
    """Answers per second with which nobody would have waited longer than `wanted_ms`."""
    wanted_ms: float


def journeys(evidence: Evidence) -> list[Journey]:
    """Every reservation of the journal, in the order in which they were granted."""
    found: dict[str, Journey] = {}
    for fact in sorted(evidence.engine.facts, key=lambda fact: fact.seq):
        at_ms = fact.at_ms - evidence.terms.opens_ms
        if fact.type == FactType.HELD:
            found.setdefault(fact.reservation, Journey(fact.customer, sum(fact.units.values()), at_ms))
            continue
        one = found.get(fact.reservation)
        if one is None:
            continue
        one.note(fact, at_ms)
    for hold in evidence.told.holds:
        if hold.payment and hold.reservation in found:
            found[hold.reservation].paying = True
    return list(found.values())


def payment_paces(evidence: Evidence) -> list[int]:
    """Milliseconds from each hold to its payment, sorted."""
    return sorted(
        one.confirmed_ms - one.held_ms for one in journeys(evidence) if one.confirmed_ms is not None
    )


def quantile(ordered: list[int], share: float) -> int:
    """The value that this share of the sorted ones does not exceed."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def queue(timeline: Timeline, wanted_ms: float) -> Queue | None:
    """How answers to `reserve` kept up with presses; None when there was none.

    An answer's press is put where its latency says, so that what waited before it was sent counts as well.
    """
    answered: dict[int, int] = {}
    pressed: dict[int, int] = {}
    for bucket, slots in timeline.latency.get("reserve", {}).items():
        for slot, count in slots.items():
            answered[bucket] = answered.get(bucket, 0) + count
            # The answer came in the middle of its bucket, more or less.
            at = floor(bucket + 0.5 - ms_of(slot) / timeline.bucket_ms)
            pressed[at] = pressed.get(at, 0) + count
    if not answered:
        return None
    waiting = waiting_max = worst = 0
    for bucket in sorted(pressed.keys() | answered.keys()):
        waiting += pressed.get(bucket, 0) - answered.get(bucket, 0)
        if waiting > waiting_max:
            waiting_max, worst = waiting, bucket
    near = {
        bucket: count for bucket, count in pressed.items() if abs(bucket - worst) <= QUEUE_BUCKETS_MAX // 2
    }
    return Queue(
        presses=sum(pressed.values()),
        presses_per_second=_best_rate(pressed, timeline.bucket_ms),
        answers_per_second=_best_rate(answered, timeline.bucket_ms),
        waiting_max=waiting_max,
        needed_per_second=_needed_rate(near, timeline.bucket_ms, wanted_ms),
        wanted_ms=wanted_ms,
    )


def _best_rate(counts: Mapping[int, int], bucket_ms: int) -> float:
    """Per second, over `RATE_MS`, or over all of the time when it is less."""
    length = max(1, RATE_MS // bucket_ms)
    buckets = sorted(counts)
    sums = [0]
    for bucket in buckets:
        sums.append(sums[-1] + counts[bucket])
    most = max(
        sums[place + 1] - sums[bisect_left(buckets, bucket - length + 1)]
        for place, bucket in enumerate(buckets)
    )
    span = min(length, buckets[-1] - buckets[0] + 1)
    return most * 1000 / (span * bucket_ms)


def _needed_rate(pressed: Mapping[int, int], bucket_ms: int, wanted_ms: float) -> float:
    """Answers per second with which every press is answered in time: of all stretches of time, the one that asks most."""
    buckets = sorted(pressed)
    most = 0.0
    for first, start in enumerate(buckets):
        inside = 0
        for bucket in buckets[first:]:
            inside += pressed[bucket]
            most = max(most, inside * 1000 / (wanted_ms + (bucket - start) * bucket_ms))
    return most


def load_was_the_limit(evidence: Evidence) -> bool:
    """Whether a load process had no time left, so that the figures tell of it and not of the server."""
    return any(
        process.rush_cpu_share > LOAD_CPU_SHARE_MAX or process.late_p99_ms > LOAD_LATE_P99_MS_MAX
        for process in evidence.processes
    )


def on_this_machine(evidence: Evidence) -> bool:
    """Whether the server ran where the load came from."""
    host = urlsplit(evidence.run.host).hostname or evidence.run.host
    return host in {"localhost", "::1"} or host.startswith("127.")
