"""Options that are settings: each names its environment variable, and all are checked together."""

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click
from pydantic_core import PydanticUndefined

from flashsale.settings import Purpose, Settings, SettingsError, env_name, load_settings, option_name

EXIT_SETTINGS = 2

PAYMENT_FIELDS = (
    "payment_provider",
    "shop",
    "payment_queue_limit",
    "payment_tries",
    "payment_claim_ms",
    "reconcile_seconds",
    "simulator_url",
    "simulator_rate",
    "simulator_tolerance_seconds",
    "stripe_publishable_key",
    "stripe_api_base",
    "stripe_rate",
    "stripe_tolerance_seconds",
    "stripe_bank_country",
)
"""What both `serve` and `work` can be told of payments. How a simulator behaves is said to `flashsale simulator`."""

ORDER_FIELDS = (
    "archive",
    "retention_days",
    "webhook_private_networks",
    "webhook_timeout_ms",
    "webhook_days",
)
"""What both `serve` and `work` can be told of orders on their way out."""

PAGE_FIELDS = (
    "pages_brand",
    "pages_brand_css",
    "pages_api_url",
    "pages_token_url",
    "pages_login_url",
    "pages_poll_seconds",
    "pages_embed_origins",
    "stripe_elements",
)
"""What whoever hands out the pages can be told of them."""

WORKERS_BESIDE_A_CROWD = min(4, max(1, (os.cpu_count() or 1) - 1))
"""One CPU is left to the crowd."""

Command = TypeVar("Command", bound=Callable[..., Any])


def setting_options(*fields: str) -> Callable[[Command], Command]:
    """Give a command the options of these settings; it gets them as keywords, None where not given.

    They arrive as text: `settings_or_exit` checks them, so that one message names every fault, of options and
    environment variables alike.
    """

    def decorate(command: Command) -> Command:
        for field in reversed(fields):
            command = _option(field)(command)
        return command

    return decorate


def settings_or_exit(overrides: Mapping[str, object], purpose: Purpose | None) -> Settings:
    """The settings from the environment and the options; a fault ends the command with exit code 2."""
    try:
        return load_settings(os.environ, overrides, purpose=purpose)
    except SettingsError as error:
        click.echo("flashsale cannot start with these settings:", err=True)
        for fault in error.faults:
            click.echo(f"  {fault}", err=True)
        raise click.exceptions.Exit(EXIT_SETTINGS) from None


def workers_option(what: str) -> Callable[[Command], Command]:
    """Give a command `--workers`, of a server of its own that shares the machine with a crowd."""
    return click.option(
        "--workers",
        type=click.IntRange(1, 64),
        default=WORKERS_BESIDE_A_CROWD,
        show_default="one CPU less than there are, 4 at most",
        help=what,
    )


def _option(field: str) -> Callable[[Command], Command]:
    name = option_name(field)
    if name is None:
        raise ValueError(f"{field} is a secret and cannot be an option")
    info = Settings.model_fields[field]
    notes = [f"env var: {env_name(field)}"]
    switch = info.annotation is bool
    if not switch and info.default not in {None, PydanticUndefined, ""}:
        notes.append(f"default: {info.default}")
    help_text = f"{info.description}  [{'; '.join(notes)}]"
    if switch and info.default:
        return click.option(f"{name}/--no-{name.removeprefix('--')}", field, default=None, help=help_text)
    if switch:
        return click.option(name, field, is_flag=True, flag_value="1", default=None, type=str, help=help_text)
    return click.option(name, field, metavar=_metavar(field), help=help_text)


def _metavar(field: str) -> str:
    return {
        "redis_url": "URL",
        "archive": "URL",
        "data_dir": "DIRECTORY",
        "host": "ADDRESS",
        "shopper_public_key": "PEM|FILE",
        "pages_brand": "NAME",
        "pages_brand_css": "FILE",
    }.get(field, field.rsplit("_", 1)[-1].upper())
