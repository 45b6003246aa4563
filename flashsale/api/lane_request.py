"""Reading the one shape of request that the fast lane answers; what is not plainly that is for aiohttp.

`parse` may say no to anything, and says yes only where aiohttp reads the very same request out of the very same bytes: every
byte of the head is accounted for, and whatever tells how long the request is, or asks for another way of answering, stands
there once in its plainest form, or not at all. tests/lane and tests/fuzz hold it against aiohttp.
"""

import re
from typing import Any, Final, NamedTuple

import orjson

from flashsale.api import bodies
from flashsale.api.problems import Problem
from flashsale.model.ids import SALE_ID
from flashsale.model.reservation import Line

START: Final = b"POST /v1/sales/"
MAX_HEAD_BYTES: Final = 8 * 1024
MAX_LINES: Final = 64

_TARGET: Final = re.compile(rb"POST /v1/sales/(%b)/reservations HTTP/1\.1" % SALE_ID.pattern.encode())
# What a header may be made of (RFC 9110, 5.1 and 5.5), without the forms that nobody needs.
_HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")

# Those that have a meaning here: a bit for each. Above the bits is the length that Content-Length says.
_HOST, _BEARER, _LENGTH, _KEY, _TYPE, _CONNECTION = 1, 2, 4, 8, 16, 32
_NEEDED = _HOST | _BEARER | _LENGTH
_SHIFT = 8
_OWN: Final = frozenset({_BEARER, _KEY})
_FORMS: Final = {
    b"host": (_HOST, re.compile(rb"[A-Za-z0-9.:\[\]-]+")),
    b"authorization": (_BEARER, re.compile(rb"(?i:bearer) ([A-Za-z0-9_.-]+)")),
    b"content-length": (_LENGTH, re.compile(rb"[1-9][0-9]{0,3}")),
    b"idempotency-key": (_KEY, re.compile(rb"([!-~](?:[ -~]{0,%d}[!-~])?)" % (bodies.MAX_KEY - 2))),
    b"content-type": (_TYPE, re.compile(rb"(?i:application/json(?:; ?charset=utf-8)?)")),
    b"connection": (_CONNECTION, re.compile(rb"(?i:keep-alive)")),
}
_PERSONAL: Final = frozenset(
    {b"cookie", b"proxy-authorization", b"forwarded", b"x-forwarded-for", b"x-real-ip"}
)
"""Harmless here, but everybody's are different: not remembered."""
_NOT_HERE: Final = frozenset(
    {b"transfer-encoding", b"content-encoding", b"expect", b"upgrade", b"trailer", b"te", b"http2-settings"}
    | {b"proxy-connection", b"sec-websocket-key", b"sec-websocket-key1"}
)
_USUAL_BEARER: Final = b"Authorization: Bearer "
_USUAL_BEARER_SIZE: Final = len(_USUAL_BEARER)
_MARK: Final = b"\r\n" + _USUAL_BEARER
_MARK_SIZE: Final = len(_MARK)
_TOKEN_BYTES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"


class _Header(NamedTuple):
    """A header that is plain."""

    name: bytes
    bits: int
    value: str
    """That of Authorization and Idempotency-Key."""
    lasting: bool
    """It may be remembered, as it is nobody's own."""


_MOST_KNOWN: Final = 2048
_MOST_KNOWN_BYTES: Final = 512
_targets: dict[bytes, str] = {}
_headers: dict[bytes, _Header] = {}
"""Header lines that were plain."""
_heads: dict[bytes, tuple[str, int]] = {}
"""Whole heads that were plain, but for the token that stands in them: sale and length of the body."""
_bodies: dict[bytes, tuple[Line, ...]] = {}

Plain = tuple[str, str, str | None, bytes, int]
"""A complete request to reserve: sale, the bearer's credentials, Idempotency-Key, body, and where the next one begins."""


def parse(data: bytes) -> Plain | None:
    """The request that `data` begins with; None when it is another one, not complete or not plain."""
    # Most heads are known, but for the token. A known one has the mark just where it was found, and no end before its own.
    start = data.find(_MARK) + _MARK_SIZE
    stop = data.find(b"\r", start)
    end = data.find(b"\r\n\r\n", stop) + 4
    known = _heads.get(data[:start] + data[stop:end])
    if known is None:
        return _parse(data)
    sale, length = known
    token = data[start:stop]
    if not token or token.translate(None, _TOKEN_BYTES) or len(data) < end + length:
        return None
    return sale, token.decode(), None, data[end : end + length], end + length


def _parse(data: bytes) -> Plain | None:
    """The same, line by line."""
    head, gap, rest = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    sale = _targets.get(lines[0]) or _target(lines[0])
    if sale is None or not gap or len(head) > MAX_HEAD_BYTES or len(lines) > MAX_LINES:
        return None
    token, key, seen, names, lasting = "", None, 0, set[bytes](), True
    for line in lines[1:]:
        header = _headers.get(line)
        if header is None:
            header = _read(line)
            if header is None:
                return None
            if header.bits == _BEARER:
                token = header.value
            elif header.bits == _KEY:
                key = header.value
            lasting = lasting and (header.lasting or header.bits == _BEARER)
        seen |= header.bits
        names.add(header.name)
    length = seen >> _SHIFT
    if seen & _NEEDED != _NEEDED or len(names) != len(lines) - 1 or len(rest) < length:
        return None
    before, mark, after = head.partition(_MARK + token.encode())
    if mark and lasting:
        _remember(_heads, before + _MARK + after + b"\r\n\r\n", (sale, length))
    return sale, token, key, rest if len(rest) == length else rest[:length], len(head) + 4 + length


def _target(line: bytes) -> str | None:
    match = _TARGET.fullmatch(line)
    if match is None:
        return None
    sale = match[1].decode()
    _remember(_targets, line, sale)
    return sale


def _read(line: bytes) -> _Header | None:
    """A header, or None if it is not plain."""
    if line[:_USUAL_BEARER_SIZE] == _USUAL_BEARER:
        token = line[_USUAL_BEARER_SIZE:]
        if not token or token.translate(None, _TOKEN_BYTES):
            return None
        return _Header(b"authorization", _BEARER, token.decode(), False)
    match = _HEADER.fullmatch(line)
    if match is None:
        return None
    name, value = match[1].lower(), match[2]
    if name in _NOT_HERE:
        return None
    bits, own = 0, ""
    if name in _FORMS:
        bits, form = _FORMS[name]
        match = form.fullmatch(value)
        if match is None:
            return None
        if bits in _OWN:
            own = match[1].decode()
        elif bits == _LENGTH:
            bits |= int(value) << _SHIFT
    header = _Header(name, bits, own, bits not in _OWN and name not in _PERSONAL)
    if header.lasting:
        _remember(_headers, line, header)
    return header


def wanted(body: bytes) -> tuple[Line, ...] | None:
    """What a body asks for; None when there is anything wrong with it, which aiohttp's handler will say."""
    known = _bodies.get(body)
    if known is not None:
        return known
    try:
        data = orjson.loads(body)
        lines = bodies.reservation_lines(data) if isinstance(data, dict) else None
    except (orjson.JSONDecodeError, Problem):
        return None
    if lines is not None:
        _remember(_bodies, body, lines)
    return lines


def _remember(known: dict[bytes, Any], line: bytes, found: Any) -> None:
    """Keeps it, unless that could fill the memory: nearly all requests of a sale say the same."""
    if len(line) > _MOST_KNOWN_BYTES:
        return
    if len(known) >= _MOST_KNOWN:
        known.clear()
    known[line] = found
