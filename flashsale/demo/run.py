"""One demo from its first process to its verdict."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import msgspec
from rich.console import Console

from flashsale.client import ApiError, Client, UnreachableError
from flashsale.demo.books import deliver, free_name, order_key, read_books, settle
from flashsale.demo.brand import Brand
from flashsale.demo.case import Books, Case
from flashsale.demo.company import CrowdError, CrowdProcess, crowd_process
from flashsale.demo.curve import draw_curve
from flashsale.demo.definitions import DemoSale
from flashsale.demo.figures import Moment, Result, Setting, result_of
from flashsale.demo.keep import keep_open
from flashsale.demo.messages import (
    Answer,
    Checkout,
    Clock,
    Done,
    Opening,
    Plan,
    Progress,
    Ready,
    Shares,
    TakeOrders,
)
from flashsale.demo.order_process import OrderSystem, order_system
from flashsale.demo.report import print_report
from flashsale.demo.server import Secrets, Trouble, embedded_server
from flashsale.demo.verdict import judge
from flashsale.demo.view import Scene, View
from flashsale.process.own_server import Address
from flashsale.verdict.report import MissingExtraError

LOOK_SECONDS = 0.25
"""The counters are read at most four times a second, as a shop page would read the public view."""

KILL_PART = 5
"""The order system is killed when it has the fifth part of what can be sold: on a busy machine much is never paid for."""

ServerStarter = Callable[[Secrets, Path, int, Trouble], AbstractAsyncContextManager[Address]]
"""Starts a server with these keys, data directory, number of workers and trouble with payments."""


@dataclass
class Heard:
    """Everything the crowd has told, and what the shop's counters were meanwhile."""

    clock: Clock = field(default_factory=lambda: Clock(0, 0.0))
    done: Done = field(default_factory=lambda: Done([], 0.0, 0.0))
    answers: list[Answer] = field(default_factory=list)
    checkouts: list[Checkout] = field(default_factory=list)
    history: list[Moment] = field(default_factory=list)


@dataclass(frozen=True)
class Players:
    """The processes that use the shop, and where the order system keeps its books."""

    crowd: CrowdProcess
    orders: OrderSystem
    books_dir: Path


@dataclass(frozen=True)
class DemoOptions:
    """What to show."""

    sale: DemoSale
    shoppers: int
    connections: int
    workers: int
    seed: int
    data_dir: Path | None
    out_dir: Path
    countdown_s: float = 5.0
    patience_s: float = 60.0
    shares: Shares = field(default_factory=Shares)
    trouble: Trouble = field(default_factory=Trouble)
    keep: bool = False


async def run_demo(
    options: DemoOptions,
    console: Console,
    on_result: Callable[[Result], None],
    *,
    start_server: ServerStarter = embedded_server,
) -> None:
    """Run a demo and print its report on `console`. Everything it started has ended when it returns.

    `on_result` is given the result as soon as there is one; with `keep` the server then runs until this is
    cancelled. Raises ServerError, CrowdError, ApiError, UnreachableError or OSError when the demo could not
    be played to its end.
    """
    keys = Secrets()
    async with AsyncExitStack() as stack:
        data_dir = options.data_dir or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="flashsale-demo-"))
        )
        console.print(
            "Starting Valkey, the server, its background work and a payment simulator ...", highlight=False
        )
        address = await stack.enter_async_context(
            start_server(keys, data_dir, options.workers, options.trouble)
        )
        brand = await stack.enter_async_context(Brand(address.shop, keys.root_key))
        provider = await stack.enter_async_context(Client(address.provider, address.provider_secret))
        name = await free_name(brand, options.sale.sale)
        async with _players(keys, brand, data_dir, options.seed) as players:
            setting, heard = await _sell(options, console, address.shop, name, brand, players)
            console.print(
                "Everybody has gone. Waiting for the last holds and refunds, then reading all books ..."
            )
            case = await _case(options.sale, setting, heard, brand, provider, players.orders)
        result = result_of(options.sale, setting, heard.done, case, judge(case), heard.history)
        result = _save(result, heard.answers, options.out_dir, console)
        print_report(console, result)
        on_result(result)
        if options.keep:
            await keep_open(options.sale, console, brand, address.shop, keys.root_key)


@asynccontextmanager
async def _players(keys: Secrets, brand: Client, data_dir: Path, seed: int) -> AsyncIterator[Players]:
    async with crowd_process(keys.crowd_environment()) as crowd, order_key(brand) as key:
        environment = keys.order_system_environment(key)
        async with order_system(environment, random.Random(seed)) as orders:
            yield Players(crowd, orders, data_dir / "order-system")


async def _case(
    sale: DemoSale, setting: Setting, heard: Heard, brand: Client, provider: Client, orders: OrderSystem
) -> Case:
    """All that is to be judged, once nothing moves any more."""
    reconciled = await settle(brand, setting.name, sale.hold_seconds + sale.hold_extension_seconds)
    delivered = await deliver(brand, setting.name, orders)
    _note(heard, setting.opens_at_ms, await brand.stats(setting.name))
    case = Case(
        stock=sale.stock,
        limit_per_customer=sale.limit_per_customer,
        hold_ms=sale.hold_seconds * 1000,
        opens_at_ms=setting.opens_at_ms,
        late_ms=setting.clock.late_ms,
        crowd=heard.done.crowd,
        answers=heard.answers,
        checkouts=heard.checkouts,
        books=Books(),
    )
    told = sorted({sold.reservation for sold in case.told})
    return replace(case, books=await read_books(brand, provider, setting.name, told, reconciled, delivered))


async def _sell(
    options: DemoOptions, console: Console, url: str, name: str, brand: Client, players: Players
) -> tuple[Setting, Heard]:
    """Gather the crowd, define the sale, and watch until nobody waits for anything."""
    crowd = players.crowd
    address = urlsplit(url)
    plan = Plan(
        host=address.hostname or "127.0.0.1",
        port=address.port or 80,
        sale=name,
        shoppers=options.shoppers,
        connections=min(options.connections, options.shoppers),
        seed=options.seed,
        stock=options.sale.stock,
        methods=options.sale.methods,
        hold_seconds=options.sale.hold_seconds,
        shares=options.shares,
        patience_s=options.patience_s,
    )
    await crowd.tell(plan)
    ready = await crowd.hear()
    if not isinstance(ready, Ready):
        raise CrowdError(f"the crowd should be ready, and said {ready}")
    console.print(
        f"{ready.shoppers:,} shoppers are ready on {ready.connections:,} connections; "
        f"{ready.early:,} will press a moment early, {ready.doubles:,} will press twice.",
        highlight=False,
    )
    console.print(_terms(options.sale), highlight=False)
    opens_at = datetime.now(UTC) + timedelta(seconds=options.countdown_s)
    view = await brand.put_sale(name, options.sale.opening_at(opens_at))
    scene = Scene(
        options.sale.title, ready.shoppers, ready.connections, hold_seconds=options.sale.hold_seconds
    )
    opens_in = datetime.fromisoformat(view["opens_at"]) - datetime.fromisoformat(view["server_time"])
    scene.opens_at = monotonic() + opens_in.total_seconds()
    scene.looked(view)
    opens_at_ms = round(datetime.fromisoformat(view["opens_at"]).timestamp() * 1000)
    await crowd.tell(Opening(opens_at_ms))
    heard = Heard()
    note = partial(_note, heard, opens_at_ms)
    with View(console, scene) as shown, _looking(brand, name, shown, players.orders, note):
        shown.say(f"{options.sale.title}: {scene.stock:,} units, opens in {opens_in.total_seconds():.1f} s.")
        await _take_orders(players, shown, TakeOrders(url, name, str(players.books_dir / f"{name}.sqlite3")))
        await _watch(crowd, shown, heard)
    setting = Setting(
        name=name,
        connections=ready.connections,
        workers=options.workers,
        seed=options.seed,
        opens_at_ms=opens_at_ms,
        opens_at=view["opens_at"],
        clock=heard.clock,
        trouble=options.trouble,
    )
    return setting, heard


def _terms(sale: DemoSale) -> str:
    """How the holds of the demo differ from those of the definition."""
    original = int(sale.original.get("hold_seconds", 300))
    said = f"A hold lasts {sale.hold_seconds} s here instead of {original} s"
    if sale.hold_extension_seconds:
        said += f", and {sale.hold_extension_seconds} s more once a payment has begun"
    if sale.methods_are_ours:
        said += f"; the definition names no way to pay, so the demo takes {sale.methods[0]}"
    return f"{said}."


async def _take_orders(players: Players, shown: View, job: TakeOrders) -> None:
    """Let the order system read what is sold, and have it killed when it has a part of that."""
    scene, orders = shown.scene, players.orders
    orders.said = shown.say
    await orders.take_orders(job, kill_after=max(1, min(scene.stock, scene.shoppers) // KILL_PART))


async def _watch(crowd: CrowdProcess, shown: View, heard: Heard) -> None:
    """Follow the crowd to its end."""
    while True:
        match await crowd.hear():
            case Answer() as answer:
                heard.answers.append(answer)
            case Checkout() as checkout:
                heard.checkouts.append(checkout)
            case Progress() as progress:
                shown.scene.heard(progress)
                shown.changed()
            case Clock() as clock:
                heard.clock = clock
            case Done() as done:
                heard.done = done
                return
            case other:
                raise CrowdError(f"the crowd said {other} out of turn")


def _note(heard: Heard, opens_at_ms: int, stats: dict[str, Any]) -> None:
    """Keep the counters of a moment for the picture."""
    at_ms = datetime.fromisoformat(stats["server_time"]).timestamp() * 1000 - opens_at_ms
    available, held, paid = (
        sum(item[what] for item in stats["items"]) for what in ("available", "held", "sold")
    )
    heard.history.append(Moment(round(at_ms, 1), available, held, paid))


@contextmanager
def _looking(
    brand: Client, name: str, shown: View, orders: OrderSystem, note: Callable[[dict[str, Any]], None]
) -> Iterator[None]:
    """Read the counters of the sale, and of the order system, as long as it is shown."""

    async def look() -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            # A look that fails is only missing from the view; what matters is read, and checked, afterwards.
            with contextlib.suppress(ApiError, UnreachableError):
                # First, as what it has was sold before.
                received = orders.received
                stats = await brand.stats(name)
                shown.scene.looked(stats, received)
                note(stats)

    task = asyncio.get_running_loop().create_task(look())
    try:
        yield
    finally:
        task.cancel()


def _save(result: Result, answers: list[Answer], out_dir: Path, console: Console) -> Result:
    """Write the picture and the figures; returns the result with the files named."""
    out_dir.mkdir(parents=True, exist_ok=True)
    picture, figures = out_dir / f"{result.sale}.png", out_dir / f"{result.sale}.json"
    files = [str(figures)]
    try:
        draw_curve(result, answers, picture)
        files.insert(0, str(picture))
    except MissingExtraError as fault:
        console.print(str(fault), markup=False, highlight=False)
    saved = msgspec.structs.replace(result, files=files)
    figures.write_bytes(msgspec.json.format(msgspec.json.encode(saved), indent=2) + os.linesep.encode())
    return saved
