"""What the demo, its crowd and its order system say to each other: one JSON object a line, each with its `type`.

The parent writes a `Plan` and later an `Opening` to the crowd's standard input; the crowd writes the others
to its standard output. To the order system it writes where to `TakeOrders`, and is told how far that has come.
Secrets travel in the environment, never in a message.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["sale", "replay", "sold_out", "not_open", "busy", "cut", "error"]
"""What became of one request: 201, 200, 409 sold_out, 409 not_open, 503, no answer at all, anything else."""

FINAL: frozenset[Kind] = frozenset({"sale", "replay", "sold_out", "error"})
"""The kinds after which a shopper stops pressing; the others are pressed again."""

Intent = Literal["pay", "decline", "walk_away", "late"]
"""What a shopper who got a hold does with it: pays, is declined, leaves, or pays when it has ended."""

Outcome = Literal[
    "paid", "refunded", "released", "declined", "walked_away", "expired", "untold", "interrupted", "error"
]
"""How a checkout ended for its shopper, as the shop told them:

paid         the reservation is confirmed
refunded     the money is on its way back, or is back
released     they agreed to pay too late, and nothing was taken
declined     their payment was declined, and they gave up
walked_away  they never began to pay
expired      they wanted to pay, and their hold had ended
untold       they have paid, and were not told what became of it as long as they waited
interrupted  the demo ended first
error        an answer that no shopper should get
"""


class Shares(msgspec.Struct, frozen=True):
    """How many of a hundred do what. The first three are of those who got a hold and exclude each other."""

    decline: float = 10.0
    walk_away: float = 8.0
    late: float = 4.0
    again: float = 60.0
    """Of those who were declined: they try another method."""
    come_back: float = 10.0
    """Of those who were told that it is sold out: they watch for units that are free again."""


class Plan(msgspec.Struct, frozen=True, tag_field="type", tag="plan"):
    """Who is in the crowd and where it presses."""

    host: str
    port: int
    sale: str
    shoppers: int
    connections: int
    seed: int
    stock: dict[str, int]
    methods: list[str]
    hold_seconds: int
    shares: Shares = Shares()
    early_share: float = 0.05
    double_share: float = 0.10
    answer_timeout_s: float = 10.0
    patience_s: float = 60.0


class Opening(msgspec.Struct, frozen=True, tag_field="type", tag="opening"):
    """The sale is defined and opens at this instant of the server's clock (milliseconds since 1970)."""

    opens_at_ms: int


class Ready(msgspec.Struct, frozen=True, tag_field="type", tag="ready"):
    """Tokens are signed and connections are open."""

    shoppers: int
    connections: int
    early: int
    doubles: int


class Clock(msgspec.Struct, frozen=True, tag_field="type", tag="clock"):
    """How the crowd set its clock: T0 is at most `late_ms` after the opening by the server's clock."""

    samples: int
    late_ms: float


class Progress(msgspec.Struct, frozen=True, tag_field="type", tag="progress"):
    """Answers to the rush so far, by kind; and how far the checkouts are, by what has happened."""

    since_t0_ms: float
    counts: dict[str, int]
    waiting: int
    checkouts: dict[str, int] = {}


class Answer(msgspec.Struct, frozen=True, tag_field="type", tag="answer"):
    """One request and what came of it. Times are milliseconds from T0 on the crowd's monotonic clock.

    `intended_ms` is when the shopper pressed, not when a connection was free, and a retry keeps it: latency
    is `received_ms - intended_ms`, so that waiting for a busy server is never left out. `visit` is 0 in the rush,
    and then counts how often the shopper has come back.
    """

    shopper: int
    customer: str
    sku: str
    kind: Kind
    status: int
    code: str
    attempt: int
    double: bool
    intended_ms: float
    sent_ms: float
    received_ms: float
    reservation: str = ""
    told_customer: str = ""
    place: int = 0
    held_until: str = ""
    next_release_at: str = ""
    held_by_others: int = 0
    visit: int = 0
    detail: str = ""


class Checkout(msgspec.Struct, frozen=True, tag_field="type", tag="checkout"):
    """What one shopper did with a hold, and how it ended. Times are milliseconds from T0, as in `Answer`."""

    shopper: int
    customer: str
    reservation: str
    intent: Intent
    outcome: Outcome
    ended_ms: float
    attempts: int = 0
    declines: int = 0
    taken: list[str] = []
    """The payments, by their ids at the provider, to which it has said yes to the shopper."""
    detail: str = ""


class Shopper(msgspec.Struct, frozen=True):
    """One member of the crowd: who, and what they came for."""

    customer: str
    sku: str


class Done(msgspec.Struct, frozen=True, tag_field="type", tag="done"):
    """The crowd has gone home, and every `Answer` and `Checkout` came before; their `shopper` is an index of `crowd`.

    From T0: when it began to press, and when nobody was left.
    """

    crowd: list[Shopper]
    began_ms: float
    ended_ms: float


class TakeOrders(msgspec.Struct, frozen=True, tag_field="type", tag="take_orders"):
    """Of which sale the order system shall read the orders, and in which file it keeps its books."""

    url: str
    sale: str
    books: str


class Received(msgspec.Struct, frozen=True, tag_field="type", tag="received"):
    """What stands in the order system's books: orders, how many of them were refunded, and the last sequence.

    `dropped` counts what it was told once more.
    """

    orders: int = 0
    refunds: int = 0
    sequence: int = 0
    dropped: int = 0


class Began(msgspec.Struct, frozen=True, tag_field="type", tag="began"):
    """The order system reads: so far its books go already, and it is its so-many-th process, from 1."""

    run: int
    books: Received


class Stopped(msgspec.Struct, frozen=True, tag_field="type", tag="stopped"):
    """The order system cannot go on; it ends after this."""

    reason: str


ToCrowd = Plan | Opening
FromCrowd = Ready | Clock | Progress | Answer | Checkout | Done
FromOrderSystem = Began | Received | Stopped

_encoder = msgspec.json.Encoder()
_to_crowd: msgspec.json.Decoder[ToCrowd] = msgspec.json.Decoder(ToCrowd)
_from_crowd: msgspec.json.Decoder[FromCrowd] = msgspec.json.Decoder(FromCrowd)
_to_order_system = msgspec.json.Decoder(TakeOrders)
_from_order_system: msgspec.json.Decoder[FromOrderSystem] = msgspec.json.Decoder(FromOrderSystem)


def encode(message: ToCrowd | FromCrowd | TakeOrders | FromOrderSystem) -> bytes:
    """One line, newline included."""
    return _encoder.encode(message) + b"\n"


def decode_for_crowd(line: bytes) -> ToCrowd:
    """Raises msgspec.DecodeError for a line that is no message."""
    return _to_crowd.decode(line)


def decode_from_crowd(line: bytes) -> FromCrowd:
    """Raises msgspec.DecodeError for a line that is no message."""
    return _from_crowd.decode(line)


def decode_for_order_system(line: bytes) -> TakeOrders:
    """Raises msgspec.DecodeError for a line that is no message."""
    return _to_order_system.decode(line)


def decode_from_order_system(line: bytes) -> FromOrderSystem:
    """Raises msgspec.DecodeError for a line that is no message."""
    return _from_order_system.decode(line)
