"""Advice: what a run says about the sale to come, drawn from what was measured, each piece with its numbers."""

from flashsale.verdict import pace
from flashsale.verdict.advice import crowd, doubts, holds, server
from flashsale.verdict.advice.said import Advice, Kind, Measured
from flashsale.verdict.evidence import Evidence
from flashsale.verdict.shapes import Verdict

__all__ = ["Advice", "Kind", "Measured", "advise"]


def advise(evidence: Evidence, verdict: Verdict) -> list[Advice]:
    """What is to be done first, then what is good to know, then what cannot be concluded. Empty when nobody pressed."""
    if not verdict.figures.pressed and not evidence.engine.facts:
        return []
    journeys = pace.journeys(evidence)
    found = [
        *server.workers(evidence, verdict),
        *holds.hold_length(evidence, verdict, journeys),
        *holds.late_payments(journeys),
        *holds.returns(evidence, verdict, journeys),
        *crowd.limit(evidence, journeys),
        *crowd.bots(evidence, verdict),
        *crowd.order_systems(evidence),
        *doubts.not_sold_out(verdict),
        *doubts.too_few(verdict),
        *doubts.holds_outlive(evidence, verdict, journeys),
        *doubts.not_alone(evidence),
    ]
    order: tuple[Kind, ...] = ("act", "fine", "unknown")
    return sorted(found, key=lambda one: order.index(one.kind))
