"""One demo from its first process to its verdict."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import msgspec
from rich.console import Console

from flashsale.client import ApiError, Client, UnreachableError
from flashsale.demo.books import free_name, read_books
from flashsale.demo.company import CrowdError, CrowdProcess, crowd_process
from flashsale.demo.curve import NoMatplotlibError, draw_curve
from flashsale.demo.definitions import DemoSale
from flashsale.demo.figures import Result, Setting, result_of
from flashsale.demo.messages import Answer, Clock, Done, Opening, Plan, Progress, Ready
from flashsale.demo.report import keep_text, print_report
from flashsale.demo.server import Secrets, embedded_server
from flashsale.demo.verdict import judge, told_reservations
from flashsale.demo.view import Scene, View

LOOK_SECONDS = 0.25
"""The public view is read at most four times a second, as a shop page would."""

ServerStarter = Callable[[Secrets, Path, int], AbstractAsyncContextManager[str]]
"""Starts a server with these keys, data directory and number of workers; gives its address."""


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
        console.print("Starting Valkey, the server and its background work ...", highlight=False)
        url = await stack.enter_async_context(start_server(keys, data_dir, options.workers))
        brand = await stack.enter_async_context(Client(url, keys.root_key))
        name = await free_name(brand, options.sale.sale)
        crowd = await stack.enter_async_context(crowd_process(keys.crowd_environment()))
        setting, done, answers = await _sell(options, console, url, name, brand, crowd)
        told = sorted({sold.reservation for sold in told_reservations(answers)})
        books = await read_books(brand, name, told)
        findings = judge(options.sale.stock, options.sale.limit_per_customer, done.crowd, answers, books)
        result = result_of(options.sale, setting, done, answers, books, findings, [])
        result = _save(result, answers, options.out_dir, console)
        print_report(console, result)
        on_result(result)
        if options.keep:
            sku = next(iter(options.sale.stock))
            console.print(
                keep_text(url, name, sku, keys.root_key), highlight=False, markup=False, soft_wrap=True
            )
            await asyncio.Event().wait()


async def _sell(
    options: DemoOptions, console: Console, url: str, name: str, brand: Client, crowd: CrowdProcess
) -> tuple[Setting, Done, list[Answer]]:
    """Gather the crowd, define the sale, and watch until everyone has an answer."""
    address = urlsplit(url)
    plan = Plan(
        host=address.hostname or "127.0.0.1",
        port=address.port or 80,
        sale=name,
        shoppers=options.shoppers,
        connections=min(options.connections, options.shoppers),
        seed=options.seed,
        stock=options.sale.stock,
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
    opens_at = datetime.now(UTC) + timedelta(seconds=options.countdown_s)
    view = await brand.put_sale(name, options.sale.opening_at(opens_at))
    scene = Scene(options.sale.title, ready.shoppers, ready.connections)
    opens_in = datetime.fromisoformat(view["opens_at"]) - datetime.fromisoformat(view["server_time"])
    scene.opens_at = monotonic() + opens_in.total_seconds()
    scene.looked(view)
    opens_at_ms = round(datetime.fromisoformat(view["opens_at"]).timestamp() * 1000)
    await crowd.tell(Opening(opens_at_ms))
    with View(console, scene) as shown, _looking(brand, name, shown):
        shown.say(f"{options.sale.title}: {scene.stock:,} units, opens in {opens_in.total_seconds():.1f} s.")
        clock, done, answers = await _watch(crowd, shown)
    setting = Setting(
        name=name,
        connections=ready.connections,
        workers=options.workers,
        seed=options.seed,
        opens_at_ms=opens_at_ms,
        opens_at=view["opens_at"],
        clock=clock,
    )
    return setting, done, answers


async def _watch(crowd: CrowdProcess, shown: View) -> tuple[Clock, Done, list[Answer]]:
    """Follow the crowd to its end."""
    clock = Clock(0, 0.0)
    answers: list[Answer] = []
    while True:
        match await crowd.hear():
            case Answer() as answer:
                answers.append(answer)
            case Progress() as progress:
                shown.scene.heard(progress)
                shown.changed()
            case Clock() as clock:
                pass
            case Done() as done:
                return clock, done, answers
            case other:
                raise CrowdError(f"the crowd said {other} out of turn")


@contextmanager
def _looking(brand: Client, name: str, shown: View) -> Iterator[None]:
    """Read the public view of the sale as long as it is shown."""

    async def look() -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            # A look that fails is only missing from the view; what matters is read, and checked, afterwards.
            with contextlib.suppress(ApiError, UnreachableError):
                shown.scene.looked(await brand.sale(name))

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
    except NoMatplotlibError as fault:
        console.print(str(fault), markup=False, highlight=False)
    saved = msgspec.structs.replace(result, files=files)
    figures.write_bytes(msgspec.json.format(msgspec.json.encode(saved), indent=2) + os.linesep.encode())
    return saved
