"""Replays a sale's journal from its first fact: what every counter, hold and limit must be if the facts are true."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from flashsale.model import instants
from flashsale.model.facts import Fact, FactType
from flashsale.model.reservation import COUNTED, Entry, Reservation, State


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
    lines: tuple[tuple[str, int], ...]
    place: int
    held_ms: int
    held_until_ms: int
    state: State = State.HELD
    extended: bool = False


@dataclass(slots=True)
class Terms:
    """What `sale.opened` froze. Limits are None when there are none."""

    opens_ms: int
    closes_ms: int | None
    hold_ms: int
    limit: int | None
    item_limits: dict[str, int | None]


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
        except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
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
                raise FactError(fact.seq, f"{fact.type} is not a type of fact this version knows")

    def _held(self, fact: Fact) -> None:
        claim = fact.held()
        if self.terms is None:
            raise FactError(fact.seq, "a hold was granted before the sale had opened")
        if self.state != "open":
            raise FactError(fact.seq, f"a hold was granted while the sale was {self.state}")
        if self.terms.closes_ms is not None and fact.at_ms >= self.terms.closes_ms:
            raise FactError(fact.seq, "a hold was granted after the sale had closed")
        if claim.token in self.reservations:
            raise FactError(fact.seq, f"reservation {claim.token} was granted twice")
        if claim.place != self.place + 1:
            raise FactError(fact.seq, f"place {claim.place} follows place {self.place}")
        if claim.held_until_ms != claim.held_ms + self.terms.hold_ms or claim.held_ms != fact.at_ms:
            raise FactError(fact.seq, "the hold is not as long as the sale says")
        self._check_limits(fact, claim, self.terms)
        for sku, units in claim.lines:
            item = self.items.get(sku)
            if item is None or units < 1 or item.available < units:
                left = item.available if item else 0
                raise FactError(fact.seq, f"{units} of {sku} were held with {left} available: oversold")
            item.available -= units
            item.held += units
        self.place = claim.place
        self.holds += 1
        self.reservations[claim.token] = Claimed(
            claim.customer, claim.lines, claim.place, claim.held_ms, claim.held_until_ms
        )
        self.customers.setdefault(claim.customer, []).append(claim.token)
        self._count(claim.customer, claim.lines, +1)

    def _check_limits(self, fact: Fact, claim: Reservation, terms: Terms) -> None:
        has = self.counted.get(claim.customer, {})
        total = sum(has.values()) + claim.units
        if terms.limit is not None and total > terms.limit:
            raise FactError(
                fact.seq, f"customer {claim.customer!r} has {total} units, the limit is {terms.limit}"
            )
        for sku, units in claim.lines:
            most = terms.item_limits.get(sku)
            if most is not None and has.get(sku, 0) + units > most:
                raise FactError(
                    fact.seq,
                    f"customer {claim.customer!r} has {has.get(sku, 0) + units} of {sku}, the limit is {most}",
                )

    def _count(self, customer: str, lines: tuple[tuple[str, int], ...], sign: int) -> None:
        """Units that begin (+1) or cease (-1) to count against the customer's limits."""
        has = self.counted.setdefault(customer, {})
        for sku, units in lines:
            has[sku] = has.get(sku, 0) + sign * units

    def _hold(self, fact: Fact) -> Claimed:
        claimed = self.reservations.get(fact.token)
        if claimed is None:
            raise FactError(fact.seq, f"{fact.type} of reservation {fact.token}, which was never granted")
        if claimed.state is not State.HELD:
            raise FactError(
                fact.seq,
                f"{fact.type} of reservation {fact.token}, which was {claimed.state.name.lower()} before",
            )
        return claimed

    def _ended(self, fact: Fact) -> None:
        claimed = self._hold(fact)
        if fact.type == FactType.EXPIRED and fact.at_ms < claimed.held_until_ms:
            raise FactError(fact.seq, f"reservation {fact.token} was expired before its time")
        claimed.state = State.EXPIRED if fact.type == FactType.EXPIRED else State.CANCELLED
        self.holds -= 1
        self._count(claimed.customer, claimed.lines, -1)
        for sku, units in claimed.lines:
            self.items[sku].available += units
            self.items[sku].held -= units

    def _extended(self, fact: Fact) -> None:
        claimed = self._hold(fact)
        until = fact.extended_until_ms()
        if claimed.extended or until < claimed.held_until_ms:
            raise FactError(fact.seq, f"reservation {fact.token} was extended twice, or backwards")
        claimed.extended, claimed.held_until_ms = True, until

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
        definition = orjson.loads(fact.data)
        limits = {item["sku"]: item["limit_per_customer"] for item in definition["items"]}
        opens_ms, closes_ms = _instant(definition["opens_at"]), _instant(definition["closes_at"])
        if opens_ms is None or fact.at_ms < opens_ms:
            raise FactError(fact.seq, "the sale opened before its time")
        self.terms = Terms(
            opens_ms, closes_ms, definition["hold_seconds"] * 1000, definition["limit_per_customer"], limits
        )
        for sku, item in list(self.items.items()):
            if sku not in limits:
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
        claimed = self.reservations[token]
        if stored is None:
            yield f"reservation {token} was granted but is not stored"
            return
        expected = Reservation(
            token,
            claimed.state,
            claimed.extended,
            claimed.held_ms,
            claimed.held_until_ms,
            claimed.place,
            claimed.customer,
            claimed.lines,
        )
        if stored != expected:
            yield f"reservation {token} is stored as {stored}, the facts say {expected}"
        hold_ends = claimed.held_until_ms if claimed.state is State.HELD else None
        if end_ms != hold_ends:
            yield f"reservation {token} ends as a hold at {end_ms}, the facts say {hold_ends}"

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


def _instant(text: str | None) -> int | None:
    return instants.from_datetime(datetime.fromisoformat(text)) if text is not None else None
