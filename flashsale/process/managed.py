"""A child process that the supervisor starts, and starts again whenever it ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

import structlog

STEADY_SECONDS = 10.0  # a child that lived as long is not one that dies at once
FIRST_DELAY_SECONDS = 0.1
MAX_DELAY_SECONDS = 5.0

logger = structlog.get_logger(__name__)


def restart_delay(quick_deaths: int) -> float:
    """Seconds before the next start: none after a first death, then twice as long each time, up to 5 s."""
    if quick_deaths <= 1:
        return 0.0
    # The exponent is bounded before the power is taken: deaths may go on for as long as the server does.
    return min(FIRST_DELAY_SECONDS * 2.0 ** min(quick_deaths - 2, 10), MAX_DELAY_SECONDS)


class ManagedChild:
    """One Python module of ours, run as a child with its own process group.

    It inherits the descriptors `fds`, whose numbers are its arguments, and one more, last, when
    `reports_ready`: it writes to that one when it is ready. The environment carries its settings.
    """

    def __init__(
        self,
        name: str,
        module: str,
        fds: Sequence[int],
        env: Mapping[str, str],
        *,
        reports_ready: bool = False,
    ) -> None:
        self.name = name
        self.ready = False
        self.ready_fd: int | None = None
        self.quick_deaths = 0
        self._module = module
        self._fds = tuple(fds)
        self._env = dict(env)
        self._reports_ready = reports_ready
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._start_at: float | None = None

    @property
    def pid(self) -> int | None:
        """The process id, None while no process runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process."""
        fds, write_end = list(self._fds), None
        if self._reports_ready:
            self.ready_fd, write_end = os.pipe()
            fds.append(write_end)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module, *map(str, fds)],
                env=self._env,
                stdin=subprocess.DEVNULL,
                pass_fds=fds,
                process_group=0,  # Ctrl-C is for the supervisor, which stops its children in order
            )
        finally:
            if write_end is not None:
                os.close(write_end)
        self._started = time.monotonic()
        self._start_at = None
        logger.info("child.started", child=self.name, child_pid=self._process.pid)

    def read_ready(self) -> None:
        """Take note of what came through `ready_fd`: that the child is ready, or that it is no more."""
        if self.ready_fd is not None:
            self.ready = os.read(self.ready_fd, 1) != b"" or self.ready
            os.close(self.ready_fd)
            self.ready_fd = None

    def reap(self, *, asked_to: bool = False) -> int | None:
        """The process id of a process that has ended since the last call; None when none has.

        `asked_to` says that its end was wished for, so that nobody is warned of it.
        """
        if self._process is None or self._process.poll() is None:
            return None
        pid, code = self._process.pid, self._process.returncode
        lived = time.monotonic() - self._started
        self.read_ready()
        self.quick_deaths = self.quick_deaths + 1 if lived < STEADY_SECONDS else 1
        self._start_at = time.monotonic() + restart_delay(self.quick_deaths)
        self._process, self.ready = None, False
        (logger.info if asked_to else logger.warning)(
            "child.ended",
            child=self.name,
            child_pid=pid,
            exit_code=code if code >= 0 else None,
            signal=signal.Signals(-code).name if code < 0 else None,
            lived_seconds=round(lived, 3),
        )
        return pid

    def restart_if_due(self) -> None:
        """Start the process again, once the delay after its death is over."""
        if self._start_at is None or time.monotonic() < self._start_at:
            return
        try:
            self.start()
        except OSError:
            self.quick_deaths += 1
            self._start_at = time.monotonic() + restart_delay(self.quick_deaths)
            logger.exception("child.cannot_start", child=self.name)

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if a process is there."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
