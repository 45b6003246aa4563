"""What the tests of the client commands share: a server, and ways to run a command."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from flashsale.cli.main import cli
from flashsale.client import Client
from tests.support.served import Served
from tests.support.world import definition


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("server")) as running:
        yield running


@dataclass
class Commands:
    """Runs `flashsale` commands in this process, with a server and a key in the environment."""

    server: Served
    folder: Path

    def run(self, *arguments: str, typed: bytes | None = None, **env: str | None) -> Result:
        """One command; an environment variable of None is not set."""
        own = {
            "FLASHSALE_URL": self.server.url,
            "FLASHSALE_ROOT_KEY": self.server.root_key,
            "FLASHSALE_API_KEY": None,
            "FLASHSALE_REDIS_URL": None,
            "FLASHSALE_DATA_DIR": None,
            "COLUMNS": "200",
        }
        return CliRunner().invoke(cli, arguments, input=typed, env={**own, **env}, catch_exceptions=False)

    def must(self, *arguments: str, **more: Any) -> str:
        """What a command that has to work says on standard output."""
        result = self.run(*arguments, **more)
        assert result.exit_code == 0, result.output
        return str(result.stdout)

    def json(self, *arguments: str, **more: Any) -> Any:
        """The JSON a command prints."""
        return json.loads(self.must(*arguments, "--json", **more))

    def fails(self, *arguments: str, exit_code: int = 1, **more: Any) -> str:
        """What a command that must not work says on standard error."""
        result = self.run(*arguments, **more)
        assert result.exit_code == exit_code, result.output
        assert result.stdout == ""
        assert "Traceback" not in result.stderr
        return str(result.stderr)

    def define(self, sale: str, **changes: Any) -> Any:
        """Define a sale that opened an hour ago, of 5 units of one item."""
        file = self.folder / f"{sale}.json"
        file.write_text(json.dumps(definition(**changes)))
        return self.json("sale", "put", str(file))

    def refund(self, reservation: str, key: str, *, restock: bool, url: str | None = None) -> Any:
        """Support undoes an order; there is no command for it."""

        async def act() -> Any:
            async with Client(url or self.server.url, key) as client:
                return await client.refund(reservation, restock=restock, reason="a test")

        return asyncio.run(act())


@pytest.fixture
def commands(served: Served, tmp_path: Path) -> Commands:
    return Commands(served, tmp_path)
