"""Requests whose length can be read in two ways, with another hidden behind or inside: both lanes see as many of them."""

from itertools import islice

import pytest

from tests.lane.corpus_framing import smuggling
from tests.lane.pair import Pair
from tests.lane.plain import ONE, Request, get
from tests.lane.wire import Conversation


async def test_every_thirteenth_hidden_request(pair: Pair) -> None:
    # 13 is prime to the lengths of the tables, so that each of their entries comes up.
    async with pair.sold() as sale:
        await pair.must_agree(islice(smuggling(sale), 0, None, 13))


@pytest.mark.long
@pytest.mark.parametrize("part", range(4))
async def test_every_hidden_request(pair: Pair, part: int) -> None:
    async with pair.sold() as sale:
        await pair.must_agree(islice(smuggling(sale), part, None, 4))


async def test_a_hidden_request_is_seen_where_it_is_none(pair: Pair) -> None:
    # Not to agree on nothing: with a plain length the one behind it is a request of its own, within it a part of the body.
    async with pair.sold() as sale:
        behind = Conversation.of("behind", bytes(Request.plain(sale)) + bytes(Request.plain(sale)))
        within = Conversation.of("within", bytes(Request.plain(sale, body=ONE + get("/healthz"))))
        for conversation, statuses in ((behind, (201, 201, 200)), (within, (400, 200))):
            for transcript in (await pair.transcripts(conversation)).values():
                assert transcript.statuses == statuses
