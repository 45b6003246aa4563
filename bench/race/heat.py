"""One contender's turn: the peak with stock for everybody, then a sale that sells out, and what the books say of both."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bench.race.arithmetic import Count
from bench.race.books import OurBooks
from bench.race.field import Contender
from bench.race.machine import Cores
from bench.race.servers import Server, running
from bench.race.stores import store_of
from bench.race.wrk import CONNECTIONS, Crowd, Load, run_wrk

WARM_CUSTOMERS = 30_000
SELL_OUT_STOCK = 500
LEAST_SELL_OUT_STOCK = 10
WARM_SECONDS = 1.0
SELL_OUT_SECONDS = 2.0
RUSH_CUSTOMERS = 60_000
"""Of a sell-out; after the last one the first comes again and is turned away like everybody else."""


@dataclass(frozen=True, slots=True)
class Track:
    """What all contenders share."""

    cores: Cores
    built: Path
    tokens: Path
    customers: int
    """Lines of `tokens`, those of the warm-up included."""
    seconds: float

    def crowd(self) -> Crowd:
        """The customers of a run that counts: none of them has been seen in the warm-up."""
        return Crowd(self.tokens, WARM_CUSTOMERS, self.customers - WARM_CUSTOMERS)

    def early(self) -> Crowd:
        """Those of the warm-up."""
        return Crowd(self.tokens, 0, WARM_CUSTOMERS)


@dataclass(frozen=True, slots=True)
class Heat:
    """What one turn gave."""

    contender: str
    peak: Load
    peak_count: Count
    sell_out: Load
    sell_out_count: Count

    def faults(self, *, wrong: bool = False) -> list[str]:
        """What makes the figure worthless. `wrong`: the contender is known to oversell."""
        found = []
        for name, load, count in (
            ("peak", self.peak, self.peak_count),
            ("sell-out", self.sell_out, self.sell_out_count),
        ):
            if count.oversold and not wrong:
                found.append(f"{self.contender}, {name}: oversold by {count.oversold} of {count.stock}")
            if count.adrift and not wrong:
                found.append(f"{self.contender}, {name}: counter and reservations differ by {count.adrift}")
            if load.failed:
                found.append(f"{self.contender}, {name}: {load.failed} requests got no answer")
        if self.peak.refused:
            found.append(f"{self.contender}, peak: {self.peak.refused} answers were refusals")
        sold = self.peak.answers - self.peak.refused
        if self.peak_count.recorded and not 0 <= self.peak_count.recorded - sold <= 2 * CONNECTIONS:
            # wrk stops without hearing the last answers out, at most one for each connection.
            found.append(
                f"{self.contender}, peak: {sold} were promised, {self.peak_count.recorded} are recorded"
            )
        return found


def stock_for(rate: float) -> int:
    """Stock that a contender of this rate sells well within a sell-out run."""
    return max(LEAST_SELL_OUT_STOCK, min(SELL_OUT_STOCK, int(rate * SELL_OUT_SECONDS / 4)))


def run_heat(contender: Contender, track: Track, changes: Mapping[str, str] | None = None) -> Heat:
    """With a store and a server of its own, both new."""
    with (
        store_of(contender, track.cores) as store,
        running(contender, store, track.cores, track.built, changes=changes) as server,
    ):
        warm_up(server, track)
        stock = contender.most_stock
        server.books.prepare("peak", stock)
        peak = run_wrk(server, "peak", track.crowd(), track.cores, seconds=track.seconds)
        peak_count = server.books.count("peak", stock)
        few = stock_for(peak.rate)
        server.books.prepare("rush", few)
        some = replace(track.crowd(), take=min(track.crowd().take, RUSH_CUSTOMERS))
        rush = run_wrk(server, "rush", some, track.cores, seconds=SELL_OUT_SECONDS)
        rush_count = server.books.count("rush", few)
        if isinstance(server.books, OurBooks):
            server.books.audit("rush")
        return Heat(contender.key, peak, peak_count, rush, rush_count)


def warm_up(server: Server, track: Track) -> None:
    """A sale that nobody looks at, for compilers that compile what is hot."""
    server.books.prepare("warm-up", min(server.contender.most_stock, 1_000_000))
    run_wrk(server, "warm-up", track.early(), track.cores, seconds=WARM_SECONDS)
