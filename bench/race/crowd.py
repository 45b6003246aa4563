"""The crowd: so many customers, each with a token of its own, as the file that the load generators read.

A line is the token of one customer. Tokens are made here in one pass over one HMAC, as making them with a JWT library takes
longer than racing with them; the first and the last are shown to flashsale's own reader before anybody relies on them.
"""

import binascii
import hmac
import time
from collections.abc import Iterator
from pathlib import Path

import orjson

from bench.race.books import SKU
from bench.race.field import SECRET
from flashsale.identity.tokens import AUDIENCE, ShopperTokens

VALID_SECONDS = 24 * 3600


def body_of(sku: str) -> bytes:
    """What somebody sends who wants one unit."""
    return b'{"items":[{"sku":"%b","quantity":1}]}' % sku.encode()


BODY = body_of(SKU)


def _segment(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False).translate(_URL_SAFE).rstrip(b"=")


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def customer_name(number: int) -> str:
    return f"customer-{number:07d}"


def tokens(count: int) -> Iterator[bytes]:
    """The tokens of customers 0 to count - 1."""
    now = int(time.time())
    header = _segment(b'{"alg":"HS256","typ":"JWT"}')
    keyed = hmac.new(SECRET.encode(), digestmod="sha256")
    for number in range(count):
        claims = {"sub": customer_name(number), "aud": AUDIENCE, "iat": now, "exp": now + VALID_SECONDS}
        message = header + b"." + _segment(orjson.dumps(claims))
        mac = keyed.copy()
        mac.update(message)
        yield message + b"." + _segment(mac.digest())


def write_tokens(path: Path, count: int) -> Path:
    """The file of so many tokens. Raises `flashsale.identity.tokens.TokenError` when flashsale would not take them."""
    made = list(tokens(count))
    reader = ShopperTokens(SECRET, None)
    for number in {0, count - 1}:
        assert reader.verify(made[number].decode()) == customer_name(number)
    path.write_bytes(b"\n".join(made))
    return path


def request(sale: str, token: bytes, body: bytes = BODY) -> bytes:
    """A shopper's request, as wrk sends it."""
    return (
        b"POST /v1/sales/%b/reservations HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %b\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (sale.encode(), token, len(body), body)
    )


def mine(sale: str, token: bytes) -> bytes:
    """What a shopper's page asks before it shows the button: its own reservations."""
    return (
        b"GET /v1/sales/%b/reservations/mine HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %b\r\n\r\n"
        % (sale.encode(), token)
    )
