"""One run of a Valkey (or Redis) server as a child process that cannot outlive us."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from flashsale.process import launch

MALLOC_TUNABLES = "glibc.malloc.tcache_count=1000"
"""The wheel's server uses glibc's malloc; a larger per-thread cache saves it 8 % of the instructions of a reservation."""
LAST_WORDS_LINES = 12
LAST_WORDS_BYTES = 16 * 1024


class ValkeyProcess:
    """A server process, started when this object is made.

    It reads `config` from its standard input, appends what it says to the log, runs in the log's folder and
    inherits `keep_fds`. It has a process group of its own: Ctrl-C at a terminal is for the process in front,
    which stops its servers in order.
    """

    def __init__(
        self, binary: Path, config: bytes, log_fd: int, log_path: Path, keep_fds: Sequence[int]
    ) -> None:
        self._log_path = log_path
        self._log_start = os.fstat(log_fd).st_size
        read_end, self._watch_fd = os.pipe()
        tie = ["watch", str(read_end)]
        # The kernel's way is tied to the thread that starts the child, so only the main thread may use it.
        if sys.platform.startswith("linux") and threading.current_thread() is threading.main_thread():
            tie = ["pdeathsig", str(os.getpid())]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", launch.__file__, *tie, str(binary), "-"],
                stdin=subprocess.PIPE,
                stdout=log_fd,
                stderr=log_fd,
                cwd=log_path.parent,
                env={"GLIBC_TUNABLES": MALLOC_TUNABLES} | os.environ,
                pass_fds=[*keep_fds, *([read_end] if tie[0] == "watch" else [])],
                process_group=0,
            )
        finally:
            os.close(read_end)
        assert self._process.stdin is not None  # noqa: S101 (asked for above)
        try:
            with self._process.stdin as stdin:
                stdin.write(config)
        except BrokenPipeError:
            pass  # it has ended already: whoever waits for it finds that out, with its last words

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while the server runs; negative when a signal ended it."""
        return self._process.poll()

    def end(self, grace_seconds: float) -> None:
        """Ask the server to end, insist after `grace_seconds`, and end what it may have forked as well."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(grace_seconds)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        # There may be nobody left in the group or, on some systems, only processes not yet reaped.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        os.close(self._watch_fd)

    def last_words(self) -> list[str]:
        """The end of what this run said, at most a dozen lines."""
        try:
            with self._log_path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(self._log_start, size - LAST_WORDS_BYTES))
                return file.read().decode("utf-8", "replace").splitlines()[-LAST_WORDS_LINES:]
        except OSError:
            return []
