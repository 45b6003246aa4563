"""Service levels: what was asked for, what was measured, and whether it was kept."""

from flashsale.verdict.case import Case
from flashsale.verdict.figures import (
    NO_ANSWER,
    answers_of,
    latest,
    percentiles_of,
    share_5xx,
    slots_of,
    sold_out_ms,
)
from flashsale.verdict.shapes import Level
from flashsale.verdict.words import counted

NOT_MEASURED = "not measured"


def levels_of(case: Case) -> list[Level]:
    """Those that were asked for. What was asked for and could not be measured is not kept."""
    levels = case.levels
    found = []
    if levels.reserve_p99_ms is not None:
        found.append(_reserve(case, levels.reserve_p99_ms))
    if levels.share_5xx is not None:
        found.append(_share(case, levels.share_5xx))
    if levels.sell_out_seconds is not None:
        found.append(_sell_out(case, levels.sell_out_seconds))
    found.append(_silences(case, levels.silences))
    if levels.fire_late_p99_ms is not None:
        found.append(_late(case, levels.fire_late_p99_ms))
    return found


def _ms(value: float) -> str:
    return f"{value:,.1f} ms" if value < 100 else f"{value:,.0f} ms"


def _most(name: str, value: float | None, limit: float, wanted: str, measured: str) -> Level:
    return Level(name, wanted, measured, value is not None and value <= limit, value, limit)


def _reserve(case: Case, limit: float) -> Level:
    percentiles = percentiles_of(slots_of(case.told.timeline, "reserve"))
    value = None if percentiles is None else percentiles.p99
    measured = NOT_MEASURED if value is None else _ms(value)
    return _most("reserve_p99_ms", value, limit, f"at most {_ms(limit)}", measured)


def _share(case: Case, limit: float) -> Level:
    statuses = case.told.timeline.statuses
    total, silent = answers_of(case.told.timeline), statuses.get(NO_ANSWER, 0)
    value = share_5xx(case.told.timeline) if total else None
    measured = NOT_MEASURED
    if value is not None:
        measured = f"{value:.3%} of {counted(total, 'answer')}"
        measured += f" ({silent:,} more without an answer)" if silent else ""
    return _most("share_5xx", value, limit, f"at most {limit:.3%}", measured)


def _sell_out(case: Case, limit: float) -> Level:
    reached_ms = sold_out_ms(case)
    value = None if reached_ms is None else reached_ms / 1000
    measured = "never sold out" if value is None else f"{value:,.3f} s"
    return _most("sell_out_seconds", value, limit, f"at most {limit:,.3f} s", measured)


def _silences(case: Case, limit: int) -> Level:
    count = len(case.told.silences)
    return _most("silences", float(count), float(limit), f"at most {limit:,}", f"{count:,}")


def _late(case: Case, limit: float) -> Level:
    value = latest(case.evidence.processes) if case.evidence.processes else None
    measured = NOT_MEASURED if value is None else _ms(value)
    return _most("fire_late_p99_ms", value, limit, f"at most {_ms(limit)}", measured)
