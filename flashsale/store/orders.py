"""The orders stream of a sale: every event that makes or undoes an order, in order, numbered without a gap.

`fs:{S}:orders` has one entry an event. Its id is `<sequence>-<seq of the fact>`; `event` is the CloudEvent as JSON, `tally`
the sums of the sale's orders with it (`flashsale.model.events.Tally`). The journal is the truth; this is what it says to
order systems, made once by the publisher (flashsale/engine/publisher.py) and read by all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from flashsale.keys import SaleKeys
from flashsale.model.events import Event, Tally
from flashsale.scripts.loader import load
from flashsale.store.client import Store
from flashsale.store.lane import Lane
from flashsale.store.streams import Tail, entries_of

_LAST: Final = (1 << 64) - 1
_decode_tally = msgspec.json.Decoder(Tally).decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Published:
    """One event of the stream."""

    sale: str
    sequence: int
    """Which one of the sale's orders made and undone it is, gapless from 1."""
    seq: int
    """Of its fact in the journal."""
    body: bytes
    """The CloudEvent as JSON."""


class OrderStore:
    """The orders streams of one store. Every method may raise `StoreUnavailableError`."""

    def __init__(self, store: Store, *, timeout_s: float = 2.0) -> None:
        self._lane = Lane(store.redis, timeout_s=timeout_s)
        self._tail = Tail(store, timeout_s=timeout_s)

    async def read(self, sale: str, *, after: int = 0, limit: int = 1000) -> list[Published]:
        """Up to `limit` events with a sequence above `after`, in order."""
        names = SaleKeys.of(sale)
        reply = await self._lane.command("XRANGE", names.orders, after + 1, "+", "COUNT", limit)
        return [_published(sale, entry_id, fields) for entry_id, fields in entries_of(reply)]

    async def tail(self, after: Mapping[str, int], *, block_ms: int, limit: int = 1000) -> list[Published]:
        """Events of several sales behind these sequences, waiting up to `block_ms` (less than the timeout) for the first.

        At most `limit` a sale; those of a sale are in order. One call at a time: others wait for it.
        """
        by_key = {SaleKeys.of(sale).orders: (sale, f"{sequence}-{_LAST}") for sale, sequence in after.items()}
        found = await self._tail.read(
            {key: entry_id for key, (_, entry_id) in by_key.items()}, block_ms=block_ms, limit=limit
        )
        return [
            _published(by_key[key][0], entry_id, fields)
            for key, entries in found
            for entry_id, fields in entries
        ]

    async def first(self, sale: str) -> int:
        """The sequence of the oldest event that is still there; 0 when there is none."""
        reply = await self._lane.command("XRANGE", SaleKeys.of(sale).orders, "-", "+", "COUNT", 1)
        return next((_ids(entry_id)[0] for entry_id, _ in entries_of(reply)), 0)

    async def last(self, sale: str) -> tuple[Published | None, Tally]:
        """The newest event, and the sums of all orders up to it."""
        reply = await self._lane.command("XREVRANGE", SaleKeys.of(sale).orders, "+", "-", "COUNT", 1)
        for entry_id, fields in entries_of(reply):
            return _published(sale, entry_id, fields), _decode_tally(fields[b"tally"])
        return None, Tally()

    async def append(self, sale: str, events: Sequence[tuple[Event, Tally]]) -> bool:
        """Appends events (1 to 1000) with the sums up to each. False, and nothing is written, when somebody was faster."""
        last = await self._lane.call(load("publish"), (SaleKeys.of(sale).orders,), publish_args(events))
        return bool(last == events[-1][0].sequence)

    async def close(self) -> None:
        """Closes its connections."""
        await self._lane.close()
        await self._tail.close()


def publish_args(events: Sequence[tuple[Event, Tally]]) -> list[str | bytes | int]:
    """ARGV of `publish` for events in order, each with the sums up to it."""
    args: list[str | bytes | int] = [events[0][0].sequence - 1]
    for event, tally in events:
        args += (event.sequence, event.seq, event.body, _encode(tally))
    return args


def _published(sale: str, entry_id: bytes, fields: Mapping[bytes, bytes]) -> Published:
    sequence, seq = _ids(entry_id)
    return Published(sale, sequence, seq, fields[b"event"])


def _ids(entry_id: Any) -> tuple[int, int]:
    sequence, _, seq = entry_id.partition(b"-")
    return int(sequence), int(seq)
