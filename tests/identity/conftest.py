"""A store with nothing in it, on the real server."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from flashsale.process.embedded import EmbeddedValkey
from flashsale.store.client import Store


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = EmbeddedValkey(Path(tmp_path_factory.mktemp("valkey")))
    yield server.start()
    server.stop()


@pytest.fixture
async def store(valkey: str) -> AsyncIterator[Store]:
    store = Store.connect(valkey)
    await store.redis.flushall()
    yield store
    await store.redis.flushall()
    await store.close()
