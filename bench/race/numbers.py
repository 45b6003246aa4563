"""The numbers that were asked for, each measured, in one table: asked, measured, by which command."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import median
from typing import Any

from bench.race import alone
from bench.race.arithmetic import middle, ratio
from bench.race.books import OurBooks
from bench.race.field import BARE_PROTOCOL, GIN, ONE_EACH, OURS, OWN_LANE, Contender, by_key
from bench.race.heat import Track, warm_up
from bench.race.machine import Cores, among_the_rest
from bench.race.opening import Opened, open_sale
from bench.race.results import Results
from bench.race.servers import running
from bench.race.stores import store_of, valkey
from bench.race.table import NOTHING, markdown, number
from bench.race.wrk import run_wrk

COMMAND = "make race"
ALONE = "make race ARGS=--numbers"
CONNECTIONS = (64, 512, 2048)
OPENINGS = ((350, 10_000, 1, 1), (20_000, 20_000, 2, 2))
"""Units, shoppers, processes of shoppers, server workers. A process may have 20,000 files open on the machine measured."""
SOLD_OUT_STOCK = 10
KNOWN_CUSTOMERS = 10_000


@dataclass
class Measured:
    """What the parts found, each once a round."""

    sold_out: list[float] = field(default_factory=list)
    """Sold-out answers a second to customers who were never here."""
    sold_out_known: list[float] = field(default_factory=list)
    """The same to customers who have asked before, as the pages of those who wait for T0 do."""
    echo: list[float] = field(default_factory=list)
    """Answers of the bare protocol a second, with the same requests."""
    connections: dict[int, list[float]] = field(default_factory=dict)
    """Reservations a second by open connections."""
    single: list[alone.Alone] = field(default_factory=list)
    openings: dict[str, list[Opened]] = field(default_factory=dict)
    """By units and shoppers."""
    fsync: dict[str, list[float]] = field(default_factory=dict)
    """Reservations a second by fsync policy."""

    def raw(self) -> dict[str, Any]:
        return asdict(self)


def one_round(track: Track, found: Measured, ours: Contender) -> None:
    """Everything once; `found` gets a value more of each."""
    with among_the_rest(track.cores):
        _sold_out(track, found, ours)
        _connections(track, found, ours)
        _fsync(track, found, ours)
        with (
            store_of(ours, track.cores) as store,
            running(ours, store, track.cores, track.built) as server,
        ):
            found.single.append(alone.measure(server, track.tokens, 0))
    _openings(track, found, ours)


def _sold_out(track: Track, found: Measured, ours: Contender) -> None:
    with (
        store_of(ours, track.cores) as store,
        running(ours, store, track.cores, track.built) as server,
    ):
        warm_up(server, track)
        server.books.prepare("gone", SOLD_OUT_STOCK)
        run_wrk(server, "gone", track.early(), track.cores, seconds=1)
        known = replace(track.early(), take=KNOWN_CUSTOMERS)
        for crowd, rates in ((track.crowd(), found.sold_out), (known, found.sold_out_known)):
            if crowd is known:
                run_wrk(server, "gone", known, track.cores, seconds=2)
            load = run_wrk(server, "gone", crowd, track.cores, seconds=track.seconds)
            assert load.refused == load.answers, "something was sold in a sale that was sold out"
            rates.append(load.rate)
    bare = by_key(BARE_PROTOCOL)
    with (
        store_of(bare, track.cores) as store,
        running(bare, store, track.cores, track.built) as server,
    ):
        warm_up(server, track)
        found.echo.append(run_wrk(server, "gone", track.crowd(), track.cores, seconds=track.seconds).rate)


def _connections(track: Track, found: Measured, ours: Contender) -> None:
    for count in CONNECTIONS:
        with (
            store_of(ours, track.cores) as store,
            running(ours, store, track.cores, track.built) as server,
        ):
            warm_up(server, track)
            server.books.prepare("peak", ours.most_stock)
            load = run_wrk(
                server, "peak", track.crowd(), track.cores, seconds=track.seconds, connections=count
            )
            found.connections.setdefault(count, []).append(load.rate if not load.refused else math.nan)


def _fsync(track: Track, found: Measured, ours: Contender) -> None:
    for policy in ("always", "no"):
        with (
            valkey(track.cores, [f"appendfsync {policy}"]) as store,
            running(ours, store, track.cores, track.built) as server,
        ):
            warm_up(server, track)
            server.books.prepare("peak", ours.most_stock)
            load = run_wrk(server, "peak", track.crowd(), track.cores, seconds=track.seconds)
            found.fsync.setdefault(policy, []).append(load.rate)


def _openings(track: Track, found: Measured, ours: Contender) -> None:
    """Nothing is pinned: shoppers, server and store share both cores as they like."""
    free = Cores(None, frozenset())
    for units, shoppers, processes, workers in OPENINGS:
        changes = {"FLASHSALE_WORKERS": str(workers)}
        with (
            store_of(ours, free) as store,
            running(ours, store, free, track.built, changes=changes) as server,
        ):
            assert isinstance(server.books, OurBooks)
            server.books.prepare("opening", units)
            opened = open_sale(server, "opening", track.tokens, shoppers, processes)
            count = server.books.count("opening", units)
            server.books.audit("opening")
            assert not count.oversold, count
            found.openings.setdefault(f"{units} of {shoppers}", []).append(opened)


def _middle(values: Sequence[float], digits: int = 2) -> str:
    found = middle(values)
    return f"{number(found.median, digits)} ({number(found.least, digits)} to {number(found.most, digits)})"


def _row(
    name: str, asked: float, values: Sequence[float], command: str, *, least: bool, unit: str = ""
) -> list[str]:
    """`least`: no less than `asked` was asked for; else no more."""
    if not values:
        return [name, _asked(asked, least=least, unit=unit), "not measured", NOTHING, f"`{command}`"]
    value = median(values)
    met = value >= asked if least else value <= asked
    return [
        name, _asked(asked, least=least, unit=unit), _middle(values) + unit, "yes" if met else "**no**", f"`{command}`",
    ]  # fmt: skip


def _asked(asked: float, *, least: bool, unit: str) -> str:
    return f"{'≥' if least else '≤'} {asked:g}{unit}"


def _pairs(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """The ratio of each round."""
    return [ratio([a], [b]) for a, b in zip(ours, theirs, strict=False)]


def race_rows(results: Results) -> list[list[str]]:
    """What the race itself answers."""
    ours = results.rates(OURS)
    rows = [
        _row(name, asked, _pairs(ours, results.rates(key)), COMMAND, least=True, unit=" times")
        for name, asked, key in (
            ("reservations a second, over Go gin + redigo", 2.0, GIN),
            ("the same, over our own aiohttp lane", 2.4, OWN_LANE),
            ("the same, over aiohttp with one EVALSHA per request", 6.0, ONE_EACH),
        )
    ]
    half = [each.p99_ms for each in results.halves.get(OURS, [])]
    rows.append(_row("p99 at half load, open arrivals", 5.0, half, COMMAND, least=False, unit=" ms"))
    return rows


def own_rows(found: Measured) -> list[list[str]]:
    """What `--numbers` answers."""
    rows = [
        _row(
            f"sold-out answers to customers {who}, over the bare protocol's", 0.8, _pairs(rates, found.echo), ALONE,
            least=True, unit=" times",
        )
        for who, rates in (("who were never here", found.sold_out), ("who have asked before", found.sold_out_known))
    ]  # fmt: skip
    base = found.connections.get(CONNECTIONS[0], [])
    rows += [
        _row(
            f"throughput with {count:,} connections, over that with {CONNECTIONS[0]}", 0.85,
            _pairs(found.connections.get(count, []), base), ALONE, least=True, unit=" times",
        )
        for count in CONNECTIONS[1:]
    ]  # fmt: skip
    lost = [100 * (1 - each) for each in _pairs(found.fsync.get("always", []), found.fsync.get("no", []))]
    rows.append(
        _row("throughput that fsync always costs, over HTTP", 15, lost, ALONE, least=False, unit=" %")
    )
    added = [each.added_ms for each in found.single]
    rows.append(
        _row(
            "a batch of one on an idle server, over a direct EVALSHA",
            0.3,
            added,
            ALONE,
            least=False,
            unit=" ms",
        )
    )
    for units, shoppers, _, _ in OPENINGS:
        # Where somebody was turned away before everything was sold, there is no last unit.
        took = [
            each.last_sold_s if each.sold == units else math.inf
            for each in found.openings.get(f"{units} of {shoppers}", [])
        ]
        name = f"T0 to the last of {units:,} units, {shoppers:,} shoppers on open connections"
        rows.append(_row(name, 0.1 if units == OPENINGS[0][0] else 1.0, took, ALONE, least=False, unit=" s"))
    return rows


def numbers_table(rows: Sequence[Sequence[str]]) -> str:
    return markdown(("number", "asked", "median (least to most)", "met", "command"), rows)
