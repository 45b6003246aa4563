"""The `flashsale` command and the table of its subcommands."""

import importlib
from typing import NamedTuple

import click

from flashsale import __version__


class Subcommand(NamedTuple):
    """Where a subcommand lives, and the line that tells of it."""

    module: str
    help: str


SUBCOMMANDS = {
    "demo": Subcommand(
        "flashsale.cli.demo", "Watch a sale sell out, and read the proof that it did so exactly."
    ),
    "serve": Subcommand("flashsale.cli.serve", "Serve the HTTP API."),
    "work": Subcommand("flashsale.cli.work", "Do the background work, such as ending holds that are over."),
    "sale": Subcommand(
        "flashsale.cli.sale", "Define, list, show, watch, restock, pause, resume or close a sale."
    ),
    "audit": Subcommand("flashsale.cli.audit", "Replay the journal of a sale and compare every counter."),
    "recover": Subcommand("flashsale.cli.recover", "Bring a sale back from the archive."),
    "payments": Subcommand(
        "flashsale.cli.payments", "See that every charge ends as an order or as a refund."
    ),
    "orders": Subcommand("flashsale.cli.orders", "Read what was sold, order by order; compare books."),
    "webhooks": Subcommand(
        "flashsale.cli.webhooks", "Send orders to an address as they come; see and repeat what was sent."
    ),
    "pages": Subcommand("flashsale.cli.pages", "Write the shop page as files, for a CDN."),
    "keys": Subcommand("flashsale.cli.keys", "Create, list and revoke API keys."),
    "simulator": Subcommand("flashsale.cli.simulator", "Simulate a payment provider; nobody is charged."),
    "rehearse": Subcommand(
        "flashsale.cli.rehearse", "Rehearse a sale with a crowd and pretend stock, and read a graded report."
    ),
    "openapi": Subcommand("flashsale.cli.openapi", "Print the OpenAPI document of the HTTP API."),
}


class Subcommands(click.Group):
    """A group that imports a subcommand when it is called, so that `--help` and each command start fast.

    Each module of the table has its click command in the attribute `command`.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: D102, ARG002 - click's own
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: D102, ARG002 - click's own
        if cmd_name not in SUBCOMMANDS:
            return None
        command = importlib.import_module(SUBCOMMANDS[cmd_name].module).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{SUBCOMMANDS[cmd_name].module}.command is no click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: D102, ARG002 - click's own
        with formatter.section("Commands"):
            formatter.write_dl([(name, subcommand.help) for name, subcommand in SUBCOMMANDS.items()])


@click.group(cls=Subcommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="flashsale")
def cli() -> None:
    """Sell limited stock to everyone at once, each unit exactly once.

    Every setting can be given as an environment variable as well; --help of a command names them.
    """


def main() -> None:
    """Entry point of the `flashsale` command."""
    cli(prog_name="flashsale")
