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

START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 15.0
LOOK_SECONDS = 0.05
LOG_LINES_SHOWN = 15

_SERVING = re.compile(r"^flashsale is serving on (http://\S+)$", re.MULTILINE)


class ServerError(Exception):
    """The server did not start or has ended; the message has the end of its log."""


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


class ServerProcess:
    """A running server that ends with this process, however that ends.

    It leads a process group of its own, so that Ctrl-C reaches the demo alone, which then ends it in order.
    """

    def __init__(self, keys: Secrets, data_dir: Path, workers: int) -> None:
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
                    env=keys.server_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=[] if linux else [read_end],
                    process_group=0,
                )
        finally:
            os.close(read_end)

    async def url(self) -> str:
        """Its address, once it listens. Raises ServerError when it ends or takes longer than 30 s."""
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
async def embedded_server(keys: Secrets, data_dir: Path, workers: int) -> AsyncIterator[str]:
    """Run a server with its own Valkey in `data_dir`; yields its address and ends it in any case."""
    server = ServerProcess(keys, data_dir, workers)
    try:
        yield await server.url()
    finally:
        try:
            await server.stop()
        finally:
            server.kill()


def _foreign_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("FLASHSALE_")}
