"""What has to be true of whatever the fast lane reads: that aiohttp reads the very same request out of the same bytes."""

from collections.abc import Iterator

import orjson
from aiohttp import HttpVersion11
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawRequestMessage

from flashsale.api import bodies, lane_request
from tests.lane.corpus_bodies import BODY_TABLES
from tests.lane.corpus_framing import FRAMING_TABLES, smuggling
from tests.lane.corpus_heads import HEAD_TABLES
from tests.lane.oracle import read

MOST_SEED_BYTES = 4096


class DisagreementError(AssertionError):
    """The fast lane has read what aiohttp does not."""


def check(data: bytes) -> int:
    """How many requests the fast lane reads in `data`, one after the other as it does, until it hands the rest over.

    Raises:
        DisagreementError: it reads one that aiohttp reads otherwise, or not at all.
    """
    number = 0
    while data and (plain := lane_request.parse(data)) is not None:
        end = plain[4]
        if not 0 < end <= len(data):
            raise DisagreementError(f"{end} of {len(data)} bytes")
        _check_one(data, plain)
        _check_wanted(plain[3])
        data = data[end:]
        number += 1
    return number


def _check_one(data: bytes, plain: lane_request.Plain) -> None:
    sale, token, key, body, end = plain
    try:
        messages = read(data[:end])
        sooner = read(data[: end - 1])
    except HttpProcessingError as error:
        raise DisagreementError(f"aiohttp cannot read it: {error!r}") from error
    if len(messages) != 1 or not messages[0][1].is_eof():
        raise DisagreementError(f"aiohttp reads {len(messages)} requests, or waits for more of the body")
    if sooner and sooner[0][1].is_eof():
        raise DisagreementError("to aiohttp it ends sooner")
    message, stream = messages[0]
    seen = {
        "method": message.method,
        "path": message.path,
        "version": message.version,
        "closes": message.should_close,
        "upgrades": message.upgrade,
        "chunked": message.chunked,
        "packed": message.compression,
        "body": stream.read_nowait() if message.headers.get("Content-Length") != "0" else b"",
        **_headers(message),
    }
    expected = {
        "method": "POST",
        "path": f"/v1/sales/{sale}/reservations",
        "version": HttpVersion11,
        "closes": False,
        "upgrades": False,
        "chunked": False,
        "packed": None,
        "body": body,
        "token": [token],
        "keys": [] if key is None else [key],
        "json": True,
        "others": [],
    }
    if seen != expected:
        wrong = {name: (value, expected[name]) for name, value in seen.items() if value != expected[name]}
        raise DisagreementError(f"aiohttp and the lane: {wrong}")


def _headers(message: RawRequestMessage) -> dict[str, object]:
    """What the handler would find in the headers."""
    headers = message.headers
    bearers = [value.partition(" ") for value in headers.getall("Authorization", [])]
    types = [value.partition(";")[0].strip().lower() for value in headers.getall("Content-Type", [])]
    others = ("Expect", "Transfer-Encoding", "Content-Encoding", "Upgrade")
    return {
        "token": [token for scheme, _, token in bearers if scheme.lower() == "bearer"],
        "keys": headers.getall("Idempotency-Key", []),
        "json": types in ([], ["application/json"]),
        "others": [name for name in others if name in headers],
    }


def _check_wanted(body: bytes) -> None:
    """What is remembered of a body must be what is in it."""
    lines = lane_request.wanted(body)
    if lines is not None and lines != bodies.reservation_lines(orjson.loads(body)):
        raise DisagreementError(f"{lines} are not the lines of {body!r}")


def seeds() -> Iterator[bytes]:
    """What there is to begin with: the corpus of the differential tests, without what is long."""
    for table in (*BODY_TABLES, *HEAD_TABLES, *FRAMING_TABLES):
        for conversation in table("giulia-milano"):
            if len(conversation.sent) <= MOST_SEED_BYTES:
                yield conversation.sent
    for number, conversation in enumerate(smuggling("giulia-milano")):
        if number % 20 == 0:
            yield conversation.sent
