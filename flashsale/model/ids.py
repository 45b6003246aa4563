"""Ids of sales and reservations."""

import re
import secrets
from base64 import urlsafe_b64encode
from hashlib import blake2b
from typing import NamedTuple

SALE_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_RESERVATION_ID = re.compile(r"([a-z0-9][a-z0-9-]{0,62})\.(0|[1-9][0-9]{0,3})\.([A-Za-z0-9_-]{16})")
_TOKEN_BYTES, _TOKEN_SIZE = 12, 16


class ReservationId(NamedTuple):
    """`<sale>.<shard>.<token>`: the id alone tells which slot holds the reservation."""

    sale: str
    shard: int
    token: str

    def __str__(self) -> str:
        return f"{self.sale}.{self.shard}.{self.token}"


def is_sale_id(text: str) -> bool:
    """Whether a sale may have this id."""
    return SALE_ID.fullmatch(text) is not None


def reservation_id(sale: str, token: str) -> str:
    """The whole id of a reservation."""
    return f"{sale}.0.{token}"


def parse_reservation_id(text: str) -> ReservationId | None:
    """The parts of a reservation id, or None when it cannot be one."""
    match = _RESERVATION_ID.fullmatch(text)
    return ReservationId(match[1], int(match[2]), match[3]) if match else None


def new_tokens(count: int) -> list[str]:
    """So many fresh 96-bit tokens, each 16 URL-safe characters; the operating system is asked once."""
    drawn = secrets.token_urlsafe(_TOKEN_BYTES * count)
    return [drawn[at : at + _TOKEN_SIZE] for at in range(0, len(drawn), _TOKEN_SIZE)]


def derived_token(sale: str, customer: str, idempotency_key: str) -> str:
    """The token that (sale, customer, Idempotency-Key) always lead to: the reservation is its own idempotency record.

    Each part is preceded by its length, so that no two triples share one input.
    """
    digest = blake2b(digest_size=_TOKEN_BYTES, person=b"flashsale-idem")
    for part in (sale, customer, idempotency_key):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big"))
        digest.update(encoded)
    return urlsafe_b64encode(digest.digest()).decode()
