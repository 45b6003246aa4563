"""The target of the fuzzer, without the fuzzer: what it begins with is in order, and a lane that reads wrongly is found."""

import random
from typing import Any

import pytest
from hypothesis import given, settings

from flashsale.api import lane_request
from tests.fuzz.lane import of_lines
from tests.fuzz.target import DisagreementError, check, seeds
from tests.lane.mutations import TRICKY, requests
from tests.lane.plain import ONE, Request, get

SALE = "giulia-milano"


def test_the_seeds_are_read_alike() -> None:
    read = [check(data) for data in seeds()]
    assert len(read) > 1000
    assert sum(read) > 200
    assert read.count(0) > 500


@pytest.mark.parametrize("number", range(10))
def test_changed_seeds_are_read_alike(number: int) -> None:
    draw = random.Random(number)
    every = list(seeds())
    for data in every[number::10]:
        changed = data
        for _ in range(20):
            changed = of_lines(changed, draw) if draw.random() < 0.8 else data
            check(changed)


@settings(max_examples=500, derandomize=True, database=None)
@given(made=requests())
def test_changed_requests_are_read_alike(made: Any) -> None:
    check(made(SALE))


def test_one_behind_the_other() -> None:
    one = bytes(Request.plain(SALE))
    assert check(one * 5) == 5
    assert check(one * 2 + get("/healthz") + one) == 2
    assert check(one[:-1]) == 0
    assert check(get("/healthz") + one) == 0
    assert check(b"") == 0


def test_a_known_head_with_another_token() -> None:
    # The lane remembers heads but for the token in them, so that whatever stands in its place has to be looked at.
    for request in (
        Request.plain(SALE),
        Request.plain(SALE).more(b"X: y"),
        Request.plain(SALE).first(b"X: y"),
    ):
        whole = bytes(request)
        before, mark, rest = whole.partition(b"Authorization: Bearer ")
        token, end, after = rest.partition(b"\r\n")
        assert check(whole * 3) == 3
        pieces = (
            *TRICKY,
            b"",
            token,
            mark,
            mark + token,
            b"\r\n" + mark,
            token + b"\r\n" + mark + token,
            request.head,
            whole,
        )
        for piece in pieces:
            for credentials in (piece, piece + token, token + piece, token[:5] + piece + token[5:]):
                check(before + mark + credentials + end + after)
                check(before + mark + credentials + after)
                check(before + mark + credentials)
                check(before + piece + mark + credentials + end + piece + after)
            check(piece + whole)
            check(whole[: -len(ONE)] + piece + ONE)


WRONG: dict[str, tuple[bytes, lane_request.Plain]] = {
    "two lengths": (
        bytes(Request.plain(SALE).more(b"Content-Length: 3")),
        (SALE, "t", None, ONE, 0),
    ),
    "chunks": (
        bytes(Request.plain(SALE).more(b"Transfer-Encoding: chunked")),
        (SALE, "t", None, ONE, 0),
    ),
    "a shorter body": (bytes(Request.plain(SALE)), (SALE, "", None, ONE[:-1], -1)),
    "another sale": (bytes(Request.plain(SALE)), ("stelvio", "", None, ONE, 0)),
    "another customer": (bytes(Request.plain(SALE)), (SALE, "x", None, ONE, 0)),
    "a key that is none": (bytes(Request.plain(SALE)), (SALE, "", "k", ONE, 0)),
    "a key that was missed": (
        bytes(Request.plain(SALE).more(b"Idempotency-Key: k")),
        (SALE, "", None, ONE, 0),
    ),
    "one that closes": (bytes(Request.plain(SALE).more(b"Connection: close")), (SALE, "", None, ONE, 0)),
    "an expectation": (bytes(Request.plain(SALE).more(b"Expect: 100-continue")), (SALE, "", None, ONE, 0)),
    "packed": (bytes(Request.plain(SALE).more(b"Content-Encoding: gzip")), (SALE, "", None, ONE, 0)),
    "text": (
        bytes(Request.plain(SALE).but(content_type=b"Content-Type: text/plain")),
        (SALE, "", None, ONE, 0),
    ),
    "no HTTP": (b"POST it" + ONE, (SALE, "", None, ONE, 0)),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_lane_that_reads_wrongly_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data, (sale, token, key, body, short) = WRONG[name]
    good = lane_request.parse(bytes(Request.plain(SALE)))
    assert good is not None
    bearer = data.partition(b"Bearer ")[2].partition(b"\r")[0].decode()
    wrong = (sale, token or bearer, key, body, len(data) + short)
    monkeypatch.setattr(lane_request, "parse", lambda _: wrong)
    with pytest.raises(DisagreementError):
        check(data)


def test_a_body_remembered_wrongly_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(lane_request._bodies, ONE, (("giulia", 2),))
    with pytest.raises(DisagreementError):
        check(bytes(Request.plain(SALE)))
