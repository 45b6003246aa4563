"""What Hypothesis makes of valid requests: both lanes answer it alike, whatever it is."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.lane.mutations import requests
from tests.lane.pair import Pair
from tests.lane.wire import Conversation

AT_A_TIME = 40
"""How many requests one example has: they are asked at the same time, which is quicker than one by one."""

Made = Callable[[str], bytes]
FEW = settings(
    max_examples=12,
    derandomize=True,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
MANY = settings(FEW, max_examples=250)


def agree(pair: Pair, made: list[Made]) -> None:
    async def ask() -> None:
        sale = await pair.sale()
        await pair.must_agree([Conversation.of(f"number {n}", each(sale)) for n, each in enumerate(made)])
        seen = await pair.counters(sale)
        assert seen["ours"] == seen["reference"]

    asyncio.run(ask())


@FEW
@given(made=st.lists(requests(), min_size=AT_A_TIME, max_size=AT_A_TIME))
def test_changed_requests(pair: Pair, made: list[Made]) -> None:
    agree(pair, made)


@pytest.mark.long
@pytest.mark.timeout(900)
@MANY
@given(made=st.lists(requests(), min_size=AT_A_TIME, max_size=AT_A_TIME))
def test_ten_thousand_changed_requests(pair: Pair, made: list[Made]) -> None:
    agree(pair, made)
