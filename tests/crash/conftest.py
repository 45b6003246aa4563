"""What the tests of crashes share: a store that keeps its data, servers that end with the test, and the seed of a run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flashsale.process.embedded import EmbeddedValkey
from tests.support.seeds import say, seed_of_run
from tests.support.server import binary
from tests.support_http.server import Server


@pytest.fixture(scope="session")
def base_seed() -> int:
    """The one of the run."""
    return seed_of_run()


@pytest.fixture
def seed(base_seed: int, request: pytest.FixtureRequest) -> int:
    """The seed of this round, printed so that a failure can be repeated."""
    number = int(request.node.callspec.params.get("round_number", 0))
    say(base_seed, f", round {number}")
    return base_seed + number


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A store that syncs its append-only file before it answers, as shipped."""
    with EmbeddedValkey(tmp_path / "store", binary=binary()) as store:
        yield store


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    """Servers that a test started, which end with it."""
    started: list[Server] = []
    yield started
    for running in started:
        running.stop()
