"""The server of a demo: `flashsale serve --embedded`, a process of its own, with secrets for this one run."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from flashsale.process import launch
from flashsale.process.own_simulator import find_simulator
from flashsale.settings import Settings

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 15.0
LOOK_SECONDS = 0.05
LOG_LINES_SHOWN = 15

_SERVING = re.compile(r"^flashsale is serving on (http://\S+)$", re.MULTILINE)


class ServerError(Exception):
    """The server did not start or has ended; the message has the end of its log."""


@dataclass(frozen=True)
class Trouble:
    """What goes wrong between the payment provider and the shop: parts of a hundred webhooks."""

    twice_percent: float = 10.0
    lost_percent: float = 3.0
    delayed_percent: float = 5.0
    delay_seconds: float = 2.0
    reconcile_seconds: int = 1
    """How often the shop compares its books with the provider's: that is how lost webhooks are found."""

    latency_ms: int = 25
    """What each answer of the provider takes, as if it were not on this machine."""

    def environment(self) -> dict[str, str]:
        """The same as settings of the server and of the simulator it brings along."""
        return {
            "FLASHSALE_PAYMENT_PROVIDER": "simulator",
            "FLASHSALE_SIMULATOR_DUPLICATE_PERCENT": str(self.twice_percent),
            "FLASHSALE_SIMULATOR_LOSE_PERCENT": str(self.lost_percent),
            "FLASHSALE_SIMULATOR_DELAY_PERCENT": str(self.delayed_percent),
            "FLASHSALE_SIMULATOR_DELAY_SECONDS": str(self.delay_seconds),
            "FLASHSALE_SIMULATOR_LATENCY_MS": str(self.latency_ms),
            "FLASHSALE_RECONCILE_SECONDS": str(self.reconcile_seconds),
        }


@dataclass(frozen=True)
class Address:
    """Where the shop and its payment provider answer."""

    shop: str
    provider: str
    provider_secret: str = field(repr=False)


@dataclass(frozen=True)
class Secrets:
    """The keys of one demo run: random, and handed on in the environment only."""

    root_key: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    shopper_secret: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)

    def server_environment(self) -> dict[str, str]:
        """This process's environment with these keys, and without settings meant for another server."""
        return _foreign_environment() | {
            "FLASHSALE_ROOT_KEY": self.root_key,
            "FLASHSALE_SHOPPER_SECRET": self.shopper_secret,
            "FLASHSALE_GUESTS": "1",
            "FLASHSALE_LOG_FORMAT": "console",
        }

    def crowd_environment(self) -> dict[str, str]:
        """The same for the crowd, which signs its tokens and may do nothing else."""
        return _foreign_environment() | {"FLASHSALE_SHOPPER_SECRET": self.shopper_secret}

    @staticmethod
    def order_system_environment(key: str) -> dict[str, str]:
        """The same for the order system, with the key that was made for it."""
        return _foreign_environment() | {"FLASHSALE_API_KEY": key}


class ServerProcess:
    """A running server that ends with this process, however that ends.

    It leads a process group of its own, so that Ctrl-C reaches the demo alone, which then ends it in order.
    """

    def __init__(self, keys: Secrets, data_dir: Path, workers: int, trouble: Trouble) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self._log = log = data_dir / "server.log"
        self._log_start = log.stat().st_size if log.exists() else 0
        serve = [
            *(sys.executable, "-m", "flashsale", "serve", "--embedded", "--data-dir", str(data_dir)),
            *("--host", "127.0.0.1", "--port", "0", "--workers", str(workers)),
        ]
        read_end, self._watch_fd = os.pipe()
        linux = sys.platform.startswith("linux")
        tie = ["pdeathsig", str(os.getpid())] if linux else ["watch", str(read_end)]
        try:
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", launch.__file__, *tie, *serve],
                    env=keys.server_environment() | trouble.environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=[] if linux else [read_end],
                    process_group=0,
                )
        finally:
            os.close(read_end)

    async def url(self) -> str:
        """Its address, once it listens. Raises ServerError when it ends or takes longer than a minute."""
        deadline = monotonic() + START_SECONDS_MAX
        while monotonic() < deadline:
            found = _SERVING.search(self._said())
            if found:
                return found.group(1)
            if self._ended():
                raise ServerError(f"the server ended at its start:\n{self.last_words()}")
            await asyncio.sleep(LOOK_SECONDS)
        raise ServerError(f"the server did not start within {START_SECONDS_MAX:.0f} s:\n{self.last_words()}")

    def last_words(self) -> str:
        """The end of its log."""
        return "\n".join(self._said().splitlines()[-LOG_LINES_SHOWN:])

    async def stop(self) -> None:
        """Let it drain and end, and see that nothing of it is left."""
        try:
            if not self._ended():
                self._process.send_signal(signal.SIGTERM)
            for _ in range(round(STOP_SECONDS_MAX / LOOK_SECONDS)):
                if self._ended():
                    break
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self.kill()

    def kill(self) -> None:
        """End whatever is left of its process group, at once."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            os.close(self._watch_fd)

    def _ended(self) -> bool:
        """Whether it has ended; its entry is kept, so that its group's number is not given to another."""
        look = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return (
            self._process.returncode is not None or os.waitid(os.P_PID, self._process.pid, look) is not None
        )

    def _said(self) -> str:
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")


@asynccontextmanager
async def embedded_server(
    keys: Secrets, data_dir: Path, workers: int, trouble: Trouble
) -> AsyncIterator[Address]:
    """Run a server with its own Valkey and payment simulator in `data_dir`, and end it in any case."""
    server = ServerProcess(keys, data_dir, workers, trouble)
    try:
        url = await server.url()
        beside = find_simulator(Settings(payment_provider="simulator", data_dir=data_dir))
        if beside.simulator_url is None or beside.simulator_secret is None:
            raise ServerError("the server has brought no payment simulator along")
        yield Address(url, beside.simulator_url, beside.simulator_secret.get_secret_value())
    finally:
        try:
            await server.stop()
        finally:
            server.kill()


def _foreign_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("FLASHSALE_")}
