"""The comparison itself: it finds whatever one lane says otherwise than the other, and nothing where there is nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.lane.liar import LIES, Lie, liar_before
from tests.lane.oracle import ends_of_requests
from tests.lane.pair import Pair
from tests.lane.plain import ONE, Request, chunked, get
from tests.lane.transcript import next_answer
from tests.lane.wire import Conversation


@asynccontextmanager
async def lying(pair: Pair, lie: Lie, *, twice: bool = False) -> AsyncIterator[Pair]:
    """The pair, one of which tells a lie."""
    async with liar_before(pair.ports["ours"], lie, twice=twice) as liar:
        yield Pair(pair.servers, {**pair.ports, "ours": liar.port}, pair.question)


def asked(sale: str) -> list[Conversation]:
    one, nobody = bytes(Request.plain(sale)), bytes(Request.plain(sale).but(authorization=None))
    return [
        Conversation.of("a reservation", one),
        Conversation.of("nobody's", nobody),
        Conversation.of("two of each", one + nobody + nobody + one),
        Conversation.of(
            "one that ends the connection", bytes(Request.plain(sale).more(b"Connection: close"))
        ),
    ]


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
async def test_every_lie_is_found(pair: Pair, lie: Lie) -> None:
    sale = await pair.sale()
    async with lying(pair, lie) as liars:
        assert await liars.compare(asked(sale))


async def test_the_truth_is_none(pair: Pair) -> None:
    async with pair.sold() as sale, lying(pair, lambda _, raw: raw) as honest:
        await honest.must_agree(asked(sale))


async def test_what_was_done_twice_is_found_in_the_books(pair: Pair) -> None:
    async def ask() -> None:
        async with pair.sold() as sale, lying(pair, lambda _, raw: raw, twice=True) as liars:
            await liars.must_agree([Conversation.of("a reservation", bytes(Request.plain(sale)))])

    with pytest.raises(AssertionError, match="not the same has happened"):
        await ask()


async def test_another_place_is_found_where_places_are_the_same(pair: Pair) -> None:
    async with (
        pair.sold() as sale,
        lying(pair, lambda _, raw: raw.replace(b'"place":1,', b'"place":2,')) as liars,
    ):
        with pytest.raises(AssertionError, match="place"):
            await liars.must_agree_in_turn([Conversation.of("a reservation", bytes(Request.plain(sale)))])


async def test_another_reservation_is_found(pair: Pair) -> None:
    tokens: list[bytes] = []

    def first_again(_: int, raw: bytes) -> bytes:
        found = next_answer(raw)
        assert found is not None
        location = found[0].header(b"location") or b""
        tokens.append(location.rpartition(b".")[2])
        return raw.replace(tokens[-1], tokens[0]) if location else raw

    async with pair.sold() as sale, lying(pair, first_again) as liars:
        two = bytes(Request.plain(sale)) * 2
        assert await liars.compare([Conversation.of("two", two)])


def test_where_requests_end() -> None:
    one, look = bytes(Request.plain("s")), get("/")
    chunks = Request.plain("s").but(content_length=None).more(b"Transfer-Encoding: chunked")
    packed = chunks.head + chunked(ONE, (3, 4))
    assert ends_of_requests(one + look + packed + one[:-1]) == [
        len(one),
        len(one + look),
        len(one + look + packed),
    ]
    assert ends_of_requests(one + b"no HTTP\r\n\r\n" + one) == [len(one)]
    assert ends_of_requests(b"") == []
    large = bytes(Request.plain("s", body=b" " * 300_000))
    assert ends_of_requests(large + one) == [len(large), len(large + one)]
