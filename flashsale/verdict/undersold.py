"""Undersold: nobody is told that nothing is left while something is, and no unit is lost.

The engine's own books may agree with each other and be wrong all the same: a unit that is held for nobody, a hold that
never ends, a last unit that is never given away. What shoppers were told shows it.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from math import inf
from typing import Final

from flashsale.verdict.case import MEMORY_MS, Case
from flashsale.verdict.words import counted, named

OVERDUE_MS: Final = 10_000
"""A hold that has been over for so long has been forgotten: sweepers look every second."""
Wanted = tuple[tuple[str, int], ...]


def judge_undersold(case: Case) -> list[str]:
    """Every sign that somebody was sent away for nothing, or that units have gone missing."""
    return [
        *_free_all_the_while(case),
        *_nobody_had_them(case),
        *_lost_units(case),
        *_drawn_out(case),
        *_never_ended(case),
    ]


Spans = tuple[list[float], list[float]]
"""Times that do not overlap, in their order: when each begins, and when it ends."""


class Levelling:
    """How many units of an item could be had at any time.

    `changes` are instants and units that came (+) or went (-). Of what happens in one millisecond the going is counted
    first: its order is not known to those who were told.
    """

    def __init__(self, changes: Sequence[tuple[int, int]]) -> None:
        rows = sorted(changes)
        self._instants = [at_ms for at_ms, _ in rows]
        self._left = list(accumulate(units for _, units in rows))

    def at(self, at_ms: float) -> int:
        """Units that could be had at an instant."""
        last = bisect_right(self._instants, at_ms) - 1
        return self._left[last] if last >= 0 else 0

    def short_of(self, units: int) -> list[tuple[float, float]]:
        """The times with fewer units than that, both ends included. Before the first change there was nothing."""
        spans: list[tuple[float, float]] = []
        since: float | None = -inf
        for instant, left in zip(self._instants, self._left, strict=True):
            if since is not None and left >= units:
                spans.append((since, instant))
                since = None
            elif since is None and left < units:
                since = instant
        if since is not None:
            spans.append((since, inf))
        return spans


def joined(spans: Iterable[tuple[float, float]]) -> Spans:
    """Times of which some may overlap, as ones that do not."""
    begins: list[float] = []
    ends: list[float] = []
    for begin, end in sorted(spans):
        if ends and begin <= ends[-1]:
            ends[-1] = max(ends[-1], end)
        else:
            begins.append(begin)
            ends.append(end)
    return begins, ends


def _free_all_the_while(case: Case) -> Iterator[str]:
    """Answers from whose sending to whose arrival everything that was wanted could be had, by the journal."""
    shelves = {sku: Levelling(shelf.changes) for sku, shelf in case.journal.shelves.items()}
    early_ms = MEMORY_MS + case.slack_ms
    for wanted, answers in sorted(case.refusals.items()):
        if not all(sku in shelves for sku, _ in wanted):
            continue
        begins, ends = joined(span for sku, units in wanted for span in shelves[sku].short_of(units))
        wrong = []
        for answer in answers:
            last = bisect_right(begins, answer.told_ms + case.slack_ms) - 1
            if last < 0 or ends[last] < answer.sent_ms - early_ms:
                wrong.append(answer)
        if wrong:
            first = min(wrong, key=lambda answer: answer.told_ms)
            left = " and ".join(f"{shelves[sku].at(first.told_ms):,} of {sku}" for sku, _ in wanted)
            yield (
                f"{_names(wanted)}: {counted(wrong, 'answer')} of {len(answers):,} said sold out while it could be had, "
                f"the first {case.since(first.told_ms)}, when by the journal {left} could be had; sent at "
                f"{named(f'{at - case.terms.opens_ms:,} ms' for at in sorted(each.sent_ms for each in wrong))}."
            )


def _names(wanted: Wanted) -> str:
    return " and ".join(sku if units == 1 else f"{units:,} of {sku}" for sku, units in wanted)


def _nobody_had_them(case: Case) -> Iterator[str]:
    """Answers up to which too few units had been promised to anybody whom this run knows, whatever the journal says."""
    if not case.alone:
        return
    promises = _promises(case)
    for wanted, answers in sorted(case.refusals.items()):
        if not all(sku in case.stock for sku, _ in wanted):
            continue
        enough_ms = min((_promised_ms(case, promises, sku, units) for sku, units in wanted), default=-inf)
        wrong = [answer for answer in answers if answer.told_ms + case.slack_ms < enough_ms]
        if wrong:
            first = min(wrong, key=lambda answer: answer.told_ms)
            had = " and ".join(
                f"{_until(promises, sku, first.told_ms + case.slack_ms):,} of {case.stock[sku]:,} of {sku}"
                for sku, _ in wanted
            )
            yield (
                f"{_names(wanted)}: {counted(wrong, 'answer')} said sold out when nobody had been told of what was "
                f"left; at the first ({case.since(first.told_ms)}) {had} had been promised to shoppers."
            )


Promises = dict[str, tuple[list[float], list[int]]]


def _promises(case: Case) -> Promises:
    """Item -> instants at which units may first have been promised, and how many there were by then."""
    rows: dict[str, list[tuple[float, int]]] = defaultdict(list)
    claims = case.journal.claims
    for reservation, holds in case.granted.items():
        begin = min(hold.sent_ms for hold in holds)
        if reservation in claims:
            begin = min(begin, claims[reservation].held_ms)
        for sku, units in holds[0].units.items():
            rows[sku].append((begin, units))
    for claim in claims.values():
        if claim.customer in case.silent and claim.reservation not in case.granted:
            for sku, units in claim.units.items():
                rows[sku].append((claim.held_ms, units))
    found: Promises = {}
    for sku, promised in rows.items():
        promised.sort()
        found[sku] = [at for at, _ in promised], list(accumulate(units for _, units in promised))
    return found


def _until(promises: Promises, sku: str, at_ms: float) -> int:
    instants, sums = promises.get(sku, ([], []))
    count = bisect_right(instants, at_ms)
    return sums[count - 1] if count else 0


def _promised_ms(case: Case, promises: Promises, sku: str, units: int) -> float:
    """From when on so many had been promised that too few of the first stock were left."""
    instants, sums = promises.get(sku, ([], []))
    # All of it given away, or so much that fewer than wanted are left.
    enough = max(case.stock[sku] - units + 1, 0)
    if not enough:
        return -inf
    index = bisect_left(sums, enough)
    return instants[index] if index < len(instants) else inf


def _lost_units(case: Case) -> Iterator[str]:
    for sku, item in sorted(case.evidence.engine.items.items()):
        total = item.available + item.held + item.sold
        if total < item.stock:
            yield (
                f"{sku}: {counted(item.stock - total, 'unit')} of {item.stock:,} neither available ({item.available:,}) "
                f"nor held ({item.held:,}) nor sold ({item.sold:,})."
            )
        stock = case.stock_in_the_end(sku)
        if case.alone and sku in case.stock and item.stock < stock:
            yield f"{sku}: the engine's stock is {item.stock:,}, and with all restocks there were {stock:,}."
    missing = sorted(case.stock.keys() - case.evidence.engine.items.keys())
    if missing and not case.evidence.engine.trouble:
        yield f"{counted(missing, 'item')} of the sale that the engine does not count: {named(missing)}."


def _drawn_out(case: Case) -> Iterator[str]:
    drawn = case.journal.drawn_out
    if drawn:
        yield f"{counted(drawn, 'hold')} longer than the sale allows, so that others had to wait: {named(drawn)}."


def _never_ended(case: Case) -> Iterator[str]:
    """A hold that is over may wait for somebody who notices, but not as long as that."""
    engine = case.evidence.engine
    read_ms = max([engine.read_ms, *(fact.at_ms for fact in engine.facts[-1:])])
    forgotten = [
        f"{claim.reservation} of {claim.customer} ({(read_ms - claim.until_ms) / 1000:,.0f} s)"
        for claim in case.journal.claims.values()
        if claim.state == "held" and claim.until_ms + OVERDUE_MS < read_ms
    ]
    if forgotten:
        yield f"{counted(forgotten, 'hold')} over, and still kept from everybody else: {named(forgotten)}."
