"""Opening an archive: tables made and upgraded whoever comes first, old ones read, and why it fails in words."""

import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from flashsale.archive import Archive, ArchiveError, ArchiveUnavailableError
from flashsale.archive.migrate import MIGRATIONS
from flashsale.archive.tables import HEAD, METADATA, VERSION_TABLE
from flashsale.process.ports import ReservedPort
from tests.model import journals
from tests.support.archived import archived, fill
from tests.support.postgres import Postgres
from tests.support.sales import SALE

HERE = Path(__file__).parent
OPEN = "import sys; from flashsale.archive import Archive; print(Archive.open(sys.argv[1]).positions())"
SECRET = "s3cret-Password"


def run(archive: Archive, statement: str) -> None:
    with archive._transaction(writes=True) as connection:
        connection.exec_driver_sql(statement)


# --- migrations ---


def test_this_version_is_that_of_the_last_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_the_migrations_make_the_tables_of_this_version(archive: Archive) -> None:
    options = {"version_table": VERSION_TABLE, "compare_server_default": True}
    with archive._engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), METADATA) == []
        assert set(inspect(connection).get_table_names()) == {*METADATA.tables, VERSION_TABLE}


def test_postgresql_knows_what_the_columns_mean(postgres_url: str) -> None:
    archive = Archive.open(postgres_url)
    with archive._engine.connect() as connection:
        found = inspect(connection).get_columns("orders")
    archive.close()
    assert {column["name"]: column["comment"] for column in found} == {
        column.name: column.comment for column in METADATA.tables["orders"].columns
    }
    assert all(column["comment"] for column in found)


def test_any_number_of_processes_may_open_it_at_once(archive_url: str) -> None:
    command = [sys.executable, "-W", "error", "-c", OPEN, archive_url]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate(timeout=60)[0] for process in processes] == ["{}\n"] * 3
    assert [process.returncode for process in processes] == [0, 0, 0]


def test_any_number_of_threads_may_open_it_at_once(archive_url: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        archives = list(threads.map(Archive.open, [archive_url] * 8))
    for archive in archives:
        assert archive.positions() == {}
        archive.close()


def test_opening_again_changes_nothing(archive_url: str, archive: Archive) -> None:
    fill(archive, archived(journals.paid()))
    again = Archive.open(archive_url)
    assert again.facts(SALE) == archive.facts(SALE) == journals.paid()
    again.close()


def test_an_archive_of_version_1_opens_and_goes_on(archive_url: str, postgres: Postgres) -> None:
    """The files are dumps of an archive as the first version made it. They never change."""
    if archive_url.startswith("sqlite"):
        path = Path(archive_url.removeprefix("sqlite:///"))
        path.parent.mkdir()
        database = sqlite3.connect(path)
        database.executescript((HERE / "version_1.sqlite.sql").read_text())
        database.close()
    else:
        with postgres.connect(archive_url) as connection:
            connection.execute((HERE / "version_1.postgresql.sql").read_bytes())
    archive = Archive.open(archive_url)
    pairs = archived(journals.paid())
    assert archive.facts(SALE) == [fact for fact, _ in pairs]
    assert [each.body for each in archive.events(SALE)] == [
        event.body for _, event in pairs if event.sequence
    ]
    books = archive.books(SALE)
    assert (books.facts, books.seq, books.confirmed, books.refunded) == (len(pairs), len(pairs), 4, 2)
    more = archived(journals.renumbered([*journals.paid(), journals.given_back(journals.DAN, "sim:5", 1)]))
    assert archive.append(SALE, len(pairs), more[len(pairs) :])
    archive.close()


def test_tables_of_a_later_version_are_left_alone(archive_url: str, archive: Archive) -> None:
    run(archive, f"UPDATE {VERSION_TABLE} SET version_num = '0999'")
    with pytest.raises(ArchiveError, match="upgraded by a later version of flashsale"):
        Archive.open(archive_url)


def test_tables_of_somebody_else_are_left_alone(postgres: Postgres, postgres_url: str) -> None:
    with postgres.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE orders (id int)")
        connection.execute("CREATE SCHEMA ours")
    with pytest.raises(ArchiveError, match="tables called orders that are not the archive's"):
        Archive.open(postgres_url)
    # As the message says.
    archive = Archive.open(f"{postgres_url}?options=-csearch_path%3Dours")
    fill(archive, archived(journals.paid()))
    assert archive.books(SALE).confirmed == 4
    archive.close()


# --- addresses ---


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_way_to_name_postgresql(postgres_url: str, scheme: str) -> None:
    archive = Archive.open(postgres_url.replace("postgresql", scheme, 1))
    assert archive.positions() == {}
    archive.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "archive.db",
        "mysql://root:s3cret-Password@127.0.0.1/shop",
        "postgresql+asyncpg://root:s3cret-Password@127.0.0.1/shop",
        "postgresql://root:s3cret-Password@127.0.0.1",
        "postgresql://root:s3cret-Password@127.0.0.1:port/shop",
        "sqlite://",
        "sqlite:///:memory:",
    ],
)
def test_addresses_of_nothing_we_know(url: str) -> None:
    with pytest.raises(ArchiveError, match=r"give sqlite:///FILE or postgresql://") as caught:
        Archive.open(url)
    assert SECRET not in str(caught.value)


def test_the_driver_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ArchiveError, match=r"pip install 'flashsale\[postgres\]'"):
        Archive.open("postgresql://127.0.0.1/shop")


# --- what PostgreSQL refuses ---


def failure(url: str) -> ArchiveError:
    """Why it cannot be opened. Of nothing that could be shown or logged is the password a part."""
    with pytest.raises(ArchiveError) as caught:
        Archive.open(url)
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in str(error) + repr(error)
        error = error.__cause__
    return caught.value


def test_nobody_answers() -> None:
    with ReservedPort() as port:
        error = failure(f"postgresql://shop:{SECRET}@127.0.0.1:{port.port}/shop")
    assert isinstance(error, ArchiveUnavailableError)
    assert f"postgresql://127.0.0.1:{port.port}/shop" in str(error)
    assert "is the database running" in str(error)


def test_a_wrong_password_and_a_missing_database(postgres: Postgres, postgres_url: str) -> None:
    wrong = failure(postgres_url.replace(postgres.password, SECRET))
    assert not isinstance(wrong, ArchiveUnavailableError)
    assert "refuses the user or password" in str(wrong)
    missing = failure(postgres_url + "nowhere")
    assert not isinstance(missing, ArchiveUnavailableError)
    assert "there is no such database: create it first" in str(missing)


def test_a_user_who_may_not_create_tables(postgres: Postgres, postgres_url: str) -> None:
    with postgres.connect(postgres_url) as connection:
        connection.execute(f"CREATE ROLE reader LOGIN PASSWORD '{SECRET}'")
    try:
        url = postgres_url.replace(f"postgres:{postgres.password}", f"reader:{SECRET}")
        assert "the user may not do this" in str(failure(url))
    finally:
        with postgres.connect(postgres_url) as connection:
            connection.execute("DROP ROLE reader")


def test_a_database_without_unicode(postgres: Postgres) -> None:
    url = postgres.create_database("SQL_ASCII")
    assert "has the encoding SQL_ASCII: create one with UTF8" in str(failure(url))
    postgres.drop_database(url)


def test_a_standby(postgres: Postgres, postgres_url: str) -> None:
    archive = Archive.open(postgres_url)
    name = postgres_url.rpartition("/")[2]
    run(archive, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    archive.close()
    archive = Archive.open(postgres_url)
    with pytest.raises(ArchiveUnavailableError, match="read-only: is it a standby"):
        fill(archive, archived(journals.paid()))
    assert archive.positions() == {}
    archive.close()


def test_what_is_committed_is_on_the_disk_whatever_the_default(postgres: Postgres, postgres_url: str) -> None:
    name = postgres_url.rpartition("/")[2]
    with postgres.connect(postgres_url) as connection:
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off".encode())
    archive = Archive.open(postgres_url)
    with archive._transaction() as sql:
        assert sql.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    archive.close()


def test_a_connection_that_somebody_ended(postgres: Postgres, postgres_url: str) -> None:
    archive = Archive.open(postgres_url)
    pairs = archived(journals.paid())
    assert archive.append(SALE, 0, pairs[:5])
    with postgres.connect(postgres_url) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid()"
        )
    assert archive.append(SALE, 5, pairs[5:])
    archive.close()


def test_the_server_away_and_back(postgres: Postgres, postgres_url: str) -> None:
    archive = Archive.open(postgres_url)
    pairs = archived(journals.paid())
    assert archive.append(SALE, 0, pairs[:5])
    postgres.kill()
    try:
        for call in (archive.positions, lambda: archive.append(SALE, 5, pairs[5:])):
            with pytest.raises(ArchiveUnavailableError, match="cannot reach the archive"):
                call()
    finally:
        postgres.start()
    assert archive.append(SALE, 5, pairs[5:])
    assert archive.facts(SALE) == journals.paid()
    archive.close()


# --- what SQLite refuses ---


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shop" / "facts.db"


def test_the_file_is_for_its_owner_only(file: Path) -> None:
    archive = Archive.open(f"sqlite:///{file}")
    fill(archive, archived(journals.paid()))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
    assert modes == {"facts.db": 0o600, "facts.db-shm": 0o600, "facts.db-wal": 0o600}
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert repr(archive) == f"<Archive in {file}>"
    archive.close()


def test_how_sqlite_is_set_up(file: Path) -> None:
    archive = Archive.open(f"sqlite:///{file}")
    with archive._transaction() as connection:
        found = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout")
        ]
    archive.close()
    assert found == ["wal", 2, 30_000]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda file: file.mkdir(parents=True), "Is a directory"),
        (lambda file: file.parent.touch(), "File exists|Not a directory"),
        (lambda file: (file.parent.mkdir(), file.write_text("x" * 5000)), "not an SQLite database"),
    ],
)
def test_files_that_are_none(file: Path, spoil: Callable[[Path], None], why: str) -> None:
    spoil(file)
    with pytest.raises(ArchiveError, match=why) as caught:
        Archive.open(f"sqlite:///{file}")
    assert str(file) in str(caught.value)


def test_a_full_disk(file: Path) -> None:
    archive = Archive.open(f"sqlite:///{file}")
    run(archive, "PRAGMA max_page_count = 10")
    with pytest.raises(ArchiveUnavailableError, match="the disk is full: make room"):
        fill(archive, archived(journals.paid()))
    assert archive.positions() == {}
    run(archive, "PRAGMA max_page_count = 10000")
    fill(archive, archived(journals.paid()))
    archive.close()


def test_a_read_only_file(file: Path) -> None:
    archive = Archive.open(f"sqlite:///{file}")
    run(archive, "PRAGMA query_only = 1")  # root may write to files that are read-only to others
    with pytest.raises(ArchiveUnavailableError, match="is read-only"):
        fill(archive, archived(journals.paid()))
    archive.close()


def test_nobody_who_reads_waits_for_who_writes(file: Path) -> None:
    archive = Archive.open(f"sqlite:///{file}")
    pairs = archived(journals.paid())
    assert archive.append(SALE, 0, pairs[:5])
    with archive._transaction(writes=True) as connection:
        connection.exec_driver_sql("UPDATE positions SET seq = 9")
        assert archive.books(SALE).seq == 5
        connection.rollback()
    archive.close()
