"""What the tests of the client share."""

from collections.abc import AsyncIterator

import pytest

from tests.client.lying_shop import LyingShop, lying_shop


@pytest.fixture
async def shop() -> AsyncIterator[LyingShop]:
    """A server that can lie about orders."""
    async with lying_shop() as running:
        yield running
