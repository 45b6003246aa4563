"""The data directory of an embedded Valkey: who holds it, and how to reach the server that runs in it.

lock          held (flock) by the process that started Valkey and by Valkey itself: by either alone, too
valkey.json   how to reach the running server: {"pid", "port", "password"}
valkey.log    what Valkey says
simulator.*   the payment simulator's (see `own_simulator`)
appendonlydir Valkey's append-only file
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypedDict

LOCK_NAME = "lock"
CONNECTION_NAME = "valkey.json"
LOG_NAME = "valkey.log"
MAX_LOG_BYTES = 16 * 1024 * 1024
POLL_SECONDS = 0.05


class DataDirError(Exception):
    """The data directory cannot be used; the message says why and what to do."""


class DataDirInUseError(DataDirError):
    """Another process holds the data directory; `pids` are those known to."""

    def __init__(self, path: Path, pids: list[int]) -> None:
        self.pids = pids
        holder = f"process {' and process '.join(map(str, pids))}" if pids else "another process"
        super().__init__(
            f"the data directory {path} is in use by {holder}: stop it, or choose another directory"
        )


class Connection(TypedDict):
    """How to reach a running server: its process id, its port on 127.0.0.1, and its password."""

    pid: int
    port: int
    password: str


class DataDir:
    """One data directory, readable by its user only."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock_fd: int | None = None

    @property
    def log_path(self) -> Path:
        """The file that takes the server's own words."""
        return self.path / LOG_NAME

    @property
    def lock_fd(self) -> int:
        """The descriptor of the lock, for the server to inherit: who has it open holds the directory."""
        if self._lock_fd is None:
            raise DataDirError(f"the data directory {self.path} is not held")
        return self._lock_fd

    def acquire(self, wait_seconds: float) -> None:
        """Create the directory if need be and hold it.

        A server whose parent was killed needs a moment to end, so up to `wait_seconds` are given to it.
        Raises `DataDirInUseError` naming who holds it, `DataDirError` if the directory cannot be used.
        """
        try:
            self._create()
            # No other child than the server inherits it.
            fd = os.open(self.path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DataDirError(f"cannot use the data directory {self.path}: {error.strerror}") from error
        deadline = time.monotonic() + wait_seconds
        while not _try_lock(fd):
            if time.monotonic() >= deadline:
                os.close(fd)
                raise DataDirInUseError(self.path, self._holders())
            time.sleep(POLL_SECONDS)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._lock_fd = fd

    def release(self) -> None:
        """Let go of the directory. A server that inherited the lock keeps holding it until it ends."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def write_connection(self, connection: Connection) -> None:
        """Note how to reach the server, in a file that only the user can read."""
        write_note(self.path / CONNECTION_NAME, connection)

    def read_connection(self) -> Connection | None:
        """What `write_connection` noted last, or None when there is nothing to be read."""
        noted = read_note(self.path / CONNECTION_NAME)
        try:
            return Connection(pid=int(noted["pid"]), port=int(noted["port"]), password=str(noted["password"]))
        except (ValueError, KeyError, TypeError):
            return None

    def forget_connection(self) -> None:
        """Remove the note: nothing is running any more."""
        (self.path / CONNECTION_NAME).unlink(missing_ok=True)

    def open_log(self) -> BinaryIO:
        """The server's log, to append to; one that has grown large is put aside first."""
        if self.log_path.exists() and self.log_path.stat().st_size > MAX_LOG_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        return os.fdopen(os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")

    def _create(self) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        # An empty directory, or one that is ours already, is closed to other users. Any other is left as it
        # is: the files that are put into it are closed to them anyway.
        if (self.path / LOCK_NAME).exists() or not any(self.path.iterdir()):
            self.path.chmod(0o700)

    def _holders(self) -> list[int]:
        pids = []
        with contextlib.suppress(OSError, ValueError):
            pids.append(int((self.path / LOCK_NAME).read_text(encoding="ascii")))
        connection = self.read_connection()
        if connection is not None:
            pids.append(connection["pid"])
        return [pid for pid in pids if is_alive(pid)]


def write_note(path: Path, note: Mapping[str, object]) -> None:
    """Write a few facts into a file that only the user can read, all of them or none."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        json.dump(note, file)
    temporary.replace(path)


def read_note(path: Path) -> dict[str, Any]:
    """What `write_note` wrote last; nothing when there is nothing to be read."""
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}


def is_alive(pid: int) -> bool:
    """Whether a process of this id is there, whoever it belongs to."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
