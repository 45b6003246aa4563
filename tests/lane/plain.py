"""Requests as bytes: the plain one that the fast lane is for, and whatever it is turned into."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Final, Self

from tests.support_http.client import lines, token

ONE: Final = json.dumps(lines(), separators=(",", ":")).encode()
"""The body of a reservation of one unit."""
_CUSTOMERS = count(1)


def somebody() -> str:
    """A customer whom no other request of this run has."""
    return f"c-{next(_CUSTOMERS)}"


@dataclass(frozen=True)
class Request:
    """A request; `lines` are those of its head without their ends, by a name under which each can be replaced."""

    lines: Mapping[str, bytes]
    body: bytes = ONE
    target: bytes = b""
    method: bytes = b"POST"
    version: bytes = b"HTTP/1.1"
    ends: bytes = b"\r\n"
    after: tuple[bytes, ...] = field(default=())

    @classmethod
    def plain(cls, sale: str, customer: str | None = None, *, body: bytes = ONE, **changes: Any) -> Self:
        """A reservation as a usual client writes it."""
        lines = {
            "host": b"Host: shop.example",
            "authorization": b"Authorization: Bearer " + token(customer or somebody()).encode(),
            "content-type": b"Content-Type: application/json",
            "content-length": b"Content-Length: %d" % len(body),
        }
        return cls(lines=lines, body=body, target=f"/v1/sales/{sale}/reservations".encode(), **changes)

    def but(self, **lines: bytes | None) -> "Request":
        """With other lines instead (`content_length=...`); None takes one out."""
        named = {name.replace("_", "-"): line for name, line in lines.items()}
        kept = {name: named.get(name, line) for name, line in {**self.lines, **named}.items()}
        return replace(self, lines={name: line for name, line in kept.items() if line is not None})

    def more(self, *lines: bytes) -> "Request":
        """With more lines at the end of the head."""
        return replace(self, after=(*self.after, *lines))

    def first(self, *lines: bytes) -> "Request":
        """With more lines at the beginning of the head."""
        return replace(self, lines={**{f"first-{n}": line for n, line in enumerate(lines)}, **self.lines})

    def carrying(self, body: bytes) -> "Request":
        """With another body, and its length."""
        return replace(self, body=body).but(content_length=b"Content-Length: %d" % len(body))

    @property
    def head(self) -> bytes:
        """Everything before the body."""
        start = b" ".join((self.method, self.target, self.version))
        return self.ends.join((start, *self.lines.values(), *self.after, b"", b""))

    def __bytes__(self) -> bytes:
        return self.head + self.body


def get(path: str, *more: bytes, method: bytes = b"GET") -> bytes:
    """A request without a body."""
    return b"\r\n".join((b"%b %b HTTP/1.1" % (method, path.encode()), b"Host: shop.example", *more, b"", b""))


def chunked(body: bytes, sizes: Iterable[int] = ()) -> bytes:
    """A body in chunks of these sizes and one of the rest."""
    parts = []
    for size in sizes:
        parts.append(body[:size])
        body = body[size:]
    parts.append(body)
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part) + b"0\r\n\r\n"
