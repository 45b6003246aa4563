"""`flashsale demo`: watch a sale sell out and be paid for, and read the proof that it did so exactly."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console

from flashsale.cli.options import workers_option
from flashsale.cli.signals import EndedBySignalError, run_until_signal
from flashsale.client import ApiError, UnreachableError
from flashsale.demo.company import CrowdError
from flashsale.demo.definitions import (
    CROWD_USUAL,
    HOLD_SECONDS,
    HOLD_SECONDS_MAX,
    STOCK_MAX,
    DefinitionError,
    hold_seconds_for,
    load_sale,
)
from flashsale.demo.figures import Result
from flashsale.demo.messages import Shares
from flashsale.demo.run import DemoOptions, ServerStarter, run_demo
from flashsale.demo.server import Trouble, embedded_server
from flashsale.process.own_server import ServerError

EXIT_WRONG = 1

Command = Callable[..., Any]
SHARES, TROUBLE = Shares(), Trouble()


def percent(name: str, default: float, what: str) -> Callable[[Command], Command]:
    """An option that is a share of a hundred."""
    return click.option(
        name, type=click.FloatRange(0, 100), default=default, show_default=True, metavar="PERCENT", help=what
    )


@click.command("demo")
@click.option(
    "--sale",
    default="giulia",
    show_default=True,
    metavar="NAME|FILE",
    help="giulia (350 units), maserati (100 units), or the path of a sale definition.",
)
@click.option(
    "--shoppers", type=click.IntRange(1, 200_000), default=5000, show_default=True, help="How many press buy."
)
@click.option(
    "--units", type=click.IntRange(1, STOCK_MAX), help="Sell this many units instead of the definition's."
)
@click.option(
    "--connections",
    type=click.IntRange(1, 5000),
    default=400,
    show_default=True,
    help="HTTP connections the shoppers share.",
)
@workers_option("Server worker processes.")
@click.option(
    "--seed",
    type=int,
    default=1,
    show_default=True,
    help="Who presses early, twice, in which order, and who pays how.",
)
@click.option(
    "--countdown", type=click.FloatRange(1, 600), default=5.0, show_default=True, help="Seconds until T0."
)
@click.option(
    "--hold",
    type=click.IntRange(1, HOLD_SECONDS_MAX),
    show_default=f"{HOLD_SECONDS}, and more for more than {CROWD_USUAL:,} shoppers",
    help="Seconds that a hold lasts, instead of the definition's.",
)
@percent("--decline", SHARES.decline, "Holders whose payment is declined.")
@percent("--again", SHARES.again, "Of those, who tries another method.")
@percent("--walk-away", SHARES.walk_away, "Holders who never pay.")
@percent("--late", SHARES.late, "Holders who pay when their hold has ended.")
@percent("--come-back", SHARES.come_back, "Shoppers told 'sold out' who watch for what is free again.")
@percent("--twice", TROUBLE.twice_percent, "Webhooks of the payment provider that come twice.")
@percent("--lost", TROUBLE.lost_percent, "Webhooks that never come.")
@percent("--delayed", TROUBLE.delayed_percent, f"Webhooks that come {TROUBLE.delay_seconds:g} s late.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON, and nothing else, to standard output."
)
@click.option("--keep", is_flag=True, help="Leave the server running afterwards, until Ctrl-C.")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where Valkey keeps its data. [default: a directory that is removed afterwards]",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("flashsale-demo"),
    show_default=True,
    help="Where the picture (PNG) and the figures (JSON) go.",
)
def command(
    *,
    sale: str,
    shoppers: int,
    units: int | None,
    connections: int,
    workers: int,
    seed: int,
    countdown: float,
    hold: int | None,
    decline: float,
    again: float,
    walk_away: float,
    late: float,
    come_back: float,
    twice: float,
    lost: float,
    delayed: float,
    as_json: bool,
    keep: bool,
    data_dir: Path | None,
    out: Path,
) -> None:
    """Sell out a sale to a crowd of real HTTP clients, with nothing to set up, let them pay, and check every answer.

    Beside it an order system reads the shop's feed of orders, and is killed once while it does.

    The exit code is 0 when not one unit was sold too many or too few, every shopper was answered, every charge
    in the payment provider's books is one order or was given back, and the order system has every order once;
    1 otherwise, and 130 when Ctrl-C ended it.
    """
    if decline + walk_away + late > 100:
        raise click.UsageError(
            "--decline, --walk-away and --late are shares of the same holders: 100 at most"
        )
    try:
        chosen = load_sale(sale, units, hold or hold_seconds_for(shoppers))
    except DefinitionError as fault:
        raise click.UsageError(str(fault)) from fault
    options = DemoOptions(
        sale=chosen,
        shoppers=shoppers,
        connections=connections,
        workers=workers,
        seed=seed,
        data_dir=data_dir,
        out_dir=out,
        countdown_s=countdown,
        keep=keep,
        patience_s=60 + shoppers / 1000,
        shares=Shares(decline=decline, walk_away=walk_away, late=late, again=again, come_back=come_back),
        trouble=Trouble(twice_percent=twice, lost_percent=lost, delayed_percent=delayed),
    )
    sys.exit(play(options, Console(stderr=as_json), as_json=as_json))


def play(
    options: DemoOptions, console: Console, *, as_json: bool, start_server: ServerStarter = embedded_server
) -> int:
    """Run the demo; the exit code. A verdict of red stays red when a demo that was kept is ended."""
    seen: list[Result] = []

    def show(result: Result) -> None:
        seen.append(result)
        if as_json:
            click.echo(msgspec.json.encode(result))

    try:
        run_until_signal(lambda: run_demo(options, console, show, start_server=start_server))
    except EndedBySignalError as end:
        console.print("\nEnded.")
        return end.exit_code if all(result.ok for result in seen) else EXIT_WRONG
    except (ServerError, CrowdError, ApiError, UnreachableError, OSError) as fault:
        said = f"The demo could not be played: {fault}"
        console.print(said, style="bold red", markup=False, highlight=False, soft_wrap=True)
        return EXIT_WRONG
    return 0 if all(result.ok for result in seen) else EXIT_WRONG
