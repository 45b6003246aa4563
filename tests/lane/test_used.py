"""The fast lane answers what it is there for, and nothing else: by its own count, so that nothing here agrees by chance."""

import re

import pytest

from tests.lane.pair import Pair
from tests.lane.plain import Request, get, somebody
from tests.lane.wire import Conversation, Do
from tests.support_http.client import Shop, label

_COUNT = re.compile(
    r"^(flashsale_(?:lane_requests|http_requests|reserve_outcomes)_total\{[^}]*\}) ([0-9.e+]+)$", re.MULTILINE
)


async def counts(pair: Pair, name: str) -> dict[str, float]:
    """What a server has counted, without what this asks itself."""
    async with Shop(pair.servers[name].url) as shop:
        text = (await shop.ask("GET", "/metrics")).body.decode()
    return {label: float(number) for label, number in _COUNT.findall(text)}


async def grown(pair: Pair, conversation: Conversation) -> dict[str, dict[str, float]]:
    """By how much each count of each server has grown with a conversation."""
    before = {name: await counts(pair, name) for name in pair.servers}
    await pair.must_agree([conversation])
    after = {name: await counts(pair, name) for name in pair.servers}
    return {
        name: {label: number - before[name].get(label, 0.0) for label, number in after[name].items()}
        for name in pair.servers
    }


def fast(growth: dict[str, float]) -> float:
    return growth.get('flashsale_lane_requests_total{lane="fast"}', 0.0)


async def test_plain_requests_are_answered_by_it(pair: Pair) -> None:
    async with pair.sold() as sale:
        look = get("/healthz")
        many = b"".join(bytes(Request.plain(sale)) for _ in range(20))
        for expected, conversation in (
            (1, Conversation.of("one", bytes(Request.plain(sale)))),
            (20, Conversation.of("twenty at once", many)),
            (1, Conversation.of("with a key", bytes(Request.plain(sale).more(b"Idempotency-Key: k")))),
            (2, Conversation.of("around a GET", many[: len(many) // 20], Do.HEAR, look, Do.HEAR, many[: len(many) // 20])),
        ):  # fmt: skip
            growth = await grown(pair, conversation)
            assert growth["reference"].get('flashsale_lane_requests_total{lane="fast"}', 0.0) == 0.0
            assert fast(growth["ours"]) == expected, conversation.name


@pytest.mark.parametrize(
    "usual",
    [
        b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        b"User-Agent: python-requests/2.32.3",
        b"User-Agent: curl/8.5.0",
        b"Accept: */*",
        b"Accept-Encoding: gzip, deflate, br, zstd",
        b"Accept-Language: zh-CN,zh;q=0.9,en;q=0.8",
        b"Connection: keep-alive",
        b"Origin: https://shop.example",
        b"Referer: https://shop.example/sales/giulia-milano",
        b"Cookie: session=abc; consent=1",
        b"Sec-Fetch-Mode: cors",
        b'Sec-CH-UA: "Chromium";v="131", "Not_A Brand";v="24"',
        b"X-Forwarded-For: 203.0.113.9, 10.0.0.1",
        b"X-Forwarded-Proto: https",
        b"X-Request-Id: 7f9c",
        b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        b"Priority: u=1, i",
        b"DNT: 1",
    ],
    ids=label,
)
async def test_what_browsers_and_proxies_send_is_plain(pair: Pair, usual: bytes) -> None:
    async with pair.sold() as sale:
        growth = await grown(pair, Conversation.of("usual", bytes(Request.plain(sale).more(usual))))
        assert fast(growth["ours"]) == 1


async def test_the_rest_is_not(pair: Pair) -> None:
    async with pair.sold() as sale:
        plain = bytes(Request.plain(sale))
        for conversation in (
            Conversation.of("another path", get("/healthz")),
            Conversation.of("no JSON", bytes(Request.plain(sale, body=b"{"))),
            Conversation.of("nobody", bytes(Request.plain(sale).but(authorization=None))),
            Conversation.of("another encoding", bytes(Request.plain(sale).more(b"Content-Encoding: gzip"))),
            Conversation.of("cut in two", plain[:50], Do.LET_READ, plain[50:]),
            Conversation.of("HTTP/1.0", bytes(Request.plain(sale, version=b"HTTP/1.0"))),
        ):
            assert fast((await grown(pair, conversation))["ours"]) == 0, conversation.name


async def test_both_count_the_same(pair: Pair) -> None:
    async with pair.sold(stock=3) as sale:
        customer = somebody()
        one, two = b'{"items":[{"sku":"%b","quantity":1}]}', b'{"items":[{"sku":"giulia","quantity":2}]}'
        keyed = Request.plain(sale, customer).more(b"Idempotency-Key: k")
        requests = [
            keyed, keyed, keyed.carrying(two), *[Request.plain(sale)] * 4, Request.plain("no-such-sale"),
            Request.plain(sale, body=b"{}"), Request.plain(sale, body=one % b"x"),
            Request.plain(sale).but(authorization=None),
        ]  # fmt: skip
        everything = (
            b"".join(map(bytes, requests)) + get("/healthz") + get("/nothing") + bytes(Request.plain(sale))
        )
        growth = await grown(pair, Conversation.of("everything", everything))

        def comparable(name: str) -> dict[str, float]:
            """What was asked in the conversation, not by whoever watched."""
            watched = ("/mine", "/metrics", "lane_requests")
            return {
                what: by
                for what, by in growth[name].items()
                if by and not any(word in what for word in watched)
            }

        assert comparable("ours") == comparable("reference")
        assert comparable("ours")['flashsale_reserve_outcomes_total{outcome="held"}'] == 3.0
