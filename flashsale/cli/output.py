"""How client commands print: JSON for programs, plain tables for people."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click
import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flashsale.model.currency import DECIMALS

WIDE_COLUMNS: Final = 400
STATE_STYLES: Final = {
    "scheduled": "cyan",
    "open": "bold green",
    "paused": "yellow",
    "sold_out": "bold magenta",
    "closed": "dim",
}


def plain(text: object) -> str:
    """Text with every character that a terminal would obey, rather than show, spelled out."""
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in str(text)
    )


def print_json(value: object) -> None:
    """One indented JSON document on standard output."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2))


def console() -> Console:
    """Standard output; where it is no terminal, tables are as wide as their content."""
    return Console(width=None if is_terminal() else WIDE_COLUMNS)


def is_terminal() -> bool:
    """Whether a person sees standard output as it is written."""
    return sys.stdout.isatty()


def money(amount: int, currency: str) -> str:
    """`33000000` minor units of CNY are `330,000.00 CNY`."""
    decimals = DECIMALS.get(currency, 0)
    major, minor = divmod(amount, 10**decimals)
    return f"{major:,}{f'.{minor:0{decimals}d}' if decimals else ''} {currency}"


def instant(rfc3339: str | None) -> Text:
    """`2026-12-01T10:00:00.000Z` as `2026-12-01 10:00:00Z`; only a fraction that says something is kept."""
    if rfc3339 is None:
        return Text("-", style="dim")
    return Text(plain(rfc3339).replace("T", " ").replace(".000Z", "Z"), no_wrap=True)


def count(number: int, noun: str) -> str:
    """`1 unit`, `1,200 units`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def state(name: str) -> Text:
    """A sale's state in its colour."""
    return Text(plain(name).replace("_", " "), style=STATE_STYLES.get(name, ""))


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: Sequence[str] = ()) -> Table:
    """A table without markup; the columns in `numbers` are set right, and an int gets its thousands apart."""
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*(_cell(value) for value in row))
    return made


def _cell(value: object) -> Text:
    if isinstance(value, Text):
        return value
    if value is None:
        return Text("-", style="dim")
    return Text(f"{value:,}" if type(value) is int else plain(value))


def items_table(sale: Mapping[str, Any]) -> Table:
    """The items of a sale's public view."""
    return table(
        ["sku", "title", "price", "available", "stock"],
        [
            [
                item["sku"],
                item.get("title"),
                money(item["price"], sale["currency"]),
                item["available"],
                item["stock"],
            ]
            for item in sale["items"]
        ],
        numbers=("price", "available", "stock"),
    )
