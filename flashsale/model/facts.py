"""Facts: the immutable entries of a sale's journal.

In the stream a fact's entry id is `<seq>-<at_ms>`, and its one field is named by its type and holds its data:

    sale.opened               the sale's definition, canonical JSON, frozen from here on
    sale.paused .resumed .closed   who or what did it, text
    item.restocked            MessagePack [sku, units, reason]; units may be negative only before the sale has opened
    reservation.held          token (16 characters), then the record as it was written
    reservation.extended      token, then the new held_until_ms as 6 bytes big-endian
    reservation.expired       token
    reservation.cancelled     token, then the reason, text
"""

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from flashsale.model.reservation import Reservation, unpack_record

_TOKEN_BYTES = 16
_decode_restock = msgspec.msgpack.Decoder(tuple[str, int, str]).decode


class FactType(StrEnum):
    """Every type of fact."""

    SALE_OPENED = "sale.opened"
    SALE_PAUSED = "sale.paused"
    SALE_RESUMED = "sale.resumed"
    SALE_CLOSED = "sale.closed"
    ITEM_RESTOCKED = "item.restocked"
    HELD = "reservation.held"
    EXTENDED = "reservation.extended"
    CONFIRMED = "reservation.confirmed"
    CANCELLED = "reservation.cancelled"
    EXPIRED = "reservation.expired"
    REFUNDED = "reservation.refunded"


@dataclass(frozen=True, slots=True)
class Fact:
    """One change, as it was decided: gapless `seq` from 1, the instant, the type and its data as stored."""

    seq: int
    at_ms: int
    type: str
    """A `FactType`; any other text is a finding of the audit."""
    data: bytes

    @property
    def token(self) -> str:
        """The reservation a `reservation.*` fact is about."""
        return self.data[:_TOKEN_BYTES].decode("ascii")

    def held(self) -> Reservation:
        """The reservation of a `reservation.held` fact, as it was granted."""
        return unpack_record(self.token, self.data[_TOKEN_BYTES:])

    def extended_until_ms(self) -> int:
        """The new end of the hold of a `reservation.extended` fact."""
        return int.from_bytes(self.data[_TOKEN_BYTES:], "big")

    def restocked(self) -> tuple[str, int, str]:
        """sku, units and reason of an `item.restocked` fact.

        Raises:
            ValueError: the data is something else.
        """
        try:
            return _decode_restock(self.data)
        except msgspec.MsgspecError as error:
            raise ValueError(f"not the data of item.restocked: {error}") from error
