"""What can go wrong with the database of the archive, in words that may be shown: never with a password."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import exc

_HINTS: Final = (
    # What a driver says -> what that means for whoever runs the shop, and whether waiting may help.
    (
        "password authentication failed",
        "the database refuses the user or password: correct the address",
        False,
    ),
    ("no password supplied", "the database wants a password: put one into the address", False),
    ("no pg_hba.conf entry", "the database lets nobody in from here: see its pg_hba.conf", False),
    (
        "permission denied",
        "the user may not do this: the archive creates its tables and writes to them",
        False,
    ),
    ("must be owner of", "the user does not own the tables that are to be upgraded", False),
    ("file is not a database", "the file is not an SQLite database: name another one", False),
    ("malformed", "the file is damaged: put it aside, and an archive is made anew of what Redis has", False),
    ("unable to open database file", "the file cannot be opened: check its folder and its owner", False),
    ("readonly database", "the file or its folder is read-only: check the permissions", True),
    ("read-only transaction", "the database is read-only: is it a standby?", True),
    ("disk is full", "the disk is full: make room on it", True),
    ("No space left", "the disk of the database is full: make room on it", True),
    ("could not extend file", "the disk of the database is full: make room on it", True),
    ("database is locked", "another program keeps the file locked", True),
    ("too many clients", "the database has no connections left", True),
    ("starting up", "the database is starting", True),
    ("shutting down", "the database is stopping", True),
    ("recovery mode", "the database is recovering", True),
)
_MISSING_DATABASE: Final = ('database "', "does not exist")


class ArchiveError(Exception):
    """The archive cannot do what it was asked; the message says why and what to do, and has no password in it."""


class ArchiveUnavailableError(ArchiveError):
    """The database is away, full or read-only: the same may work later, as it is or after somebody has seen to it."""


@contextmanager
def explained(where: str) -> Iterator[None]:
    """What the driver raises inside comes out as an `ArchiveError` that names `where`."""
    try:
        yield
    except exc.IntegrityError as error:
        raise ArchiveError(
            f"the archive {where} has other facts than its positions say: {_first_line(error)}. "
            "Has somebody changed its tables? Put a backup of it back"
        ) from None
    except exc.SQLAlchemyError as error:
        raise explain(where, error) from None
    except UnicodeError as error:
        raise ArchiveError(
            f"the archive {where} does not take Unicode: create the database with UTF8"
        ) from error


def explain(where: str, error: Exception) -> ArchiveError:
    """The failure of a statement in our own words."""
    text = _first_line(error)
    if all(part in text for part in _MISSING_DATABASE):
        return ArchiveError(f"cannot use the archive {where}: there is no such database: create it first")
    for said, hint, may_pass in _HINTS:
        if said in str(getattr(error, "orig", None) or error):
            kind = ArchiveUnavailableError if may_pass else ArchiveError
            return kind(f"cannot use the archive {where}: {hint}")
    if isinstance(error, exc.OperationalError | exc.InterfaceError | exc.TimeoutError) or (
        isinstance(error, exc.DBAPIError) and error.connection_invalidated
    ):
        return ArchiveUnavailableError(
            f"cannot reach the archive {where}: {text}: is the database running, and the address right?"
        )
    return ArchiveError(f"the archive {where} refused: {text}")


def _first_line(error: Exception) -> str:
    """What the driver said, without the statement and its values."""
    said = str(getattr(error, "orig", None) or error).strip()
    return said.splitlines()[0][:300] if said else type(error).__name__
