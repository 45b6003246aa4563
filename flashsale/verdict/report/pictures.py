"""Which pictures a report has, what each shows, and what is said under it."""

from collections.abc import Iterator
from typing import Final

import msgspec

from flashsale.verdict.evidence import Evidence
from flashsale.verdict.numbers import count, duration, number
from flashsale.verdict.pace import payment_paces
from flashsale.verdict.report import series
from flashsale.verdict.report.plot import Drawing, Line, Mark, draw
from flashsale.verdict.report.series import Window
from flashsale.verdict.shapes import Verdict

KIND_LINES: Final = (
    Line("held", "held (201)", "held"),
    Line("replayed", "replays (200)", "replayed"),
    Line("sold_out", "sold out (409)", "sold-out"),
    Line("limit_reached", "limit reached (409)", "limit"),
    Line("not_open", "not open yet (409)", "not-open"),
    Line("paused", "paused (409)", "paused"),
    Line("closed", "closed (410)", "closed"),
    Line("busy", "busy (503)", "busy"),
    Line("refused", "refused (other 4xx)", "refused"),
    Line("failed", "failed (other 5xx)", "failed"),
    Line("silence", "no answer", "silence"),
)
"""Kinds of answers to `reserve`, in the order in which they are stacked."""
UNIT_LINES: Final = (
    Line("sold", "sold", "sold"),
    Line("held", "held", "held"),
    Line("available", "available", "available"),
)
LATENCY_LINES: Final = (
    Line("p50", "p50: half of them were faster", "replayed", "dotted"),
    Line("p95", "p95", "sold", "dashed"),
    Line("p99", "p99: one of a hundred took longer", "failed"),
)
FATE_LINES: Final = (
    Line("held", "held", "held"),
    Line("paid", "paid", "sold", "dashed"),
    Line("expired", "expired", "sold-out"),
    Line("cancelled", "cancelled", "limit", "dashed"),
    Line("refunded", "refunded", "failed", "dotted"),
)
LOGARITHMIC: Final = 30
"""Latencies that differ by more than this factor are drawn on a logarithmic scale."""
LIMIT_SHOWN: Final = 3
"""A limit that is higher than this many times what was measured is not drawn."""


class Picture(msgspec.Struct, frozen=True):
    """A picture as the page shows it."""

    title: str
    caption: str
    legend: list[Line]
    drawing: Drawing
    svg: str = ""
    """Empty before it is drawn, and when there is nothing to show."""


class _Album:
    """All pictures of one run."""

    def __init__(self, evidence: Evidence, verdict: Verdict) -> None:
        self.evidence = evidence
        self.figures = verdict.figures
        self.levels = {level.name: level for level in verdict.levels}
        self.whole = series.whole_run(evidence)
        self.history = series.moments(evidence)

    def pictures(self) -> Iterator[Picture]:
        """In the order in which they are shown."""
        rush = series.rush_of_units(self.evidence, self.whole, self.figures.sold_out_ms)
        if rush is not None:
            yield self._units("units_rush", "How the units went", rush, marked=True)
        title = "Where the units were, over the whole run"
        yield self._units("units", title, self.whole, marked=rush is None)
        rush = series.rush_of_answers(self.evidence, self.whole)
        if rush is not None:
            yield self._answers("answers_rush", "Answers per second in the rush", rush)
        yield self._answers("answers", "Answers per second, over the whole run", self.whole)
        if rush is not None:
            yield self._latency("latency_rush", "How long reserve took in the rush", rush)
        yield self._latency("latency", "How long reserve took, over the whole run", self.whole)
        yield self._fates()
        yield self._payment_pace()

    def _units(self, name: str, title: str, window: Window, *, marked: bool) -> Picture:
        shown, figures = series.units(self.history, window), self.figures
        zoomed, marks = name == "units_rush", _opening(window)
        if figures.sold_out_ms is None:
            caption = (
                f"Never sold out: {number(figures.sold_units)} of {count(figures.stock, 'unit')} were sold."
            )
        else:
            caption = f"Nothing was left {duration(figures.sold_out_ms)} after T0, for the first time."
            if marked:
                marks = [*marks, Mark(figures.sold_out_ms, f"sold out, {duration(figures.sold_out_ms)}")]
        if not zoomed and figures.all_paid_ms is not None:
            caption += f" Everything was paid for after {duration(figures.all_paid_ms)}."
        caption += " By the engine's journal."
        drawing = Drawing(name, shown, list(UNIT_LINES), window, "units", marks=marks)
        legend = list(UNIT_LINES)
        if not zoomed and not shown.empty:
            legend = [
                Line(line.row, f"{line.label}: {number(shown.rows[line.row][-1])} in the end", line.colour)
                for line in UNIT_LINES
            ]
        return Picture(title, caption, legend, drawing)

    def _answers(self, name: str, title: str, window: Window) -> Picture:
        shown = series.answers(self.evidence, window)
        known = [line for line in KIND_LINES if line.row in shown.rows]
        strange = shown.rows.keys() - {line.row for line in known}
        lines = [*known, *(Line(kind, kind, "closed") for kind in sorted(strange))]
        counts = {kind: sum(row) * shown.width_ms / 1_000 for kind, row in shown.rows.items()}
        legend = [
            Line(line.row, f"{line.label}: {number(round(counts[line.row]))}", line.colour) for line in lines
        ]
        most = max((sum(row) for row in zip(*shown.rows.values(), strict=True)), default=0)
        caption = f"At most {number(round(most))} a second, counted in parts of {duration(shown.width_ms)}."
        caption += " By the clock of the shoppers."
        drawing = Drawing(name, shown, lines, window, "answers per second", marks=_opening(window))
        return Picture(title, caption, legend, drawing)

    def _latency(self, name: str, title: str, window: Window) -> Picture:
        shown, marks = series.latency(self.evidence, window), _opening(window)
        values = [value for line in LATENCY_LINES for value in shown.rows.get(line.row, []) if value > 0]
        caption = self._latency_caption()
        level = self.levels.get("reserve_p99_ms")
        if level is not None and level.limit is not None:
            caption += f" Wanted: p99 {level.wanted}."
            # What was kept by far would press the lines down to nothing.
            if level.limit <= LIMIT_SHOWN * max(values, default=0):
                marks = [*marks, Mark(level.limit, f"p99 wanted: {level.wanted}", across=True)]
        drawing = Drawing(
            name,
            shown,
            list(LATENCY_LINES),
            window,
            "milliseconds",
            style="points",
            logarithmic=bool(values) and max(values) > LOGARITHMIC * min(values),
            marks=marks,
        )
        return Picture(title, caption, list(LATENCY_LINES), drawing)

    def _latency_caption(self) -> str:
        took, since = (
            self.figures.latency.get("reserve"),
            "From the instant the shopper meant to press to the answer.",
        )
        if took is None:
            return since
        return (
            f"Of all {number(took.count)} in the run: p50 {duration(took.p50)}, p95 {duration(took.p95)}, "
            f"p99 {duration(took.p99)}, the slowest {duration(took.max)}. {since}"
        )

    def _fates(self) -> Picture:
        shown, figures = series.fates(self.evidence, self.whole), self.figures
        lines = [line for line in FATE_LINES if line.row in shown.rows]
        legend = [
            Line(line.row, f"{line.label}: {number(shown.rows[line.row][-1])}", line.colour, line.dash)
            for line in lines
        ]
        caption = (
            f"{count(figures.holds, 'hold')} in all, {number(figures.expired)} expired and "
            f"{number(figures.cancelled)} cancelled: their units went back on sale at once."
        )
        drawing = Drawing(
            "fates", shown, lines, self.whole, "reservations so far", "lines", marks=_opening(self.whole)
        )
        return Picture("Held, paid, expired", caption, legend, drawing)

    def _payment_pace(self) -> Picture:
        paces, hold_ms = payment_paces(self.evidence), self.evidence.terms.hold_ms
        shown = series.payment_pace(paces, hold_ms)
        end = max([hold_ms * 1.05, *paces]) if paces else 1.0
        lines = [Line("paid", "paid", "sold")]
        drawing = Drawing(
            "payment_pace",
            shown,
            lines,
            (0.0, end),
            "holds paid",
            marks=[Mark(hold_ms, f"hold ends, {duration(hold_ms)}")],
            since="the hold began",
        )
        caption = (
            f"Counted in parts of {duration(shown.width_ms)}. How fast shoppers pay is a setting of the run; your customers "
            "may be slower."
        )
        return Picture("From hold to paid", caption, lines, drawing)


def planned(evidence: Evidence, verdict: Verdict) -> list[Picture]:
    """Every picture of this run, none of them drawn yet."""
    return list(_Album(evidence, verdict).pictures())


def drawn(pictures: list[Picture]) -> list[Picture]:
    """The same, drawn where there is something to show.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    return [
        msgspec.structs.replace(one, svg="" if one.drawing.series.empty else draw(one.drawing))
        for one in pictures
    ]


def _opening(window: Window) -> list[Mark]:
    return [Mark(0.0, "")] if window[0] < 0 else []
