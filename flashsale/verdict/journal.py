"""The engine's journal, replayed fact by fact as evidence: where each unit was when, and what cannot have been."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from flashsale.model.facts import FactType
from flashsale.verdict.evidence import Fact, Terms
from flashsale.verdict.quota import Quota


@dataclass(slots=True)
class Shelf:
    """One item, after the facts so far."""

    stock: int = 0
    available: int = 0
    held: int = 0
    sold: int = 0
    opening: int = 0
    """Stock when the sale opened."""
    restocks: list[tuple[int, int]] = field(default_factory=list)
    """Instant and units of what was added since."""
    changes: list[tuple[int, int]] = field(default_factory=list)
    """Instant and units of each change of what a shopper could have had; a hold that is overdue could have been had."""
    first_empty_ms: int | None = None
    """When nothing was available for the first time."""
    first_sold_ms: int | None = None
    """When everything was sold for the first time."""

    def note(self, at_ms: int) -> None:
        """Sees whether it is sold out."""
        if self.first_empty_ms is None and self.available <= 0:
            self.first_empty_ms = at_ms
        if self.first_sold_ms is None and self.sold >= self.stock:
            self.first_sold_ms = at_ms


@dataclass(slots=True)
class Claim:
    """One reservation as the journal has it."""

    reservation: str
    customer: str
    units: dict[str, int]
    place: int
    held_ms: int
    until_ms: int
    state: str = "held"
    been: set[str] = field(default_factory=lambda: {"held"})
    """Every state it has been in."""
    ended_ms: int | None = None
    """When it ceased to stand as a hold or an order; None while it stands."""
    late: bool = False
    extended: bool = False
    restocked: bool = False
    """Of a refunded one: whether its units went back on sale."""


@dataclass(slots=True)
class Charge:
    """One charge as the journal has it."""

    payment: str
    orders: list[str] = field(default_factory=list)
    """Reservations that it has paid for."""
    refused: list[str] = field(default_factory=list)
    """Reservations that it was refused for."""
    undone: int = 0
    """How often an order that it had paid for was undone."""
    given_back: int = 0


class Journal:
    """The state of a sale after its facts. What cannot have been is collected, and the replay goes on."""

    def __init__(self, terms: Terms) -> None:
        self.shelves: dict[str, Shelf] = defaultdict(Shelf)
        self.claims: dict[str, Claim] = {}
        self.charges: dict[str, Charge] = {}
        self.unpaid: list[str] = []
        """Orders made or undone without naming a charge."""
        self.oversold: dict[str, list[str]] = defaultdict(list)
        """Item -> reservations that got units of it which were not there."""
        self.impossible: list[str] = []
        """Facts that cannot follow those before them, in words."""
        self.cut_short: list[str] = []
        """Reservations that were expired before their time."""
        self.drawn_out: list[str] = []
        """Reservations whose hold is longer than the sale says, or was extended twice."""
        self.held = self.confirmed = self.cancelled = self.expired = self.refunded = 0
        self.opened_ms: int | None = None
        self.first_hold_ms: int | None = None
        self.units_held_ever = 0
        self.quota = Quota(terms)
        self._hold_ms = terms.hold_ms
        self._apply: dict[str, Callable[[Fact], None]] = {
            FactType.HELD: self._held,
            FactType.EXTENDED: self._extended,
            FactType.EXPIRED: self._ended,
            FactType.CANCELLED: self._ended,
            FactType.CONFIRMED: self._confirmed,
            FactType.REFUNDED: self._refunded,
            FactType.CHARGE_REFUSED: self._charge_refused,
            FactType.CHARGE_REFUNDED: self._charge_refunded,
            FactType.ITEM_RESTOCKED: self._restocked,
            FactType.SALE_OPENED: self._opened,
        }

    def replay(self, facts: Iterable[Fact]) -> None:
        """Takes in all facts, in their order."""
        for fact in facts:
            apply = self._apply.get(fact.type)
            if apply is not None:
                apply(fact)
        for claim in self.claims.values():
            if claim.state == "held" and claim.until_ms:
                self._change(claim, claim.until_ms, +1)

    def restocks(self, sku: str) -> list[tuple[int, int]]:
        """What was added to an item since the sale has opened."""
        return self.shelves[sku].restocks if sku in self.shelves else []

    def _held(self, fact: Fact) -> None:
        if fact.reservation in self.claims:
            self._cannot(fact, "which was held before")
            return
        claim = Claim(
            fact.reservation, fact.customer, fact.units, fact.place, fact.at_ms, fact.until_ms or fact.at_ms
        )
        self.held += 1
        self.units_held_ever += sum(fact.units.values())
        self.claims[fact.reservation] = claim
        if self.first_hold_ms is None:
            self.first_hold_ms = fact.at_ms
        if fact.until_ms != fact.at_ms + self._hold_ms:
            (self.cut_short if fact.until_ms < fact.at_ms + self._hold_ms else self.drawn_out).append(
                fact.reservation
            )
        self._take(claim, fact)
        for sku, units in claim.units.items():
            self.shelves[sku].held += units

    def _take(self, claim: Claim, fact: Fact) -> None:
        """Units leave the shelf, whether they are there or not."""
        for sku, units in claim.units.items():
            shelf = self.shelves[sku]
            if shelf.available < units:
                self.oversold[sku].append(claim.reservation)
            shelf.available -= units
            shelf.note(fact.at_ms)
        self.quota.take(claim.customer, claim.units)
        self._change(claim, fact.at_ms, -1)

    def _change(self, claim: Claim, at_ms: int, sign: int) -> None:
        for sku, units in claim.units.items():
            self.shelves[sku].changes.append((at_ms, sign * units))

    def _known(self, fact: Fact, *states: str) -> Claim | None:
        """The claim of a fact that only one in these states can have."""
        claim = self.claims.get(fact.reservation)
        if claim is None:
            self._cannot(fact, "which was never held")
        elif claim.state not in states:
            self._cannot(fact, f"which was {claim.state} before")
        elif (fact.customer, fact.units) != (claim.customer, claim.units):
            self._cannot(
                fact, f"held as {claim.units} of {claim.customer}, and now {fact.units} of {fact.customer}"
            )
            return claim
        else:
            return claim
        return None

    def _cannot(self, fact: Fact, why: str) -> None:
        self.impossible.append(f"fact {fact.seq} ({fact.type} of {fact.reservation}, {why})")

    def _check_time(self, claim: Claim, fact: Fact) -> None:
        """What has happened to a hold has happened before it was over."""
        if fact.at_ms >= claim.until_ms:
            self._cannot(fact, f"whose hold was over {fact.at_ms - claim.until_ms:,} ms before")

    def _extended(self, fact: Fact) -> None:
        claim = self._known(fact, "held")
        if claim is not None:
            if claim.extended:
                self.drawn_out.append(claim.reservation)
            claim.extended, claim.until_ms = True, max(claim.until_ms, fact.until_ms)

    def _ended(self, fact: Fact) -> None:
        claim = self._known(fact, "held")
        if claim is None:
            return
        if fact.type == FactType.EXPIRED:
            self.expired += 1
            claim.state = "expired"
            if fact.at_ms < claim.until_ms:
                self.cut_short.append(claim.reservation)
        else:
            self._check_time(claim, fact)
            self.cancelled += 1
            claim.state = "cancelled"
        for sku, units in claim.units.items():
            self.shelves[sku].held -= units
            self.shelves[sku].available += units
        self._over(claim, fact.at_ms)
        self._change(claim, min(fact.at_ms, claim.until_ms), +1)

    def _over(self, claim: Claim, at_ms: int) -> None:
        claim.been.add(claim.state)
        claim.ended_ms = at_ms
        self.quota.give_back(claim.customer, claim.units)

    def _confirmed(self, fact: Fact) -> None:
        self.confirmed += 1
        if fact.payment:
            self._charge(fact.payment).orders.append(fact.reservation)
        else:
            self.unpaid.append(fact.reservation)
        claim = self._known(fact, "held", "expired")
        if claim is None:
            return
        if claim.state == "expired":
            claim.late = True
            self._take(claim, fact)
        else:
            self._check_time(claim, fact)
            for sku, units in claim.units.items():
                self.shelves[sku].held -= units
        claim.state, claim.ended_ms = "confirmed", None
        claim.been.add("confirmed")
        for sku, units in claim.units.items():
            self.shelves[sku].sold += units
            self.shelves[sku].note(fact.at_ms)

    def _refunded(self, fact: Fact) -> None:
        self.refunded += 1
        if fact.payment:
            self._charge(fact.payment).undone += 1
        else:
            self.unpaid.append(fact.reservation)
        claim = self._known(fact, "confirmed")
        if claim is None:
            return
        claim.state, claim.restocked = "refunded", fact.restocked
        if fact.restocked:
            for sku, units in claim.units.items():
                self.shelves[sku].sold -= units
                self.shelves[sku].available += units
            self._change(claim, fact.at_ms, +1)
        self._over(claim, fact.at_ms)

    def _charge(self, payment: str) -> Charge:
        return self.charges.setdefault(payment, Charge(payment))

    def _charge_refused(self, fact: Fact) -> None:
        self._charge(fact.payment).refused.append(fact.reservation)

    def _charge_refunded(self, fact: Fact) -> None:
        self._charge(fact.payment).given_back += 1

    def _restocked(self, fact: Fact) -> None:
        for sku, units in fact.units.items():
            shelf = self.shelves[sku]
            shelf.stock += units
            shelf.available += units
            shelf.changes.append((fact.at_ms, units))
            if self.opened_ms is None:
                shelf.opening += units
            else:
                shelf.restocks.append((fact.at_ms, units))

    def _opened(self, fact: Fact) -> None:
        if self.opened_ms is None:
            self.opened_ms = fact.at_ms
        else:
            self.impossible.append(f"fact {fact.seq} (the sale opened twice)")
