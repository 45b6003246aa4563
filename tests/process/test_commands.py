"""The command line of the server: help that names every variable, and starts fast because it imports little."""

import os
import re
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from flashsale import __version__
from flashsale.cli.main import SUBCOMMANDS, cli
from flashsale.cli.options import setting_options, settings_or_exit
from flashsale.settings import SECRET_FIELDS, Settings, env_name, option_name
from tests.process.programs import clean_env

CLIENT_SETTINGS = {"url", "api_key"}


@pytest.mark.parametrize("subcommand", sorted(SUBCOMMANDS))
def test_every_subcommand_has_help(subcommand: str) -> None:
    done = CliRunner().invoke(cli, [subcommand, "--help"])
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"Usage: cli {subcommand} ")


def test_the_help_lists_every_subcommand() -> None:
    output = CliRunner().invoke(cli, ["--help"]).output
    listed = re.findall(r"^  ([a-z]+)  ", output.split("Commands:")[1], re.MULTILINE)
    assert listed == list(SUBCOMMANDS)
    assert CliRunner().invoke(cli, ["no-such-command"]).exit_code == 2
    assert CliRunner().invoke(cli, ["--version"]).output == f"flashsale, version {__version__}\n"


def test_every_setting_of_the_server_is_an_option_that_names_its_variable() -> None:
    # How the simulator behaves is said to that alone; a server that brings one along hands its environment on.
    helps = [
        CliRunner().invoke(cli, [command, "--help"]).output for command in ("serve", "work", "simulator")
    ]
    output = " ".join("".join(helps).split())
    for field in set(Settings.model_fields) - CLIENT_SETTINGS - SECRET_FIELDS:
        assert f"{option_name(field)} " in output
        assert re.search(rf"\[env var: {env_name(field)}[;\]]", output), field
    for field in SECRET_FIELDS:
        assert f"--{field.replace('_', '-')} " not in output


@pytest.mark.parametrize("field", ["fast_lane", "keep_attempts", "pages"])
def test_what_is_on_by_default_can_be_turned_off(field: str) -> None:
    @click.command()
    @setting_options(field)
    def show(**options: str | bool | None) -> None:
        click.echo(getattr(settings_or_exit(options, None), field))

    name, without = str(option_name(field)), {**os.environ, env_name(field): None}

    def shown(*arguments: str, **env: str) -> str:
        return CliRunner().invoke(show, list(arguments), env={**without, **env}).output.strip()

    assert (shown(), shown(name), shown(f"--no-{name[2:]}")) == ("True", "True", "False")
    assert shown(name, **{env_name(field): "0"}) == "True", "an option overrides its variable"
    assert shown(**{env_name(field): "0"}) == "False"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_imports_no_server(arguments: list[str]) -> None:
    program = (
        "import sys\nfrom flashsale.cli.main import cli\ntry:\n    cli()\nfinally:\n    print(*sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=clean_env(),
        capture_output=True,
        text=True,
        check=True,
    )
    modules = set(done.stdout.splitlines()[-1].split())
    assert "flashsale.cli.main" in modules
    assert not modules & {"aiohttp", "redis", "pydantic", "uvloop", "structlog", "prometheus_client"}
