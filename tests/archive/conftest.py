"""What the tests of the archive share: each runs on SQLite and on PostgreSQL."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from flashsale.archive import Archive, database
from tests.support.archiving import Desk
from tests.support.postgres import CONNECT_S


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stalls is no database that is away."""
    monkeypatch.setitem(database._ALIVE, "connect_timeout", CONNECT_S)


@pytest.fixture(params=["sqlite", "postgresql"])
def archive_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an archive that nobody has opened yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/archive/facts.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def archive(archive_url: str) -> Iterator[Archive]:
    opened = Archive.open(archive_url)
    yield opened
    opened.close()


@pytest.fixture
async def desk(valkey: str, archive: Archive) -> AsyncIterator[Desk]:
    desk = Desk(valkey, archive)
    yield desk
    await desk.close()
