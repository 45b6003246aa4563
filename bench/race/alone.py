"""A batch of one on an idle server, against the same script asked of the store directly: what HTTP and the server add.

Both are asked in turn, over one open connection each, by a client that blocks; neither waits for anybody else.
"""

import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.race.arithmetic import percentile
from bench.race.books import SKU, OurBooks
from bench.race.crowd import customer_name, request
from bench.race.servers import Server
from bench.race.shoppers import complete, now
from flashsale.keys import SaleKeys
from flashsale.model.ids import new_tokens
from flashsale.scripts.loader import load
from flashsale.scripts.reserve import Claim, encode

TIMES = 2_000
WARM = 200
OTHERS = 5_000_000
"""Customers of the direct calls are numbered from here on: nobody else has them."""


@dataclass(frozen=True, slots=True)
class Alone:
    """Medians, in milliseconds."""

    http_ms: float
    script_ms: float
    http_p99_ms: float
    script_p99_ms: float

    @property
    def added_ms(self) -> float:
        return self.http_ms - self.script_ms


def command(*parts: str | bytes | int) -> bytes:
    """A command of the Redis protocol."""
    raw = [part if isinstance(part, bytes) else str(part).encode() for part in parts]
    return b"*%d\r\n" % len(raw) + b"".join(b"$%d\r\n%b\r\n" % (len(each), each) for each in raw)


def reserve_command(sale: str, customer: str) -> bytes:
    """EVALSHA of flashsale's own script for one new customer who wants one unit."""
    lines = ((SKU, 1),)
    claim = Claim(new_tokens(1)[0], customer, lines, repeatable=False)
    keys = SaleKeys.of(sale).book()
    return command("EVALSHA", load("reserve").sha, len(keys), *keys, *encode([claim]))


def measure(server: Server, tokens: Path, skip: int, times: int = TIMES) -> Alone:
    """Of a sale of its own on this server."""
    assert isinstance(server.books, OurBooks)
    server.books.define("alone", {SKU: 1_000_000})
    with tokens.open("rb") as lines:
        taken = [line.strip() for _, line in zip(range(skip + times + WARM), lines, strict=False)][skip:]
    address = urlsplit(server.store.url)
    http, script = [], []
    with (
        socket.create_connection(("127.0.0.1", server.port)) as web,
        socket.create_connection(("127.0.0.1", address.port or 6379)) as store,
    ):
        for each in (web, store):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        store.sendall(
            command("AUTH", address.password or "") + command("SCRIPT", "LOAD", load("reserve").source)
        )
        answer = b""
        while answer.count(b"\r\n") < 3:
            answer += store.recv(65536)
        for number, token in enumerate(taken):
            http.append(_timed(web, request("alone", token), b"HTTP/1.1 201"))
            asked = reserve_command("alone", customer_name(OTHERS + number))
            script.append(_timed(store, asked, b"*"))
    http, script = http[WARM:], script[WARM:]
    return Alone(
        http_ms=percentile(http, 0.5) * 1000,
        script_ms=percentile(script, 0.5) * 1000,
        http_p99_ms=percentile(http, 0.99) * 1000,
        script_p99_ms=percentile(script, 0.99) * 1000,
    )


def _timed(connection: socket.socket, asked: bytes, begins: bytes) -> float:
    began = now()
    connection.sendall(asked)
    answer = connection.recv(65536)
    took = now() - began
    whole = answer.startswith(begins) and (begins == b"*" or complete(answer))
    if not whole:
        raise RuntimeError(f"not the answer that was expected: {answer[:300]!r}")
    return took
