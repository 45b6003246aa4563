"""`Oracle`: what a sale must do, in plain Python, written from the design and not from the Lua.

It takes no short cuts, keeps no counters that it could recompute, and knows nothing of Redis. Each method takes the instant
and answers as the store's method of the same name; `items()`, `entries()`, `reservations` and `holds()` are what must then
be stored, `journal` the facts that must have been written. What is about money is in `tests.support.oracle_money`.
"""

from dataclasses import dataclass, field, replace

from flashsale.model.outcomes import OpenSale, Reserve, Resolve, Restock, SetState
from flashsale.model.reservation import COUNTED, Entry, Line, Reservation, State
from flashsale.model.sale import SaleDefinition

FactRow = tuple[int, str, object]
"""Instant, type, and what the fact is about."""


@dataclass
class Want:
    """One claim of a batch."""

    token: str
    customer: str
    lines: tuple[Line, ...]
    repeatable: bool


@dataclass(frozen=True)
class Answer:
    """What a claim must be told. Details that do not belong to the outcome keep their defaults."""

    outcome: Reserve
    reservation: Reservation | None = None
    sku: str = ""
    entries: tuple[Entry, ...] = ()
    own: int = 0
    """SOLD_OUT: units of the item that this customer held when it was refused."""


@dataclass
class Oracle:
    """One sale, or none yet."""

    terms: SaleDefinition | None = None
    state: str = "open"
    opened: bool = False
    version: int = 0
    place: int = 0
    stock: dict[str, int] = field(default_factory=dict)
    reservations: dict[str, Reservation] = field(default_factory=dict)
    """By token, in the order in which they were granted."""
    repeats: dict[str, tuple[str, int]] = field(default_factory=dict)
    journal: list[FactRow] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    """Refunded reservations whose units did not go back on sale."""

    # --- what must be stored ---

    def items(self) -> dict[str, tuple[int, int, int, int]]:
        """sku -> stock, available, held, sold"""
        found = {}
        for sku, stock in self.stock.items():
            held, sold = self.held_units(sku), self._units(sku, State.CONFIRMED)
            sold += sum(dict(self.reservations[token].lines).get(sku, 0) for token in self.gone)
            found[sku] = (stock, stock - held - sold, held, sold)
        return found

    def entries(self) -> dict[str, tuple[Entry, ...]]:
        """customer -> entries, oldest first (of fewer than 64)"""
        found: dict[str, tuple[Entry, ...]] = {}
        for each in self.reservations.values():
            units = each.units if each.state in COUNTED else 0
            found[each.customer] = (*found.get(each.customer, ()), Entry(each.token, units))
        return found

    def holds(self) -> list[tuple[int, str]]:
        """(end, token) of every hold, in the order in which they end"""
        live = [each for each in self.reservations.values() if each.state is State.HELD]
        return sorted((each.held_until_ms, each.token) for each in live)

    def next_release_ms(self, sku: str) -> int:
        """When the first hold of an item ends; 0 when it has none."""
        ends = [self.reservations[token].held_until_ms for token in self._live_tokens(sku)]
        return min(ends, default=0)

    def _live_tokens(self, sku: str) -> list[str]:
        live = [each for each in self.reservations.values() if each.state is State.HELD]
        return [each.token for each in live if sku in dict(each.lines)]

    def _units(self, sku: str, state: State, customer: str | None = None) -> int:
        those = [each for each in self.reservations.values() if each.state is state]
        mine = [each for each in those if customer is None or each.customer == customer]
        return sum(dict(each.lines).get(sku, 0) for each in mine)

    def held_units(self, sku: str, customer: str | None = None) -> int:
        return self._units(sku, State.HELD, customer)

    def counted_units(self, sku: str, customer: str) -> int:
        """Units that count against the limits: those held and those paid."""
        return sum(self._units(sku, state, customer) for state in COUNTED)

    # --- verbs ---

    def open_sale(self, now: int, terms: SaleDefinition) -> OpenSale:
        self._open_if_due(now)
        old = self.terms
        if old is not None and terms == old:
            return OpenSale.SAME
        if old is not None and (now >= old.opens_ms or self.state == "closed" or self._over(now)):
            return OpenSale.ALREADY_OPENED
        before, self.stock = self.stock, {}
        for item in terms.items:
            added = item.stock - before.get(item.sku, 0)
            if added or item.sku not in before:
                self._fact(now, "item.restocked", (item.sku, added, "defined"))
            self.stock[item.sku] = item.stock
        for sku in sorted(before.keys() - self.stock.keys()):
            self._fact(now, "item.restocked", (sku, -before[sku], "defined"))
        self.terms, self.version = terms, max(self.version + 1, now)
        return OpenSale.CREATED if old is None else OpenSale.REDEFINED

    def reserve(self, now: int, wants: list[Want]) -> list[Answer]:
        self._open_if_due(now)
        return [self._claim(now, want) for want in wants]

    def _claim(self, now: int, want: Want) -> Answer:
        return (
            self._repeated(want)
            or self._refused_to_all(now, want)
            or self._over_the_limit(now, want)
            or self._sold_out(now, want)
            or self._granted(now, want)
        )

    def _repeated(self, want: Want) -> Answer | None:
        known = self.reservations.get(want.token)
        if known is None:
            return None
        same = (known.customer, known.lines) == (want.customer, want.lines)
        return Answer(Reserve.REPLAYED, known) if same else Answer(Reserve.IDEMPOTENCY_MISMATCH)

    def _refused_to_all(self, now: int, want: Want) -> Answer | None:
        if self.terms is None:
            return Answer(Reserve.UNKNOWN_SALE)
        unknown = [sku for sku, _ in want.lines if sku not in self.stock]
        if unknown:
            return Answer(Reserve.UNKNOWN_ITEM, sku=unknown[0])
        if self.state == "closed" or self._over(now):
            return Answer(Reserve.CLOSED)
        if now < self.terms.opens_ms:
            return Answer(Reserve.NOT_OPEN)
        return Answer(Reserve.PAUSED) if self.state == "paused" else None

    def _over_the_limit(self, now: int, want: Want) -> Answer | None:
        if self._broken_limit(want) is None:
            return None
        mine = [each for each in self.reservations.values() if each.customer == want.customer]
        self._expire(now, [each.token for each in mine if self._overdue(now, each)])
        broken = self._broken_limit(want)
        if broken is None:
            return None
        return Answer(Reserve.LIMIT_REACHED, sku=broken, entries=self.entries().get(want.customer, ()))

    def _sold_out(self, now: int, want: Want) -> Answer | None:
        for sku, units in want.lines:
            if self.items()[sku][1] < units:
                self._expire(now, [token for end, token in self.holds() if end <= now])
            if self.items()[sku][1] < units:
                return Answer(Reserve.SOLD_OUT, sku=sku, own=self.held_units(sku, want.customer))
        return None

    def _granted(self, now: int, want: Want) -> Answer:
        assert self.terms is not None
        self.place += 1
        until = now + self.terms.hold_seconds * 1000
        granted = Reservation(
            want.token, State.HELD, False, now, until, self.place, want.customer, want.lines
        )
        self.reservations[want.token] = granted
        self._fact(now, "reservation.held", granted)
        return Answer(Reserve.HELD, granted)

    def _broken_limit(self, want: Want) -> str | None:
        """The sku whose limit the claim would break, '' for that of the sale, None for none."""
        assert self.terms is not None
        limits = {item.sku: item.limit_per_customer for item in self.terms.items}
        for sku, units in want.lines:
            most = limits[sku]
            if most is not None and self.counted_units(sku, want.customer) + units > most:
                return sku
        mine = sum(self.counted_units(sku, want.customer) for sku in self.stock)
        total = mine + sum(units for _, units in want.lines)
        most = self.terms.limit_per_customer
        return "" if most is not None and total > most else None

    def cancel(self, now: int, token: str, reason: str) -> Resolve:
        refusal = self._refuse_to_resolve(now, token)
        if refusal is not None:
            return refusal
        self._end(token, State.CANCELLED)
        self._fact(now, "reservation.cancelled", (token, reason))
        return Resolve.DONE

    def extend(self, now: int, token: str, extension_ms: int) -> Resolve:
        refusal = self._refuse_to_resolve(now, token)
        if refusal is not None:
            return refusal
        each = self.reservations[token]
        if each.extended:
            return Resolve.ALREADY_EXTENDED
        until = each.held_until_ms + extension_ms
        self.reservations[token] = replace(each, extended=True, held_until_ms=until)
        self._fact(now, "reservation.extended", (token, until))
        return Resolve.DONE

    def _refuse_to_resolve(self, now: int, token: str) -> Resolve | None:
        self._open_if_due(now)
        each = self.reservations.get(token)
        if each is None:
            return Resolve.UNKNOWN_RESERVATION
        if each.state is not State.HELD:
            return Resolve[f"ALREADY_{each.state.name}"]
        if self._overdue(now, each):
            self._expire(now, [token])
            return Resolve.ALREADY_EXPIRED
        return None

    def expire(self, now: int, limit: int) -> tuple[int, int, str]:
        """How many ended, when the next one ends (0: none), and the state ('' for no sale)."""
        if self.terms is None:
            return 0, 0, ""
        self._open_if_due(now)
        self._close_if_due(now)
        due = [token for end, token in self.holds() if end <= now][:limit]
        self._expire(now, due)
        left = self.holds()
        return len(due), left[0][0] if left else 0, self.state

    def restock(self, now: int, sku: str, units: int, reason: str, repeat_key: str) -> Restock:
        self._open_if_due(now)
        if self.terms is None:
            return Restock.UNKNOWN_SALE
        if sku not in self.stock:
            return Restock.UNKNOWN_ITEM
        if repeat_key in self.repeats:
            same = self.repeats[repeat_key] == (sku, units)
            return Restock.REPLAYED if same else Restock.REPEAT_MISMATCH
        if self.state == "closed" or self._over(now):
            return Restock.CLOSED
        self.stock[sku] += units
        if repeat_key:
            self.repeats[repeat_key] = (sku, units)
        self._fact(now, "item.restocked", (sku, units, reason))
        return Restock.DONE

    def set_state(self, now: int, verb: str) -> SetState:
        if self.terms is None:
            return SetState.UNKNOWN_SALE
        self._open_if_due(now)
        self._close_if_due(now)
        target, fact = {
            "pause": ("paused", "sale.paused"),
            "resume": ("open", "sale.resumed"),
            "close": ("closed", "sale.closed"),
        }[verb]
        if self.state == target:
            return SetState.ALREADY
        if self.state == "closed":
            return SetState.CLOSED
        self.state = target
        self._fact(now, fact, "brand")
        return SetState.DONE

    # --- what happens by itself ---

    def _over(self, now: int) -> bool:
        return self.terms is not None and 0 < self.terms.closes_ms <= now

    def _overdue(self, now: int, each: Reservation) -> bool:
        return each.state is State.HELD and each.held_until_ms <= now

    def _open_if_due(self, now: int) -> None:
        if self.terms is not None and not self.opened and now >= self.terms.opens_ms:
            self.opened = True
            self._fact(now, "sale.opened", self.terms.canonical())

    def _close_if_due(self, now: int) -> None:
        if self.state != "closed" and self._over(now):
            self.state = "closed"
            self._fact(now, "sale.closed", "closes_at")

    def _expire(self, now: int, tokens: list[str]) -> None:
        for token in tokens:
            self._end(token, State.EXPIRED)
            self._fact(now, "reservation.expired", token)

    def _end(self, token: str, state: State) -> None:
        self.reservations[token] = replace(self.reservations[token], state=state)

    def _fact(self, now: int, kind: str, about: object) -> None:
        self.journal.append((now, kind, about))
