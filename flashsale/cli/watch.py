"""The live view of `flashsale sale watch`."""

import asyncio
from datetime import datetime, timedelta
from math import ceil
from typing import Any

import click
import orjson
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from flashsale.cli.output import is_terminal, plain, state
from flashsale.client import ApiError, Client, Json, UnreachableError

BAR_COLUMNS = 40


async def watch(client: Client, sale: str, interval_seconds: float, *, as_json: bool) -> None:
    """Look at the sale every `interval_seconds` and show it, until it is closed.

    Once it has been seen, a server that is away for a while is waited for. Raises what the first look raises.
    """
    view = await client.sale(sale)
    if as_json or not is_terminal():
        await _lines(client, view, interval_seconds, as_json=as_json)
        return
    console = Console()
    with Live(_picture(view, None), console=console, auto_refresh=False) as live:
        while view["state"] != "closed":
            await asyncio.sleep(interval_seconds)
            trouble: str | None = None
            try:
                view = await client.sale(sale)
            except (ApiError, UnreachableError) as error:
                trouble = str(error)
            live.update(_picture(view, trouble), refresh=True)


async def _lines(client: Client, view: Json, interval_seconds: float, *, as_json: bool) -> None:
    """Print one line for what is seen first, and one for each change."""
    seen: Any = None
    while True:
        change = [view["state"], [[item["sku"], item["available"], item["stock"]] for item in view["items"]]]
        if change != seen:
            seen = change
            click.echo(orjson.dumps(view).decode() if as_json else _line(view))
        if view["state"] == "closed":
            return
        await asyncio.sleep(interval_seconds)
        try:
            view = await client.sale(view["id"])
        except (ApiError, UnreachableError) as error:
            click.echo(plain(error), err=True)


def _line(view: Json) -> str:
    items = ", ".join(f"{item['sku']} {item['available']:,} of {item['stock']:,}" for item in view["items"])
    return plain(f"{view['server_time']} {view['state']}: {items}")


def _picture(view: Json, trouble: str | None) -> RenderableType:
    """The sale at a glance; `trouble` is why it could not be looked at just now."""
    head = Text.assemble((plain(view["title"]), "bold"), "  ", state(view["state"]), "  ", _clock(view))
    bars = Table.grid(padding=(0, 2))
    for item in view["items"]:
        available, stock = item["available"], item["stock"]
        bars.add_row(
            Text(plain(item["sku"])),
            ProgressBar(total=max(stock, 1), completed=available, width=BAR_COLUMNS),
            Text(f"{available:,} of {stock:,} available"),
        )
    rows: list[RenderableType] = [head, bars]
    if trouble is not None:
        rows.append(Text(plain(trouble), style="red"))
    return Group(*rows)


def _clock(view: Json) -> str:
    """How long until the sale opens or closes, by the server's clock."""
    now = datetime.fromisoformat(view["server_time"])
    if view["state"] != "closed":
        for words, instant in (("opens in", view["opens_at"]), ("closes in", view.get("closes_at"))):
            left = datetime.fromisoformat(instant) - now if instant else timedelta()
            if left > timedelta():
                return f"{words} {timedelta(seconds=ceil(left.total_seconds()))}"
    return ""
