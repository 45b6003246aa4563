"""The money of a sale as its facts have it: every charge, and the one fate it has."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from flashsale.model.payment import Charge, Fate, Money, PaymentRecord, PaymentStatus
from flashsale.model.reservation import State


class LedgerError(Exception):
    """Money that does not add up with what is known of it."""


@dataclass(slots=True)
class Booked:
    """A charge, whose it is, and what has become of it so far."""

    token: str
    money: Money
    fate: Fate


@dataclass(slots=True)
class Sum:
    """So many charges, and how much they are together in minor units."""

    count: int = 0
    amount: int = 0

    def add(self, amount: int) -> None:
        """Counts one more."""
        self.count += 1
        self.amount += amount


@dataclass(slots=True)
class MoneySums:
    """The money of one currency: charges = orders + refunding + refunds."""

    currency: str | None
    """None when nobody knows yet: the sale has not opened."""
    charges: Sum = field(default_factory=Sum)
    orders: Sum = field(default_factory=Sum)
    """Charges that pay for orders."""
    refunding: Sum = field(default_factory=Sum)
    """Charges on their way back."""
    refunds: Sum = field(default_factory=Sum)
    """Charges that were given back."""

    def add(self, amount: int, fate: Fate) -> None:
        """Counts one more charge, once by itself and once by its fate."""
        self.charges.add(amount)
        {Fate.ORDER: self.orders, Fate.REFUNDING: self.refunding, Fate.REFUNDED: self.refunds}[fate].add(
            amount
        )


@dataclass(slots=True)
class Ledger:
    """Every charge that the facts so far have decided."""

    charges: dict[str, Booked] = field(default_factory=dict)
    """By reference, in the order of the decisions."""
    references: dict[str, list[str]] = field(default_factory=dict)
    """token -> references of its charges, oldest first"""

    def book(self, token: str, reference: str, money: Money, fate: Fate) -> None:
        """Takes in a charge that has just been decided.

        Raises:
            LedgerError: it was decided before.
        """
        known = self.charges.get(reference)
        if known is not None:
            raise LedgerError(f"charge {reference} was decided before, for reservation {known.token}")
        self.charges[reference] = Booked(token, money, fate)
        self.references.setdefault(token, []).append(reference)

    def undo(self, token: str, reference: str, money: Money) -> None:
        """The order of this reservation is undone: what has paid for it is to be given back.

        An empty reference says that its record was lost by then.

        Raises:
            LedgerError: nothing has paid for it, or something else.
        """
        paid = [self.charges[reference] for reference in self.references.get(token, ())]
        orders = [booked for booked in paid if booked.fate is Fate.ORDER]
        if len(orders) != 1:
            raise LedgerError(f"reservation {token} was refunded, and {len(orders)} charges have paid for it")
        if (reference and self.charges.get(reference) is not orders[0]) or (
            reference and orders[0].money != money
        ):
            raise LedgerError(f"{money} of {reference} did not pay for reservation {token}")
        orders[0].fate = Fate.REFUNDING

    def give_back(self, token: str, reference: str) -> None:
        """A charge was given back.

        Raises:
            LedgerError: there is no such charge, it is an order, or it was given back before.
        """
        booked = self.charges.get(reference)
        if booked is None or booked.token != token:
            raise LedgerError(f"charge {reference} of reservation {token} was given back, and never decided")
        if booked.fate is not Fate.REFUNDING:
            raise LedgerError(f"charge {reference} was given back while it was {booked.fate.name.lower()}")
        booked.fate = Fate.REFUNDED

    def of(self, token: str) -> tuple[Charge, ...]:
        """The charges of a reservation, oldest first, as its payment record must have them."""
        references = self.references.get(token, ())
        return tuple(
            Charge(reference, self.charges[reference].money, self.charges[reference].fate)
            for reference in references
        )

    def sums(self, currency: str | None) -> tuple[MoneySums, tuple[MoneySums, ...]]:
        """The money in the sale's currency, and that in each other one that somebody has paid with."""
        by_currency = {} if currency is None else {currency: MoneySums(currency)}
        for booked in self.charges.values():
            code = booked.money.currency
            if code not in by_currency:
                by_currency[code] = MoneySums(code)
            by_currency[code].add(booked.money.amount, booked.fate)
        own = MoneySums(None) if currency is None else by_currency.pop(currency)
        return own, tuple(by_currency[code] for code in sorted(by_currency))

    def differences(self, token: str, state: State | None, stored: PaymentRecord | None) -> Iterator[str]:
        """How the stored payment of a reservation in this state (None: never granted) differs from the facts."""
        charges = self.of(token)
        kept = stored.charges if stored is not None else ()
        if kept != charges:
            yield f"reservation {token} has the charges {kept}, the facts say {charges}"
            return
        if stored is None:
            return
        if (stored.status is PaymentStatus.PAID) != (state is State.CONFIRMED):
            yield f"the payment of reservation {token} is {stored.status.name}, the reservation {state!r}"
        on_its_way = any(charge.fate is Fate.REFUNDING for charge in charges)
        back = {PaymentStatus.REFUNDING: True, PaymentStatus.REFUNDED: False}.get(stored.status, on_its_way)
        if back != on_its_way or (state is State.REFUNDED and stored.status < PaymentStatus.REFUNDING):
            yield f"the payment of reservation {token} is {stored.status.name}, its charges are {charges}"
