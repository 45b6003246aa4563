"""What the tests of the API share: a real server process on the store of the session, and a fresh sale in it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from flashsale.process.embedded import EmbeddedValkey
from tests.support_http.client import Shop, new_sale_id
from tests.support_http.server import Server, app_on


@pytest.fixture(scope="session")
def shared_server(server: EmbeddedValkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One worker that many tests use, each with sales of its own. Nothing they ask may be a fault of the server."""
    running = Server(tmp_path_factory.mktemp("serve"), ["--redis-url", server.url])
    yield running
    log = running.program.err()
    running.stop()
    assert "internal_error" not in log, log


@pytest.fixture
async def shop(shared_server: Server, valkey: str) -> AsyncIterator[Shop]:
    """A client of the shared server, whose store is empty and has to add up afterwards."""
    async with Shop(shared_server.url) as shop:
        yield shop


@pytest.fixture
async def url(valkey: str) -> AsyncIterator[str]:
    """A server in this process, for tests that look at what it does inside."""
    async with app_on(valkey) as url:
        yield url


@pytest.fixture
async def near(url: str) -> AsyncIterator[Shop]:
    """A client of it."""
    async with Shop(url) as shop:
        yield shop


@pytest.fixture
async def sale(shop: Shop) -> str:
    """An open sale of 10 `giulia`, one of them held by `first`, so that it has opened in its journal as well."""
    sale = new_sale_id()
    (await shop.define(sale)).must(201)
    (await shop.reserve(sale, "first")).must(201)
    return sale


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    """Servers that a test started, which end with it."""
    started: list[Server] = []
    yield started
    for running in started:
        running.stop()
