"""The two lanes side by side."""

from collections.abc import Iterator

import pytest

from tests.lane.both import both_lanes
from tests.lane.pair import Pair


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """What tests ask of it leaves the books in order, and no fault in a log."""
    with both_lanes(tmp_path_factory) as pair:
        yield pair
