"""Many requests in one write, of both kinds, answered in their order; and one write cut in two at every byte."""

import random
from collections.abc import Iterator

import pytest

from tests.lane.pair import Pair
from tests.lane.plain import ONE, Request, chunked, get, somebody
from tests.lane.wire import Conversation, Do

GETS = ("/healthz", "/v1/reservations/x", "/nothing", "/v1/sales/no-such-sale", "/v1/keys")


def keyed(sale: str, customer: str, key: int) -> bytes:
    return bytes(Request.plain(sale, customer).more(b"Idempotency-Key: k%d" % key))


def one_of(draw: random.Random, sale: str, customer: str, number: int) -> bytes:
    """A request of some kind, most often one for the fast lane."""
    return draw.choice(
        [
            bytes(Request.plain(sale, customer)),
            bytes(Request.plain(sale, customer)),
            keyed(sale, customer, number % 3),
            bytes(Request.plain(sale, customer, body=b"{}")),
            bytes(Request.plain(sale, customer).but(authorization=None)),
            bytes(Request.plain("no-such-sale", customer)),
            bytes(
                Request.plain(sale, customer)
                .but(content_length=None)
                .more(b"Transfer-Encoding: chunked")
                .head
            )
            + chunked(ONE, (5,)),
            get(draw.choice(GETS)),
            get(draw.choice(GETS)),
        ]
    )


def mixes(sale: str, numbers: range, seed: int) -> Iterator[Conversation]:
    draw = random.Random(seed)
    for number in numbers:
        customer = somebody()
        requests = [one_of(draw, sale, customer, each) for each in range(number)]
        yield Conversation.of(f"{number} requests, seed {seed}", b"".join(requests))


async def test_two_to_fifty_in_one_write(pair: Pair) -> None:
    async with pair.sold() as sale:
        await pair.must_agree(mixes(sale, range(2, 51, 3), seed=0))


@pytest.mark.long
async def test_a_thousand_mixes(pair: Pair) -> None:
    async with pair.sold() as sale:
        for seed in range(1, 51):
            await pair.must_agree(mixes(sale, range(2, 42, 2), seed))


async def test_answers_come_in_the_order_of_the_requests(pair: Pair) -> None:
    async with pair.sold() as sale:
        customers = [somebody() for _ in range(50)]
        sent = b"".join(bytes(Request.plain(sale, each)) for each in customers)
        seen = await pair.transcripts(Conversation.of("fifty", sent))
        for transcript in seen.values():
            assert transcript.statuses == (*[201] * 50, 200)
            named = [answer.body for answer in transcript.answers[:50]]
            assert all(
                b'"customer":"%b"' % who.encode() in what for who, what in zip(customers, named, strict=True)
            )


async def test_a_get_between_reservations(pair: Pair) -> None:
    async with pair.sold() as sale:
        post, bad = bytes(Request.plain(sale)), bytes(Request.plain(sale, body=b"{"))
        look, close = get("/healthz"), get("/healthz", b"Connection: close")
        last = bytes(Request.plain(sale).more(b"Connection: close"))
        turns = {
            "post get post": (post, look, post), "get post get": (look, post, look), "bad post bad": (bad, post, bad),
            "post close": (post, look, close), "post last post": (post, last, post), "last": (last, post, look),
            "many turns": (post, look) * 20, "posts, gets, posts": (post,) * 10 + (look,) * 10 + (post,) * 10,
        }  # fmt: skip
        together = [Conversation.of(f"{name}, together", b"".join(each)) for name, each in turns.items()]
        apart = [Conversation.of(f"{name}, apart", *_apart(each)) for name, each in turns.items()]
        # What follows the last request of a connection is no HTTP to aiohttp, so here it matters what is read with what.
        at_once = [
            Conversation.of(f"{name}, at once", *each)
            for name, each in turns.items()
            if last not in each[:-1]
        ]
        await pair.must_agree([*together, *apart, *at_once])


def _apart(requests: tuple[bytes, ...]) -> Iterator[bytes | Do]:
    for request in requests:
        yield request
        yield Do.HEAR


def splits(name: str, sent: bytes, step: int = 1) -> Iterator[Conversation]:
    """The same bytes in two writes, cut at every byte; the server reads the first before the second is sent."""
    for at in range(1, len(sent), step):
        yield Conversation.of(f"{name}, cut at {at}", sent[:at], Do.LET_READ, sent[at:])


async def test_a_request_cut_at_every_byte(pair: Pair) -> None:
    async with pair.sold() as sale:
        await pair.must_agree(splits("a reservation", bytes(Request.plain(sale))))


async def test_three_requests_cut_here_and_there(pair: Pair) -> None:
    async with pair.sold() as sale:
        one, other = bytes(Request.plain(sale)), get("/healthz")
        for kind, sent in {
            "a reservation first": one + one + other,
            "a GET first": other + one + one,
        }.items():
            await pair.must_agree(splits(kind, sent, step=17))


@pytest.mark.long
async def test_every_cut_of_several_requests(pair: Pair) -> None:
    async with pair.sold() as sale:
        one, other = bytes(Request.plain(sale)), get("/healthz")
        chunks = Request.plain(sale).but(content_length=None).more(b"Transfer-Encoding: chunked")
        bad = bytes(Request.plain(sale, body=b"{"))
        for sent in (
            one + one + other,
            other + one + one,
            one + chunks.head + chunked(ONE, (3,)) + one,
            bad + one + bad,
        ):
            await pair.must_agree(splits("several", sent))


async def test_bytes_that_come_one_by_one(pair: Pair) -> None:
    async with pair.sold() as sale:
        whole = bytes(Request.plain(sale))
        steps = [step for byte in whole for step in (bytes([byte]), Do.LET_READ)]
        await pair.must_agree(
            [Conversation.of("one by one", *steps), Conversation.of("twice", *steps, *steps)]
        )


async def test_a_body_that_comes_later(pair: Pair) -> None:
    async with pair.sold() as sale:
        request, other = Request.plain(sale), bytes(Request.plain(sale))
        bad = Request.plain(sale, body=b"{}")
        await pair.must_agree(
            [
                Conversation.of("later", request.head, Do.HEAR, request.body),
                Conversation.of("later, then another", request.head, Do.HEAR, request.body, Do.HEAR, other),
                Conversation.of("later, with another", request.head, Do.HEAR, request.body + other),
                Conversation.of("half of it", request.head + ONE[:20], Do.HEAR, ONE[20:] + other),
                Conversation.of("never", request.head, Do.HEAR),
                Conversation.of("a bad one", bad.head, Do.HEAR, bad.body, Do.HEAR, other),
                Conversation.of("after another", other, Do.HEAR, request.head, Do.HEAR, request.body),
                Conversation.of("behind another", other + request.head, Do.HEAR, request.body + other),
            ]
        )


def cut_anywhere(sale: str, seeds: range) -> Iterator[Conversation]:
    """Requests of every kind one behind the other, cut anywhere, with or without time to read and to answer between."""
    for seed in seeds:
        draw = random.Random(seed)
        customer = somebody()
        sent = b"".join(one_of(draw, sale, customer, each) for each in range(draw.randrange(1, 7)))
        cuts = sorted(draw.sample(range(1, len(sent)), draw.randrange(1, 6)))
        steps: list[bytes | Do] = []
        for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
            steps += [sent[start:end], draw.choice([Do.LET_READ, Do.HEAR])]
        yield Conversation.of(f"seed {seed}, cut at {cuts}", *steps)


async def test_cuts_anywhere(pair: Pair) -> None:
    async with pair.sold() as sale:
        await pair.must_agree(cut_anywhere(sale, range(150)))


@pytest.mark.long
async def test_cuts_anywhere_many_times(pair: Pair) -> None:
    async with pair.sold() as sale:
        await pair.must_agree(cut_anywhere(sale, range(150, 3000)))
