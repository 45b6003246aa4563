"""What happened over time, as plain series: what the pictures show and `report.json` gives.

Every x is in milliseconds since T0. A series is thinned to what a picture can show, so that an hour of a busy sale takes
no more room than a second.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from math import ceil, nan
from typing import Final

import msgspec

from flashsale.model.facts import FactType
from flashsale.verdict.evidence import Evidence, Fact, ms_of

POINTS_MAX: Final = 300
BINS_MAX: Final = 60
FATES: Final = {
    "held": FactType.HELD,
    "paid": FactType.CONFIRMED,
    "expired": FactType.EXPIRED,
    "cancelled": FactType.CANCELLED,
    "refunded": FactType.REFUNDED,
}
"""What becomes of reservations, and the facts that tell."""
PERCENTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
ZOOM: Final = 0.35
"""A rush that takes less than this share of the run is shown by itself as well."""

RUSH_BUCKETS_MIN: Final = 10
"""Fewer would say little over time."""

Window = tuple[float, float]
"""From and to, in milliseconds since T0."""


class Series(msgspec.Struct, frozen=True):
    """Values over time, one row for each x."""

    x_ms: list[float]
    rows: dict[str, list[float]]
    width_ms: float = 0.0
    """Of the bins that begin at each x; 0 for values that stand from each x to the next."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show."""
        return not self.x_ms or not self.rows


class Moment(msgspec.Struct, frozen=True, array_like=True):
    """Where the units are from this instant on."""

    at_ms: int
    available: int
    held: int
    sold: int


def moments(evidence: Evidence) -> list[Moment]:
    """Where the units were after each instant at which the journal has a fact, oldest first.

    Facts that contradict each other do not stop it: it shows what they say, and the verdict says what is wrong with them.
    """
    terms, facts = evidence.terms, sorted(evidence.engine.facts, key=lambda fact: fact.seq)
    if not facts:
        return []
    # Restocks before the sale has opened are the stock that its definition gives it.
    opened = next((fact.seq for fact in facts if fact.type == FactType.SALE_OPENED), facts[0].seq - 1)
    available, held, sold = sum(item.stock for item in terms.items), 0, 0
    states: dict[str, str] = {}
    first = next((fact.at_ms for fact in facts if fact.type == FactType.HELD), terms.opens_ms)
    found = [Moment(min(0, first - terms.opens_ms), available, held, sold)]
    for fact in facts:
        units = sum(fact.units.values())
        if fact.type == FactType.ITEM_RESTOCKED:
            if fact.seq <= opened:
                continue
            available += units
        elif moved := _moved(fact, states):
            available, held, sold = (
                count + sign * units for count, sign in zip((available, held, sold), moved, strict=True)
            )
        else:
            continue
        moment = Moment(fact.at_ms - terms.opens_ms, available, held, sold)
        if found[-1].at_ms == moment.at_ms:
            found[-1] = moment
        else:
            found.append(moment)
    return sorted(found, key=lambda one: one.at_ms)


def _moved(fact: Fact, states: dict[str, str]) -> tuple[int, int, int] | None:
    """By how much a unit's worth of available, held and sold a fact changes them; None for facts that move no units."""
    before = states.get(fact.reservation, "")
    match fact.type:
        case FactType.HELD:
            moved = (-1, +1, 0)
        case FactType.EXPIRED | FactType.CANCELLED:
            moved = (+1, -1, 0)
        case FactType.CONFIRMED:
            # A late payment takes units again that had gone back.
            moved = (-1, 0, +1) if before == FactType.EXPIRED else (0, -1, +1)
        case FactType.REFUNDED if fact.restocked:
            moved = (+1, 0, -1)
        case _:
            return None
    states[fact.reservation] = fact.type
    return moved


def units(history: list[Moment], window: Window) -> Series:
    """Units available, held and sold within a window, each from its x to the next."""
    if not history:
        return Series([], {})
    start, end = window
    instants = [one.at_ms for one in history]
    first = history[max(0, bisect_right(instants, start) - 1)]
    within = [one for one in history if start < one.at_ms < end]
    last = history[max(0, bisect_right(instants, end) - 1)]
    rows = [(start, first), *((one.at_ms, one) for one in _thinned(within, window)), (end, last)]
    return Series(
        [round(at_ms, 3) for at_ms, _ in rows],
        {name: [getattr(one, name) for _, one in rows] for name in ("available", "held", "sold")},
    )


def _thinned(within: list[Moment], window: Window) -> list[Moment]:
    """The last of each of `POINTS_MAX` equal parts of a window, when there are more moments than that."""
    if len(within) <= POINTS_MAX:
        return within
    start, end = window
    return list({int((one.at_ms - start) / (end - start) * POINTS_MAX): one for one in within}.values())


def answers(evidence: Evidence, window: Window) -> Series:
    """Answers to `reserve` per second, by kind."""
    timeline = evidence.told.timeline
    buckets = {bucket for counts in timeline.answers.values() for bucket in counts}
    bins = _bins(buckets, timeline.bucket_ms, window)
    if not bins:
        return Series([], {})
    width = timeline.bucket_ms * bins.step
    rows = {}
    for kind, counts in timeline.answers.items():
        sums = [0] * len(bins)
        for bucket, count in counts.items():
            if bucket in bins.buckets:
                sums[bins.index(bucket)] += count
        if any(sums):
            rows[kind] = [round(count * 1000 / width, 3) for count in sums]
    return Series([float(bucket * timeline.bucket_ms) for bucket in bins.firsts()], rows, width)


def latency(evidence: Evidence, window: Window, request: str = "reserve") -> Series:
    """Percentiles of the answers of each bin in milliseconds; nan where there was none. `count` has how many there were."""
    timeline = evidence.told.timeline
    table = timeline.latency.get(request, {})
    bins = _bins(table, timeline.bucket_ms, window)
    if not bins:
        return Series([], {})
    merged: list[dict[int, int]] = [{} for _ in range(len(bins))]
    for bucket, slots in table.items():
        if bucket in bins.buckets:
            row = merged[bins.index(bucket)]
            for slot, count in slots.items():
                row[slot] = row.get(slot, 0) + count
    rows = {name: [round(percentile(row, share), 2) for row in merged] for name, share in PERCENTILES.items()}
    rows["count"] = [float(sum(row.values())) for row in merged]
    firsts = [float(bucket * timeline.bucket_ms) for bucket in bins.firsts()]
    return Series(firsts, rows, timeline.bucket_ms * bins.step)


def percentile(slots: dict[int, int], share: float) -> float:
    """The latency that this share of the counted ones does not exceed; nan of none."""
    if not slots:
        return nan
    ordered = sorted(slots)
    place = bisect_right(
        list(accumulate(slots[slot] for slot in ordered)), share * sum(slots.values()) - 1e-9
    )
    return ms_of(ordered[min(place, len(ordered) - 1)])


def fates(evidence: Evidence, window: Window) -> Series:
    """Reservations held, paid, expired, cancelled and refunded so far."""
    names = {str(fact_type): name for name, fact_type in FATES.items()}
    opens_ms = evidence.terms.opens_ms
    instants: dict[str, list[int]] = {}
    for fact in evidence.engine.facts:
        if fact.type in names:
            instants.setdefault(names[fact.type], []).append(fact.at_ms - opens_ms)
    if not instants:
        return Series([], {})
    for row in instants.values():
        row.sort()
    start, end = window
    changes = sorted({at_ms for row in instants.values() for at_ms in row if start < at_ms < end})
    if len(changes) > POINTS_MAX:
        step = (end - start) / POINTS_MAX
        changes = sorted({ceil(start + step * int((at_ms - start) / step + 1)) for at_ms in changes})
    x_ms = [float(start), *(float(min(at_ms, end)) for at_ms in changes), float(end)]
    rows = {
        name: [float(bisect_right(instants[name], at_ms)) for at_ms in x_ms]
        for name in FATES
        if name in instants
    }
    return Series(x_ms, rows)


def payment_pace(paces_ms: list[int], hold_ms: int) -> Series:
    """How many holds were paid after how long, in bins up to the longest of them or the hold length."""
    if not paces_ms:
        return Series([], {})
    longest = max(max(paces_ms) + 1, hold_ms)
    width = next(width for width in _widths(1) if longest / width <= BINS_MAX)
    counts = [0] * ceil(longest / width)
    for pace_ms in paces_ms:
        counts[int(max(0, pace_ms) / width)] += 1
    x_ms = [float(number * width) for number in range(len(counts))]
    return Series(x_ms, {"paid": [float(count) for count in counts]}, float(width))


def whole_run(evidence: Evidence) -> Window:
    """From a little before T0 (or the first press before it) to the end of what happened."""
    timeline, opens_ms = evidence.told.timeline, evidence.terms.opens_ms
    buckets = [bucket for counts in timeline.answers.values() for bucket in counts]
    facts = [fact.at_ms - opens_ms for fact in evidence.engine.facts if fact.type in FATES.values()]
    ends = [(bucket + 1) * timeline.bucket_ms for bucket in buckets] + facts
    end = max([*ends, 1]) * 1.02
    starts = [bucket * timeline.bucket_ms for bucket in buckets] + facts
    return max(min([*starts, 0]), evidence.run.started_ms - opens_ms, -end), end


def rush_of_units(evidence: Evidence, whole: Window, sold_out_ms: int | None) -> Window | None:
    """The instants in which the units went; None when they are well seen in the whole run."""
    if sold_out_ms is not None:
        end = max(10.0, sold_out_ms * 1.2)
    else:
        opens_ms = evidence.terms.opens_ms
        held = sorted(f.at_ms - opens_ms for f in evidence.engine.facts if f.type == FactType.HELD)
        end = max(10.0, held[int(0.9 * (len(held) - 1))] * 1.2) if held else whole[1]
    return (-0.04 * end, end) if end < ZOOM * whole[1] else None


def rush_of_answers(evidence: Evidence, whole: Window) -> Window | None:
    """Until as many answers had come as there were shoppers; None when that is well seen in the whole run."""
    timeline = evidence.told.timeline
    counts: dict[int, int] = {}
    for row in timeline.answers.values():
        for bucket, count in row.items():
            counts[bucket] = counts.get(bucket, 0) + count
    after = sorted(bucket for bucket in counts if bucket >= 0)
    if not after:
        return None
    sums = list(accumulate(counts[bucket] for bucket in after))
    last = after[min(bisect_left(sums, evidence.told.pressed), len(after) - 1)]
    end = float(max(RUSH_BUCKETS_MIN, ceil((last + 1) * 1.1)) * timeline.bucket_ms)
    early = [
        bucket * timeline.bucket_ms for bucket in counts if -0.25 * end < bucket * timeline.bucket_ms < 0
    ]
    return (min([0.0, *early]), end) if end < ZOOM * whole[1] else None


class _Bins:
    """Equal parts of a window, each of a round number of buckets, of which one begins at T0."""

    def __init__(self, buckets: range, step: int) -> None:
        self.step = step
        self.buckets = range(buckets.start // step * step, -(-buckets.stop // step) * step)

    def __len__(self) -> int:
        return len(self.buckets) // self.step

    def index(self, bucket: int) -> int:
        return (bucket - self.buckets.start) // self.step

    def firsts(self) -> Iterator[int]:
        return iter(range(self.buckets.start, self.buckets.stop, self.step))


def _bins(buckets: Iterable[int], bucket_ms: int, window: Window) -> _Bins | None:
    """The bins that the buckets within a window fall into; None when there are none."""
    start, end = window
    within = [bucket for bucket in buckets if start <= bucket * bucket_ms < end]
    if not within:
        return None
    spanned = range(min(within), max(within) + 1)
    step = next(step for step in _widths(1) if len(spanned) / step <= BINS_MAX)
    return _Bins(spanned, step)


def _widths(first: int) -> Iterator[int]:
    """1, 2, 5, 10, 20, ..."""
    power = first
    while True:
        yield from (power, 2 * power, 5 * power)
        power *= 10
