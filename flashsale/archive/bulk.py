"""Many new rows at once."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Connection, Dialect, Table, exc, insert

from flashsale.archive.rows import Row

_Bind = Callable[[Any], Any]
_KEPT: Final = 8


def load(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Inserts rows, each of which has a value for every column.

    PostgreSQL is given them by COPY, in a quarter of the processor time that as many INSERTs take: for these, psycopg and
    SQLAlchemy together need more than the database itself. `bench/bench_archive.py` tells.
    """
    if connection.dialect.name != "postgresql":
        connection.execute(insert(table), rows)
        return
    dialect = connection.dialect
    names, types, binds = _columns(table, dialect)
    driver: Any = connection.connection.driver_connection
    error_type: Any = dialect.loaded_dbapi.Error
    try:
        with driver.cursor() as cursor, cursor.copy(_statement(table, dialect)) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row([bind(value) for bind, value in zip(binds, names(row), strict=True)])
    except error_type as error:
        # As SQLAlchemy does with the errors of its own statements.
        raise exc.DBAPIError.instance("COPY", None, error, error_type, hide_parameters=True) from error


@lru_cache(maxsize=_KEPT)
def _columns(
    table: Table, dialect: Dialect
) -> tuple[Callable[[Row], tuple[Any, ...]], list[str], list[_Bind]]:
    """What takes the values out of a row, their types in PostgreSQL, and what turns each into what psycopg takes."""
    processors = [column.type.dialect_impl(dialect).bind_processor(dialect) for column in table.c]
    return (
        itemgetter(*(column.name for column in table.c)),
        [column.type.compile(dialect).lower() for column in table.c],
        [processor if processor is not None else _as_it_is for processor in processors],
    )


@lru_cache(maxsize=_KEPT)
def _statement(table: Table, dialect: Dialect) -> str:
    quoted = dialect.identifier_preparer
    columns = ", ".join(quoted.format_column(column) for column in table.c)
    return f"COPY {quoted.format_table(table)} ({columns}) FROM STDIN (FORMAT BINARY)"


def _as_it_is(value: Any) -> Any:
    return value
