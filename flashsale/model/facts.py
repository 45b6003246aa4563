"""Facts: the immutable entries of a sale's journal.

In the stream a fact's entry id is `<seq>-<at_ms>`, and its one field is named by its type and holds its data:

    sale.opened               the sale's definition, canonical JSON, frozen from here on
    sale.paused .resumed .closed   who or what did it, text
    item.restocked            MessagePack [sku, units, reason]; units may be negative only before the sale has opened
    reservation.held          token (16 characters), then the record as it was written
    reservation.extended      token, then the new held_until_ms as 6 bytes big-endian
    reservation.expired       token
    reservation.cancelled     token, then the reason, text
    reservation.confirmed     token, 1 when it was late or else 0, method (1 byte each), then the charge
    reservation.refunded      token, "1" when the units went back on sale or else "0", then the reason, text
    charge.refused            token, why (1 byte: `Confirm`), method (1 byte), then the charge that is to be given back
    charge.refunded           token, reference length (1 byte), reference, then the refund's own id at the provider

A charge is its money (10 bytes), the length of its reference (1 byte) and its reference; see `flashsale.model.payment`.
"""

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from flashsale.model.outcomes import Confirm
from flashsale.model.payment import MONEY_BYTES, Money, method_of
from flashsale.model.reservation import Reservation, unpack_record
from flashsale.model.sale import PaymentMethod

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
    CHARGE_REFUSED = "charge.refused"
    CHARGE_REFUNDED = "charge.refunded"


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The data of a `reservation.confirmed` fact."""

    late: bool
    method: PaymentMethod | None
    money: Money
    reference: str


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

    def held(self) -> Reservation:
        """The reservation of a `reservation.held` fact, as it was granted."""
        return unpack_record(self.token, self.data[_TOKEN_BYTES:])

    def extended_until_ms(self) -> int:
        """The new end of the hold of a `reservation.extended` fact."""
        return int.from_bytes(self.data[_TOKEN_BYTES:], "big")

    def confirmed(self) -> Confirmed:
        """The charge of a `reservation.confirmed` fact."""
        data = self.data[_TOKEN_BYTES:]
        return Confirmed(data[0] == 1, method_of(data[1]), *_charge(data[2:]))

    def refunded(self) -> tuple[bool, str]:
        """Whether the units of a `reservation.refunded` fact went back on sale, and the reason.

        Raises:
            ValueError: it does not say.
        """
        data = self.data[_TOKEN_BYTES:]
        if data[:1] not in {b"0", b"1"}:
            raise ValueError("neither back on sale nor gone")
        return data[:1] == b"1", data[1:].decode()

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
