"""Runs of the load test as a user runs it: Locust in a process of its own, and what it has left behind.

Locust is never imported here: it would replace parts of the standard library in the process of the tests.
"""

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from tests.process.programs import ROOT, Program
from tests.support_http.client import ROOT_KEY, SECRET

KEYS: Final = {"FLASHSALE_ROOT_KEY": ROOT_KEY, "FLASHSALE_SHOPPER_SECRET": SECRET}
SMALL: Final[Mapping[str, object]] = {
    "users": 60,
    "spawn-rate": 200,
    "units": 10,
    "hold-seconds": 3,
    "lead": 1,
    "reaction-ms": 200,
    "think-seconds": 0.3,
    "patience": 20,
    "abandon": 30,
    "come-back": 80,
}
"""A crowd that is there at once, and gone after some twenty seconds: a machine may stall for half of that."""
WAIT_SECONDS: Final = 240.0
"""How long a run may take; nothing is decided by it but that a test ends."""


def arguments(options: Mapping[str, object]) -> list[str]:
    """Options as on a command line; True stands for one without a value."""
    given = [[f"--{name}"] if value is True else [f"--{name}", str(value)] for name, value in options.items()]
    return [word for words in given for word in words]


@dataclass(frozen=True)
class Outcome:
    """How a run has ended."""

    exit_code: int
    said: str
    """What it has printed: the verdict."""
    log: str
    """What Locust has logged, its statistics among it."""
    folder: Path
    """Of the report."""

    @property
    def report(self) -> Any:
        """What report.json says."""
        return json.loads((self.folder / "report.json").read_text(encoding="utf-8"))

    @property
    def evidence(self) -> Any:
        """What evidence.json says."""
        return json.loads((self.folder / "evidence.json").read_text(encoding="utf-8"))

    @property
    def findings(self) -> dict[str, list[str]]:
        """Name of a check -> what it found; only those that have found something."""
        checks = self.report["verdict"]["checks"]
        return {check["name"]: check["findings"] for check in checks if check["findings"]}

    @property
    def missed(self) -> set[str]:
        """The levels that were not kept."""
        return {level["name"] for level in self.report["verdict"]["levels"] if not level["ok"]}


class Run:
    """A run that was started."""

    def __init__(
        self,
        folder: Path,
        words: Sequence[str],
        env: Mapping[str, str] = KEYS,
        *,
        report: Path | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.report = report or folder / "report"
        command = ["-m", "locust", "-f", str(ROOT / "loadtest"), *words, "--report", str(self.report)]
        self.program = Program(command, folder, env)

    def outcome(self) -> Outcome:
        """Waits for its end."""
        exit_code = self.program.wait(WAIT_SECONDS)
        return Outcome(exit_code, self.program.out(), self.program.err(), self.report)

    def end(self) -> None:
        """Ends it, and the load processes that it has started, if they have not ended by themselves."""
        family = self.program.family()
        self.program.end()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


async def headless(folder: Path, url: str, **changes: object) -> Outcome:
    """A small crowd at this server, from beginning to end. Names of options with `_` for `-`; None leaves one out."""
    named = {name.replace("_", "-"): value for name, value in changes.items()}
    options = {name: value for name, value in {**SMALL, **named}.items() if value is not None}
    run = Run(folder, ["--headless", "-H", url, *arguments(options)])
    try:
        return await asyncio.to_thread(run.outcome)
    finally:
        run.end()
