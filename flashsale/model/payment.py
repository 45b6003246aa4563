"""The payments of one reservation, and the packed record that holds them in Redis.

A reservation may be paid in several *attempts* (another method, a new try after a decline); each attempt is one payment at
the provider. A *charge* is money that a provider has taken. It is named by its reference, `<provider>:<id there>`, and has
exactly one *fate*, decided once, by lua/confirm.lua.

Record, big-endian; the scripts read and write everything but the details, which they copy:

    status 1 | attempt 1 | method 1 | money 10 | reference length 1 | charges length 2 | reference | charges | details

    money:   amount 7 (minor units), currency 3 (ISO 4217)
    charges: of each  fate 1 | money 10 | reference length 1 | reference
    details: MessagePack map {action, error}, or nothing
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

import msgspec

from flashsale.model.sale import MAX_AMOUNT, PaymentMethod

METHODS: Final[tuple[PaymentMethod, ...]] = ("card", "bank_transfer", "alipay", "paypal", "klarna")
"""A method's code in records and facts is its place here, counted from 1. Only ever add at the end."""

SIMULATOR: Final = "simulator"
"""Name of the provider that charges nobody: what it takes pays for rehearsals, and for other sales only where the shop takes
all its money from there. lua/confirm.lua knows it too."""

HEADER_BYTES: Final = 16
MONEY_BYTES: Final = 10
CHARGE_BYTES: Final = 12
MAX_REFERENCE_BYTES: Final = 255
_AMOUNT_BYTES: Final = 7

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[str, Any]).decode


class PaymentStatus(IntEnum):
    """Where a reservation's payment stands; the numbers are the first byte of its record."""

    QUEUED = 1
    """It waits for its turn at the provider."""
    REQUIRES_ACTION = 2
    """The customer has to do something: see `action`."""
    PROCESSING = 3
    """The provider is at it."""
    FAILED = 4
    """Declined, or not possible. Another attempt may be made as long as the hold lasts."""
    CANCELLED = 5
    """Given up, with the hold or by the provider."""
    PAID = 6
    REFUNDING = 7
    """The money is on its way back."""
    REFUNDED = 8


UNDER_WAY: Final = frozenset({PaymentStatus.QUEUED, PaymentStatus.REQUIRES_ACTION, PaymentStatus.PROCESSING})


class Fate(IntEnum):
    """What becomes of a charge."""

    ORDER = 1
    """It pays for an order."""
    REFUNDING = 2
    """It is to be given back; the job is queued."""
    REFUNDED = 3
    """The provider has given it back."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units of a currency."""

    amount: int
    currency: str

    def pack(self) -> bytes:
        """Its ten bytes.

        Raises:
            ValueError: an amount or a currency that no record can hold.
        """
        code = self.currency.encode("ascii", "replace")
        if not 0 <= self.amount <= MAX_AMOUNT or len(code) != 3:
            raise ValueError(f"{self.amount} {self.currency!r} is not an amount of money")
        return self.amount.to_bytes(_AMOUNT_BYTES, "big") + code

    @classmethod
    def unpack(cls, packed: bytes) -> "Money":
        """Money from its ten bytes."""
        return cls(
            int.from_bytes(packed[:_AMOUNT_BYTES], "big"), packed[_AMOUNT_BYTES:MONEY_BYTES].decode("ascii")
        )


@dataclass(frozen=True, slots=True)
class Charge:
    """Money taken by a provider, and what becomes of it."""

    reference: str
    money: Money
    fate: Fate


@dataclass(frozen=True, slots=True)
class PaymentRecord:
    """The payments of one reservation."""

    status: PaymentStatus
    attempt: int
    """Number of the present attempt, from 1; 0 when a charge came of which nobody knew."""
    method: PaymentMethod | None
    money: Money
    """What is due at once."""
    reference: str = ""
    """The present attempt at the provider; empty until the provider has answered."""
    charges: tuple[Charge, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def action(self) -> dict[str, Any] | None:
        """What the customer's page must do next."""
        return self.details.get("action") if self.status is PaymentStatus.REQUIRES_ACTION else None

    @property
    def error(self) -> str | None:
        """Why the last attempt failed, for the customer to read."""
        return self.details.get("error") if self.status is PaymentStatus.FAILED else None

    def charge(self, reference: str) -> Charge | None:
        """The charge of this reference."""
        return next((each for each in self.charges if each.reference == reference), None)


def is_simulated(reference: str) -> bool:
    """Whether a charge is one of the simulator's."""
    return reference.startswith(f"{SIMULATOR}:")


def method_code(method: str) -> int:
    """The code of a method; 0 for one nobody knows."""
    return METHODS.index(method) + 1 if method in METHODS else 0


def method_of(code: int) -> PaymentMethod | None:
    """The method of a code; None for 0.

    Raises:
        ValueError: no method has it.
    """
    if code > len(METHODS):
        raise ValueError(f"no payment method has the code {code}")
    return METHODS[code - 1] if code else None


def pack_details(details: dict[str, Any]) -> bytes:
    """The end of a record; nothing when there is nothing to say."""
    return _encode(details) if details else b""


def pack_record(record: PaymentRecord) -> bytes:
    """What the scripts write: the oracle of their records in tests and audits."""
    reference = record.reference.encode("ascii")
    charges = b"".join(_pack_charge(each) for each in record.charges)
    return (
        bytes((record.status, record.attempt, method_code(record.method or "")))
        + record.money.pack()
        + len(reference).to_bytes(1, "big")
        + len(charges).to_bytes(2, "big")
        + reference
        + charges
        + pack_details(record.details)
    )


def _pack_charge(charge: Charge) -> bytes:
    reference = charge.reference.encode("ascii")
    return bytes((charge.fate,)) + charge.money.pack() + len(reference).to_bytes(1, "big") + reference


def unpack_record(packed: bytes) -> PaymentRecord:
    """A record from its bytes.

    Raises:
        ValueError: the bytes are not a record.
    """
    if len(packed) < HEADER_BYTES:
        raise ValueError(f"a payment record of {len(packed)} bytes is too short")
    charges_at = HEADER_BYTES + packed[13]
    details_at = charges_at + int.from_bytes(packed[14:16], "big")
    if len(packed) < details_at:
        raise ValueError("a payment record is cut off")
    details = packed[details_at:]
    try:
        return PaymentRecord(
            status=PaymentStatus(packed[0]),
            attempt=packed[1],
            method=method_of(packed[2]),
            money=Money.unpack(packed[3:13]),
            reference=packed[HEADER_BYTES:charges_at].decode("ascii"),
            charges=tuple(_unpack_charges(packed[charges_at:details_at])),
            details=_decode(details) if details else {},
        )
    except (msgspec.MsgspecError, IndexError) as error:
        raise ValueError(f"not a payment record: {error}") from error


def _unpack_charges(packed: bytes) -> list[Charge]:
    charges, at = [], 0
    while at < len(packed):
        length = packed[at + CHARGE_BYTES - 1]
        end = at + CHARGE_BYTES + length
        if end > len(packed):
            raise ValueError("a charge is cut off")
        money = Money.unpack(packed[at + 1 : at + 1 + MONEY_BYTES])
        charges.append(Charge(packed[at + CHARGE_BYTES : end].decode("ascii"), money, Fate(packed[at])))
        at = end
    return charges
