"""Refused tries to reserve, as they are noted for support: who was told what, when first, when last, and how often.

Noted are the refusals that somebody may complain of. A packed batch is what one worker has noted in a second or so of one
sale, MessagePack [noted_ms, dropped, customer, outcome, first, last, count, ...]: `noted_ms` is that worker's clock
when it packed them, `first` and `last` are how many milliseconds before that, `dropped` how many more there were than it
could note. The id of the stream's entry is the store's clock at the same time, so that all instants are told by that clock.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from flashsale.model.outcomes import Reserve

BUSY: Final = 0
"""Too many were waiting: nothing was decided."""
UNAVAILABLE: Final = 100
"""The store was away or did not answer in time: perhaps it was granted all the same. Far from the numbers of `Reserve`."""
NAMES: Final = {
    BUSY: "busy",
    UNAVAILABLE: "unavailable",
    int(Reserve.NOT_OPEN): "not_open",
    int(Reserve.PAUSED): "paused",
    int(Reserve.CLOSED): "closed",
    int(Reserve.LIMIT_REACHED): "limit_reached",
    int(Reserve.SOLD_OUT): "sold_out",
}
"""What is noted, by its number."""
TOGETHER_MS: Final = 60_000
"""Tries with the same outcome that are no further apart are told as one."""
_PARTS: Final = 5

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[int | str]).decode


@dataclass(frozen=True, slots=True)
class Attempt:
    """Tries of one customer with one outcome."""

    outcome: int
    first_ms: int
    last_ms: int
    count: int

    @property
    def name(self) -> str:
        """`sold_out`, ..."""
        return NAMES.get(self.outcome, "unknown")


Note = tuple[str, int, int, int, int]
"""customer, outcome, first_ms, last_ms, count"""


def pack(noted_ms: int, dropped: int, notes: Iterable[Note]) -> bytes:
    """A batch."""
    flat: list[int | str] = [noted_ms, dropped]
    for customer, outcome, first_ms, last_ms, count in notes:
        flat += (customer, outcome, noted_ms - first_ms, noted_ms - last_ms, count)
    return _encode(flat)


def dropped_of(packed: bytes) -> int:
    """How many tries could not be noted with a batch.

    Raises:
        ValueError: it is no batch.
    """
    return int(_unpack(packed)[1])


def of_customer(packed: bytes, customer: str, stored_ms: int) -> Iterator[Attempt]:
    """What a batch tells of one customer, by the clock of the store, which said `stored_ms` when it was packed.

    Raises:
        ValueError: it is no batch.
    """
    flat = _unpack(packed)
    for at in range(2, len(flat), _PARTS):
        if flat[at] == customer:
            outcome, first, last, count = (int(each) for each in flat[at + 1 : at + _PARTS])
            yield Attempt(outcome, stored_ms - first, stored_ms - last, count)


def _unpack(packed: bytes) -> list[int | str]:
    try:
        flat = _decode(packed)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a batch of attempts: {error}") from error
    if len(flat) < 2 or (len(flat) - 2) % _PARTS:
        raise ValueError("not a batch of attempts: it is cut off")
    return flat


def together(attempts: Iterable[Attempt]) -> list[Attempt]:
    """In order, those that follow each other within a minute as one."""
    merged: list[Attempt] = []
    open_: dict[int, int] = {}
    for each in sorted(attempts, key=lambda one: (one.first_ms, one.last_ms, one.outcome)):
        at = open_.get(each.outcome)
        if at is not None and each.first_ms - merged[at].last_ms <= TOGETHER_MS:
            last_ms = max(merged[at].last_ms, each.last_ms)
            merged[at] = replace(merged[at], last_ms=last_ms, count=merged[at].count + each.count)
        else:
            open_[each.outcome] = len(merged)
            merged.append(each)
    return merged
