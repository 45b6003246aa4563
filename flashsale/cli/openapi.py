"""`flashsale openapi`: the description of the HTTP API."""

import click

from flashsale.api.openapi import document
from flashsale.cli.output import print_json


@click.command("openapi")
def command() -> None:
    """Print the OpenAPI 3.1 document of the HTTP API as JSON; a server serves the same at /openapi.json."""
    print_json(document())
