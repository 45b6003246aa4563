"""A program of ours that runs beside a command, logs into a file, and ends with the command, however that ends.

It leads a process group of its own, so that Ctrl-C reaches the command alone, which then ends it in order.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from flashsale.process import launch

LOOK_SECONDS = 0.05
LOG_LINES_SHOWN = 15


class OwnProgram:
    """A running program. To be started in the main thread: there the kernel ties it to us."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        log: Path,
        cwd: Path | None = None,
        forks: bool = False,
    ) -> None:
        """`forks`: it starts others that do not end with it by themselves; they are ended with it."""
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        self._log_start = log.stat().st_size if log.exists() else 0
        read_end, self._watch_fd = os.pipe()
        dies_with_us = sys.platform.startswith("linux") and not forks
        tie = (
            ["pdeathsig", str(os.getpid())]
            if dies_with_us
            else ["group" if forks else "watch", str(read_end)]
        )
        try:
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", launch.__file__, *tie, *command],
                    env=env,
                    cwd=cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=[] if dies_with_us else [read_end],
                    process_group=0,
                )
        finally:
            os.close(read_end)

    @property
    def ended(self) -> bool:
        """Whether it has ended; its entry is kept, so that its group's number is not given to another."""
        look = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return (
            self._process.returncode is not None or os.waitid(os.P_PID, self._process.pid, look) is not None
        )

    def said(self) -> str:
        """Its log so far."""
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def last_words(self) -> str:
        """The end of its log."""
        return "\n".join(self.said().splitlines()[-LOG_LINES_SHOWN:])

    async def wait(self, seconds: float | None = None) -> bool:
        """Until it has ended, or the time is over; whether it has ended."""
        loop = asyncio.get_running_loop()
        deadline = None if seconds is None else loop.time() + seconds
        while not self.ended:
            if deadline is not None and loop.time() >= deadline:
                return False
            await asyncio.sleep(LOOK_SECONDS)
        return True

    async def stop(self, number: signal.Signals, seconds: float) -> None:
        """Ask it to end, give it so long, and see that nothing of it is left."""
        try:
            if not self.ended:
                self._process.send_signal(number)
            await self.wait(seconds)
        finally:
            self.kill()

    def kill(self) -> int:
        """End whatever is left of its process group, at once; its exit code."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            os.close(self._watch_fd)
        return self._process.returncode


def foreign_environment() -> dict[str, str]:
    """This process's environment without settings of ours, which are meant for another server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FLASHSALE_")}
