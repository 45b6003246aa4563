"""`flashsale payments`: jobs that were given up, and the providers' books against ours."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click
from rich.text import Text

from flashsale.cli.output import console, count, instant, money, plain, print_json, table
from flashsale.cli.target import CommandFailedError, Target, payment_env, run, server_options
from flashsale.client import ApiError, Client

FATES: Final = {"order": "order", "refunding": "refund under way", "refunded": "refund"}
DONE: Final = (
    ("applied", "of them nobody had told us of; they have been acted upon now"),
    ("settled", "refunds had not been recorded, and are now"),
    ("foreign", "payments of other shops on the same account were left alone"),
)
"""Counts of a report that are worth a line when they are not 0."""
NO_PROVIDER_ADVICE: Final = (
    "Ask the server while it runs, with --url, or give this command the settings of its provider, such as "
    "FLASHSALE_STRIPE_SECRET_KEY."
)


@click.group("payments")
def command() -> None:
    """See that every charge ends as an order or as a refund."""


@command.group("dead")
def dead() -> None:
    """Payment jobs that failed as often as they are tried: list them, try them again."""


@dead.command("list")
@click.argument("sale")
@click.option("--json", "as_json", is_flag=True, help="Print the server's answer as JSON.")
@server_options
def list_dead(target: Target, sale: str, as_json: bool) -> None:
    """List the payment jobs of SALE that were given up.

    The sale `_stray` has those of charges whose sale nobody knows.
    """
    jobs = run(target, lambda client: client.dead_payments(sale))
    if as_json:
        print_json({"jobs": jobs})
    elif not jobs:
        click.echo(f"No payment job of {plain(sale)} was given up.")
    else:
        columns = ["id", "job", "about", "tries", "given up", "why"]
        rows = [
            [
                job["id"],
                job["kind"],
                job["reference"] or job["reservation"],
                job["tries"],
                instant(job["at"]),
                job["error"],
            ]
            for job in jobs
        ]
        console().print(table(columns, rows, numbers=("tries",)))


@dead.command("retry", short_help="Try jobs that were given up again.")
@click.argument("sale")
@click.argument("job_id", metavar="[ID]", required=False)
@click.option("--all", "everything", is_flag=True, help="Try all of them.")
@server_options
def retry_dead(target: Target, sale: str, job_id: str | None, everything: bool) -> None:
    """Try the payment job ID of SALE again, or all that were given up.

    A worker takes them up at once; what fails again is listed again after as many tries as before.
    """
    if (job_id is None) is not everything:
        raise click.UsageError("name the job to try again, or give --all")
    retried = run(target, lambda client: client.retry_dead_payments(sale, job_id))
    click.echo(f"{count(retried, 'job')} of {plain(sale)} will be tried again.")


@command.command("reconcile", short_help="Compare the providers' books with ours.")
@click.option("--sale", metavar="SALE", help="Only the payments of this sale.  [default: all sales]")
@click.option("--json", "as_json", is_flag=True, help="Print the server's answer as JSON.")
@server_options
def reconcile(target: Target, sale: str | None, as_json: bool) -> None:
    """Walk every charge that the providers have, and every one in our journals: is it an order, or was it refunded?

    What is neither is open, and dealt with: a message of the provider that was lost is made up for. What is open after
    that is listed with what is to be done about it, and the exit code is 0 only when nothing is.

    A server asks its own providers. With --redis-url or --data-dir this command asks them itself, so it needs their
    settings, such as FLASHSALE_STRIPE_SECRET_KEY; the simulator of an embedded server is found while that runs.
    """

    async def act(client: Client) -> dict[str, Any]:
        try:
            return await client.reconcile(sale)
        except ApiError as error:
            if error.code == "payments_unavailable" and target.url is None:
                raise CommandFailedError(f"{error}. {NO_PROVIDER_ADVICE}") from error
            raise

    report = run(target, act, env=payment_env(target))
    if as_json:
        print_json(report)
    else:
        _show(report)
    sys.exit(0 if report["ok"] is True else 1)


def _show(report: Mapping[str, Any]) -> None:
    out = console()
    charges, open_count = count(report["charges"], "charge"), report["open_count"]
    if report["ok"] is True:
        out.print(Text.assemble(("clean", "bold green"), f"  {charges}, and each has its fate"))
    else:
        found = "1 charge is" if open_count == 1 else f"{open_count:,} charges are"
        out.print(Text.assemble(("NOT CLEAN", "bold red"), f"  {charges}, and {found} open"))
    rows = [
        [FATES[total["fate"]], total["count"], money(total["amount"], total["currency"])]
        for total in report["totals"]
    ]
    rows += [
        ["open", number, money(amount, currency)]
        for currency, (number, amount) in sorted(_open_sums(report["open"]).items())
    ]
    if rows:
        out.print(table(["fate", "charges", "sum"], rows, numbers=("charges", "sum")))
    for field, said in DONE:
        if report[field]:
            out.print(Text(f"{report[field]:,} {said}"))
    if report["open"]:
        columns = ["open charge", "reservation", "amount", "what is wrong", "what to do"]
        rows = [
            [
                charge["reference"],
                charge["reservation"],
                money(charge["amount"], plain(charge["currency"])),
                charge["problem"],
                charge["action"],
            ]
            for charge in report["open"]
        ]
        out.print(table(columns, rows, numbers=("amount",)))
        if open_count > len(report["open"]):
            out.print(Text(f"and {open_count - len(report['open']):,} more"))


def _open_sums(charges: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    """By currency, how many of these charges there are, and how much they are together."""
    sums: dict[str, tuple[int, int]] = {}
    for charge in charges:
        number, amount = sums.get(charge["currency"], (0, 0))
        sums[charge["currency"]] = number + 1, amount + charge["amount"]
    return sums
