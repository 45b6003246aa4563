"""Growth curves: how our server's throughput and p99 move with one thing at a time.

And what an idle connection and a hold weigh.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from bench.race.books import SKU, OurBooks
from bench.race.crowd import body_of, customer_name
from bench.race.field import Contender
from bench.race.heat import Track, warm_up
from bench.race.machine import among_the_rest
from bench.race.servers import Server, running
from bench.race.shoppers import Shoppers
from bench.race.stores import client, valkey
from bench.race.table import markdown, number
from bench.race.wrk import CONNECTIONS, Load, run_wrk
from flashsale.model.ids import new_tokens
from flashsale.scripts.reserve import Claim, Held
from flashsale.store.client import Store
from flashsale.store.sales import SaleStore

SALE = "curve"
PLENTY = 5_000_000
IDLE_CONNECTIONS = 5_000
MANY = 512
"""Connections where 64 would not fill a batch."""
STEPS: Mapping[str, tuple[int | str, ...]] = {
    "connections": (16, 64, 256, 512, 1024, 2048, 4096),
    "stock": (100, 1_000, 10_000, 100_000, 1_000_000),
    "live holds": (0, 10_000, 100_000, 1_000_000),
    "items of the sale": (1, 10, 50, 100),
    "batch limit": (1, 8, 32, 128, 512, 1000),
    "fsync": ("always", "everysec", "no"),
}


@dataclass(frozen=True, slots=True)
class Point:
    """One step of a curve."""

    value: int | str
    rate: float
    sold: int
    p50_ms: float
    p99_ms: float
    server_share: float
    store_share: float
    load_share: float


@dataclass(frozen=True, slots=True)
class Weight:
    """Bytes."""

    of_connection: float
    of_hold: float
    holds: int


def _point(value: int | str, load: Load) -> Point:
    return Point(
        value, load.rate, load.answers - load.refused, load.p50_ms, load.p99_ms,
        load.server_share, load.store_share, load.load_share,
    )  # fmt: skip


def _run(
    ours: Contender,
    track: Track,
    value: int | str,
    *,
    prepare: Callable[[Server], None],
    connections: int = CONNECTIONS,
    bodies: Sequence[bytes] = (body_of(SKU),),
    changes: Mapping[str, str] | None = None,
    config: Sequence[str] = (),
) -> Point:
    """A store and a server of its own for each step."""
    with (
        valkey(track.cores, config) as store,
        running(ours, store, track.cores, track.built, changes=changes) as server,
    ):
        warm_up(server, track)
        prepare(server)
        load = run_wrk(
            server,
            SALE,
            track.crowd(),
            track.cores,
            seconds=track.seconds,
            connections=connections,
            bodies=bodies,
        )
        return _point(value, load)


def _defined(**stock_of: int) -> Callable[[Server], None]:
    def prepare(server: Server) -> None:
        assert isinstance(server.books, OurBooks)
        server.books.define(SALE, stock_of)

    return prepare


def _plenty(server: Server) -> None:
    _defined(**{SKU: PLENTY})(server)


async def _hold(url: str, sale: str, count: int, at_once: int = 512) -> None:
    """So many holds of customers who come in no race, straight through the script."""
    store = Store.connect(url)
    sales = SaleStore(store)
    lane = sales.lane()
    try:
        for first in range(0, count, at_once):
            claims = []
            for number_ in range(first, min(first + at_once, count)):
                customer = customer_name(5_000_000 + number_)
                lines = ((SKU, 1),)
                claims.append(Claim(new_tokens(1)[0], customer, lines, repeatable=False))
            batch = await sales.reserve(lane, sale, claims)
            assert all(isinstance(each, Held) for each in batch.decisions)
    finally:
        await sales.close()
        await store.close()


def _held(count: int) -> Callable[[Server], None]:
    def prepare(server: Server) -> None:
        _plenty(server)
        asyncio.run(_hold(server.store.url, SALE, count))

    return prepare


def measure_curves(
    ours: Contender, track: Track, steps: Mapping[str, Sequence[int | str]]
) -> dict[str, list[Point]]:
    """Each curve whose name is in `steps`."""
    found: dict[str, list[Point]] = {}
    with among_the_rest(track.cores):
        for name, values in steps.items():
            for value in values:
                found.setdefault(name, []).append(_step(ours, track, name, value))
                print(f"  {name} {value}: {found[name][-1].rate:,.0f} a second", flush=True)
    return found


def _step(ours: Contender, track: Track, name: str, value: int | str) -> Point:
    if name == "connections":
        return _run(ours, track, value, prepare=_plenty, connections=int(value))
    if name == "stock":
        return _run(ours, track, value, prepare=_defined(**{SKU: int(value)}))
    if name == "live holds":
        return _run(ours, track, value, prepare=_held(int(value)))
    if name == "items of the sale":
        skus = [f"{SKU}-{at}" for at in range(int(value))]
        prepare = _defined(**dict.fromkeys(skus, PLENTY))
        return _run(ours, track, value, prepare=prepare, bodies=[body_of(sku) for sku in skus])
    if name == "batch limit":
        changes = {"FLASHSALE_BATCH_LIMIT": str(value)}
        return _run(ours, track, value, prepare=_plenty, connections=MANY, changes=changes)
    return _run(ours, track, value, prepare=_plenty, config=[f"appendfsync {value}"])


def weigh(ours: Contender, track: Track, holds: int = 200_000) -> Weight:
    """Memory of an open, idle connection in the worker, and of a hold in the store."""
    with (
        among_the_rest(track.cores),
        valkey(track.cores) as store,
        running(ours, store, track.cores, track.built) as server,
        client(store.url) as redis,
    ):
        warm_up(server, track)
        worker = server.worker()
        before = worker.memory_info().rss
        shoppers = Shoppers(server.port, IDLE_CONNECTIONS)
        of_connection = (worker.memory_info().rss - before) / IDLE_CONNECTIONS
        shoppers.close()
        _plenty(server)
        empty = redis.info("memory")["used_memory"]
        asyncio.run(_hold(store.url, SALE, holds))
        of_hold = (redis.info("memory")["used_memory"] - empty) / holds
    return Weight(of_connection, of_hold, holds)


def curves_table(curves: Mapping[str, Sequence[Point]], weight: Weight | None) -> str:
    """One table for each curve, and a sentence on memory."""
    parts = []
    for name, points in curves.items():
        rows = [
            [
                f"{point.value:,}" if isinstance(point.value, int) else point.value,
                number(point.rate), number(point.sold), number(point.p50_ms, 1), number(point.p99_ms, 1),
                f"{100 * point.server_share:.0f} / {100 * point.store_share:.0f} / {100 * point.load_share:.0f} %",
            ]
            for point in points
        ]  # fmt: skip
        columns = (name, "answers a second", "sold", "p50 ms", "p99 ms", "busy: server / store / load")
        parts.append(markdown(columns, rows))
    if weight is not None:
        parts.append(
            f"An idle connection weighs {weight.of_connection / 1024:.1f} KiB in the worker,"
            f" a hold {weight.of_hold:,.0f} bytes in the store (of {weight.holds:,})."
        )
    return "\n\n".join(parts)


def raw(curves: Mapping[str, Sequence[Point]], weight: Weight | None) -> dict[str, object]:
    """As JSON keeps it."""
    return {
        "curves": {name: [asdict(point) for point in points] for name, points in curves.items()},
        "weight": asdict(weight) if weight else None,
    }
