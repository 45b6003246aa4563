"""The picture of a race: one bar for each contender, and a whisker from its slowest to its fastest round."""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

from bench.race.field import OURS, OWN_LANE, by_key
from bench.race.results import Results

OUR_COLOUR, OWN_COLOUR, THEIR_COLOUR, LIMIT_COLOUR, WRONG_COLOUR = (
    "#0b7a75", "#7fc4bf", "#8a94a6", "#d9dde5", "#c8553d",
)  # fmt: skip
STEM = "race"


def draw(results: Results, folder: Path) -> list[Path]:
    """Writes race.svg and race.png; returns where."""
    keys = sorted(results.heats, key=lambda key: results.rate(key).median)
    # A figure that looks the same wherever it is drawn, and an SVG that does not change when the figures do not.
    with mpl.rc_context({"svg.hashsalt": "flashsale", "font.family": "DejaVu Sans", "font.size": 10}):
        figure, axes = plt.subplots(figsize=(9.5, 0.9 + 0.42 * len(keys)), layout="constrained")
        for at, key in enumerate(keys):
            rate = results.rate(key)
            axes.barh(at, rate.median, color=_colour(key), height=0.68)
            axes.plot([rate.least, rate.most], [at, at], color="#222222", linewidth=1.2)
            oversold = max(results.oversold(key), default=0)
            words = f" {rate.median:,.0f}" + ("  oversells" if oversold else "")
            axes.text(
                rate.most, at, words, va="center", ha="left", fontsize=9.5, color=WRONG_COLOUR if oversold else "#111111",
                fontweight="bold" if key == OURS else "normal",
            )  # fmt: skip
        axes.set_yticks(range(len(keys)), [by_key(key).title for key in keys])
        axes.set_xlim(0, max((results.rate(key).most for key in keys), default=1) * 1.17)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.set_xlabel("reservations a second over HTTP, one server core (pale bars reserve nothing)")
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color="#e6e8ec")
        axes.set_axisbelow(True)
        paths = [folder / f"{STEM}.svg", folder / f"{STEM}.png"]
        figure.savefig(paths[0], metadata={"Date": None, "Creator": None})
        figure.savefig(paths[1], dpi=130)
        plt.close(figure)
    return paths


def _colour(key: str) -> str:
    if key == OURS:
        return OUR_COLOUR
    if key == OWN_LANE:
        return OWN_COLOUR
    contender = by_key(key)
    if contender.store == "none":
        return LIMIT_COLOUR
    return WRONG_COLOUR if contender.wrong else THEIR_COLOUR
