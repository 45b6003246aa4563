"""Conversations about what is in a request to reserve: its body, how it says what it is, and who sends it."""

import base64
import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Final

from tests.lane.plain import ONE, Request
from tests.lane.wire import Conversation
from tests.support_http.bad_requests import (
    LINE,
    MAX_BODY_BYTES,
    NO_JSON,
    ODD_CUSTOMERS,
    RIGHT_MEDIA_TYPES,
    UNKNOWN_SKUS,
    WRONG_MEDIA_TYPES,
    WRONG_QUANTITIES,
    WRONG_SHAPES,
    WRONG_SKUS,
    padded,
)
from tests.support_http.bad_tokens import BAD_TOKENS, GOOD
from tests.support_http.client import ROOT_KEY, SECRET, label, lines, token

ODD_JSON: Final = {
    "a byte-order mark": b"\xef\xbb\xbf" + ONE,
    "UTF-16": ONE.decode().encode("utf-16"),
    "UTF-32": ONE.decode().encode("utf-32-le"),
    "white space around": b" \t\r\n" + ONE + b"\n \r\t",
    "a form feed before": b"\x0c" + ONE,
    "two values": ONE + ONE,
    "a NUL behind": ONE + b"\0",
    "the same field twice": b'{"items":[],"items":[{"sku":"giulia","quantity":1}]}',
    "the same field twice, the good one first": b'{"items":[{"sku":"giulia","quantity":1}],"items":[]}',
    "two skus in a line": b'{"items":[{"sku":"none","sku":"giulia","quantity":1}]}',
    "two quantities in a line": b'{"items":[{"sku":"giulia","quantity":0,"quantity":1}]}',
    "escaped names": b'{"\\u0069tems":[{"sk\\u0075":"giuli\\u0061","quantity":1}]}',
    "an escaped surrogate": b'{"items":[{"sku":"\\ud800","quantity":1}]}',
    "an escaped pair of surrogates": b'{"items":[{"sku":"\\ud83d\\ude97","quantity":1}]}',
    "a surrogate as bytes": b'{"items":[{"sku":"\xed\xa0\x80","quantity":1}]}',
    "an overlong slash": b'{"items":[{"sku":"\xc0\xaf","quantity":1}]}',
    "NaN": b'{"items":[{"sku":"giulia","quantity":NaN}]}',
    "Infinity": b'{"items":[{"sku":"giulia","quantity":Infinity}]}',
    "a huge exponent": b'{"items":[{"sku":"giulia","quantity":1e999}]}',
    "a tiny exponent": b'{"items":[{"sku":"giulia","quantity":1e-999}]}',
    "a number of 5,000 digits": b'{"items":[{"sku":"giulia","quantity":' + b"9" * 5000 + b"}]}",
    "2 ** 64": b'{"items":[{"sku":"giulia","quantity":18446744073709551616}]}',
    "-(2 ** 63)": b'{"items":[{"sku":"giulia","quantity":-9223372036854775808}]}',
    "a comma too many": b'{"items":[{"sku":"giulia","quantity":1},]}',
    "single quotes": b"{'items':[{'sku':'giulia','quantity':1}]}",
    "a comment": b'{"items":[{"sku":"giulia","quantity":1}]}//',
    "deep lists": b"[" * 1000 + b"]" * 1000,
    "deep objects": b'{"items":' * 900 + b"1" + b"}" * 900,
    "deep in a field": b'{"items":[{"sku":"giulia","quantity":1}],"x":' + b"[" * 500 + b"]" * 500 + b"}",
    "nothing but a NUL": b"\0",
    "a form": b"sku=giulia&quantity=1",
    "XML": b"<items/>",
    "ten lines": json.dumps({"items": [LINE] * 10}).encode(),
    "two items": json.dumps({"items": [LINE, {"sku": "stelvio", "quantity": 2}]}).encode(),
    "unknown fields with odd names": b'{"items":[{"sku":"giulia","quantity":1}],"\\u0000":1,"\\n":2,"":3}',
}
MEDIA_TYPES: Final = (
    "application/json;charset=utf-8", "application/json; charset=latin-1", "application/json ;x=y", "application/json;",
    "application/json; charset", ";application/json", "application/json, text/plain", "text/plain, application/json",
    "application/JSON; Charset=UTF-8", "application/problem+json", "application/vnd.api+json", "application/json+x",
    " application/json", "application/json\t", "application/ json", "application", "/", "*/*", "application/*",
    "application/json\x7f", '"application/json"', "application/json(comment)", "applicati\xf6n/json", ";", ",",
)  # fmt: skip
PACKED: Final = {
    "gzip": gzip.compress(ONE, mtime=0), "deflate": zlib.compress(ONE), "GZIP": gzip.compress(ONE, mtime=0),
    "identity": ONE, "": ONE, "br": ONE, "zstd": ONE, "x-gzip": gzip.compress(ONE, mtime=0), "gzip, gzip": ONE,
    "nonsense": ONE,
}  # fmt: skip
KEYS: Final = (
    b"k", b"", b" ", b"\t", b"k" * 255, b"k" * 256, b"k" * 10_000, b'"quoted"', b"a b", b"a\tb", b"k,l", b"\x7f", b"\x01",
    b"\xc3\xbc", b"\xff", b"\xe2\x80\xa8", b"\xf0\x9f\x9a\x97", b"\xc3\xbc" * 255, b"\xc2\xa0", b"%20", b"*", b"{}",
)  # fmt: skip


def bodies(sale: str) -> Iterator[Conversation]:
    """Every kind of body."""
    yield Conversation.of("plain", bytes(Request.plain(sale)))
    for body in NO_JSON:
        yield Conversation.of(f"no JSON: {label(body)}", bytes(Request.plain(sale, body=body)))
    for name, body in ODD_JSON.items():
        yield Conversation.of(name, bytes(Request.plain(sale, body=body)))
    for shape, _ in WRONG_SHAPES:
        yield Conversation.of(label(shape), bytes(Request.plain(sale, body=json.dumps(shape).encode())))
    for quantity in WRONG_QUANTITIES:
        body = b'{"items": [{"sku": "giulia", "quantity": %b}]}' % quantity.encode()
        yield Conversation.of(f"quantity {quantity}", bytes(Request.plain(sale, body=body)))
    for sku in (*WRONG_SKUS, *UNKNOWN_SKUS):
        for ascii_only in (True, False):
            body = json.dumps(lines(sku), ensure_ascii=ascii_only).encode()
            yield Conversation.of(f"sku {label(sku)}", bytes(Request.plain(sale, body=body)))
    for size in (100, MAX_BODY_BYTES - 1, MAX_BODY_BYTES, MAX_BODY_BYTES + 1, 3 * MAX_BODY_BYTES):
        yield Conversation.of(f"{size} bytes", bytes(Request.plain(sale, body=padded(size))))


def media_types(sale: str) -> Iterator[Conversation]:
    """What the body says it is, and how it says it is packed."""
    for kind in (*WRONG_MEDIA_TYPES, *RIGHT_MEDIA_TYPES, *MEDIA_TYPES):
        line = None if kind is None else b"Content-Type: " + kind.encode("latin-1")
        yield Conversation.of(f"type {kind!r}", bytes(Request.plain(sale).but(content_type=line)))
        bad = Request.plain(sale, body=b"{").but(content_type=line)
        yield Conversation.of(f"type {kind!r} of what is no JSON", bytes(bad))
    for name, body in PACKED.items():
        packed = Request.plain(sale, body=body).more(b"Content-Encoding: " + name.encode())
        yield Conversation.of(f"packed {name!r}", bytes(packed))
    bomb = Request.plain(sale, body=gzip.compress(b" " * 1_000_000)).more(b"Content-Encoding: gzip")
    yield Conversation.of("a bomb", bytes(bomb))


def callers(sale: str) -> Iterator[Conversation]:
    """Who asks."""
    for name, bad in BAD_TOKENS.items():
        line = b"Authorization: Bearer " + bad.encode()
        yield Conversation.of(name, bytes(Request.plain(sale).but(authorization=line)))
    for customer in ODD_CUSTOMERS:
        yield Conversation.of(f"customer {label(customer)}", bytes(Request.plain(sale, customer)))
    basic = b"Basic " + base64.b64encode(b"c-1:" + SECRET.encode())
    good = GOOD.encode()
    values = (
        b"", b"Bearer", b"Bearer ", b"bearer " + good, b"BEARER " + good, b"bEaReR " + good, b"Bearer  " + good,
        b"Bearer\t" + good, b"Bearer " + good + b" ", b"Bearer " + good + b" x", b"Bearer=" + good, good,
        b"Token " + good, basic, b"Bearer " + good + b"\xff", b"\xc3\xbc " + good, b"Bearer " + ROOT_KEY.encode(),
        b"Bearer, " + good, b"Bearer " + good + b", Bearer " + good, b"Bearer " + b"x" * 8192,
        b"Bearer " + b"x" * 60_000, b"Bearer \xe2\x80\xa8",
    )  # fmt: skip
    for value in values:
        line = b"Authorization: " + value
        yield Conversation.of(
            f"authorization {label(value)}", bytes(Request.plain(sale).but(authorization=line))
        )
        wrong = Request.plain(sale, body=b"{").but(authorization=line)
        yield Conversation.of(f"no JSON, authorization {label(value)}", bytes(wrong))
    yield Conversation.of("nobody", bytes(Request.plain(sale).but(authorization=None)))
    old = b"Authorization: Bearer " + token("c-1", exp=1).encode()
    yield Conversation.of("long ago", bytes(Request.plain(sale).but(authorization=old)))


def idempotency_keys(sale: str) -> Iterator[Conversation]:
    """Keys of every sort, each sent twice."""
    for key in KEYS:
        once = bytes(Request.plain(sale).more(b"Idempotency-Key: " + key))
        yield Conversation.of(f"key {label(key)}", once, once)
    for name in (b"idempotency-key", b"IDEMPOTENCY-KEY", b"Idempotency_Key", b"Idempotency-Keys"):
        once = bytes(Request.plain(sale).more(name + b": k"))
        yield Conversation.of(f"as {name.decode()}", once, once)
    two = bytes(Request.plain(sale).more(b"Idempotency-Key: a", b"Idempotency-Key: b"))
    yield Conversation.of("two keys", two, two)
    keyed = Request.plain(sale).more(b"Idempotency-Key: k")
    other = keyed.carrying(json.dumps(lines(quantity=2)).encode())
    yield Conversation.of("the same key for another request", bytes(keyed), bytes(other), bytes(keyed))
    keyed = Request.plain(sale).more(b"Idempotency-Key: k")
    wrong = keyed.carrying(b"{}")
    yield Conversation.of("the same key for what cannot be", bytes(keyed), bytes(wrong), bytes(keyed))


BODY_TABLES: Final = (bodies, media_types, callers, idempotency_keys)
