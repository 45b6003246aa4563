"""Replays a sale's journal from its first fact: what every counter, hold and limit must be if the facts are true."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from flashsale.model.facts import Fact, FactType, Refused
from flashsale.model.ledger import Ledger, LedgerError
from flashsale.model.outcomes import REFUSALS, Confirm
from flashsale.model.payment import Fate, Money, PaymentRecord, is_simulated
from flashsale.model.reservation import COUNTED, Entry, Line, Reservation, State
from flashsale.model.terms import Terms

_REFUSED_IN: Final = {
    Confirm.UNKNOWN_RESERVATION: None,
    Confirm.PAID_TWICE: State.CONFIRMED,
    Confirm.CANCELLED: State.CANCELLED,
    Confirm.REFUNDED: State.REFUNDED,
    Confirm.LIMIT_REACHED: State.EXPIRED,
    Confirm.SOLD_OUT: State.EXPIRED,
}
"""Why a charge is refused -> the state in which its reservation must be."""


class FactError(Exception):
    """A fact that does not add up with those before it."""

    def __init__(self, seq: int, detail: str) -> None:
        super().__init__(f"fact {seq}: {detail}")
        self.seq = seq
        self.detail = detail


@dataclass(slots=True)
class Counters:
    """One item as the facts have it."""

    stock: int = 0
    available: int = 0
    held: int = 0
    sold: int = 0


@dataclass(slots=True)
class Claimed:
    """One reservation as the facts have it."""

    customer: str
    lines: tuple[Line, ...]
    place: int
    held_ms: int
    held_until_ms: int
    state: State = State.HELD
    extended: bool = False
    late: bool = False

    def reservation(self, token: str) -> Reservation:
        """The reservation that must be stored under this token."""
        return Reservation(
            token,
            self.state,
            self.extended,
            self.held_ms,
            self.held_until_ms,
            self.place,
            self.customer,
            self.lines,
            self.late,
        )


@dataclass(slots=True)
class Replay:
    """The state of a sale after the facts applied so far."""

    seq: int = 0
    place: int = 0
    state: str = "open"
    terms: Terms | None = None
    items: dict[str, Counters] = field(default_factory=dict)
    reservations: dict[str, Claimed] = field(default_factory=dict)
    customers: dict[str, list[str]] = field(default_factory=dict)
    """customer -> tokens, oldest first"""
    counted: dict[str, dict[str, int]] = field(default_factory=dict)
    """customer -> sku -> units that count against the limits"""
    holds: int = 0
    orders: int = 0
    """How often an order was made or undone."""
    ledger: Ledger = field(default_factory=Ledger)

    @property
    def currency(self) -> str | None:
        """That of the sale, once it has opened."""
        return self.terms.currency if self.terms is not None else None

    def apply(self, fact: Fact) -> None:
        """Takes in the next fact.

        Raises:
            FactError: it does not add up; the state is then as before it, or half-way into it.
        """
        if fact.seq <= self.seq:
            raise FactError(fact.seq, f"follows fact {self.seq}: it is there twice or out of order")
        if fact.seq != self.seq + 1:
            raise FactError(fact.seq, f"follows fact {self.seq}: {fact.seq - self.seq - 1} facts are missing")
        try:
            self._apply(fact)
        except LedgerError as error:
            raise FactError(fact.seq, str(error)) from error
        except (ValueError, LookupError, TypeError) as error:
            raise FactError(fact.seq, f"{fact.type} cannot be read: {error}") from error
        self.seq = fact.seq

    def _apply(self, fact: Fact) -> None:
        match fact.type:
            case FactType.HELD:
                self._held(fact)
            case FactType.EXPIRED | FactType.CANCELLED:
                self._ended(fact)
            case FactType.EXTENDED:
                self._extended(fact)
            case FactType.ITEM_RESTOCKED:
                self._restocked(fact)
            case FactType.SALE_OPENED:
                self._opened(fact)
            case FactType.SALE_PAUSED | FactType.SALE_RESUMED | FactType.SALE_CLOSED:
                self._state_changed(fact)
            case _:
                self._paid(fact)

    def _paid(self, fact: Fact) -> None:
        match fact.type:
            case FactType.CONFIRMED:
                self._confirmed(fact)
            case FactType.REFUNDED:
                self._refunded(fact)
            case FactType.CHARGE_REFUSED:
                self._charge_refused(fact)
            case FactType.CHARGE_REFUNDED:
                self.ledger.give_back(fact.token, fact.charge_refunded()[0])
            case _:
                raise FactError(fact.seq, f"{fact.type} is not a type of fact this version knows")

    def _terms(self, fact: Fact) -> Terms:
        if self.terms is None:
            raise FactError(fact.seq, f"{fact.type} before the sale had opened")
        return self.terms

    def _held(self, fact: Fact) -> None:
        claim, terms = fact.held(), self._terms(fact)
        if self.state != "open":
            raise FactError(fact.seq, f"a hold was granted while the sale was {self.state}")
        if terms.closes_ms is not None and fact.at_ms >= terms.closes_ms:
            raise FactError(fact.seq, "a hold was granted after the sale had closed")
        if claim.token in self.reservations:
            raise FactError(fact.seq, f"reservation {claim.token} was granted twice")
        if claim.place != self.place + 1:
            raise FactError(fact.seq, f"place {claim.place} follows place {self.place}")
        if claim.held_until_ms != claim.held_ms + terms.hold_ms or claim.held_ms != fact.at_ms:
            raise FactError(fact.seq, "the hold is not as long as the sale says")
        self._check_limits(fact, claim.customer, claim.lines)
        self._take(fact, claim.lines)
        for sku, units in claim.lines:
            self.items[sku].held += units
        self.place = claim.place
        self.holds += 1
        self.reservations[claim.token] = Claimed(
            claim.customer, claim.lines, claim.place, claim.held_ms, claim.held_until_ms
        )
        self.customers.setdefault(claim.customer, []).append(claim.token)
        self._count(claim.customer, claim.lines, +1)

    def _take(self, fact: Fact, lines: tuple[Line, ...]) -> None:
        """Units that are not available any more."""
        for sku, units in lines:
            item = self.items.get(sku)
            if item is None or units < 1 or item.available < units:
                left = item.available if item else 0
                verb = "held" if fact.type == FactType.HELD else "sold"
                raise FactError(fact.seq, f"{units} of {sku} were {verb} with {left} available: oversold")
            item.available -= units

    def _check_limits(self, fact: Fact, customer: str, lines: tuple[Line, ...]) -> None:
        broken = self._terms(fact).broken_limit(customer, self.counted.get(customer, {}), lines)
        if broken is not None:
            raise FactError(fact.seq, broken)

    def _count(self, customer: str, lines: tuple[Line, ...], sign: int) -> None:
        """Units that begin (+1) or cease (-1) to count against the customer's limits."""
        has = self.counted.setdefault(customer, {})
        for sku, units in lines:
            has[sku] = has.get(sku, 0) + sign * units

    def _in(self, state: State, fact: Fact) -> Claimed:
        """The reservation of a fact that only one in this state can have."""
        claimed = self.reservations.get(fact.token)
        if claimed is None:
            raise FactError(fact.seq, f"{fact.type} of reservation {fact.token}, which was never granted")
        if claimed.state is not state:
            raise FactError(
                fact.seq,
                f"{fact.type} of reservation {fact.token}, which was {claimed.state.name.lower()} before",
            )
        return claimed

    def _ended(self, fact: Fact) -> None:
        claimed = self._in(State.HELD, fact)
        if fact.type == FactType.EXPIRED and fact.at_ms < claimed.held_until_ms:
            raise FactError(fact.seq, f"reservation {fact.token} was expired before its time")
        claimed.state = State.EXPIRED if fact.type == FactType.EXPIRED else State.CANCELLED
        self.holds -= 1
        self._count(claimed.customer, claimed.lines, -1)
        for sku, units in claimed.lines:
            self.items[sku].available += units
            self.items[sku].held -= units

    def _extended(self, fact: Fact) -> None:
        claimed = self._in(State.HELD, fact)
        until = fact.extended_until_ms()
        if claimed.extended or until < claimed.held_until_ms:
            raise FactError(fact.seq, f"reservation {fact.token} was extended twice, or backwards")
        claimed.extended, claimed.held_until_ms = True, until

    def _confirmed(self, fact: Fact) -> None:
        """In time its units go from held to sold; late they are taken again, as a new hold would take them."""
        paid = fact.confirmed()
        self._check_sequence(fact)
        claimed = self._in(State.EXPIRED if paid.late else State.HELD, fact)
        if not paid.late and fact.at_ms >= claimed.held_until_ms:
            raise FactError(fact.seq, f"reservation {fact.token} was confirmed as if in time, after its end")
        self._check_due(fact, claimed, paid.money)
        if self._terms(fact).rehearsal and not is_simulated(paid.reference):
            raise FactError(
                fact.seq, f"{paid.reference} has paid for a rehearsal, and is no simulated charge"
            )
        if paid.late:
            self._check_limits(fact, claimed.customer, claimed.lines)
            self._take(fact, claimed.lines)
            self._count(claimed.customer, claimed.lines, +1)
        else:
            self.holds -= 1
            for sku, units in claimed.lines:
                self.items[sku].held -= units
        for sku, units in claimed.lines:
            self.items[sku].sold += units
        claimed.state, claimed.late = State.CONFIRMED, paid.late
        self.ledger.book(fact.token, paid.reference, paid.money, Fate.ORDER)

    def _check_sequence(self, fact: Fact) -> None:
        if fact.sequence != self.orders + 1:
            raise FactError(fact.seq, f"number {fact.sequence} among the orders follows number {self.orders}")
        self.orders = fact.sequence

    def _check_due(self, fact: Fact, claimed: Claimed, money: Money) -> None:
        due = self._terms(fact).due(claimed.lines)
        if money != due:
            raise FactError(fact.seq, f"{fact.type} of reservation {fact.token} with {money}, due is {due}")

    def _refunded(self, fact: Fact) -> None:
        claimed = self._in(State.CONFIRMED, fact)
        undone = fact.refunded()
        self._check_sequence(fact)
        for sku, units in claimed.lines if undone.restocked else ():
            self.items[sku].sold -= units
            self.items[sku].available += units
        self._count(claimed.customer, claimed.lines, -1)
        claimed.state = State.REFUNDED
        self.ledger.undo(fact.token, undone.reference, undone.money)

    def _charge_refused(self, fact: Fact) -> None:
        refused = fact.charge_refused()
        reason, claimed = refused.reason, self.reservations.get(fact.token)
        state = claimed.state if claimed is not None else None
        if (
            reason not in REFUSALS
            or (reason is Confirm.UNKNOWN_RESERVATION) != (claimed is None)
            or state is not _REFUSED_IN.get(reason, state)
            or (claimed is not None and self._unfounded(fact, refused, claimed))
        ):
            raise FactError(
                fact.seq,
                f"charge {refused.reference} was refused as {reason.name}, and there is no reason to",
            )
        self.ledger.book(fact.token, refused.reference, refused.money, Fate.REFUNDING)

    def _unfounded(self, fact: Fact, refused: Refused, claimed: Claimed) -> bool:
        """Whether what is said about the provider, the amount, the limit or the stock is not so."""
        terms, lines = self._terms(fact), claimed.lines
        reason, money = refused.reason, refused.money
        if reason is Confirm.WRONG_PROVIDER:
            return terms.rehearsal == is_simulated(refused.reference)
        has = self.counted.get(claimed.customer, {})
        return (
            (reason is Confirm.WRONG_AMOUNT and money == terms.due(lines))
            or (reason > Confirm.WRONG_AMOUNT and money != terms.due(lines))
            or (reason is Confirm.LIMIT_REACHED and terms.broken_limit(claimed.customer, has, lines) is None)
            or (reason is Confirm.SOLD_OUT and all(self.items[sku].available >= n for sku, n in lines))
        )

    def _restocked(self, fact: Fact) -> None:
        sku, units, _ = fact.restocked()
        if self.terms is not None and (units < 1 or sku not in self.items):
            raise FactError(fact.seq, f"{units} units of {sku} were added after the sale had opened")
        item = self.items.setdefault(sku, Counters())
        item.stock += units
        item.available += units
        if item.available < 0:
            raise FactError(fact.seq, f"{sku} was left with {item.available} units available")

    def _opened(self, fact: Fact) -> None:
        if self.terms is not None:
            raise FactError(fact.seq, "the sale opened twice")
        terms = Terms.read(fact.data)
        if fact.at_ms < terms.opens_ms:
            raise FactError(fact.seq, "the sale opened before its time")
        self.terms = terms
        for sku, item in list(self.items.items()):
            if sku not in terms.prices:
                if item.stock:
                    raise FactError(fact.seq, f"{item.stock} units of {sku} are not in the definition")
                del self.items[sku]

    def _state_changed(self, fact: Fact) -> None:
        target = {FactType.SALE_PAUSED: "paused", FactType.SALE_RESUMED: "open"}.get(
            FactType(fact.type), "closed"
        )
        if self.state in {"closed", target}:
            raise FactError(fact.seq, f"{fact.type} of a sale that was {self.state}")
        self.state = target

    def differences(self, token: str, stored: Reservation | None, end_ms: int | None) -> Iterable[str]:
        """How a stored reservation, and its place among the holds, differ from the facts."""
        claimed = self.reservations.get(token)
        if claimed is None:
            if stored is not None or end_ms is not None:
                yield f"reservation {token} is stored as {stored}, and was never granted"
            return
        if stored is None:
            yield f"reservation {token} was granted but is not stored"
            return
        expected = claimed.reservation(token)
        if stored != expected:
            yield f"reservation {token} is stored as {stored}, the facts say {expected}"
        hold_ends = claimed.held_until_ms if claimed.state is State.HELD else None
        if end_ms != hold_ends:
            yield f"reservation {token} ends as a hold at {end_ms}, the facts say {hold_ends}"

    def payment_differences(self, token: str, stored: PaymentRecord | None) -> Iterable[str]:
        """How the stored payment of a reservation, granted or not, differs from the facts."""
        claimed = self.reservations.get(token)
        return self.ledger.differences(token, claimed.state if claimed else None, stored)

    def strangers(self) -> list[str]:
        """Tokens that were never granted, and that somebody has paid for all the same."""
        return [token for token in self.ledger.references if token not in self.reservations]

    def order_differences(self) -> Iterable[str]:
        """How the money of the orders differs from what the confirmed reservations cost."""
        if self.terms is None:
            return
        orders = [each for each in self.reservations.values() if each.state is State.CONFIRMED]
        due = sum(self.terms.due(each.lines).amount for each in orders)
        sums, others = self.ledger.sums(self.terms.currency)
        if (sums.orders.count, sums.orders.amount) != (len(orders), due) or any(
            other.orders.count for other in others
        ):
            yield f"{len(orders)} orders cost {due}, the charges of orders are {sums.orders}"

    def entry_differences(self, customer: str, entries: tuple[Entry, ...]) -> Iterable[str]:
        """How a customer's stored entries differ from the facts. Ended ones may have been dropped, no others."""
        tokens = self.customers.get(customer, [])
        counted = {
            token: sum(units for _, units in self.reservations[token].lines)
            for token in tokens
            if self.reservations[token].state in COUNTED
        }
        if {entry.token: entry.units for entry in entries if entry.units} != counted:
            yield f"customer {customer!r} is counted with {entries}, the facts say {counted}"
        elif strangers := {entry.token for entry in entries} - set(tokens):
            yield f"customer {customer!r} is counted with reservations of others: {sorted(strangers)}"
