"""`flashsale webhooks`: register webhooks and look after them. It needs a key with the scope orders."""

import os
from collections.abc import Mapping
from typing import Any

import click

from flashsale.cli.output import console, count, instant, plain, print_json, table
from flashsale.cli.target import Target, run, server_options
from flashsale.settings import env_name

SHORT = "io.flashsale."


@click.group("webhooks")
def command() -> None:
    """Send orders, and whatever else happens, to an address as it comes."""


@command.command("create")
@click.argument("address", metavar="URL")
@click.option(
    "--type",
    "types",
    multiple=True,
    metavar="TYPE",
    help="Type of events, such as reservation.confirmed; may be given several times.  [default: orders]",
)
@click.option("--sale", metavar="SALE", help="Only events of this sale.  [default: all sales]")
@click.option("--json", "as_json", is_flag=True, help="Print the server's answer as JSON.")
@server_options
def create(target: Target, address: str, types: tuple[str, ...], sale: str | None, as_json: bool) -> None:
    """Send events to URL from now on, and print the secret that signs them, this once.

    Standard output is the secret alone, so that it can be put into a file or a variable.
    """
    made = run(target, lambda client: client.create_webhook(address, types or None, sale=sale), env=_env())
    _tell_secret(made, as_json)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the server's answer as JSON.")
@server_options
def list_webhooks(target: Target, as_json: bool) -> None:
    """List the webhooks, without their secrets."""
    found = run(target, lambda client: client.webhooks())
    if as_json:
        print_json({"webhooks": found})
    elif not found:
        click.echo("There is no webhook.")
    else:
        columns = ["id", "state", "sales", "failing", "created", "events", "url"]
        rows = [
            [
                each["id"],
                _state(each),
                each["sales_count"],
                sum(sale["tries"] > 0 for sale in each["sales"]),
                instant(each["created_at"]),
                _types(each),
                each["url"],
            ]
            for each in found
        ]
        console().print(table(columns, rows, numbers=("sales", "failing")))


@command.command("show")
@click.argument("webhook_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print the server's answer as JSON.")
@server_options
def show(target: Target, webhook_id: str, as_json: bool) -> None:
    """Show how far the webhook ID is in each sale, and what fails."""
    webhook = run(target, lambda client: client.webhook(webhook_id))
    if as_json:
        print_json(webhook)
    else:
        _print(webhook)


@command.command("delete")
@click.argument("webhook_id", metavar="ID")
@server_options
def delete(target: Target, webhook_id: str) -> None:
    """Remove the webhook ID. What is on its way at this moment may still arrive."""
    run(target, lambda client: client.delete_webhook(webhook_id))
    click.echo(f"Webhook {plain(webhook_id)} is removed.")


@command.command("rotate", short_help="Give a webhook a new secret.")
@click.argument("webhook_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print the server's answer as JSON.")
@server_options
def rotate(target: Target, webhook_id: str, as_json: bool) -> None:
    """Give the webhook ID a new secret and print it, this once. The old one signs too for 24 hours."""
    _tell_secret(run(target, lambda client: client.rotate_webhook(webhook_id)), as_json)


@command.command("enable")
@click.argument("webhook_id", metavar="ID")
@server_options
def enable(target: Target, webhook_id: str) -> None:
    """Switch the webhook ID on: it goes on where it was, at once."""
    run(target, lambda client: client.enable_webhook(webhook_id))
    click.echo(f"Webhook {plain(webhook_id)} is on.")


@command.command("deliveries")
@click.argument("webhook_id", metavar="ID")
@click.option("--sale", metavar="SALE", help="Only those of this sale.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="So many at most.")
@click.option("--json", "as_json", is_flag=True, help="Print the server's answer as JSON.")
@server_options
def deliveries(target: Target, webhook_id: str, sale: str | None, limit: int, as_json: bool) -> None:
    """List the last tries to deliver the events of the webhook ID, the newest first."""
    found = run(target, lambda client: client.deliveries(webhook_id, sale=sale, limit=limit))
    if as_json:
        print_json({"deliveries": found})
    elif not found:
        click.echo("Nothing was sent yet.")
    else:
        columns = ["at", "event", "number", "try", "ms", "result", "next try"]
        rows = [
            [
                instant(each["at"]),
                each["event"],
                each["number"],
                each["try"],
                each["duration_ms"],
                each["error"] or f"delivered ({each['status']})",
                instant(each["next_at"]),
            ]
            for each in found
        ]
        console().print(table(columns, rows, numbers=("number", "try", "ms")))


@command.command("replay", short_help="Deliver events of a sale again.")
@click.argument("webhook_id", metavar="ID")
@click.argument("sale")
@click.option(
    "--after",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="NUMBER",
    help="Number of the last event that is not wanted.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the server's answer as JSON.")
@server_options
def replay(target: Target, webhook_id: str, sale: str, after: int, as_json: bool) -> None:
    """Deliver everything of SALE again that comes after NUMBER, and switch the webhook ID on.

    Numbers are those that `show` and `deliveries` print: the sequence of orders, for a webhook of orders.
    """
    webhook = run(target, lambda client: client.replay_webhook(webhook_id, sale, after=after))
    if as_json:
        print_json(webhook)
    else:
        click.echo(f"Webhook {plain(webhook_id)} gets {plain(sale)} again after number {after:,}.")


def _env() -> dict[str, str]:
    """What is known here of where webhooks may go, for a server of our own; one at an address has its own settings."""
    name = env_name("webhook_private_networks")
    return {name: os.environ[name]} if name in os.environ else {}


def _tell_secret(webhook: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(webhook)
        return
    click.echo(f"Webhook {webhook['id']} sends {_types(webhook)}. Its secret is shown only now:", err=True)
    click.echo(webhook["secret"])


def _types(webhook: Mapping[str, Any]) -> str:
    return ", ".join(plain(each).removeprefix(SHORT).rpartition(".")[0] for each in webhook["types"])


def _state(webhook: Mapping[str, Any]) -> str:
    return str(webhook["state"]) if webhook["reason"] is None else f"{webhook['state']}: {webhook['reason']}"


def _print(webhook: Mapping[str, Any]) -> None:
    where = f" of {plain(webhook['sale'])}" if webhook["sale"] else ""
    click.echo(f"{webhook['id']}  {_state(webhook)}  {_types(webhook)}{where}")
    click.echo(plain(webhook["url"]))
    if webhook["old_secret_until"] is not None:
        click.echo(f"The secret before the present one signs until {instant(webhook['old_secret_until'])}.")
    click.echo(count(webhook["sales_count"], "sale"))
    if webhook["sales"]:
        columns = ["sale", "position", "last", "tries", "next try", "why"]
        rows = [
            [
                sale["sale"],
                sale["position"],
                sale["last"],
                sale["tries"],
                instant(sale["next_at"]),
                sale["error"],
            ]
            for sale in webhook["sales"]
        ]
        console().print(table(columns, rows, numbers=("position", "last", "tries")))
