"""The report on a terminal: figures apart, how they were measured, and the verdict."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from flashsale.demo.case import Sum
from flashsale.demo.figures import Result
from flashsale.demo.received import OrderSystemFigures
from flashsale.demo.takings import Takings
from flashsale.demo.view import KINDS
from flashsale.model.currency import DECIMALS

WIDTH = 100


def print_report(console: Console, result: Result) -> None:
    """Print everything a run showed, the verdict last."""
    parts: list[RenderableType] = [
        _headline(result),
        Text(),
        Padding(_counts(result), (0, 0, 0, 2)),
        Text(),
        Padding(_checkouts(result.payments), (0, 0, 0, 2)),
        Text(),
        Padding(_money(result.payments), (0, 0, 0, 2)),
        Text(),
        Padding(_order_system(result.order_system), (0, 0, 0, 2)),
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
    return _sold_out(result).append_text(_paid(result))


def _paid(result: Result) -> Text:
    payments, ended_ms = result.payments, result.payments.last_paid_ms
    if ended_ms is None:
        return Text("\nNot one was paid for.", style="bold")
    how_many = "All" if payments.all_paid else f"{payments.paid_orders:,} of {result.units:,}"
    return Text(
        f"\n{how_many} paid for, the last {ended_ms / 1000:,.1f} s after T0; "
        f"{payments.sold_again:,} were sold again after somebody did not pay.",
        style="bold green" if payments.all_paid else "bold",
    )


def _sold_out(result: Result) -> Text:
    text = Text(f"\n{result.title}: ", style="bold")
    last_ms = result.last_unit_held_ms
    if last_ms is None:
        return text.append("not one unit was held")
    if not result.sold_out:
        held = result.curve[-1][1]
        return text.append(f"{held:,} of {result.units:,} units held, the last {last_ms:,.0f} ms after T0")
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
    table = Table(box=None, pad_edge=False)
    table.add_column("the rush")
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


def _checkouts(payments: Takings) -> Table:
    """What became of those who got a hold, and of those who came back for one."""
    one, back = payments.checkouts, payments.came_back
    table = Table(box=None, pad_edge=False)
    table.add_column("the holds")
    table.add_column("shoppers", justify="right")
    table.add_column("")
    rows = [
        (
            "paid, and told so",
            one.paid,
            "green",
            f"{one.declined_and_paid:,} after a decline, {one.late_paid:,} after their hold",
        ),
        ("declined, gave up", one.gave_up, "yellow", f"{one.declined:,} were declined in all"),
        ("walked away", one.walked_away, "yellow", "never began to pay"),
        ("paid, refunded", one.refunded, "magenta", _too_late(one.late_refunded, one.refunded)),
        ("agreed, not charged", one.released, "magenta", _too_late(one.late_released, one.released)),
        ("too slow to pay", one.expired, "yellow", "their hold had ended"),
        ("paid, not told in time", one.untold, "red", ""),
        ("cut short", one.interrupted + one.errors, "red", ""),
    ]
    for name, count, style, remark in rows:
        if count or name.startswith("paid, and"):
            table.add_row(Text(name, style=style), f"{count:,}", Text(remark, style="dim"))
    table.add_row(
        "holds in all", f"{one.holds:,}", Text(f"{payments.holds_ended_unpaid:,} ended unpaid", style="dim")
    )
    if back.shoppers:
        presses = f"{back.presses:,} presses, {back.sold_out_answers:,} sold-out answers"
        table.add_row("came back", f"{back.shoppers:,}", Text(presses, style="dim"))
    return table


def _too_late(late: int, count: int) -> str:
    """Why somebody who wanted to pay has nothing: the unit was sold again."""
    heard = f", {count - late:,} of which the shop heard late" if count > late else ""
    return f"{late:,} after their hold{heard}"


def _money(payments: Takings) -> Table:
    """The provider's books."""
    table = Table(box=None, pad_edge=False)
    table.add_column("the money")
    table.add_column("charges", justify="right")
    table.add_column("", justify="right")
    for one in payments.money:
        for sign, name, money in (
            ("", "charges", one.charges),
            ("=", "orders", one.orders),
            ("+", "refunds", one.refunds),
        ):
            table.add_row(f"{sign:1} {name}", *_amount(money, one.currency))
    return table


def _amount(money: Sum, currency: str) -> tuple[str, str]:
    """How many, and minor units as people write them."""
    decimals = DECIMALS.get(currency, 2)
    return f"{money.count:,}", f"{money.amount / 10**decimals:,.{decimals}f} {currency}"


def _order_system(one: OrderSystemFigures) -> Table:
    """What the order system has in its own books."""
    table = Table(box=None, pad_edge=False)
    table.add_column("the order system")
    table.add_column("orders", justify="right")
    table.add_column("")
    killed = "it was not killed"
    if one.killed_after is not None:
        killed = f"killed after {one.killed_after:,}, and started again"
    rows = [
        ("received", one.orders, killed),
        ("refunded", one.refunds, ""),
        ("doubles dropped", one.dropped, f"last sequence {one.last_sequence:,}"),
    ]
    if one.delay_p50_ms is not None:
        times = (
            f"p50 {one.delay_p50_ms:,.1f} ms, p99 {one.delay_p99_ms:,.1f} ms, max {one.delay_max_ms:,.1f} ms"
        )
        rows.append(("told at once", one.orders + one.refunds - one.waited, times))
    if one.waited_max_ms is not None:
        waited = f"made while it was down, received within {one.waited_max_ms / 1000:,.1f} s"
        rows.append(("told later", one.waited, waited))
    for name, count, remark in rows:
        table.add_row(name, f"{count:,}", Text(remark, style="dim"))
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
    payments = result.payments
    table.add_row(
        "webhooks",
        f"{payments.webhooks_twice_percent:g} % came twice, {payments.webhooks_lost_percent:g} % never, "
        f"{payments.webhooks_delayed_percent:g} % late by {payments.webhooks_delay_seconds:g} s",
    )
    table.add_row(
        "reconciled", f"{payments.charges_compared:,} charges, by the shop with the provider's books"
    )
    table.add_row("crowd pressed", f"from {result.began_ms:,.1f} ms after T0")
    if result.last_sale_told_ms is not None:
        table.add_row("last sale told", f"received {result.last_sale_told_ms:,.1f} ms after T0")
    table.add_row(
        "last answer", f"received {result.last_answer_ms:,.1f} ms after T0, {result.shoppers:,} shoppers"
    )
    table.add_row("all is over", f"{result.ended_ms / 1000:,.1f} s after T0")
    return table


def verdict_panel(result: Result) -> Panel:
    """Green, or red with every finding."""
    if result.ok:
        text = Text(
            "Not one unit too many, not one too few, at any time: every 201 is on the server, every place was given "
            "once, every shopper has one answer, and the journal adds up. Every charge in the provider's books is "
            "one order or was given back, and every order was paid once. The order system has every order exactly once, "
            "without a gap, and its sums and digest are the shop's."
        )
        return Panel(text, title="OK", border_style="green", style="green", title_align="left")
    lines = Text("\n".join(f"{finding['fault']}: {finding['detail']}" for finding in result.findings))
    return Panel(lines, title="WRONG", border_style="bold red", style="red", title_align="left")
