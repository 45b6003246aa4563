"""A server for one purpose: `flashsale serve --embedded` as a process of its own, with secrets of its own."""

from __future__ import annotations

import re
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from flashsale.process.own_program import LOOK_SECONDS, OwnProgram, foreign_environment
from flashsale.process.own_simulator import find_simulator
from flashsale.settings import Settings

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 15.0

_SERVING = re.compile(r"^flashsale is serving on (http://\S+)$", re.MULTILINE)


class ServerError(Exception):
    """The server did not start or has ended; the message has the end of its log."""


@dataclass(frozen=True)
class Address:
    """Where the shop and its payment provider answer."""

    shop: str
    provider: str
    provider_secret: str = field(repr=False)


@dataclass(frozen=True)
class ServerSecrets:
    """The keys of one server: random, and handed on in the environment only."""

    root_key: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    shopper_secret: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)

    def server_environment(self) -> dict[str, str]:
        """This process's environment with these keys, and without settings meant for another server."""
        return foreign_environment() | {
            "FLASHSALE_ROOT_KEY": self.root_key,
            "FLASHSALE_SHOPPER_SECRET": self.shopper_secret,
            "FLASHSALE_GUESTS": "1",
            "FLASHSALE_LOG_FORMAT": "console",
        }


@asynccontextmanager
async def own_server(
    keys: ServerSecrets, data_dir: Path, workers: int, settings: Mapping[str, str]
) -> AsyncIterator[Address]:
    """Run a server with its own Valkey and payment simulator in `data_dir`, and end it in any case.

    `settings` are environment variables for it, beside the keys.

    Raises:
        ServerError: it does not start.
    """
    command = [
        *(sys.executable, "-m", "flashsale", "serve", "--embedded", "--data-dir", str(data_dir)),
        *("--host", "127.0.0.1", "--port", "0", "--workers", str(workers)),
    ]
    env = keys.server_environment() | {"FLASHSALE_PAYMENT_PROVIDER": "simulator"} | dict(settings)
    server = OwnProgram(command, env=env, log=data_dir / "server.log")
    try:
        url = await _url(server)
        beside = find_simulator(Settings(payment_provider="simulator", data_dir=data_dir))
        if beside.simulator_url is None or beside.simulator_secret is None:
            raise ServerError("the server has brought no payment simulator along")
        yield Address(url, beside.simulator_url, beside.simulator_secret.get_secret_value())
    finally:
        try:
            await server.stop(signal.SIGTERM, STOP_SECONDS_MAX)
        finally:
            server.kill()


async def _url(server: OwnProgram) -> str:
    """Its address, once it listens. Raises ServerError when it ends or takes longer than a minute."""
    deadline = monotonic() + START_SECONDS_MAX
    while monotonic() < deadline:
        found = _SERVING.search(server.said())
        if found:
            return found.group(1)
        if await server.wait(LOOK_SECONDS):
            raise ServerError(f"the server ended at its start:\n{server.last_words()}")
    raise ServerError(f"the server did not start within {START_SECONDS_MAX:.0f} s:\n{server.last_words()}")
