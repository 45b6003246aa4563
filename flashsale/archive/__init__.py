"""The archive: every fact of every sale in a database, SQLite or PostgreSQL, for as long as the shop keeps it.

Nothing else imports SQLAlchemy or Alembic. All calls block; asynchronous callers make them by `asyncio.to_thread`.
"""

from flashsale.archive.archive import Archive
from flashsale.archive.errors import ArchiveError, ArchiveUnavailableError
from flashsale.archive.rows import ArchivedEvent, ArchivedFact, Books, Position

__all__ = [
    "Archive",
    "ArchiveError",
    "ArchiveUnavailableError",
    "ArchivedEvent",
    "ArchivedFact",
    "Books",
    "Position",
]
