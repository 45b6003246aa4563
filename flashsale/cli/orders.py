"""`flashsale orders`: read what was sold, order by order, and compare books."""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import click
import orjson
from rich.console import Group
from rich.text import Text

from flashsale.cli.output import console, count, instant, money, plain, print_json, table
from flashsale.cli.target import Target, run, server_options
from flashsale.client import ApiError, Client, Json, UnreachableError

PAGE: Final = 500
WAIT_SECONDS: Final = 20
RETRY_SECONDS: Final = 1.0


@click.group("orders")
def command() -> None:
    """Read what was sold, order by order; compare books."""


@dataclass(slots=True)
class _Wanted:
    """What is to be shown."""

    sale: str | None
    types: tuple[str, ...]
    follow: bool
    as_json: bool
    left: int | None
    cursor: str | None

    async def page(self, client: Client) -> Json:
        """What comes next, waiting for it for a while where that is wanted."""
        return await client.orders(
            self.cursor,
            limit=PAGE if self.left is None else min(PAGE, self.left),
            wait_seconds=WAIT_SECONDS if self.follow else 0,
            sale=self.sale,
            types=self.types,
        )


@command.command("tail", short_help="Show orders as they are made and undone.")
@click.option("--follow", "-f", is_flag=True, help="Wait for more, until Ctrl-C is pressed.")
@click.option("--sale", metavar="SALE", help="Only the orders of this sale.")
@click.option(
    "--type",
    "types",
    type=click.Choice(["confirmed", "refunded"]),
    multiple=True,
    help="Only these; may be given twice.  [default: both]",
)
@click.option(
    "--after", metavar="CURSOR", help="Begin behind this cursor, or `now`.  [default: the first order]"
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Show so many and end.")
@click.option("--json", "as_json", is_flag=True, help="Print each as one line of JSON: the CloudEvent.")
@server_options
def tail(
    target: Target,
    follow: bool,
    sale: str | None,
    types: tuple[str, ...],
    after: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """Show the orders of all sales, each sale's in order, from the first one on.

    At the end the cursor to go on with is told on standard error.
    """
    wanted = _Wanted(sale, types, follow, as_json, limit, after)
    try:
        run(target, lambda client: _tail(client, wanted))
    except KeyboardInterrupt:
        pass
    finally:
        if wanted.cursor not in {None, "now", after}:
            click.echo(f"go on with --after {wanted.cursor}", err=True)


async def _tail(client: Client, wanted: _Wanted) -> None:
    """Shows page after page. Once there was an answer, a server that is away for a while is waited for if one follows."""
    answer = await wanted.page(client)
    while True:
        for event in answer["events"]:
            click.echo(orjson.dumps(event).decode() if wanted.as_json else _line(event))
        wanted.cursor = answer["cursor"]
        if wanted.left is not None:
            wanted.left -= len(answer["events"])
        if wanted.left == 0 or not (answer["more"] or wanted.follow):
            return
        answer = await _next(client, wanted)


async def _next(client: Client, wanted: _Wanted) -> Json:
    while True:
        try:
            return await wanted.page(client)
        except (ApiError, UnreachableError) as error:
            if not wanted.follow or (isinstance(error, ApiError) and error.status < 500):
                raise
            click.echo(plain(error), err=True)
            await asyncio.sleep(RETRY_SECONDS)


def _line(event: Mapping[str, Any]) -> str:
    """One order on one line."""
    data = event["data"]
    items = ", ".join(f"{item['quantity']:,} {item['sku']}" for item in data["items"])
    refund, late = data.get("refund"), "  late" if data["late"] and data["status"] == "confirmed" else ""
    why = f"  {refund['reason']}" if refund and refund["reason"] else ""
    return plain(
        f"{instant(event['time'])}  {data['sale']} {data['sequence']:>6,}  {data['status']:<9}  "
        f"{money(data['amount_due'], data['currency'])}  {items}  {data['customer']}  {data['reservation']}{late}{why}"
    ).replace("\n", " ")


@command.command("summary", short_help="Show the sums of a sale's orders.")
@click.argument("sale")
@click.option("--json", "as_json", is_flag=True, help="Print the server's answer as JSON.")
@server_options
def summary(target: Target, sale: str, as_json: bool) -> None:
    """Show how many orders of SALE were made and undone, and for how much, to compare other books with.

    The exit code is 0 only when all of them have been told to order systems.
    """
    sums = run(target, lambda client: client.orders_summary(sale))
    if as_json:
        print_json(sums)
    else:
        _show(sums)
    sys.exit(0 if sums["behind"] == 0 else 1)


def _show(sums: Mapping[str, Any]) -> None:
    currency = sums["currency"]
    rows = [
        [fate, sums[fate]["count"], money(sums[fate]["amount"], currency)]
        for fate in ("confirmed", "refunded")
    ]
    told = f"number {sums['sequence']:,} is the last one told" if sums["sequence"] else "nothing was sold yet"
    behind = f", and {sums['behind']:,} more are still to be told: is `flashsale work` running?"
    console().print(
        Group(
            Text.assemble(
                (plain(sums["sale"]), "bold"),
                f"  {count(sums['orders'], 'order')} stand; {told}",
                behind if sums["behind"] else "",
            ),
            table(["", "count", "amount"], rows, numbers=("count", "amount")),
            Text(f"digest  {sums['digest'] or '-'}"),
        )
    )
