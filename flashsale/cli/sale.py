"""`flashsale sale`: define a sale, look at it, run it."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import click
import orjson
from rich.console import Group
from rich.table import Table
from rich.text import Text

from flashsale.cli.output import console, count, instant, items_table, plain, print_json, state, table
from flashsale.cli.target import CommandFailedError, Target, run, server_options
from flashsale.cli.watch import watch
from flashsale.client import Client, Json
from flashsale.model.ids import is_sale_id

json_option: Final = click.option(
    "--json", "as_json", is_flag=True, help="Print the server's answer as JSON."
)


@click.group("sale")
def command() -> None:
    """Define, show, watch and steer sales."""


@command.command("put", short_help="Define a sale by a JSON file.")
@click.argument("file", type=click.Path(allow_dash=True, path_type=Path))
@click.option(
    "--id",
    "sale_id",
    metavar="ID",
    help='Id of the sale.  [default: "id" in the file, else the file\'s name]',
)
@json_option
@server_options
def put(target: Target, file: Path, sale_id: str | None, as_json: bool) -> None:
    """Define the sale described by the JSON FILE, or by standard input when FILE is `-`.

    The same definition again changes nothing. Another one replaces it until the sale opens, and is refused
    from then on.
    """
    definition = _read_definition(file)
    named = definition.pop("id", None)
    chosen = sale_id if sale_id is not None else named
    if chosen is None and str(file) != "-":
        chosen = file.stem
    if chosen is None:
        raise click.UsageError('standard input has no name: give --id, or an "id" in the definition')
    if not isinstance(chosen, str) or not is_sale_id(chosen):
        raise click.UsageError(
            f"{plain(repr(chosen))} cannot be the id of a sale: 1 to 63 of a-z, 0-9 and -, the first no -"
        )
    sale = run(target, lambda client: client.put_sale(chosen, definition))
    _show(sale, as_json=as_json)


@command.command("show", short_help="Show a sale: its state, and what is available.")
@click.argument("sale")
@json_option
@server_options
def show(target: Target, sale: str, as_json: bool) -> None:
    """Show the public view of SALE: its state, and what is available."""
    _show(run(target, lambda client: client.sale(sale)), as_json=as_json)


@command.command("list")
@json_option
@server_options
def list_sales(target: Target, as_json: bool) -> None:
    """List all sales."""
    sales = run(target, lambda client: client.sales())
    if as_json:
        print_json({"sales": sales})
    elif not sales:
        click.echo("There is no sale yet: define one with `flashsale sale put FILE`.")
    else:
        console().print(_sales_table(sales))


@command.command("watch", short_help="Watch a sale until it is closed.")
@click.argument("sale")
@click.option(
    "--interval",
    type=click.FloatRange(0.25, 60),
    default=0.5,
    show_default=True,
    help="Seconds from one look to the next.",
)
@click.option("--json", "as_json", is_flag=True, help="Print each change as one line of JSON.")
@server_options
def watch_sale(target: Target, sale: str, interval: float, as_json: bool) -> None:
    """Watch SALE until it is closed or Ctrl-C is pressed.

    Where standard output is no terminal, each change is one line.
    """
    try:
        run(target, lambda client: watch(client, sale, interval, as_json=as_json))
    except KeyboardInterrupt:
        sys.exit(0)


def _steering(name: str, text: str, act: Callable[[Client, str], Awaitable[Json]]) -> None:
    """Add a command that changes the state of a sale and shows the outcome."""

    @command.command(name, help=text)
    @click.argument("sale")
    @json_option
    @server_options
    def steer(target: Target, sale: str, as_json: bool) -> None:
        _show(run(target, lambda client: act(client, sale)), as_json=as_json)


_steering("pause", "Take no reservations of SALE for now. Holds run on.", Client.pause)
_steering("resume", "Take reservations of SALE again.", Client.resume)
_steering("close", "End SALE for good. It cannot be opened again.", Client.close)


@command.command("restock", short_help="Add units to an item.")
@click.argument("sale")
@click.argument("sku")
@click.argument("units", type=click.IntRange(min=1))
@click.option("--reason", metavar="TEXT", help="Why, for the journal.")
@click.option("--idempotency-key", metavar="KEY", help="Add the units once, however often this is repeated.")
@json_option
@server_options
def restock(
    target: Target,
    sale: str,
    sku: str,
    units: int,
    reason: str | None,
    idempotency_key: str | None,
    as_json: bool,
) -> None:
    """Add UNITS of the item SKU to SALE."""

    async def act(client: Client) -> Json:
        await client.restock(sale, sku, units, reason, idempotency_key=idempotency_key)
        return await client.sale(sale)

    _show(run(target, act), as_json=as_json)


def _read_definition(file: Path) -> Json:
    """The JSON object in the file. Raises `CommandFailedError` when there is none."""
    name = "standard input" if str(file) == "-" else str(file)
    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise CommandFailedError(f"cannot read {name}: {error.strerror}") from error
    try:
        definition: Any = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise CommandFailedError(f"{name} is not JSON: {error}") from error
    if not isinstance(definition, dict):
        raise CommandFailedError(f"{name} holds no JSON object")
    return definition


def _show(sale: Json, *, as_json: bool) -> None:
    if as_json:
        print_json(sale)
        return
    head = Text.assemble((plain(sale["id"]), "bold"), "  ", plain(sale["title"]), "  ", state(sale["state"]))
    closes = sale.get("closes_at")
    limit = sale.get("limit_per_customer")
    about = f"opens {instant(sale['opens_at'])}, "
    about += f"closes {instant(closes)}" if closes else "closes when it is told to"
    rules = f"holds last {count(sale['hold_seconds'], 'second')}, "
    rules += f"{count(limit, 'unit')} a customer" if limit else "no limit"
    console().print(Group(head, Text(about), Text(rules), items_table(sale)))


def _sales_table(sales: list[Json]) -> Table:
    return table(
        ["sale", "state", "opens", "available", "stock", "title"],
        [
            [
                sale["id"],
                state(sale["state"]),
                instant(sale["opens_at"]),
                sum(item["available"] for item in sale["items"]),
                sum(item["stock"] for item in sale["items"]),
                sale["title"],
            ]
            for sale in sales
        ],
        numbers=("available", "stock"),
    )
