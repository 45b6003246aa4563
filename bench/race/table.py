"""Markdown tables of a race."""

import math
from collections.abc import Sequence
from statistics import median

from bench.race.arithmetic import ratio
from bench.race.arrivals import Arrived
from bench.race.field import OURS, by_key
from bench.race.results import Results

NOTHING = "-"
"""Stands where there is no figure."""


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first column is text, the others are set to the right."""
    marks = ["---", *["--:"] * (len(columns) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [columns, marks, *rows])


def number(value: float, digits: int = 0) -> str:
    """With thousands separated; a dash for what was not measured."""
    return NOTHING if math.isnan(value) else f"{value:,.{digits}f}"


QUIET_SHARE = 0.1
"""Of a core; when others use more, the machine was not quiet."""


def race_table(results: Results) -> str:
    """Who did how much, the fastest first, with the ratios to ours."""
    ours = results.rates(OURS)
    order = sorted(results.heats, key=lambda key: -results.rate(key).median)
    rows = []
    for key in order:
        contender, rate = by_key(key), results.rate(key)
        half = results.halves.get(key, [])
        busy = sorted(heat.peak.server_share for heat in results.heats[key])[len(results.heats[key]) // 2]
        rows.append(
            [
                f"**{contender.title}**" if key == OURS else contender.title,
                number(rate.median),
                f"{number(rate.least)} to {number(rate.most)}",
                number(ratio(ours, results.rates(key)), 2),
                number(100 * busy) + " %",
                f"{number(results.server_micros(key).median, 1)} / {_store_micros(results, key)}",
                _pair(half),
                _oversold(results, key),
                contender.checks,
            ]
        )
    columns = (
        "contender", "reservations a second", "least to most", "flashsale is faster by", "server core busy",
        "µs each: server / store", "p50 / p99 ms at half load", "oversold", "what it sees to",
    )  # fmt: skip
    return markdown(columns, rows)


def _pair(half: Sequence[Arrived]) -> str:
    found = [(each.p50_ms, each.p99_ms) for each in half]
    if not found:
        return NOTHING
    p50, p99 = (sorted(each)[len(found) // 2] for each in zip(*found, strict=True))
    return f"{p50:.1f} / {p99:.1f}"


def _store_micros(results: Results, key: str) -> str:
    return NOTHING if by_key(key).store == "none" else number(results.store_micros(key).median, 1)


def _oversold(results: Results, key: str) -> str:
    if by_key(key).store == "none":
        return NOTHING
    worst = max(results.heats[key], key=lambda heat: heat.sell_out_count.oversold).sell_out_count
    return f"**{worst.oversold} of {worst.stock}**" if worst.oversold else "0"


def notes(results: Results) -> str:
    """What was measured on what, who could not race, and what went wrong."""
    rounds = max((len(heats) for heats in results.heats.values()), default=0)
    lines = [
        f"Measured on {results.date}: {results.machine}; {results.cores}. {results.versions}.",
        f"Medians of {rounds} rounds of {results.seconds:.0f} s each, 64 connections, a new customer with every request.",
        "The ratio is the median of the ratios of each round.",
    ]
    others = [heat.peak.others_share for heats in results.heats.values() for heat in heats]
    if others:
        lines.append(
            f"Others used {100 * median(others):.0f} % of a core meanwhile"
            f" (the median of all runs; {100 * max(others):.0f} % at most)"
            f"{': these figures are worth little' if median(others) > QUIET_SHARE else ''}."
        )
    if results.script_limit:
        limit = results.script_limit
        lines.append(
            f"The store alone, `redis-benchmark` with bench/peers/reserve.lua: {limit['rate']:,.0f} a second,"
            f" {limit['micros']:.1f} µs of its processor each."
        )
    if late := [each.late_p99_ms for found in results.halves.values() for each in found]:
        lines.append(
            f"At half load the generator itself was {median(late):.2f} ms late"
            f" (p99, the median of all runs; {max(late):.2f} ms in the worst)."
        )
    lines += [f"Not raced: {by_key(key).title}: {why}." for key, why in results.missing.items()]
    lines += [f"**Fault:** {fault}." for fault in results.faults]
    return "\n".join(f"- {line}" for line in lines)
