"""A sale with an archive: what is in its journal is archived when the test says so, and lost when it says so."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from flashsale.archive import Archive
from flashsale.store.guarding import GuardStore
from flashsale.store.sales import SaleStore
from tests.recovery.archived import Archived
from tests.support.sales import SALE, Clock
from tests.support.server import PATIENCE_MS, PATIENCE_S
from tests.support.shop import Shop


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    archive = Archive.open(f"sqlite:///{tmp_path / 'archive.db'}")
    yield archive
    archive.close()


@pytest.fixture
async def guard_store(valkey: str) -> AsyncIterator[GuardStore]:
    async with GuardStore(valkey, timeout_ms=PATIENCE_MS) as store:
        yield store


@pytest.fixture
async def sales(guard_store: GuardStore) -> AsyncIterator[SaleStore]:
    """Past the fence."""
    sales = SaleStore(guard_store.store, timeout_s=PATIENCE_S)
    yield sales
    await sales.close()


@pytest.fixture
def archived(archive: Archive, sales: SaleStore) -> Archived:
    return Archived(archive, sales, SALE)


@pytest.fixture
def shop(guard_store: GuardStore, sales: SaleStore, clock: Clock) -> Shop:
    """The sale of these tests, past the fence."""
    return Shop(guard_store.store, sales, clock)
