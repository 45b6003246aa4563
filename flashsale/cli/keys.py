"""`flashsale keys`: make, list and revoke API keys. All of it needs the root key."""

import click

from flashsale.cli.output import console, instant, print_json, table
from flashsale.cli.target import Target, run, server_options
from flashsale.identity.api_keys import SCOPES


@click.group("keys")
def command() -> None:
    """Create, list and revoke API keys; needs the root key."""


@command.command("create")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    required=True,
    help="What the key may do; may be given several times.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the server's answer as JSON.")
@server_options
def create(target: Target, name: str, scopes: tuple[str, ...], as_json: bool) -> None:
    """Create an API key called NAME and print it, this once: it cannot be shown again.

    Standard output is the key alone, so that it can be put into a file or a variable.
    """
    made = run(target, lambda client: client.create_key(name, scopes))
    if as_json:
        print_json(made)
        return
    click.echo(f"Key {made['id']} may: {', '.join(made['scopes'])}. It is shown only now:", err=True)
    click.echo(made["key"])


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the server's answer as JSON.")
@server_options
def list_keys(target: Target, as_json: bool) -> None:
    """List the API keys, without their secrets."""
    found = run(target, lambda client: client.keys())
    if as_json:
        print_json({"keys": found})
    elif not found:
        click.echo("There is no API key beside the root key.")
    else:
        columns = ["id", "scopes", "created", "name"]
        rows = [
            [key["id"], ", ".join(key["scopes"]), instant(key["created_at"]), key["name"]] for key in found
        ]
        console().print(table(columns, rows))


@command.command("revoke")
@click.argument("key_id", metavar="ID")
@server_options
def revoke(target: Target, key_id: str) -> None:
    """Revoke the API key with this ID. Every server refuses it within 5 seconds."""
    run(target, lambda client: client.revoke_key(key_id))
    click.echo(f"Key {key_id} is revoked.")
