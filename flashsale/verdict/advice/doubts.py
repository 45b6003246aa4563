"""What cannot be concluded from a run."""

from collections.abc import Iterator
from typing import Final

from flashsale.verdict.advice.said import Advice, Measured
from flashsale.verdict.evidence import Evidence
from flashsale.verdict.numbers import count, duration, number
from flashsale.verdict.pace import Journey
from flashsale.verdict.shapes import Verdict

FEW: Final = 1_000
"""Of fewer values, less than ten decide the p99."""


def not_sold_out(verdict: Verdict) -> Iterator[Advice]:
    """Fewer took than there was."""
    figures = verdict.figures
    if figures.sold_out_ms is None and figures.stock:
        text = (
            f"{count(figures.pressed, 'shopper')} bought {number(figures.sold_units)} of {count(figures.stock, 'unit')}, "
            "and something was left all the time. How it goes when nothing is, this run does not show: let more come."
        )
        facts = [Measured("shoppers who pressed", figures.pressed), Measured("units", figures.stock)]
        yield Advice("unknown", "The sale did not sell out", text, facts)


def too_few(verdict: Verdict) -> Iterator[Advice]:
    """Too few answers for percentiles."""
    took = verdict.figures.latency.get("reserve")
    if took is not None and took.count < FEW:
        slowest = took.count // 100
        by = f"the slowest {number(slowest)}" if slowest > 1 else "the slowest one alone"
        text = f"There were {count(took.count, 'answer')} to reserve. Their p99 is decided by {by}, so it may be chance."
        yield Advice("unknown", "A small crowd", text, [Measured("answers to reserve", took.count)])


def holds_outlive(evidence: Evidence, verdict: Verdict, journeys: list[Journey]) -> Iterator[Advice]:
    """No hold could end while the run went on."""
    lasted_ms = evidence.run.ended_ms - evidence.terms.opens_ms
    open_holds = sum(
        one.confirmed_ms is None and one.expired_ms is None and one.cancelled_ms is None for one in journeys
    )
    if open_holds and not verdict.figures.expired and evidence.terms.hold_ms >= lasted_ms:
        text = (
            f"A hold lasts {duration(evidence.terms.hold_ms)}, the run ended {duration(lasted_ms)} after T0 with "
            f"{count(open_holds, 'hold')} unpaid. How many units come back is open: let it run longer, or hold for less."
        )
        facts = [
            Measured("hold", evidence.terms.hold_ms, "ms"),
            Measured("run after T0", lasted_ms, "ms"),
            Measured("unpaid at the end", open_holds),
        ]
        yield Advice("unknown", "Holds that outlive the run", text, facts)


def not_alone(evidence: Evidence) -> Iterator[Advice]:
    """Others may have taken part."""
    if not evidence.run.alone:
        text = (
            "The sale was there before the run, so others may have pressed too. What the engine's books say counts them as "
            "well, and the advice from it is about all of them."
        )
        yield Advice("unknown", "Others may have bought in this sale", text, [])
