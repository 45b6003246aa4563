"""Creates and upgrades the tables of an archive, under a lock: any number of processes may start at once."""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, column, inspect, select, table, text

from flashsale.archive.errors import ArchiveError
from flashsale.archive.tables import HEAD, METADATA, VERSION_TABLE

MIGRATIONS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 7_236_014_921_480_503
"""Any number that no other program locks in the same database."""


def upgrade(engine: Engine, where: str) -> None:
    """Brings the tables to the state that this version knows.

    Raises:
        ArchiveError: a later version has made them, or tables of these names belong to somebody else.
        SQLAlchemyError: the database failed.
    """
    with engine.connect() as connection:
        if _version(connection) == HEAD:
            return
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        version = _version(connection)
        _check(connection, version, where)
        if version != HEAD:
            _run(connection)


def _version(connection: Connection) -> str | None:
    """The migration that the tables are the outcome of; None when there is none of them."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.execute(select(column("version_num")).select_from(table(VERSION_TABLE))).scalar()
    return None if found is None else str(found)


def _check(connection: Connection, version: str | None, where: str) -> None:
    if version is None:
        strangers = sorted(set(inspect(connection).get_table_names()) & set(METADATA.tables))
        if strangers:
            raise ArchiveError(
                f"the archive {where} has tables called {', '.join(strangers)} that are not the archive's: give it a "
                "database of its own, or a schema (?options=-csearch_path%3DNAME)"
            )
    elif version > HEAD:
        raise ArchiveError(
            f"the archive {where} was upgraded by a later version of flashsale (its tables are those of migration "
            f"{version}, this version knows {HEAD}): use that version or a later one"
        )


def _run(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - a third of a second, needed once in the life of an archive
    from alembic.config import Config  # noqa: PLC0415 - the same

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)
