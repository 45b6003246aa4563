"""From the address of an archive to its engine: SQLite and PostgreSQL differ here, and almost nowhere else."""

import errno
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from flashsale.archive.errors import ArchiveError

CONNECT_S: Final = 5
LOCKED_S: Final = 30
_MAKING: Final = threading.Lock()
"""How long a statement waits while another process writes to an SQLite file."""
_POSTGRES: Final = {"postgres", "postgresql", "postgresql+psycopg"}
_ALIVE: Final = {
    # A database that has vanished from the network is noticed within half a minute.
    "connect_timeout": CONNECT_S,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "application_name": "flashsale",
    "client_encoding": "utf8",
}


def parse(url: str) -> URL:
    """The address of an archive.

    Raises:
        ArchiveError: it is none.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ArchiveError("the address of the archive cannot be read: " + _EXAMPLES) from None
    if parsed.drivername in _POSTGRES and parsed.database:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername == "sqlite" and parsed.database not in {None, "", ":memory:"}:
        return parsed
    raise ArchiveError("the address of the archive must name a database: " + _EXAMPLES)


_EXAMPLES: Final = "give sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"


def describe(url: URL) -> str:
    """The address without user, password and options, for messages."""
    if url.drivername == "sqlite":
        return f"in {url.database}"
    port = f":{url.port}" if url.port else ""
    return f"at postgresql://{url.host or ''}{port}/{url.database}"


def connect(url: URL) -> Engine:
    """An engine that connects at first use.

    Raises:
        ArchiveError: the driver is not installed, or the folder of the file cannot be made.
    """
    sqlite = url.drivername == "sqlite"
    if sqlite:
        _make_file(Path(str(url.database)))
    options: dict[str, Any] = {"timeout": LOCKED_S} if sqlite else _only_new(_ALIVE, url)
    try:
        engine = create_engine(
            url,
            connect_args=options,
            pool_pre_ping=not sqlite,
            hide_parameters=True,  # customers are among them
            json_serializer=_to_json,
            json_deserializer=orjson.loads,
        )
    except ImportError as error:
        raise ArchiveError(
            "an archive in PostgreSQL needs its driver: pip install 'flashsale[postgres]'"
        ) from error
    event.listen(engine, "connect", _prepare_sqlite if sqlite else _prepare_postgres)
    if sqlite:
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _only_new(options: dict[str, Any], url: URL) -> dict[str, Any]:
    """Those that the address does not set itself."""
    return {name: value for name, value in options.items() if name not in url.query}


def _make_file(path: Path) -> None:
    """The file has all customers in it: it is for its owner only, and so are the files that SQLite puts beside it.

    One that exists is not opened: to close it would drop every lock that SQLite holds on it in this process (POSIX), and
    another process would then delete the write-ahead log that is still written to. See sqlite.org/howtocorrupt.html, 2.2.
    """
    try:
        with _MAKING:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise ArchiveError(f"cannot use the archive in {path}: {error.strerror}") from error


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: see `_begin_sqlite`
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    """Whoever is going to write says so at once: turned from a reader into a writer half-way he might have to give up."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare_postgres(connection: Any, _record: object) -> None:
    """What is committed may be trimmed in Redis, so it has to be on the disk, whatever the database's own default is."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('synchronous_commit'), current_setting('server_encoding')")
        commit, encoding = cursor.fetchone()
        if encoding != "UTF8":
            raise ArchiveError(
                f"the database of the archive has the encoding {encoding}: create one with UTF8"
            )
        if commit == "off":
            cursor.execute("SET synchronous_commit = on")
    connection.commit()


def _to_json(value: Any) -> str:
    return orjson.dumps(value).decode()
