"""A reservation, and the packed record that holds it in Redis.

Record: a header of 20 bytes, big-endian, which the scripts read and write, then a MessagePack body, which they copy:

    state 1 | flags 1 | held_ms 6 | held_until_ms 6 | place 6 | [customer, sku, units, sku, units, ...]

    flags: 1 its hold was extended, 2 it was paid late

MessagePack gives every text its length, so no customer id, sku or Unicode text can be mistaken for structure. Amounts are
not stored: they follow from the sale's definition, which cannot change once it has opened.
"""

from dataclasses import dataclass
from enum import IntEnum

import msgspec

HEADER_BYTES = 20
ENTRY_BYTES = 20
_ID_BYTES = 16
_EXTENDED = 1
_LATE = 2

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[str | int]).decode

Line = tuple[str, int]
"""sku and units"""


class State(IntEnum):
    """State of a reservation; the numbers are the first byte of its record."""

    HELD = 1
    CONFIRMED = 2
    CANCELLED = 3
    EXPIRED = 4
    REFUNDED = 5


COUNTED = frozenset({State.HELD, State.CONFIRMED})
"""The states whose units count against the customer's limit."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """A customer's claim on units of a sale."""

    token: str
    state: State
    extended: bool
    held_ms: int
    held_until_ms: int
    place: int
    customer: str
    lines: tuple[Line, ...]
    late: bool = False
    """It was paid after its hold had ended, and its units could be taken again."""

    @property
    def units(self) -> int:
        """Units of all lines together."""
        return sum(units for _, units in self.lines)

    def state_at(self, now_ms: int) -> State:
        """The state a reader should see: a hold whose time is over is expired, swept or not."""
        if self.state is State.HELD and self.held_until_ms <= now_ms:
            return State.EXPIRED
        return self.state


@dataclass(frozen=True, slots=True)
class Entry:
    """One reservation among a customer's entries; `units` is 0 once they no longer count against the limit."""

    token: str
    units: int


def pack_body(customer: str, lines: tuple[Line, ...]) -> bytes:
    """The MessagePack body of a record."""
    body: list[str | int] = [customer]
    for line in lines:
        body.extend(line)
    return _encode(body)


def unpack_body(body: bytes) -> tuple[str, tuple[Line, ...]]:
    """The customer and lines of a record's body.

    Raises:
        ValueError: the bytes are not such a body.
    """
    try:
        customer, *rest = _decode(body)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a record body: {error}") from error
    lines = tuple(zip(rest[::2], rest[1::2], strict=True))
    if not isinstance(customer, str) or not all(isinstance(s, str) and isinstance(u, int) for s, u in lines):
        raise ValueError("not a record body: customer, then sku and units in turn")
    return customer, lines  # type: ignore[return-value]  # just checked, element by element


def pack_record(reservation: Reservation) -> bytes:
    """What the scripts write for this reservation: the oracle of their records in tests and audits."""
    return (
        bytes((reservation.state, _EXTENDED * reservation.extended + _LATE * reservation.late))
        + reservation.held_ms.to_bytes(6, "big")
        + reservation.held_until_ms.to_bytes(6, "big")
        + reservation.place.to_bytes(6, "big")
        + pack_body(reservation.customer, reservation.lines)
    )


def unpack_record(token: str, record: bytes) -> Reservation:
    """A reservation from its record.

    Raises:
        ValueError: the bytes are not a record.
    """
    if len(record) <= HEADER_BYTES:
        raise ValueError(f"a record of {len(record)} bytes is too short")
    customer, lines = unpack_body(record[HEADER_BYTES:])
    return Reservation(
        token=token,
        state=State(record[0]),
        extended=bool(record[1] & _EXTENDED),
        held_ms=int.from_bytes(record[2:8], "big"),
        held_until_ms=int.from_bytes(record[8:14], "big"),
        place=int.from_bytes(record[14:20], "big"),
        customer=customer,
        lines=lines,
        late=bool(record[1] & _LATE),
    )


def unpack_entries(value: bytes) -> tuple[Entry, ...]:
    """A customer's entries, oldest first.

    Raises:
        ValueError: the bytes are not such entries.
    """
    if len(value) % ENTRY_BYTES:
        raise ValueError(f"customer entries of {len(value)} bytes are not a multiple of {ENTRY_BYTES}")
    return tuple(
        Entry(
            value[at : at + _ID_BYTES].decode("ascii"),
            int.from_bytes(value[at + _ID_BYTES : at + ENTRY_BYTES], "big"),
        )
        for at in range(0, len(value), ENTRY_BYTES)
    )
