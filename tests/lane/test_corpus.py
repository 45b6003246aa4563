"""Every request of the corpus is answered by both lanes alike, and the same has happened in the sale afterwards."""

from collections.abc import Callable, Iterator

import pytest

from tests.lane.corpus_bodies import BODY_TABLES
from tests.lane.corpus_framing import FRAMING_TABLES
from tests.lane.corpus_heads import HEAD_TABLES, LINE_LIMIT, sizes
from tests.lane.pair import Pair
from tests.lane.wire import Conversation, Do

Table = Callable[[str], Iterator[Conversation]]


@pytest.mark.parametrize(
    "table", [*BODY_TABLES, *HEAD_TABLES, *FRAMING_TABLES], ids=lambda table: table.__name__
)
async def test_the_lanes_agree(pair: Pair, table: Table) -> None:
    async with pair.sold() as sale:
        await pair.must_agree(table(sale))


async def test_sizes_near_the_limit_are_judged_alike_however_they_arrive(pair: Pair) -> None:
    """Each whole, and cut in the middle of what is long: an answer that depends on the pieces cannot be compared."""
    async with pair.sold() as sale:
        near = [each for each in sizes(sale) if abs(len(each.sent) - LINE_LIMIT) < 1_000]
        assert len(near) > 20
        for whole in near:
            middle = len(whole.sent) // 2
            cut = Conversation.of(whole.name, whole.sent[:middle], Do.LET_READ, whole.sent[middle:])
            for name in pair.ports:
                assert await pair.verdict(name, cut) == await pair.verdict(name, whole), whole.name
