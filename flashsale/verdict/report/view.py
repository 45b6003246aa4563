"""What a report says, as the templates take it: every number as text, in the order in which it is read."""

from typing import Any, Final

import msgspec

from flashsale.verdict.advice import Advice
from flashsale.verdict.evidence import Evidence, LoadProcess
from flashsale.verdict.numbers import count, duration, instant, number, percent
from flashsale.verdict.pace import load_was_the_limit, on_this_machine
from flashsale.verdict.report.pictures import Picture
from flashsale.verdict.report.series import Moment
from flashsale.verdict.shapes import Check, Figures, Level, Verdict

PROCESSES_MAX: Final = 24
"""More load processes than this are not shown one by one: the busiest are."""
MOMENTS_MAX: Final = 10
LEVEL_NAMES: Final = {
    "reserve_p99_ms": "p99 of reserve",
    "share_5xx": "share of 5xx answers",
    "sell_out_seconds": "time to sell out",
    "silences": "requests without an answer",
    "fire_late_p99_ms": "lateness of the load",
}
CHECK_HINTS: Final = {
    "oversold": "Let no sale run on this build. `flashsale audit {sale}` names the first fact that does not add up; hold "
    "the reservations named here against the journal.",
    "undersold": "Look for units that nobody could have: compare available, held and sold of each item, and see whether "
    "holds that were over had gone back on sale.",
    "limit": "Look up every reservation of the customers named here in the journal, and when each was granted.",
    "answers": "Look for these requests in the log of the server, and for a restart at that instant: an answer got lost, or "
    "was not kept.",
    "money": "Hold the payments named here against the provider's own books before anything is shipped.",
    "feed": "Read the feed again around the numbers named here (`flashsale orders tail`) before an order system acts on it.",
    "agreement": "Take one reservation named here and ask all three for it: the shopper, the journal, the feed. The one "
    "that differs is wrong.",
    "engine": "See whether the server could be reached when the run ended, and run `flashsale audit {sale}`.",
}
"""What to look at first when a promise was broken."""
LEVEL_HINTS: Final = {
    "reserve_p99_ms": "The pictures tell when it was slow; what the load cost tells whether the load itself had time left.",
    "share_5xx": "The statuses below tell which they were, the pictures when: busy (503) asks to come again later, others "
    "are faults that the log of the server explains.",
    "sell_out_seconds": "See when the crowd pressed and how long answers took; fewer shoppers than units never sell out.",
    "silences": "See what each connection ended with (evidence.json, told.silences), and the log of the server then.",
    "fire_late_p99_ms": "The load was late, so the run says little about the server: give it more processes or machines.",
}
"""What to look at first when a service level was missed."""
UNREAD_HINT: Final = (
    "Something could not be read, so other checks may only have missed it. See whether the server could be reached when the "
    "run ended."
)


class First(msgspec.Struct, frozen=True):
    """What to look at first in a red report."""

    what: str
    found: str
    hint: str


def context(
    evidence: Evidence,
    verdict: Verdict,
    advice: list[Advice],
    pictures: list[Picture],
    history: list[Moment],
) -> dict[str, Any]:
    """Everything that the templates show."""
    return {
        **_judged(evidence, verdict),
        **_measured(evidence, verdict),
        **_made(evidence),
        "advice": advice,
        "pictures": pictures,
        "moments": _few(history),
    }


def _judged(evidence: Evidence, verdict: Verdict) -> dict[str, Any]:
    """What was found."""
    return {
        "ok": verdict.ok,
        "word": "OK" if verdict.ok else "WRONG",
        "sentence": sentence(verdict),
        "first": first_look(evidence, verdict),
        "numbers": numbers(verdict.figures),
        "figures": figures(verdict.figures),
        "checks": verdict.checks,
        # A promise of which not everything could be read was not seen broken, and not seen kept either.
        "judged": bool(verdict.figures.pressed and not evidence.engine.trouble and not evidence.feed.trouble),
        "levels": [(LEVEL_NAMES.get(level.name, level.name), level) for level in verdict.levels],
        "warnings": verdict.warnings,
    }


def _measured(evidence: Evidence, verdict: Verdict) -> dict[str, Any]:
    """How long answers took, which they were, and what it cost to ask."""
    latency, statuses = verdict.figures.latency, evidence.told.timeline.statuses
    return {
        "latencies": [
            (name, number(one.count), *(duration(ms) for ms in (one.p50, one.p95, one.p99, one.max)))
            for name, one in sorted(latency.items(), key=lambda row: (row[0] != "reserve", row[0]))
        ],
        "statuses": [
            ("no answer" if status == "0" else status, number(times))
            for status, times in sorted(statuses.items(), key=lambda row: (row[0] == "0", row[0]))
        ],
        "bots": [(what, number(times)) for what, times in sorted(evidence.told.bots.items())],
        "load": load(evidence.processes),
        "load_at_limit": load_was_the_limit(evidence),
        "shared": on_this_machine(evidence),
    }


def _made(evidence: Evidence) -> dict[str, Any]:
    """What was run, and where."""
    run, terms = evidence.run, evidence.terms
    kind = "Rehearsal" if run.rehearsal else "Load test"
    brief = [
        run.host,
        run.profile or run.shape,
        count(run.shoppers, "shopper"),
        f"{instant(terms.opens_ms)[:16]} UTC",
    ]
    return {
        "kind": kind,
        "title": terms.title if terms.title not in {"", kind} else terms.sale,
        "brief": " · ".join(brief),
        "about": [
            ("Sale", terms.sale),
            ("Server", run.host),
            ("Profile", f"{run.profile}, {run.shape}" if run.profile else run.shape),
            ("Shoppers", number(run.shoppers)),
            ("Opened (T0)", instant(terms.opens_ms)),
            ("Run", f"{instant(run.started_ms)}, {duration(run.ended_ms - run.started_ms)} long"),
        ],
        "machine": run.machine,
        "versions": sorted(run.versions.items()),
        "options": [(name, _as_text(value)) for name, value in sorted(run.options.items())],
        "items": [(item.sku, number(item.stock), _limit(item.limit)) for item in terms.items],
        "hold": duration(terms.hold_ms),
        "limit": _limit(terms.limit),
    }


def sentence(verdict: Verdict) -> str:
    """The verdict in one sentence."""
    one = verdict.figures
    broken = [check.name for check in verdict.checks if not check.ok]
    missed = [LEVEL_NAMES.get(level.name, level.name) for level in verdict.levels if not level.ok]
    if verdict.ok:
        levels = f", and {count(len(verdict.levels), 'service level')} kept" if verdict.levels else ""
        return (
            f"Every promise was kept: {count(one.sales, 'order')} for {number(one.sold_units)} of "
            f"{count(one.stock, 'unit')}, none too many, nobody sent away too early{levels}."
        )
    parts = []
    if broken:
        parts.append(f"{len(broken)} of {count(len(verdict.checks), 'promise')} broken: {', '.join(broken)}")
    if missed:
        parts.append(
            f"{len(missed)} of {count(len(verdict.levels), 'service level')} missed: {', '.join(missed)}"
        )
    return f"{'; '.join(parts) or 'Something is wrong, and no check says what'}."


def first_look(evidence: Evidence, verdict: Verdict) -> First | None:
    """Where to begin in a red report; None in a green one."""
    if verdict.ok:
        return None
    if unread := evidence.engine.trouble + evidence.feed.trouble:
        return First("What could not be read", unread[0], UNREAD_HINT)
    broken = next((check for check in verdict.checks if not check.ok), None)
    if broken is not None:
        return _first_of_check(broken, evidence.terms.sale)
    late = next(
        (level for level in verdict.levels if not level.ok and level.name == "fire_late_p99_ms"), None
    )
    missed = late or next((level for level in verdict.levels if not level.ok), None)
    return _first_of_level(missed) if missed is not None else None


def _first_of_check(check: Check, sale: str) -> First:
    hint = CHECK_HINTS.get(check.name, "").format(sale=sale)
    return First(check.question, check.findings[0], hint)


def _first_of_level(level: Level) -> First:
    found = f"Measured {level.measured}, wanted {level.wanted}."
    return First(LEVEL_NAMES.get(level.name, level.name), found, LEVEL_HINTS.get(level.name, ""))


def numbers(one: Figures) -> list[tuple[str, str, str]]:
    """The three that are never the same thing: name, number, what it counts."""
    return [
        ("requests accepted", number(one.accepted), "reservations granted"),
        ("sold-out answers", number(one.sold_out_answers), "times nothing was left"),
        ("sales", number(one.sales), "orders that stand"),
    ]


def figures(one: Figures) -> list[tuple[str, str]]:
    """The others, by name."""
    reserve = one.latency.get("reserve")
    return [
        ("Units sold", f"{number(one.sold_units)} of {number(one.stock)}"),
        ("Sold out after", duration(one.sold_out_ms)),
        ("All paid after", duration(one.all_paid_ms)),
        ("p99 of reserve", duration(reserve.p99) if reserve is not None else "-"),
        ("Pressed, decided", f"{number(one.pressed)}, {number(one.decided)}"),
        ("Requests", number(one.requests)),
        ("Answers with 5xx", percent(one.share_5xx)),
        ("Without an answer", number(one.silences)),
        ("Holds", number(one.holds)),
        ("Expired, cancelled", f"{number(one.expired)}, {number(one.cancelled)}"),
        ("Orders made, refunded", f"{number(one.confirmed)}, {number(one.refunded)}"),
        ("Charges, given back", f"{number(one.charges)}, {number(one.charges_given_back)}"),
    ]


def load(processes: list[LoadProcess]) -> dict[str, Any]:
    """What the load itself has cost: the busiest processes, and all of them together."""
    busiest = sorted(processes, key=lambda one: (-one.rush_cpu_share, -one.late_p99_ms, one.name))
    shown = sorted(busiest[:PROCESSES_MAX], key=lambda one: one.name)
    rows = [
        (
            one.name,
            percent(one.rush_cpu_share),
            percent(one.cpu_seconds / one.wall_seconds) if one.wall_seconds else "-",
            number(one.fired),
            number(one.fired_in_first_second),
            duration(one.late_p50_ms),
            duration(one.late_p99_ms),
            duration(one.late_max_ms),
            f"± {duration(one.clock_error_ms)}",
            f"{one.memory_mib:,.0f} MiB",
        )
        for one in shown
    ]
    return {
        "rows": rows,
        "more": len(processes) - len(shown),
        "cpu_max": percent(max((one.rush_cpu_share for one in processes), default=0.0)),
        "late_p99": duration(max((one.late_p99_ms for one in processes), default=0.0)),
        "fired": number(sum(one.fired for one in processes)),
        "fired_in_first_second": number(sum(one.fired_in_first_second for one in processes)),
        "processes": count(len(processes), "load process", "load processes"),
        "cpu_seconds": number(round(sum(one.cpu_seconds for one in processes), 1)),
    }


def _few(history: list[Moment]) -> list[tuple[str, str, str, str]]:
    """Some moments of the history for those who read text: the first and the last, and equal numbers of changes between."""
    if not history:
        return []
    places = sorted({round(part * (len(history) - 1) / (MOMENTS_MAX - 1)) for part in range(MOMENTS_MAX)})
    return [
        (duration(one.at_ms), number(one.available), number(one.held), number(one.sold))
        for one in (history[place] for place in places)
    ]


def _limit(limit: int | None) -> str:
    return number(limit) if limit is not None else "none"


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
