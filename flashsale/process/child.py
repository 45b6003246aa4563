"""What every child of the supervisor does: end with its parent, leave on a signal, have files enough."""

import asyncio
import os
import resource
import signal
import threading
import time
from collections.abc import Callable


class ParentWatch:
    """Ends this process when its parent is gone, however that went.

    The parent holds the other end of a pipe and never writes to it: at its death the kernel closes it.
    Until `on_death` is called the process ends at once; afterwards what it names is run, in the thread that
    watches, and the process ends after `grace_seconds` at the latest, even if its main thread is stuck.
    """

    def __init__(self, pipe_fd: int) -> None:
        self._pipe_fd = pipe_fd
        self._leave: Callable[[], None] | None = None
        self._grace_seconds = 0.0
        threading.Thread(target=self._watch, name="parent-watch", daemon=True).start()

    def on_death(self, leave: Callable[[], None], grace_seconds: float) -> None:
        """Have `leave` called at the parent's death, and `grace_seconds` given to it."""
        self._grace_seconds = grace_seconds
        self._leave = leave

    def _watch(self) -> None:
        while os.read(self._pipe_fd, 1):
            pass
        if self._leave is not None:
            self._leave()
            time.sleep(self._grace_seconds)
        os._exit(1)


class StopSignals:
    """SIGTERM and SIGINT as two events: the first asks to leave in order, the second to leave at once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.leave = asyncio.Event()
        self.hurry = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._count)

    def leave_soon(self) -> None:
        """Ask to leave in order, from any thread."""
        self._loop.call_soon_threadsafe(self.leave.set)

    def _count(self) -> None:
        if self.leave.is_set():
            self.hurry.set()
        self.leave.set()


def raise_file_limit() -> None:
    """Let this process open as many files, and so connections, as the system allows it to."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        return  # some systems name a limit that they do not accept; the present one stays
