"""Draws one series as SVG that stands inside a page: its colours are the page's, light or dark, its text is text.

It needs matplotlib, which only an extra brings, and imports it when something is drawn.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec

from flashsale.verdict.report.extra import MissingExtraError
from flashsale.verdict.report.series import Series, Window

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE: Final = (440, 260)
"""Width and height in the picture's own pixels, which the page scales."""
PALETTE: Final[Mapping[str, tuple[str, str]]] = {
    "ink": ("#1c1e21", "#e6e8eb"),
    "soft": ("#5b616b", "#a2a9b4"),
    "line": ("#dfe2e7", "#32363d"),
    "page": ("#ffffff", "#131518"),
    "available": ("#ccd4de", "#3d4550"),
    "held": ("#009e73", "#25b98c"),
    "sold": ("#0072b2", "#4aa3dc"),
    "sold-out": ("#e69f00", "#f0b43c"),
    "replayed": ("#56b4e9", "#8fd0f5"),
    "limit": ("#cc79a7", "#e09cc3"),
    "not-open": ("#b4becb", "#6d7a8c"),
    "paused": ("#8d99a8", "#8d99a9"),
    "closed": ("#66717e", "#b9c2cd"),
    "busy": ("#f0e442", "#f5ec6e"),
    "refused": ("#882255", "#c0688f"),
    "failed": ("#d55e00", "#ff8a3d"),
    "silence": ("#000000", "#fefefe"),
}
"""Names of colours -> how they are on a light page and on a dark one: Okabe and Ito's, which colour-blind people tell apart,
greys, and one of Tol's. In a picture the light ones stand for their names, so no two may be the same."""
MARGINS: Final = (0.115, 0.16, 0.985, 0.89)
"""Where the axes begin and end, as shares of the picture: left, bottom, right, top. All pictures have the same."""
WIDTH_OF_AXES: Final = SIZE[0] * (MARGINS[2] - MARGINS[0])
LETTER: Final = 6.0
"""How wide a letter is, at most on the average."""
TICK_STEPS: Final = (1, 2, 2.5, 5, 10)
DASHES: Final = {"solid": "-", "dashed": "--", "dotted": ":"}
LABEL_BOX: Final[Mapping[str, Any]] = {
    "facecolor": PALETTE["page"][0],
    "edgecolor": "none",
    "pad": 1,
    "alpha": 0.85,
}
"""What a label lies on, so that it can be read on anything."""


class Line(msgspec.Struct, frozen=True):
    """How one row of a series is drawn."""

    row: str
    label: str
    colour: str
    """A name in `PALETTE`."""
    dash: str = "solid"


class Mark(msgspec.Struct, frozen=True):
    """A line across a picture at a value that matters."""

    at: float
    label: str
    across: bool = False
    """Whether it lies at a height, instead of standing at an instant."""


class Drawing(msgspec.Struct, frozen=True):
    """What is to be drawn, and how."""

    name: str
    series: Series
    lines: list[Line]
    window: Window
    unit: str
    """Of the heights."""
    style: str = "stack"
    """stack: filled, one on the other; lines: each by itself; points: lines with a gap where a value is missing."""
    logarithmic: bool = False
    marks: list[Mark] = []
    since: str = "T0"


def draw(drawing: Drawing) -> str:
    """The picture as an `<svg>` element.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    with _figure() as figure:
        axes = figure.add_subplot()
        scale, unit = _time_unit(drawing.window)
        _draw_rows(axes, drawing, scale)
        axes.set_xlim(drawing.window[0] / scale, drawing.window[1] / scale)
        _set_heights(axes, drawing)
        for mark in drawing.marks:
            _draw_mark(axes, mark, scale, len(drawing.unit))
        axes.set_title(drawing.unit, loc="left", fontsize=11, color=_hex("soft"), pad=8)
        axes.set_xlabel(f"{unit} since {drawing.since}", color=_hex("soft"))
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(_hex("soft"))
        axes.grid(visible=True, axis="y", color=_hex("line"), linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(which="both", colors=_hex("ink"), length=0)
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None})
    return _embedded(written.getvalue(), drawing.name)


@contextmanager
def _figure() -> Iterator[Figure]:
    try:
        # Imported here, as it is an extra and takes a while.
        from matplotlib import rc_context  # noqa: PLC0415 - an extra
        from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415 - an extra
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
    except ImportError as fault:
        raise MissingExtraError("report", "matplotlib", "load") from fault
    with rc_context(
        {"font.family": "DejaVu Sans", "font.size": 11, "svg.fonttype": "none", "svg.hashsalt": "-"}
    ):
        figure = Figure(figsize=(SIZE[0] / 72, SIZE[1] / 72), facecolor="none")
        figure.subplots_adjust(*MARGINS)
        FigureCanvasSVG(figure)
        yield figure


def _draw_rows(axes: Axes, drawing: Drawing, scale: float) -> None:
    series = drawing.series
    # A bin stands from its x to the next, so the last one needs an end.
    ends = [series.x_ms[-1] + series.width_ms] if series.width_ms else []
    x = [at_ms / scale for at_ms in [*series.x_ms, *ends]]
    if drawing.style == "stack":
        below = [0.0] * len(x)
        for line in drawing.lines:
            row = series.rows[line.row]
            # What is below nothing has contradicted itself; the verdict says so, and here it is nothing.
            top = [low + max(0.0, high) for low, high in zip(below, [*row, *row[-1:]], strict=False)]
            axes.fill_between(
                x, below, top, step="post", facecolor=_hex(line.colour), edgecolor=_hex("page"), linewidth=0.3
            )
            below = top
    elif drawing.style == "points":
        middles = [(at_ms + series.width_ms / 2) / scale for at_ms in series.x_ms]
        for line in drawing.lines:
            axes.plot(
                middles,
                series.rows[line.row],
                color=_hex(line.colour),
                linewidth=1.6,
                linestyle=DASHES[line.dash],
                marker="o",
                markersize=2.5,
            )
    else:
        for line in drawing.lines:
            axes.step(
                x,
                series.rows[line.row],
                where="post",
                color=_hex(line.colour),
                linewidth=2,
                linestyle=DASHES[line.dash],
            )


def _set_heights(axes: Axes, drawing: Drawing) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter  # noqa: PLC0415 - an extra

    if drawing.logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, steps=TICK_STEPS))
    low, high = axes.get_ylim()
    marked = [mark.at for mark in drawing.marks if mark.across]
    room = high * 1.25 if drawing.logarithmic else high * 1.02
    axes.set_ylim(low, max([room, *(at * 1.12 for at in marked)]))
    axes.yaxis.set_major_formatter(FuncFormatter(_height))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=TICK_STEPS))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def _height(value: float, _: int | None = None) -> str:
    """Such as `12,000` or `1.5 M`: what is longer has no room."""
    return f"{value:,.10g}" if value < 1_000_000 else f"{value / 1_000_000:,.10g} M"


def _draw_mark(axes: Axes, mark: Mark, scale: float, unit_letters: int) -> None:
    if mark.across:
        axes.axhline(mark.at, color=_hex("ink"), linewidth=1, linestyle="--")
        axes.annotate(
            mark.label,
            (1, mark.at),
            (-2, 3),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            ha="right",
            color=_hex("ink"),
            fontsize=10,
            bbox=dict(LABEL_BOX),
        )
        return
    at = mark.at / scale
    start, end = axes.get_xlim()
    place = (at - start) / (end - start)
    on_the_left = place > 0.6
    begins = place * WIDTH_OF_AXES - (len(mark.label) * LETTER if on_the_left else 0)
    below = begins < (unit_letters + 2) * LETTER
    axes.axvline(at, color=_hex("ink"), linewidth=1, linestyle=":")
    if not mark.label:
        return
    axes.annotate(
        mark.label,
        (at, 1),
        # Above the axes, unless the unit of the heights is there.
        (-4 if on_the_left else 4, -22 if below else 3),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="right" if on_the_left else "left",
        color=_hex("ink"),
        fontsize=10,
        bbox=dict(LABEL_BOX),
    )


def _time_unit(window: Window) -> tuple[float, str]:
    """How many milliseconds one of the picture's has, and its name."""
    length = window[1] - window[0]
    if length <= 3_000:
        return 1.0, "milliseconds"
    return (1_000.0, "seconds") if length <= 600_000 else (60_000.0, "minutes")


def _hex(colour: str) -> str:
    return PALETTE[colour][0]


def _embedded(svg: str, name: str) -> str:
    """The element alone, with ids of its own, the page's fonts and the page's colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<defs>\s*</defs>", "", svg)
    svg = re.sub(r' width="[^"]*" height="[^"]*"', "", svg, count=1)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    svg = re.sub(r'\bd="([^"]*)"', lambda found: f'd="{_shorter(found[1])}"', svg)
    svg = re.sub(r' id="(?:figure|axes|patch|line2d|text|[xy]tick|matplotlib|Fill|Poly|Line)[^"]*"', "", svg)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(url\(|xlink:href=")#', rf"\1#{name}-", svg).replace("xlink:href", "href")
    svg = svg.replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "")
    for colour, (light, _) in PALETTE.items():
        svg = svg.replace(light, f"var(--{colour})")
    svg = re.sub(r"\n\s*", "\n", svg)
    return svg.replace("<svg ", f'<svg role="img" aria-labelledby="{name}-title" ', 1).strip()


def _shorter(path: str) -> str:
    """A path without what nobody sees: line ends, and places after the second one."""
    return re.sub(r"\s+", " ", re.sub(r"(\.\d\d)\d+", r"\1", path)).strip()
