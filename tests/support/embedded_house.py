"""`flashsale serve --embedded`: a shop that brings everything along, and what a test does to it.

- `kill(word)`: kill -9 of one of its children, which then runs again;
- `end()`: kill -9 of the server and of everything it has started;
- `start()`: it starts, or starts again, on the data directory that is there.
"""

import json
import os
import signal
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import psutil

from flashsale.process.embedded import find_running
from flashsale.process.own_simulator import BOOKS_NAME, NOTE_NAME
from tests.process.programs import eventually
from tests.support.house import House
from tests.support.server import PATIENCE_S
from tests.support.simulator import Simulator
from tests.support_http.server import PATIENT, Server


class FoundSimulator(Simulator):
    """The simulator that the server has brought along."""

    def __init__(self, data_dir: Path) -> None:
        note = json.loads((data_dir / NOTE_NAME).read_text())
        self.url = f"http://127.0.0.1:{note['port']}"
        self.secret = note["secret"]


class FoundValkey:
    """The store that the server has brought along."""

    def __init__(self, data_dir: Path) -> None:
        self.url = eventually(lambda: find_running(data_dir) or "", "the store answers")


class EmbeddedHouse(House):
    """`flashsale serve --embedded`, and nothing else."""

    def __init__(self, folder: Path, env: Mapping[str, str] | None = None) -> None:
        super().__init__(folder)
        self.folder = folder
        self.data_dir = folder / "data"
        self._env = {
            **PATIENT,
            "FLASHSALE_PAYMENT_CLAIM_MS": "200",
            "FLASHSALE_RECONCILE_SECONDS": "0",
            **(env or {}),
        }
        self.books = self.data_dir / BOOKS_NAME
        self.start()

    @property
    def command_env(self) -> dict[str, str]:
        """For commands about the same shop."""
        return dict(self._env)

    def start(self) -> None:
        """The shop is open when this returns."""
        self.server = Server(self.folder, ["--embedded", "--data-dir", str(self.data_dir)], env=self._env)
        self.valkey = FoundValkey(self.data_dir)  # type: ignore[assignment]  # its address is all that is asked for
        self.simulator = FoundSimulator(self.data_dir)
        eventually(self._lets_in, "its store was compared with the archive")

    def _lets_in(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.server.url}/readyz", timeout=PATIENCE_S):
                return True
        except OSError:
            return False

    def end(self) -> None:
        """As a power cut does."""
        family = self.server.program.family()
        for process in family:
            process.kill()
        self.server.program.end()
        _, left = psutil.wait_procs(family, timeout=30)
        assert not left, f"left running: {left}"

    def kill(self, word: str) -> None:
        """kill -9 of one of the children, and wait until it runs again."""
        pid = self.server.program.child(word).pid
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not psutil.pid_exists(pid), f"{word} is dead")
        eventually(lambda: self.server.program.child(word).pid != pid, f"{word} runs again")
