"""What the tests of payments share: one house for all of them, and a sale for each."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.house import House, Till

FAULTS = (
    "latency_ms",
    "outage_percent",
    "timeout_percent",
    "lose_percent",
    "duplicate_percent",
    "refund_fail_percent",
    "refund_bounce_percent",
)
NO_FAULTS = dict.fromkeys(FAULTS, 0)


def had_no_fault(house: House) -> None:
    """Neither its worker nor its server has met anything that must not be."""
    log = house.worker.err() + house.server.program.err()
    assert "payments.fault" not in log, log
    assert "internal_error" not in log, log


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Store, server, worker and simulator, for a whole module."""
    with House(tmp_path_factory.mktemp("house")) as house:
        yield house
        had_no_fault(house)


@pytest.fixture
async def till(house: House) -> AsyncIterator[Till]:
    """A sale that is not open yet, at a simulator without faults."""
    async with Till(house) as till:
        await till.faults(**NO_FAULTS)
        yield till
        await till.faults(**NO_FAULTS)
