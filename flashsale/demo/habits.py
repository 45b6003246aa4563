"""What each shopper will do with a hold, drawn from the seed before anything begins."""

from __future__ import annotations

import random
from dataclasses import dataclass

from flashsale.demo.messages import Intent, Plan

THINKS = (0.3, 0.5)
"""How long a shopper takes to choose how to pay, as parts of the hold. So nobody pays before all units are held."""

LATE = (0.05, 0.25)
"""How long after the end of the hold a late shopper pays, as parts of the hold."""


@dataclass(frozen=True, slots=True)
class Habit:
    """The manners of one shopper."""

    intent: Intent
    tries_again: bool
    """After a decline, with the second method."""
    comes_back: bool
    """After *sold out*."""
    methods: tuple[str, str]
    thinks_s: float
    late_s: float


def draw_habit(plan: Plan, chance: random.Random) -> Habit:
    """The habit of the next shopper: always as many draws, so that shares change who does what and nothing else."""
    shares = plan.shares
    fate, again, back = (100 * chance.random() for _ in range(3))
    first = chance.choice(plan.methods)
    others = [method for method in plan.methods if method != first]
    thinks, late = chance.uniform(*THINKS), chance.uniform(*LATE)
    return Habit(
        intent=_intent(plan, fate),
        tries_again=again < shares.again,
        comes_back=back < shares.come_back,
        methods=(first, others[0] if others else first),
        thinks_s=thinks * plan.hold_seconds,
        late_s=late * plan.hold_seconds,
    )


def _intent(plan: Plan, fate: float) -> Intent:
    shares = plan.shares
    if fate < shares.decline:
        return "decline"
    if fate < shares.decline + shares.walk_away:
        return "walk_away"
    if fate < shares.decline + shares.walk_away + shares.late:
        return "late"
    return "pay"
