"""A run that is being judged: its evidence, and what every rule needs to have been worked out from it once."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from flashsale.verdict.evidence import Evidence, FeedOrder, Hold, Levels, SoldOut
from flashsale.verdict.journal import Claim, Journal

CLOCK_SLACK_MS: Final = 5
"""Added to how wrong the load processes may be about the server's clock: whole milliseconds, and clocks that drift."""
MEMORY_MS: Final = 50
"""So long the engine may answer from memory that an item is sold out."""
RESERVE: Final = "reserve"


@dataclass(frozen=True, slots=True)
class Standing:
    """For how long what a shopper was told stood for certain; None: for good."""

    hold: Hold
    begin_ms: float
    end_ms: float | None


class Case:
    """The evidence, the journal replayed, and what was told by reservation."""

    def __init__(self, evidence: Evidence, levels: Levels) -> None:
        self.evidence = evidence
        self.levels = levels
        self.terms = evidence.terms
        self.told = evidence.told
        self.alone = evidence.run.alone
        self.journal = Journal(evidence.terms)
        self.journal.replay(sorted(evidence.engine.facts, key=lambda fact: fact.seq))
        self.holds: list[Hold] = [*evidence.told.holds, *evidence.told.bot_holds]
        """As they were told, to shoppers and bots."""
        self.granted: dict[str, list[Hold]] = defaultdict(list)
        """Reservation -> what was told of it."""
        for hold in self.holds:
            self.granted[hold.reservation].append(hold)
        self.silent = {
            *(silence.customer for silence in self.told.silences if silence.request == RESERVE),
            *self.told.undecided,
            *self.told.bot_silent,
        }
        """Customers who may have something that they were not told of, because an answer did not reach them."""
        self.unsure = self.silent | {silence.customer for silence in self.told.silences}
        """Customers who may have done something without hearing that it was done."""
        given = {(order.sequence, order.reservation, order.status): order for order in evidence.feed.orders}
        self.orders: list[FeedOrder] = sorted(given.values(), key=lambda order: order.sequence)
        """Of the feed, by sequence; one that was given twice counts once, as it does for an order system."""
        self.common = self._common()
        """The last sequence number that both the journal and the feed can be asked for."""
        self.slack_ms = CLOCK_SLACK_MS + max((each.clock_error_ms for each in evidence.processes), default=0)
        self.stock = {item.sku: item.stock for item in self.terms.items}
        self._standings: list[Standing] | None = None
        self._refusals: dict[tuple[tuple[str, int], ...], list[SoldOut]] | None = None

    def _common(self) -> float:
        """Others who buy while a run is judged make orders between one reading and the next."""
        if self.alone:
            return float("inf")
        kept = max((fact.sequence for fact in self.evidence.engine.facts), default=0)
        return min(kept, max((order.sequence for order in self.orders), default=0))

    @property
    def steady(self) -> bool:
        """Whether counters and facts can be compared: whether they are of one moment, as far as anybody knows."""
        return self.alone or self.evidence.engine.at_one_moment

    @property
    def refusals(self) -> dict[tuple[tuple[str, int], ...], list[SoldOut]]:
        """What shoppers wanted, as sku and units -> the answers that there is nothing left of it."""
        if self._refusals is None:
            self._refusals = defaultdict(list)
            for answer in self.told.sold_out:
                self._refusals[tuple(sorted(answer.units.items()))].append(answer)
        return self._refusals

    @property
    def standings(self) -> list[Standing]:
        """When each hold stood for certain that was told, by reservation and customer."""
        if self._standings is None:
            first: dict[tuple[str, str], Hold] = {}
            for hold in self.holds:
                first.setdefault((hold.reservation, hold.customer), hold)
            found = (
                self._standing(hold, self.journal.claims.get(hold.reservation)) for hold in first.values()
            )
            self._standings = [each for each in found if each is not None]
        return self._standings

    def _standing(self, hold: Hold, claim: Claim | None) -> Standing | None:
        """The journal is believed where it says that something has ended; nothing else could tell when."""
        begin = hold.told_ms + self.slack_ms
        if claim is not None and claim.state == "confirmed" and not claim.late:
            return Standing(hold, begin, None)
        if hold.status == "cancelled" and (claim is None or claim.ended_ms is None):
            return None
        if claim is None and hold.status == "confirmed":
            return Standing(hold, begin, None)
        granted = hold.sent_ms if claim is None else min(hold.sent_ms, claim.held_ms)
        ends = [granted + self.terms.hold_ms]
        if claim is not None and claim.ended_ms is not None:
            ends.append(claim.ended_ms)
        end = min(ends) - self.slack_ms
        return Standing(hold, begin, end) if begin < end else None

    def stock_at(self, sku: str, at_ms: float) -> int:
        """Units of an item by its definition, and what was added until then."""
        added = self.journal.restocks(sku)
        return self.first_stock(sku) + sum(units for since_ms, units in added if since_ms <= at_ms)

    def first_stock(self, sku: str) -> int:
        """Units of an item when the sale opened; how it was defined before others came only the journal can tell."""
        if self.alone or sku not in self.journal.shelves:
            return self.stock.get(sku, 0)
        return self.journal.shelves[sku].opening

    def stock_in_the_end(self, sku: str) -> int:
        """Units of an item with everything that was added."""
        return self.stock_at(sku, float("inf"))

    def since(self, at_ms: float) -> str:
        """An instant as a reader of the report counts it."""
        off = at_ms - self.terms.opens_ms
        return f"{abs(off):,.0f} ms {'after' if off >= 0 else 'before'} T0"
