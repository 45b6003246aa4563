"""Requests to reserve that are wrong or odd, as tables for whoever has to answer them."""

import json
from typing import Any, Final

from tests.support_http.client import lines

LINE: Final = {"sku": "giulia", "quantity": 1}
MAX_BODY_BYTES: Final = 64 * 1024


def padded(size: int) -> bytes:
    """A good reservation as JSON of exactly this many bytes."""
    body = json.dumps(lines()).encode()
    return body + b" " * (size - len(body))


NO_JSON: Final = (
    b"",
    b"{",
    b"{}}",
    b"items",
    b"\xff\xfe",
    b'{"items": [{"sku": "giulia", "quantity": NaN}]}',
    b'{"items": [{"sku": "giulia", "quantity": 01}]}',
    b'{"items": [{"sku": "\\ud800", "quantity": 1}]}',
    b'{"items": [{"sku": "a\x00b", "quantity": 1}]}',
    b"[" * 5000,
    b'{"a":' * 5000,
)
"""Bodies that are no JSON: 400."""

WRONG_SHAPES: Final[tuple[tuple[Any, list[str]], ...]] = (
    ([], [""]),
    (None, [""]),
    ("giulia", [""]),
    (7, [""]),
    ({}, ["items"]),
    ({"items": None}, ["items"]),
    ({"items": {}}, ["items"]),
    ({"items": "giulia"}, ["items"]),
    ({"items": []}, ["items"]),
    ({"items": [LINE] * 11}, ["items"]),
    ({"items": [None]}, ["items[0]"]),
    ({"items": ["giulia"]}, ["items[0]"]),
    ({"items": [[]]}, ["items[0]"]),
    ({"items": [{}]}, ["items[0].sku", "items[0].quantity"]),
    ({"items": [LINE], "coupon": "x"}, ["coupon"]),
    ({"items": [{**LINE, "price": 1}]}, ["items[0].price"]),
    ({"items": [LINE, {**LINE, "quantity": 0}, {"quantity": 1}]}, ["items[1].quantity", "items[2].sku"]),
    ({"items": [{**LINE, "x": 1, "quantity": None}], "y": 1}, ["items[0].x", "items[0].quantity", "y"]),
)
"""Bodies of the wrong shape, as values, and the fields that a 422 names."""

WRONG_QUANTITIES: Final = (
    "0",
    "-1",
    "1.5",
    "1.0",
    "1e0",
    "true",
    '"1"',
    "null",
    "[1]",
    "{}",
    "100001",
    str(2**63),
    str(10**30),
    "-0.0",
)
"""As they stand in the JSON: 422."""

WRONG_SKUS: Final[tuple[Any, ...]] = (
    None,
    1,
    True,
    [],
    {},
    "",
    "x" * 65,
    "x" * 10_240,
    "a\0b",
    "a\nb",
    "\u2028",
    "\ufeff",
)
"""Names that no item can have: 422."""

UNKNOWN_SKUS: Final = ("}", "{", "*", " ", "giulia ", "GIULIA", "🚗", "available:giulia", "__proto__")
"""Names that an item might have: 404."""

UNKNOWN_SALES: Final = (
    "no-such-sale",
    "%7D",
    "%7B",
    "{}",
    "*",
    "%20",
    "%00",
    "%F0%9F%9A%97",
    "%FF",
    "%2F",
    "..%2F..",
    "Sale",
    "-a",
    "a" * 64,
    "x" * 10_240,
    "%7Ba%7D.0",
    "fs:sales",
)
"""As they stand in the path: 404."""

WRONG_MEDIA_TYPES: Final = (
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/xml",
    "text/json",
    "json",
    "",
)
"""415."""

RIGHT_MEDIA_TYPES: Final = ("application/json", "application/json; charset=utf-8", "APPLICATION/JSON", None)
"""None: no Content-Type at all."""

ODD_CUSTOMERS: Final = (
    "}",
    "{",
    "*",
    " ",
    "a b",
    "\0",
    "a\nb",
    "🚗" * 64,
    "ü",
    "x" * 256,
    "fs:sales",
    '"',
    "\\",
    "\ufeff",
    "a\u0301",
)
"""They are customers."""

_RESERVE = b"POST /v1/sales/x/reservations HTTP/1.1\r\nHost: test\r\n"
_HEALTH = b"GET /healthz HTTP/1.1\r\nHost: test\r\n"

NO_HTTP: Final = {
    "long-line": b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: test\r\n\r\n",
    "long-header": _HEALTH + b"X-Long: " + b"x" * 70_000 + b"\r\n\r\n",
    "many-headers": _HEALTH + b"".join(b"X-%d: y\r\n" % n for n in range(50_000)) + b"\r\n",
    "nul-in-header": _HEALTH + b"X-Nul: a\0b\r\n\r\n",
    "bytes-in-path": b"GET /\xff HTTP/1.1\r\nHost: test\r\n\r\n",
    "relative": b"GET healthz HTTP/1.1\r\nHost: test\r\n\r\n",
    "version": b"GET /healthz HTTP/9.9\r\nHost: test\r\n\r\n",
    "no-host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "negative-length": _RESERVE + b"Content-Length: -1\r\n\r\n",
    "two-lengths": _RESERVE + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "length-and-chunked": _RESERVE + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    "method": b"BREW /healthz HTTP/1.1\r\nHost: test\r\n\r\n",
    "garbage": b"no HTTP at all\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello\r\n\r\n",
}  # fmt: skip
"""Requests that no handler sees: 400."""

ODD_ESCAPES: Final = (b"%FF", b"%C3%28", b"%ED%A0%80", b"%00", b"%")
"""Escapes in a path that are no text."""
