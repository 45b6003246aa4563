"""Facts: the immutable entries of a sale's journal.

In the stream a fact's entry id is `<seq>-<at_ms>`, and its one field is named by its type and holds its data:

    sale.opened               the sale's definition, canonical JSON, frozen from here on
    sale.paused .resumed .closed   who or what did it, text
    item.restocked            MessagePack [sku, units, reason]; units may be negative only before the sale has opened
    reservation.held          token (16 characters), then the record as it was written
    reservation.extended      token, then the new held_until_ms as 6 bytes big-endian
    reservation.expired       token
    reservation.cancelled     token, then the reason, text
    reservation.confirmed     token, sequence, 1 when it was late or else 0, method (1 byte each), then the charge
    reservation.refunded      token, sequence, "1" when the units went back on sale or else "0", method (1 byte), then the
                              charge that is to be given back, then the reason, text
    charge.refused            token, why (1 byte: `Confirm`), method (1 byte), then the charge that is to be given back
    charge.refunded           token, reference length (1 byte), reference, then the refund's own id at the provider

A charge is its money (10 bytes), the length of its reference (1 byte) and its reference; see `flashsale.model.payment`.
A sequence (6 bytes big-endian) numbers the facts that make or undo an order, gapless from 1, for those who read only them.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from flashsale.model.outcomes import Confirm
from flashsale.model.payment import MONEY_BYTES, Money, method_of
from flashsale.model.reservation import Reservation, unpack_record
from flashsale.model.sale import PaymentMethod

_TOKEN_BYTES = 16
_SEQUENCE_BYTES = 6
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
    CHARGE_REFUSED = "charge.refused"
    CHARGE_REFUNDED = "charge.refunded"


ORDER_FACTS: Final = frozenset({FactType.CONFIRMED, FactType.REFUNDED})
"""Those that make or undo an order."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The data of a `reservation.confirmed` fact."""

    sequence: int
    late: bool
    method: PaymentMethod | None
    money: Money
    reference: str


@dataclass(frozen=True, slots=True)
class Refunded:
    """The data of a `reservation.refunded` fact."""

    sequence: int
    restocked: bool
    """Whether the units went back on sale."""
    method: PaymentMethod | None
    money: Money
    reference: str
    """The charge that is to be given back; empty when its record was lost."""
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The data of a `charge.refused` fact."""

    reason: Confirm
    method: PaymentMethod | None
    money: Money
    reference: str


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

    @property
    def sequence(self) -> int:
        """Which one, of the facts of its sale that make or undo an order, a fact of these two types is."""
        return int.from_bytes(self.data[_TOKEN_BYTES : _TOKEN_BYTES + _SEQUENCE_BYTES], "big")

    def held(self) -> Reservation:
        """The reservation of a `reservation.held` fact, as it was granted."""
        return unpack_record(self.token, self.data[_TOKEN_BYTES:])

    def extended_until_ms(self) -> int:
        """The new end of the hold of a `reservation.extended` fact."""
        return int.from_bytes(self.data[_TOKEN_BYTES:], "big")

    def confirmed(self) -> Confirmed:
        """The charge of a `reservation.confirmed` fact."""
        data = self.data[_TOKEN_BYTES + _SEQUENCE_BYTES :]
        return Confirmed(self.sequence, data[0] == 1, method_of(data[1]), *_charge(data[2:]))

    def refunded(self) -> Refunded:
        """What a `reservation.refunded` fact tells.

        Raises:
            ValueError: it does not say.
        """
        data = self.data[_TOKEN_BYTES + _SEQUENCE_BYTES :]
        if data[:1] not in {b"0", b"1"}:
            raise ValueError("neither back on sale nor gone")
        reason_at = 2 + MONEY_BYTES + 1 + data[2 + MONEY_BYTES]
        money, reference = _charge(data[2:reason_at])
        reason = data[reason_at:].decode()
        return Refunded(self.sequence, data[:1] == b"1", method_of(data[1]), money, reference, reason)

    def charge_refused(self) -> Refused:
        """The charge of a `charge.refused` fact."""
        data = self.data[_TOKEN_BYTES:]
        return Refused(Confirm(data[0]), method_of(data[1]), *_charge(data[2:]))

    def charge_refunded(self) -> tuple[str, str]:
        """The charge's reference and the refund's id of a `charge.refunded` fact."""
        data = self.data[_TOKEN_BYTES:]
        end = 1 + data[0]
        return data[1:end].decode("ascii"), data[end:].decode()

    def restocked(self) -> tuple[str, int, str]:
        """sku, units and reason of an `item.restocked` fact.

        Raises:
            ValueError: the data is something else.
        """
        try:
            return _decode_restock(self.data)
        except msgspec.MsgspecError as error:
            raise ValueError(f"not the data of item.restocked: {error}") from error


def _charge(data: bytes) -> tuple[Money, str]:
    """Money and reference of a charge.

    Raises:
        ValueError: it is cut off, or longer than it says.
    """
    if len(data) <= MONEY_BYTES or len(data) != MONEY_BYTES + 1 + data[MONEY_BYTES]:
        raise ValueError("not a charge")
    return Money.unpack(data), data[MONEY_BYTES + 1 :].decode("ascii")
