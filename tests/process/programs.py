"""Programs under test: started with a clean environment, watched from outside, and ended by process id."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import psutil

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 60.0
POLL_SECONDS = 0.02

Result = TypeVar("Result")


def eventually(look: Callable[[], Result], what: str) -> Result:
    """What `look` answers as soon as that is true; fails when it never is, after a generous while."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"never came true: {what}"
        time.sleep(POLL_SECONDS)


def clean_env(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of this process without any setting of ours, and with `extra`."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("FLASHSALE_")}
    return {**own, "PYTHONPATH": str(ROOT), **(extra or {})}


class Program:
    """A Python program that runs in `folder`, where its output is in files: what it leaves behind is left there."""

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        env: Mapping[str, str] | None = None,
        fds: Sequence[int] = (),
    ) -> None:
        self._out, self._err = folder / f"out-{id(self)}", folder / f"err-{id(self)}"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=folder,
                env=clean_env(env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                pass_fds=fds,
                process_group=0,
            )
        self._ps = psutil.Process(self.process.pid)

    @property
    def pid(self) -> int:
        return self.process.pid

    def out(self) -> str:
        """What it said on standard output so far."""
        return self._out.read_text()

    def err(self) -> str:
        """What it said on standard error so far: its log."""
        return self._err.read_text()

    def family(self) -> list[psutil.Process]:
        """The process and all that it started, as far as they are there."""
        try:
            return [self._ps, *self._ps.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def child(self, word: str) -> psutil.Process:
        """The first child with `word` in its command line, once there is one."""

        def look() -> list[psutil.Process]:
            found = []
            for process in self.family()[1:]:
                try:
                    if any(word in argument for argument in process.cmdline()) and "launch.py" not in str(
                        process.cmdline()
                    ):
                        found.append(process)
                except psutil.NoSuchProcess:
                    continue
            return found

        return eventually(look, f"{word} runs")[0]

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = DEADLINE_SECONDS) -> int:
        """Its exit code, once it has ended."""
        return self.process.wait(seconds)

    def end(self) -> None:
        """End it, if it has not ended by itself."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE_SECONDS)
