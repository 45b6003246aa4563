"""Every request of the corpus is answered by both lanes alike, and the same has happened in the sale afterwards."""

from collections.abc import Callable, Iterator

import pytest

from tests.lane.corpus_bodies import BODY_TABLES
from tests.lane.corpus_framing import FRAMING_TABLES
from tests.lane.corpus_heads import HEAD_TABLES
from tests.lane.pair import Pair
from tests.lane.wire import Conversation

Table = Callable[[str], Iterator[Conversation]]


@pytest.mark.parametrize(
    "table", [*BODY_TABLES, *HEAD_TABLES, *FRAMING_TABLES], ids=lambda table: table.__name__
)
async def test_the_lanes_agree(pair: Pair, table: Table) -> None:
    async with pair.sold() as sale:
        await pair.must_agree(table(sale))
