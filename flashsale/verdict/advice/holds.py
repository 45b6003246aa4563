"""How long holds should be, and what comes back of them."""

from collections.abc import Iterator
from math import ceil, log
from typing import Final

from flashsale.verdict.advice.said import Advice, Measured
from flashsale.verdict.evidence import Evidence
from flashsale.verdict.numbers import count, duration, none_or, number, percent
from flashsale.verdict.pace import Journey, quantile
from flashsale.verdict.shapes import Verdict

RAN_OUT_SHARE: Final = 0.01
"""More holds than this that end during their payment are too many."""
LONG_HOLD: Final = 4.0
"""A hold that is so many times as long as all but the slowest payments take keeps units from others without need."""
ROOM: Final = 2.0
"""A hold should be so many times as long as all but the slowest payments take."""
FORETOLD_SHARE: Final = 0.5
"""Where more than this came back, nothing is foretold: no real crowd leaves like that."""
LAST_RETURN_CHANCE: Final = 0.05
"""How likely it may be that a unit comes back even later than is said."""


def hold_length(evidence: Evidence, verdict: Verdict, journeys: list[Journey]) -> Iterator[Advice]:
    """The hold against the pace of payment."""
    paces = sorted(one.confirmed_ms - one.held_ms for one in journeys if one.confirmed_ms is not None)
    hold_ms = evidence.terms.hold_ms
    if not journeys:
        return
    if not paces:
        text = f"{count(len(journeys), 'hold')} were granted and none was paid, so how long a hold should be is open."
        yield Advice("unknown", "Nobody paid", text, [Measured("holds", len(journeys))])
        return
    p50, p95 = quantile(paces, 0.5), quantile(paces, 0.95)
    ran_out = [one for one in journeys if one.ran_out]
    left = [one for one in journeys if one.expired_ms is not None and not one.ran_out]
    facts = [
        Measured("from hold to paid, p50", p50, "ms"),
        Measured("from hold to paid, p95", p95, "ms"),
        Measured("hold", hold_ms, "ms"),
        Measured("holds that ran out during their payment", len(ran_out)),
        Measured("holds that ran out without a payment", len(left)),
    ]
    took = f"Shoppers here took {duration(p50)} from hold to payment, and 95 % of them no more than {duration(p95)}."
    setting = " Their pace is a setting of the run: hold it against what you know of your own customers."
    better = f"{number(_seconds(ROOM * p95))} s"
    if len(ran_out) > RAN_OUT_SHARE * len(journeys) or p95 > 0.8 * hold_ms:
        text = (
            f"{took} A hold lasts {duration(hold_ms)}, and {none_or(len(ran_out))} of {count(len(journeys), 'hold')} ran "
            f"out during the payment. Set `hold_seconds` to {better} or more, or give `hold_extension_seconds`, by which "
            f"the begin of a payment extends the hold.{setting}"
        )
        yield Advice("act", "The hold is short for the pace of payment", text, facts)
    elif hold_ms > LONG_HOLD * p95 and left and verdict.figures.sold_out_answers:
        idle_ms = sum((one.expired_ms or 0) - one.held_ms for one in left) / len(left)
        facts.append(Measured("sold-out answers", verdict.figures.sold_out_answers))
        text = (
            f"{took} A hold lasts {duration(hold_ms)}: {count(sum(one.units for one in left), 'unit')} sat for "
            f"{duration(idle_ms)} each with shoppers who had left, while others were told that there is nothing left. "
            f"{better} would have been enough here.{setting}"
        )
        yield Advice("fine", "The hold is long for the pace of payment", text, facts)
    else:
        text = f"{took} A hold lasts {duration(hold_ms)}, and {none_or(len(ran_out))} ran out during the payment.{setting}"
        yield Advice("fine", "The hold is as long as payment needs", text, facts)


def _seconds(ms: float) -> int:
    """Whole seconds that are not less, in round steps."""
    step = next(step for step in (1, 5, 10, 30, 60, 300) if ms <= step * 12_000 or step == 300)
    return ceil(ms / 1_000 / step) * step


def late_payments(journeys: list[Journey]) -> Iterator[Advice]:
    """Payments whose hold had ended."""
    served = sum(one.late for one in journeys)
    refused = sum(one.refused for one in journeys)
    if not served + refused:
        return
    said = []
    if served:
        said.append(
            f"{count(served, 'payment')} came after the hold had ended, and got units that were still there."
        )
    if refused:
        said.append(
            f"{count(refused, 'charge')} came too late for that and went back: who had paid got nothing."
        )
    said.append("A longer hold, or `hold_extension_seconds`, spares customers that.")
    text = " ".join(said)
    facts = [Measured("late payments that got units", served), Measured("charges refused", refused)]
    yield Advice("act" if refused else "fine", "Payments that came too late", text, facts)


def returns(evidence: Evidence, verdict: Verdict, journeys: list[Journey]) -> Iterator[Advice]:
    """Units that come back, and when."""
    back = sorted((at_ms, one.units) for one in journeys for at_ms in one.returned_ms)
    if not back:
        return
    figures, instants = verdict.figures, [at_ms for at_ms, _ in back]
    came, holds = sum(units for _, units in back), sum(one.units for one in journeys)
    left_over = sum(item.available for item in evidence.engine.items.values())
    again, share = came - min(came, left_over), came / holds
    facts = [
        Measured("units held in all", holds),
        Measured("units that came back", came),
        Measured("of the units held", share, "share"),
        Measured("holds expired", figures.expired),
        Measured("holds cancelled", figures.cancelled),
        Measured("first back after", instants[0], "ms"),
        Measured("half of them back after", quantile(instants, 0.5), "ms"),
        Measured("last back after", instants[-1], "ms"),
        Measured("taken again", again),
    ]
    when = f"{duration(instants[0])} after T0"
    if instants[-1] > instants[0]:
        when = (
            f"between {duration(instants[0])} and {duration(instants[-1])} after T0, half of them by "
            f"{duration(quantile(instants, 0.5))}"
        )
    text = (
        f"{count(came, 'unit')} of {number(holds)} held came back ({percent(share)}), {when}; {none_or(again)} of them "
        f"{'was' if again == 1 else 'were'} taken again."
    )
    if share <= FORETOLD_SHARE and figures.sold_out_ms is not None:
        # Each round of holds leaves this share of the one before: so many rounds until hardly a unit can be left.
        rounds = max(1, ceil(log(figures.stock / LAST_RETURN_CHANCE) / -log(share)))
        text += (
            f" Where customers leave like this, expect about {number(round(figures.stock * share))} of "
            f"{count(figures.stock, 'unit')} to be sold a second time, and the last of them within "
            f"{count(rounds, 'hold')} of T0, {duration(rounds * evidence.terms.hold_ms)}, in 19 sales of 20. Keep waiting "
            "shoppers on the page that long."
        )
    yield Advice("fine", "Units come back, and are sold again", text, facts)
