"""The whole state of a sale as its facts have it, in the form in which the scripts keep it.

The replay of the audit knows what every counter, hold and record must be; this puts it into bytes. Of payments the facts
tell only the charges: what else is known of them comes from an older record, where the facts do not contradict it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from flashsale.model import payment, reservation
from flashsale.model.audit import Replay
from flashsale.model.facts import Fact, FactType
from flashsale.model.jobs import JobKind
from flashsale.model.outcomes import Confirm
from flashsale.model.payment import Charge, Fate, Money, PaymentRecord, PaymentStatus
from flashsale.model.reservation import COUNTED, State
from flashsale.model.sale import PaymentMethod

MOST_ENTRIES: Final = 64
"""Of one customer, before ended ones are dropped; as in lua/reserve.lua."""
UNKNOWN: Final = (
    "Where an earlier payment stands is not known. If you have paid, it will be found; else pay again."
)
"""What the customer reads whose payment may have begun in the part that was lost."""

_UNASKED: Final = frozenset({Confirm.UNKNOWN_RESERVATION, Confirm.NOT_REQUESTED})

Job = tuple[JobKind, bytes]
"""Kind and payload."""


@dataclass(slots=True)
class Rebuild:
    """The state after the facts applied so far."""

    replay: Replay = field(default_factory=Replay)
    definition: bytes | None = None
    """As `sale.opened` has frozen it; None before."""
    _methods: dict[str, PaymentMethod | None] = field(default_factory=dict)
    """reference of a charge -> method"""
    _paid_by: dict[str, str] = field(default_factory=dict)
    """token -> reference of the charge that has paid for its order, undone or not"""
    _asked: set[str] = field(default_factory=set)
    """Tokens of reservations for which somebody had asked to pay, as far as the facts tell."""

    def apply(self, fact: Fact) -> None:
        """Takes in the next fact.

        Raises:
            FactError: it does not add up with those before.
        """
        self.replay.apply(fact)
        if fact.type == FactType.SALE_OPENED:
            self.definition = fact.data
        elif fact.type == FactType.CONFIRMED:
            paid = fact.confirmed()
            self._methods[paid.reference] = paid.method
            self._paid_by[fact.token] = paid.reference
            self._asked.add(fact.token)
        elif fact.type == FactType.CHARGE_REFUSED:
            refused = fact.charge_refused()
            self._methods[refused.reference] = refused.method
            if refused.reason not in _UNASKED:
                self._asked.add(fact.token)

    # --- the sale and its items ---

    def sale(self, version: int) -> dict[str, bytes | str]:
        """Fields of the hash `sale`. A sale that has not opened has no definition: that is in no fact."""
        replay, terms = self.replay, self.replay.terms
        fields: dict[str, bytes | str] = {"seq": str(replay.seq), "place": str(replay.place)}
        if replay.orders:
            fields["orders"] = str(replay.orders)
        if terms is not None and self.definition is not None:
            numbers = {
                "opens_ms": terms.opens_ms,
                "closes_ms": terms.closes_ms or 0,
                "limit": terms.limit or 0,
                "hold_ms": terms.hold_ms,
                "items": len(terms.prices),
                "version": version,
                "opened": 1,
            }
            fields |= {name: str(number) for name, number in numbers.items()}
            fields |= {"state": replay.state, "definition": self.definition}
            if terms.rehearsal:
                fields["rehearsal"] = "1"
        return fields

    def stock(self) -> dict[str, str]:
        """Fields of the hash `stock`."""
        terms = self.replay.terms
        if terms is None:
            return {}
        fields: dict[str, str] = {}
        for sku, item in self.replay.items.items():
            limit = terms.item_limits.get(sku) or 0
            counters = (item.stock, item.available, item.held, item.sold, limit)
            names = ("stock", "available", "held", "sold", "limit")
            fields |= {f"{name}:{sku}": str(count) for name, count in zip(names, counters, strict=True)}
        return fields

    # --- reservations ---

    def reservations(self) -> Iterator[tuple[str, bytes]]:
        """Fields of the hash `reservations`."""
        for token, claimed in self.replay.reservations.items():
            yield token, reservation.pack_record(claimed.reservation(token))

    def holds(self) -> Iterator[tuple[str, int]]:
        """Members of `holds`, and when they end."""
        for token, claimed in self.replay.reservations.items():
            if claimed.state is State.HELD:
                yield token, claimed.held_until_ms

    def customers(self) -> Iterator[tuple[str, bytes]]:
        """Fields of the hash `customers`."""
        claims = self.replay.reservations
        for customer, tokens in self.replay.customers.items():
            counted = [
                (
                    token,
                    sum(units for _, units in claims[token].lines) if claims[token].state in COUNTED else 0,
                )
                for token in tokens
            ]
            ended = len(counted) - MOST_ENTRIES
            kept = []
            for token, units in counted:
                if ended > 0 and not units:
                    ended -= 1
                    continue
                kept.append(token.encode("ascii") + units.to_bytes(4, "big"))
            yield customer, b"".join(kept)

    # --- payments ---

    def payers(self) -> list[str]:
        """Tokens of which there may be a payment: those granted, and those that somebody has paid for all the same."""
        return [*self.replay.reservations, *self.replay.strangers()]

    def payment(self, token: str, old: PaymentRecord | None) -> tuple[PaymentRecord | None, list[Job]]:
        """The record of a payment, and what remains to be done about it. `old` is what was known when less had happened.

        Giving back and cancelling are done once however often they are asked for, so whatever may still be to do is asked
        for again.
        """
        claimed, charges = self.replay.reservations.get(token), self.replay.ledger.of(token)
        state = claimed.state if claimed is not None else None
        if old is not None and any(self.replay.ledger.differences(token, state, old)):
            record = self._rebuilt(token, charges, old)
        elif old is not None:
            over = state is State.CANCELLED and old.status <= PaymentStatus.FAILED
            record = _ended(old) if over else old
        elif charges:
            record = self._rebuilt(token, charges, None)
        else:
            record = self._perhaps_begun(token) if state is State.HELD else None
        return record, [*_refunds(token, charges), *_voids(token, old, record)]

    def _rebuilt(
        self, token: str, charges: tuple[Charge, ...], old: PaymentRecord | None
    ) -> PaymentRecord | None:
        if not charges:
            return None
        attempt = max(1, old.attempt if old is not None else 0) if token in self._asked else 0
        if token in self._paid_by:
            charge = next(each for each in charges if each.reference == self._paid_by[token])
            reference, money = charge.reference, charge.money
        else:
            charge, reference = charges[0], old.reference if old is not None else ""
            money = self._due(token) if attempt else charge.money
        if any(each.fate is Fate.ORDER for each in charges):
            status = PaymentStatus.PAID
        elif any(each.fate is Fate.REFUNDING for each in charges):
            status = PaymentStatus.REFUNDING
        else:
            status = PaymentStatus.REFUNDED
        return PaymentRecord(status, attempt, self._methods[charge.reference], money, reference, charges)

    def _perhaps_begun(self, token: str) -> PaymentRecord:
        """Of a hold: a charge that comes for it is one that may well have been asked for, so it may pay for the order."""
        return PaymentRecord(PaymentStatus.FAILED, 1, None, self._due(token), details={"error": UNKNOWN})

    def _due(self, token: str) -> Money:
        terms = self.replay.terms
        if terms is None:
            raise ValueError(f"reservation {token} was granted before the sale had opened")
        return terms.due(self.replay.reservations[token].lines)


def _ended(record: PaymentRecord) -> PaymentRecord:
    """The payment of a hold that was cancelled."""
    return PaymentRecord(
        PaymentStatus.CANCELLED,
        record.attempt,
        record.method,
        record.money,
        record.reference,
        record.charges,
        record.details,
    )


def _refunds(token: str, charges: tuple[Charge, ...]) -> Iterator[Job]:
    for charge in charges:
        if charge.fate is Fate.REFUNDING:
            reference = charge.reference.encode("ascii")
            money = charge.money.pack() + bytes((len(reference),))
            yield JobKind.REFUND, token.encode("ascii") + money + reference


def _voids(token: str, old: PaymentRecord | None, record: PaymentRecord | None) -> Iterator[Job]:
    """The attempt that was the present one then, and has been given up since."""
    if old is None or not old.reference or old.status > PaymentStatus.FAILED:
        return
    if record is None or (record.status > PaymentStatus.FAILED and record.charge(old.reference) is None):
        yield JobKind.VOID, token.encode("ascii") + bytes((old.attempt,)) + old.reference.encode("ascii")


def pack_payment(record: PaymentRecord) -> bytes:
    """Its value in the hash `attempts`."""
    return payment.pack_record(record)
