"""The sell-out curve as a PNG. It needs matplotlib, which only the extra `flashsale[demo]` brings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flashsale.demo.figures import Moment, Result
from flashsale.demo.messages import Answer
from flashsale.demo.received import OrderSystemFigures
from flashsale.verdict.report import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS_MAX = 80
BIN_WIDTHS_MS = tuple(step * 10**power for power in range(7) for step in (1, 2, 5))
INK, FAINT = "#1f2933", "#9aa5b1"
COLOURS = {
    "sale": ("#1a936f", "sales (201)"),
    "replay": ("#3d8bd4", "replays (200)"),
    "sold_out": ("#f2a541", "sold out (409)"),
    "not_open": ("#b8c4d6", "not open yet (409)"),
    "busy": ("#8e5ea2", "busy (503)"),
    "cut": ("#c0392b", "connections cut"),
    "error": ("#7b241c", "other errors"),
}


FATES = (
    ("paid", "paid for", "#1a6f93"),
    ("held", "held", "#1a936f"),
    ("available", "available", "#dfe5ec"),
)


def draw_curve(result: Result, answers: Sequence[Answer], path: Path) -> None:
    """Write the picture of a run to `path`. Raises MissingExtraError: matplotlib is not installed."""
    try:
        # Imported here, as it is an extra and takes a while.
        from matplotlib import rc_context  # noqa: PLC0415 - an extra
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - an extra
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
        from matplotlib.layout_engine import ConstrainedLayoutEngine  # noqa: PLC0415 - an extra
    except ImportError as fault:
        raise MissingExtraError("picture", "matplotlib", "demo") from fault
    with rc_context(
        {"font.family": "DejaVu Sans", "font.size": 10, "text.color": INK, "axes.edgecolor": FAINT}
    ):
        layout = ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08)
        figure = Figure(figsize=(12, 10.5), dpi=120, facecolor="white", layout=layout)
        FigureCanvasAgg(figure)
        grid = figure.add_gridspec(
            3, 2, width_ratios=(3, 1), height_ratios=(3, 2, 2.4), hspace=0.08, wspace=0.06
        )
        figure.suptitle(_headline(result), fontsize=16, fontweight="bold", x=0.02, ha="left")
        _draw_units(figure.add_subplot(grid[0, 0]), result)
        _draw_record(figure.add_subplot(grid[0, 1]), result)
        _draw_answers(figure.add_subplot(grid[1, 0]), figure.add_subplot(grid[1, 1]), answers)
        _draw_history(figure.add_subplot(grid[2, 0]), figure.add_subplot(grid[2, 1]), result)
        figure.supxlabel(_caption(result), fontsize=9, color=FAINT, x=0.02, ha="left")
        figure.savefig(path)


def _headline(result: Result) -> str:
    if result.sold_out and result.last_unit_held_ms is not None:
        said = f"{result.title}: {result.units:,} units sold out in {result.last_unit_held_ms:,.0f} ms"
        paid_ms = result.payments.last_paid_ms
        return (
            f"{said}, all paid for after {paid_ms / 1000:,.1f} s"
            if result.payments.all_paid and paid_ms
            else said
        )
    return f"{result.title}: {len(result.curve) and result.curve[-1][1]:,} of {result.units:,} units held"


def _caption(result: Result) -> str:
    return (
        f"{result.shoppers:,} shoppers on {result.connections:,} connections, "
        f"server workers: {result.workers}, seed {result.seed}; "
        f"server, Valkey and crowd together on {result.machine}; "
        f"verdict: {'OK' if result.ok else 'WRONG'}"
    )


def _draw_units(axes: Axes, result: Result) -> None:
    last_ms = max(1.0, result.last_unit_held_ms or 1.0)
    instants = [0.0, *(instant for instant, _ in result.curve), last_ms * 1.15]
    held = [0, *(units for _, units in result.curve), result.curve[-1][1] if result.curve else 0]
    axes.step(instants, held, where="post", color=COLOURS["sale"][0], linewidth=2.2)
    axes.fill_between(instants, held, step="post", color=COLOURS["sale"][0], alpha=0.15)
    axes.axhline(result.units, color=FAINT, linewidth=1, linestyle="--")
    axes.annotate(
        f"stock: {result.units:,} units", (0, result.units), (4, 4), textcoords="offset points", color=FAINT
    )
    axes.set_xlim(0, last_ms * 1.15)
    axes.set_ylim(0, result.units * 1.12)
    _label(axes, "Units held", "milliseconds since T0, by the clock of Valkey", "units held")


def _draw_record(axes: Axes, result: Result) -> None:
    names, seconds, colours = [], [], []
    if result.last_unit_held_ms is not None:
        names.append(f"this run\n{result.curve[-1][1]:,} units")
        seconds.append(max(0.001, result.last_unit_held_ms / 1000))
        colours.append(COLOURS["sale"][0])
    if result.record is not None:
        names.insert(0, f"the record\n{result.record.units:,} units")
        seconds.insert(0, result.record.seconds)
        colours.insert(0, FAINT)
    axes.bar(names, seconds, color=colours, width=0.6)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylim(min([*seconds, 0.01]) / 3, max([*seconds, 1.0]) * 6)
    for name, value in zip(names, seconds, strict=True):
        axes.annotate(
            f"{value:,.3g} s",
            (name, value),
            (0, 5),
            textcoords="offset points",
            ha="center",
            fontweight="bold",
        )
    ratio = result.record.ratio if result.record is not None else None
    title = f"{ratio:,.0f} times as fast" if ratio else "Time to the last unit"
    _label(axes, title, "", "seconds, logarithmic")


def _draw_answers(axes: Axes, beside: Axes, answers: Sequence[Answer]) -> None:
    answers = [answer for answer in answers if not answer.visit]
    received = [answer.received_ms for answer in answers]
    start, end = min([*received, 0.0]), max([*received, 1.0])
    width = next(width for width in BIN_WIDTHS_MS if (end - start) / width <= BINS_MAX)
    # The bins are counted from T0, so that one of them begins there.
    edges = [width * number for number in range(math.floor(start / width), math.ceil(end / width) + 1)]
    times = {kind: [answer.received_ms for answer in answers if answer.kind == kind] for kind in COLOURS}
    kinds = [kind for kind in COLOURS if times[kind]]
    axes.hist(
        [times[kind] for kind in kinds] or [[]],
        bins=edges,
        stacked=True,
        color=[COLOURS[kind][0] for kind in kinds] or None,
        label=[f"{COLOURS[kind][1]}: {len(times[kind]):,}" for kind in kinds] or None,
    )
    beside.axis("off")
    beside.legend(*axes.get_legend_handles_labels(), frameon=False, loc="upper left", borderaxespad=0)
    axes.axvline(0, color=INK, linewidth=1, linestyle=":")
    axes.annotate("T0", (0, 1), (3, -10), textcoords="offset points", xycoords=("data", "axes fraction"))
    axes.set_xlim(edges[0], edges[-1])
    _label(
        axes,
        "Answers to the rush",
        "milliseconds since T0, by the clock of the crowd",
        f"answers in {width:,} ms",
    )


def _draw_history(axes: Axes, beside: Axes, result: Result) -> None:
    """Where the units were over the whole run, stacked: together they are the stock at every instant."""
    moments = [Moment(0.0, result.units, 0, 0), *(one for one in result.history if one.at_ms > 0)]
    if result.last_unit_held_ms is not None and result.sold_out:
        moments.append(Moment(result.last_unit_held_ms, 0, result.units, 0))
    moments.sort(key=lambda one: one.at_ms)
    axes.stackplot(
        [one.at_ms / 1000 for one in moments],
        *([getattr(one, name) for one in moments] for name, _, _ in FATES),
        colors=[colour for _, _, colour in FATES],
        labels=[f"{label}: {getattr(moments[-1], name):,} in the end" for name, label, _ in FATES],
        step="post",
    )
    _draw_received(axes, result.order_system, moments[-1].at_ms)
    handles, labels = axes.get_legend_handles_labels()
    checkouts, payments = result.payments.checkouts, result.payments
    beside.axis("off")
    beside.legend(handles[::-1], labels[::-1], frameon=False, loc="upper left", borderaxespad=0)
    lines = (
        f"{checkouts.declined:,} declined, {checkouts.declined_and_paid:,} of them paid",
        f"{checkouts.walked_away:,} walked away",
        f"{checkouts.late:,} agreed to pay too late",
        f"{checkouts.refunded:,} refunded",
        f"{payments.sold_again:,} units sold again",
    )
    beside.text(0.02, 0.55, "\n".join(lines), va="top", linespacing=1.6, transform=beside.transAxes)
    axes.set_xlim(0, max(1.0, moments[-1].at_ms / 1000))
    axes.set_ylim(0, max(1, result.units))
    _label(axes, "From hold to order", "seconds since T0, by the clock of Valkey", "units")


def _draw_received(axes: Axes, one: OrderSystemFigures, end_ms: float) -> None:
    """The orders that the order system had: it keeps to what is paid for, but for the time when it was down."""
    if one.curve:
        last = one.curve[-1]
        curve = [*one.curve, (max(last[0], end_ms), last[1])]
        axes.step(
            [at_ms / 1000 for at_ms, _ in curve],
            [orders for _, orders in curve],
            where="post",
            color=COLOURS["sold_out"][0],
            linewidth=1.6,
            label=f"order system: {last[1]:,} in the end",
        )


def _label(axes: Axes, title: str, x_label: str, y_label: str) -> None:
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold")
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK)
