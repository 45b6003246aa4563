"""`flashsale audit`: does every fact of a sale add up?"""

import sys
from collections.abc import Mapping
from typing import Any

import click
from rich.text import Text

from flashsale.cli.archived import archive_env
from flashsale.cli.output import console, count, money, plain, print_json, table
from flashsale.cli.target import Target, run, server_options

MAX_FINDINGS_SHOWN = 20


@click.command("audit")
@click.argument("sale")
@click.option("--json", "as_json", is_flag=True, help="Print the server's answer as JSON.")
@server_options
def command(target: Target, sale: str, as_json: bool) -> None:
    """Replay the journal of SALE from its first fact and compare every counter, hold, limit and charge.

    The archive and the stream of orders are compared with it too: which is behind, and by how much, is said.

    The exit code is 0 only when all of it adds up; otherwise the first fact that does not is named.
    """
    env = archive_env(target.data_dir) if target.url is None else {}
    verdict = run(target, lambda client: client.audit(sale), env=env)
    if as_json:
        print_json(verdict)
    else:
        _show(verdict)
    sys.exit(0 if verdict["ok"] is True else 1)


def _show(verdict: Mapping[str, Any]) -> None:
    out = console()
    name, facts, findings = plain(verdict["sale"]), verdict["facts"], verdict["findings"]
    if verdict["ok"] is True:
        out.print(
            Text.assemble(("clean", "bold green"), f"  {name}: {count(facts, 'fact')}, and all of it adds up")
        )
    else:
        found = "1 thing does" if len(findings) == 1 else f"{len(findings):,} things do"
        out.print(
            Text.assemble(("NOT CLEAN", "bold red"), f"  {name}: {count(facts, 'fact')}, {found} not add up")
        )
        for number, finding in enumerate(findings[:MAX_FINDINGS_SHOWN]):
            out.print(Text(f"{'first: ' if number == 0 else '       '}{_finding(finding)}"))
        if len(findings) > MAX_FINDINGS_SHOWN:
            out.print(Text(f"       and {len(findings) - MAX_FINDINGS_SHOWN:,} more: see --json"))
    items = verdict.get("items")
    if items:
        columns = ["sku", "stock", "available", "held", "sold"]
        rows = [[item.get(column) for column in columns] for item in items]
        out.print(table(columns, rows, numbers=columns[1:]))
    for sums in verdict.get("money", []):
        out.print(Text(_sums(sums)))
    for line in (_archive(verdict.get("archive")), _published(verdict.get("orders"))):
        if line:
            out.print(Text(plain(line)))


def _archive(archive: Mapping[str, Any] | None) -> str:
    if archive is None:
        return "archive: none that is known here"
    behind = (
        f"{count(archive['behind'], 'fact')} behind the journal"
        if archive["behind"]
        else "level with the journal"
    )
    orders, refunds = archive["orders"]["count"], archive["refunds"]["count"]
    return f"archive: {count(archive['seq'], 'fact')}, {behind}; {orders:,} orders made, {refunds:,} undone"


def _published(orders: Mapping[str, Any] | None) -> str:
    if orders is None:
        return ""
    behind = f"{orders['behind']:,} to come" if orders["behind"] else "none to come"
    return f"published: {orders['published']:,} of {orders['sequence']:,} orders made and undone, {behind}"


def _sums(sums: Mapping[str, Any]) -> str:
    """`12 charges, 1,200.00 CNY = orders 1,000.00 CNY (10) + refunding ... + refunds ...`"""
    parts = [
        f"{fate} {money(sums[fate]['amount'], sums['currency'])} ({sums[fate]['count']:,})"
        for fate in ("orders", "refunding", "refunds")
    ]
    charges = sums["charges"]
    total = money(charges["amount"], sums["currency"])
    return plain(f"{count(charges['count'], 'charge')}, {total} = {' + '.join(parts)}")


def _finding(finding: Mapping[str, Any]) -> str:
    seq = finding.get("seq")
    return plain(f"fact {seq}: {finding['detail']}" if seq is not None else finding["detail"])
