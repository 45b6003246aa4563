"""What makes figures doubtful without being anybody's fault."""

from collections.abc import Iterator
from typing import Final

from flashsale.verdict.case import Case
from flashsale.verdict.money import released
from flashsale.verdict.words import counted, named

CPU_SHARE_MAX: Final = 0.9
"""Of one core: a load process that takes more has no time for its answers."""
LATE_MS: Final = 50.0
"""Presses of a load process that leave later than this say more about it than about the engine, unless a level says."""
CLOCK_ERROR_MS: Final = 50.0
"""A load process that knows the server's time less well cannot tell early from late."""


def warnings_of(case: Case) -> list[str]:
    """A sentence each."""
    return [*_load(case), *_clocks(case), *_crowd(case), *_released(case), *_moving(case)]


def _load(case: Case) -> Iterator[str]:
    late_ms = case.levels.fire_late_p99_ms
    late_ms = LATE_MS if late_ms is None else late_ms
    processes = case.evidence.processes
    if not processes:
        yield "No load process told what it cost: the load, not the engine, may be what was measured."
    busy = [
        f"{process.name} ({process.rush_cpu_share:.0%} of a core)"
        for process in processes
        if process.rush_cpu_share > CPU_SHARE_MAX
    ]
    late = [
        f"{process.name} ({process.late_p99_ms:,.0f} ms)"
        for process in processes
        if process.late_p99_ms > late_ms
    ]
    measured = "the load, not the engine, may be what was measured. Start more of them, or elsewhere."
    if busy:
        yield f"{counted(busy, 'load process', 'load processes')} busy during the rush: {named(busy)}; {measured}"
    if late:
        yield f"{counted(late, 'load process', 'load processes')} pressed late (p99): {named(late)}; {measured}"


def _clocks(case: Case) -> Iterator[str]:
    wrong = [
        f"{process.name} ({process.clock_error_ms:,.0f} ms)"
        for process in case.evidence.processes
        if process.clock_error_ms > CLOCK_ERROR_MS
    ]
    if wrong:
        yield (
            f"{counted(wrong, 'load process', 'load processes')} hardly knew the server's time: {named(wrong)}; "
            "sold-out answers were judged with so much patience."
        )


def _crowd(case: Case) -> Iterator[str]:
    shoppers, pressed = case.evidence.run.shoppers, case.told.pressed
    if pressed < shoppers:
        yield f"{shoppers - pressed:,} of {counted(shoppers, 'shopper')} never pressed."


def _moving(case: Case) -> Iterator[str]:
    if not case.steady:
        yield "Others kept buying while the books were read: the engine's counters could not be held against its journal."


def _released(case: Case) -> Iterator[str]:
    holds = [f"{hold.customer} ({hold.reservation})" for hold in released(case)]
    if holds:
        yield (
            f"{counted(holds, 'shopper')} agreed to a payment of which no money was taken, as the hold had ended: "
            f"{named(holds)}."
        )
