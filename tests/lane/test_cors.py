"""Requests that name an origin: both lanes tell the same pages the same, and which of them answers."""

import re
from collections.abc import Iterator

import pytest

from tests.lane.both import both_lanes
from tests.lane.corpus_heads import HEAD_TABLES
from tests.lane.pair import Pair
from tests.lane.plain import Request, get
from tests.lane.wire import Conversation, Do
from tests.support_http.client import Shop

HOME, OTHER = "https://shop.example", "https://other.example"
SETTINGS = {"any": "*", "one": HOME, "several": f"{HOME},{OTHER}"}
ORIGINS = (
    b"Origin: https://shop.example",
    b"ORIGIN:https://other.example",
    b"origin: https://evil.example",
    b"Origin: null",
    b"Origin:",
    b"Origin: https://shop.example\r\nOrigin: https://other.example",
    b"X-Origin: https://shop.example",
    b"Referer: https://shop.example/?a=\tOrigin: https://shop.example",
)
_FAST = re.compile(r"""^flashsale_lane_requests_total\{lane="fast"\} ([0-9.e+]+)$""", re.MULTILINE)


@pytest.fixture(scope="module", params=SETTINGS)
def sharing(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Pair]]:
    """A pair that lets pages of some origins in; which."""
    with both_lanes(tmp_path_factory, {"FLASHSALE_CORS_ORIGINS": SETTINGS[request.param]}) as pair:
        yield request.param, pair


async def fast(pair: Pair) -> float:
    """How many requests the fast lane has answered."""
    async with Shop(pair.servers["ours"].url) as shop:
        found = _FAST.search((await shop.ask("GET", "/metrics")).body.decode())
    return float(found[1]) if found else 0.0


async def test_the_lanes_agree(sharing: tuple[str, Pair]) -> None:
    mode, pair = sharing
    async with pair.sold(stock=100) as sale:
        plain = bytes(Request.plain(sale))
        preflight = get(
            f"/v1/sales/{sale}/reservations",
            ORIGINS[0],
            b"Access-Control-Request-Method: POST",
            b"Access-Control-Request-Headers: authorization,content-type",
            method=b"OPTIONS",
        )
        conversations = []
        for number, origin in enumerate(ORIGINS):
            asked = bytes(Request.plain(sale).more(origin))
            first = bytes(Request.plain(sale).first(origin))
            refused = bytes(Request.plain(sale).more(origin).but(authorization=b"Authorization: Bearer x"))
            conversations += [
                Conversation.of(f"{mode}, {number}: last", asked),
                Conversation.of(f"{mode}, {number}: first", first),
                Conversation.of(f"{mode}, {number}: refused", refused),
                Conversation.of(f"{mode}, {number}: preflight before", preflight, Do.HEAR, asked),
                Conversation.of(f"{mode}, {number}: mixed", plain, Do.HEAR, asked, Do.HEAR, plain),
                Conversation.of(f"{mode}, {number}: at once", asked + plain + asked),
            ]
        await pair.must_agree(conversations)
    async with pair.sold(stock=1) as sale:
        asked = bytes(Request.plain(sale).more(ORIGINS[0]))
        await pair.must_agree_in_turn(
            [Conversation.of(f"{mode}: until sold out, {number}", asked) for number in range(4)]
        )


@pytest.mark.long
@pytest.mark.parametrize("table", HEAD_TABLES, ids=lambda table: table.__name__)
async def test_whatever_else_is_in_the_head(sharing: tuple[str, Pair], table: object) -> None:
    _, pair = sharing
    assert callable(table)
    async with pair.sold() as sale:
        await pair.must_agree(table(sale))


async def test_who_answers(sharing: tuple[str, Pair]) -> None:
    mode, pair = sharing
    async with pair.sold() as sale:
        for more, answers in (((), True), ((ORIGINS[6],), True), ((ORIGINS[0],), mode != "several")):
            before = await fast(pair)
            asked = bytes(Request.plain(sale).more(*more))
            await pair.must_agree([Conversation.of(f"{mode} {more}", asked, Do.HEAR, asked)])
            assert await fast(pair) - before == (2 if answers else 0)


async def test_a_body_may_say_what_it_likes(sharing: tuple[str, Pair]) -> None:
    """Only the head names an origin."""
    _, pair = sharing
    async with pair.sold() as sale:
        before = await fast(pair)
        body = b'{"items":[{"sku":"giulia","quantity":1}]\r\nOrigin: x}'
        blank = b'{"items":\r\n[{"sku":"giulia","quantity":1}]}'
        await pair.must_agree(
            [
                Conversation.of("no JSON", bytes(Request.plain(sale).carrying(body))),
                Conversation.of("JSON", bytes(Request.plain(sale).carrying(blank))),
            ]
        )
        assert await fast(pair) == before + 1
