"""`flashsale rehearse`: tomorrow's sale today, with a crowd, pretend stock and pretend money, and a graded report."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from flashsale.cli.options import workers_option
from flashsale.cli.output import plain
from flashsale.cli.signals import EndedBySignalError, run_until_signal
from flashsale.client import ApiError, UnreachableError
from flashsale.process.own_server import ServerError
from flashsale.rehearsal import summary, twin
from flashsale.rehearsal.crowd import NOT_RUN, CrowdError, check_installed
from flashsale.rehearsal.run import Place, Plan, Rehearsed, rehearse, server_of_our_own
from flashsale.rehearsal.twin import TwinError
from flashsale.settings import SettingsError, load_settings

SPAWN_RATE: Final = 100
"""Shoppers that one load process lets arrive in a second, without being late with anything else."""

Command = Callable[..., Any]
PASSED_ON: Final[dict[str, tuple[Any, str]]] = {
    "abandon": (click.FloatRange(0, 100), "Percent of holders who leave without paying."),
    "cancel": (click.FloatRange(0, 100), "Percent of holders who cancel."),
    "decline": (click.FloatRange(0, 100), "Percent of holders whose first payment is declined."),
    "come-back": (click.FloatRange(0, 100), "Percent of those told `sold out` who try again later."),
    "greedy": (click.FloatRange(0, 100), "Percent who try to get a second reservation."),
    "bots": (click.IntRange(0), "Users who hammer, forge tokens and flood keys."),
    "refreshers": (click.IntRange(0), "Users who only reload the page of the sale."),
    "order-systems": (click.IntRange(0), "Order systems that follow the feed."),
    "reaction-ms": (click.FloatRange(0, min_open=True), "Median time from the opening to pressing."),
    "think-seconds": (click.FloatRange(0, min_open=True), "Median time before paying."),
    "patience": (click.FloatRange(0, min_open=True), "Seconds after which a shopper presses no more."),
    "lead": (click.FloatRange(0, min_open=True), "Seconds from the last arrival to the opening."),
    "level-p99-ms": (click.FloatRange(0, min_open=True), "Wanted: p99 of reserving, from pressing on."),
    "level-5xx-percent": (click.FloatRange(0, 100), "Wanted: at most so many answers of 500 and more."),
    "level-sell-out-seconds": (click.FloatRange(0, min_open=True), "Wanted: sold out within so long."),
}
"""Options of the load test that are handed to it as they are. Left out, its own defaults hold."""


def passed_on(command: Command) -> Command:
    """Gives a command the options of `PASSED_ON`."""
    for name, (kind, what) in reversed(PASSED_ON.items()):
        command = click.option(f"--{name}", type=kind, help=what)(command)
    return command


@click.command("rehearse")
@click.argument("file", type=click.Path(path_type=Path), required=False, metavar="SALE.json")
@click.option("--sale", metavar="ID", help="Rehearse this sale of the server instead of a file's.")
@click.option("--against", metavar="URL", help="Rehearse at this server.")
@click.option("--embedded", is_flag=True, help="Rehearse at a server of one's own, which goes afterwards.")
@click.option(
    "--api-key",
    envvar=["FLASHSALE_API_KEY", "FLASHSALE_ROOT_KEY"],
    show_envvar=True,
    metavar="KEY",
    help="API key for --against, with the scopes sales and orders. Others on this machine can read it here: better "
    "use the variable.",
)
@click.option(
    "--shoppers", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, help="How many come."
)
@click.option(
    "--units", type=click.IntRange(1), help="Pretend stock of each item, instead of the definition's."
)
@click.option(
    "--hold", type=click.IntRange(1), metavar="SECONDS", help="Length of holds, instead of the definition's."
)
@click.option(
    "--processes", type=click.IntRange(1, 256), default=1, show_default=True, help="Load processes."
)
@click.option(
    "--spawn-rate",
    type=click.IntRange(1),
    show_default=f"{SPAWN_RATE} for each load process",
    help="Shoppers that arrive in a second, before the sale opens.",
)
@workers_option("Worker processes of the server of --embedded.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("flashsale-rehearsal"),
    show_default=True,
    help="Where the report goes.",
)
@passed_on
def command(
    *,
    file: Path | None,
    sale: str | None,
    against: str | None,
    embedded: bool,
    api_key: str | None,
    shoppers: int,
    units: int | None,
    hold: int | None,
    processes: int,
    spawn_rate: int | None,
    workers: int,
    out: Path,
    **options: float | None,
) -> None:
    """Rehearse a sale: its real definition, pretend stock, a crowd of shoppers, and a report with a verdict and advice.

    A twin of the sale is made under an id of its own. Nobody is charged: it is paid through the payment simulator, whichever
    provider the server has. Order systems never see its orders. At the end it is closed. The sale itself is left alone.

    With --against shoppers' tokens are signed with FLASHSALE_SHOPPER_SECRET; without it the server is asked for guests.

    The exit code is 0 when every promise and every wanted level was kept, 1 when one was not, 2 when the rehearsal could
    not be run, and 130 when Ctrl-C ended it.
    """
    _check(file, sale, against, embedded=embedded)
    try:
        found, definition = twin.read(file) if file is not None else (sale or "", None)
        place = _place(against, api_key) if against is not None else None
    except (TwinError, SettingsError) as fault:
        raise click.UsageError(plain(fault)) from fault
    plan = Plan(
        sale=found,
        definition=definition,
        units=units,
        hold_seconds=hold,
        shoppers=shoppers,
        spawn_rate=spawn_rate or SPAWN_RATE * processes,
        processes=processes,
        out=out,
        options={name.replace("_", "-"): value for name, value in options.items() if value is not None},
    )
    sys.exit(play(plan, place, workers))


def play(plan: Plan, place: Place | None, workers: int) -> int:
    """Rehearses at this place, or at a server of our own; the exit code."""

    async def rehearsing() -> Rehearsed:
        if place is not None:
            return await rehearse(plan, place, _say)
        _say("Starting a server with Valkey, its background work and a payment simulator ...")
        async with server_of_our_own(workers) as own:
            return await rehearse(plan, own, _say)

    try:
        check_installed()
        done = run_until_signal(rehearsing)
    except EndedBySignalError as end:
        report = plan.out / "report.html"
        click.echo(
            f"\nEnded.{f' The report on what there was: {report}' if report.exists() else ''}", err=True
        )
        return end.exit_code
    except (TwinError, CrowdError, ServerError, ApiError, UnreachableError, OSError) as fault:
        click.echo(plain(f"The rehearsal could not be run: {_advice(fault)}"), err=True)
        return NOT_RUN
    if done.code == NOT_RUN:
        click.echo(plain(f"The rehearsal could not be run:\n{done.trouble}"), err=True)
        return NOT_RUN
    for line in summary.lines(done.report):
        click.echo(plain(line))
    click.echo(plain(f"Report: {done.report / 'report.html'}"))
    return done.code


def _check(file: Path | None, sale: str | None, against: str | None, *, embedded: bool) -> None:
    """Sees that it is said once what is rehearsed, and where.

    Raises:
        click.UsageError: it is not.
    """
    if (against is None) is not embedded:
        raise click.UsageError("say where to rehearse: --against URL, or --embedded")
    if (file is None) is (sale is None):
        raise click.UsageError("say what to rehearse: a file with the sale's definition, or --sale ID")
    if sale is not None and embedded:
        raise click.UsageError(
            "--sale is a sale of the server of --against: --embedded has a server without any"
        )


def _place(url: str, api_key: str | None) -> Place:
    """The server of --against.

    Raises:
        click.UsageError, SettingsError: something is missing, or cannot be so.
    """
    if not api_key:
        raise click.UsageError(
            "--against needs an API key with the scopes sales and orders: set FLASHSALE_API_KEY or FLASHSALE_ROOT_KEY"
        )
    secret = os.environ.get("FLASHSALE_SHOPPER_SECRET")
    settings = load_settings({}, {"url": url, "shopper_secret": secret or None}, purpose="client")
    return Place(settings.url or url, api_key, secret or None)


def _advice(fault: Exception) -> str:
    if isinstance(fault, ApiError) and fault.status == 401:
        return f"{fault}. Give an API key of this server in FLASHSALE_API_KEY."
    return str(fault)


def _say(line: str) -> None:
    click.echo(plain(line), err=True)
