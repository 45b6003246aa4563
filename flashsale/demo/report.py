"""The report on a terminal: figures apart, how they were measured, and the verdict."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from flashsale.demo.figures import Result
from flashsale.demo.view import KINDS

WIDTH = 100


def print_report(console: Console, result: Result) -> None:
    """Print everything a run showed, the verdict last."""
    parts: list[RenderableType] = [
        _headline(result),
        Text(),
        Padding(_counts(result), (0, 0, 0, 2)),
        Text(),
        Padding(_books(result), (0, 0, 0, 2)),
        Text(),
        Text(f"Measured: {result.measured}.", style="dim"),
        Text(
            f"Machine: {result.machine}, server, Valkey and crowd together. "
            f"Server workers: {result.workers}. Connections: {result.connections:,}. Seed: {result.seed}.",
            style="dim",
        ),
        verdict_panel(result),
    ]
    console.print(Group(*parts), width=min(WIDTH, console.width))
    for file in result.files:
        console.print(f"Saved {file}", highlight=False, soft_wrap=True)


def _headline(result: Result) -> Text:
    text = Text(f"\n{result.title}: ", style="bold")
    last_ms = result.last_unit_held_ms
    if last_ms is None:
        return text.append("not one unit was held")
    if not result.sold_out:
        return text.append(
            f"{result.places:,} of {result.units:,} units held, the last {last_ms:,.0f} ms after T0"
        )
    text.append(
        f"{result.units:,} units sold out, the last held {last_ms:,.0f} ms after T0", style="bold green"
    )
    if result.record is None:
        return text
    record = result.record
    text.append(f"\nThe record: {record.seconds:g} s for {record.source}", style="not bold")
    if record.ratio is None:
        return text.append(f" (not compared: this run sold {result.units:,} units)", style="not bold")
    return text.append(f". This run: {record.ratio:,.0f} times as fast.", style="not bold")


def _counts(result: Result) -> Table:
    table = Table(box=None, pad_edge=False, title_justify="left")
    table.add_column("")
    for name in ("requests", "p50 ms", "p99 ms", "max ms"):
        table.add_column(name, justify="right")
    counts = {
        "sale": result.sales,
        "sold_out": result.sold_out_answers,
        "replay": result.replays,
        "not_open": result.not_open_answers,
        "busy": result.errors["busy"],
        "cut": result.errors["cut"],
        "error": result.errors["other"],
    }
    for kind, name, style in KINDS:
        latency = result.latency_ms.get(kind)
        times = (
            [f"{latency.p50_ms:,.1f}", f"{latency.p99_ms:,.1f}", f"{latency.max_ms:,.1f}"]
            if latency
            else ["-"] * 3
        )
        table.add_row(Text(name, style=style if counts[kind] else "dim"), f"{counts[kind]:,}", *times)
    table.add_section()
    table.add_row("answered in all", f"{result.requests_answered:,}", "", "", "")
    return table


def _books(result: Result) -> Table:
    table = Table.grid(padding=(0, 2))
    for item in result.items:
        total = item.sold + item.held + item.available
        parts = f"sold {item.sold:,} + held {item.held:,} + available {item.available:,}"
        table.add_row(item.sku, f"{parts} = {total:,}, stock {item.stock:,}")
    table.add_row(
        "audit",
        f"{result.audit_facts:,} facts of the journal replayed, {'ok' if result.audit_ok else 'NOT OK'}",
    )
    table.add_row(
        "told and kept",
        f"{result.reservations_checked:,} reservations read back, places up to {result.places:,}",
    )
    table.add_row("crowd pressed", f"from {result.began_ms:,.1f} ms after T0")
    if result.last_sale_told_ms is not None:
        table.add_row("last sale told", f"received {result.last_sale_told_ms:,.1f} ms after T0")
    table.add_row(
        "last answer", f"received {result.last_answer_ms:,.1f} ms after T0, {result.shoppers:,} shoppers"
    )
    if result.next_release_at:
        table.add_row(
            "next_release_at", f"{result.next_release_at}: the demo only reserves, and an unpaid hold ends"
        )
    return table


def verdict_panel(result: Result) -> Panel:
    """Green, or red with every finding."""
    if result.ok:
        text = Text(
            "Not one unit too many, not one too few: every 201 is on the server, every place was given once, "
            "every shopper has one answer, and the journal adds up."
        )
        return Panel(text, title="OK", border_style="green", style="green", title_align="left")
    lines = Text("\n".join(f"{finding['fault']}: {finding['detail']}" for finding in result.findings))
    return Panel(lines, title="WRONG", border_style="bold red", style="red", title_align="left")


def keep_text(url: str, sale: str, sku: str, root_key: str) -> str:
    """What to try while the server is left running; the root key it shows ends with this one demo."""
    return f"""
Still running, until Ctrl-C:

  address    {url}
  docs       {url}/docs
  root key   {root_key}

  export FLASHSALE_URL={url} FLASHSALE_API_KEY={root_key}

  # the sale as a shop page sees it, and its books
  curl {url}/v1/sales/{sale}
  curl -H "Authorization: Bearer $FLASHSALE_API_KEY" {url}/v1/sales/{sale}/audit

  # five more units arrive
  curl -X POST {url}/v1/sales/{sale}/items/{sku}/restock -H "Authorization: Bearer $FLASHSALE_API_KEY" \\
    -H 'Content-Type: application/json' -d '{{"units": 5, "reason": "found in the warehouse"}}'

  # be a guest, and press buy yourself
  TOKEN=$(curl -s -X POST {url}/v1/guests | sed 's/.*"token": *"\\([^"]*\\)".*/\\1/')
  curl -X POST {url}/v1/sales/{sale}/reservations -H "Authorization: Bearer $TOKEN" \\
    -H 'Content-Type: application/json' -d '{{"items": [{{"sku": "{sku}", "quantity": 1}}]}}'
"""
