"""What the tests of the archive share: each runs on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flashsale.archive import Archive


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
