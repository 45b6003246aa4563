"""An honest sale: a small engine, shop and crowd in one, which keeps every promise and writes down what each side says.

Anybody may do anything at any time; what comes of it is what the engine promises. The evidence of such a run must be green,
whatever was done, and one thing changed in it must not be.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flashsale.verdict.evidence import (
    Consumer,
    Counters,
    Engine,
    Evidence,
    Fact,
    Feed,
    FeedOrder,
    Hold,
    Item,
    LoadProcess,
    Run,
    Silence,
    SoldOut,
    Terms,
    Told,
    slot_of,
)

Step = tuple[str, int, int]
"""What somebody does, who or which of the reservations, and how: see `play`."""
WANTED = ({"giulia": 1}, {"keyring": 1}, {"giulia": 1, "keyring": 1}, {"keyring": 2})

T0_MS = 1_795_000_000_000
MEMORY_MS = 50
SWEPT_MS = 1_000
"""Nothing is overdue for longer than that when the run is over."""
TRIP_MS = 3
"""From a shopper to the engine, and back."""


@dataclass
class Reservation:
    """One reservation as the engine keeps it, and what its shopper was told."""

    id: str
    customer: str
    units: dict[str, int]
    place: int
    until_ms: int
    hold: Hold
    state: str = "held"
    extended: bool = False
    late: bool = False
    attempt: int = 0
    payment: str = ""


@dataclass
class HonestSale:
    """The sale, whose clock only `wait` and whoever does something move on."""

    items: list[Item]
    limit: int | None = None
    hold_ms: int = 2_000
    skews: tuple[int, ...] = (0, 2, -2)
    """By how much the clock of each load process is wrong."""
    alone: bool = True
    now: int = T0_MS
    facts: list[Fact] = field(default_factory=list)
    told: Told = field(default_factory=Told)
    orders: list[FeedOrder] = field(default_factory=list)
    reservations: dict[str, Reservation] = field(default_factory=dict)
    wants: dict[str, dict[str, int]] = field(default_factory=dict)
    """Customer -> what they have pressed for."""
    charges: int = 0
    sequence: int = 0

    def __post_init__(self) -> None:
        self.counters = {item.sku: [item.stock, item.stock, 0, 0] for item in self.items}
        self.remembered: dict[str, int] = {}
        for item in self.items:
            self._fact("item.restocked", at_ms=T0_MS - 60_000, units={item.sku: item.stock})
        self._fact("sale.opened")

    # What happens by itself, and what the brand does.

    def wait(self, ms: int) -> None:
        """Time passes, and nobody does anything about it."""
        self.now += ms

    def sweep(self, late_ms: int = 0) -> None:
        """Holds that have been overdue for so long are expired."""
        for one in self.reservations.values():
            if one.state == "held" and one.until_ms + late_ms <= self.now:
                self._end(one, "expired")

    def restock(self, sku: str, units: int) -> None:
        """Units are added."""
        self.counters[sku][0] += units
        self.counters[sku][1] += units
        self._fact("item.restocked", units={sku: units})

    def refund(self, one: Reservation, *, restock: bool) -> None:
        """An order is undone, and its money given back."""
        if one.state != "confirmed":
            return
        one.state = "refunded"
        for sku, units in one.units.items() if restock else ():
            self.counters[sku][3] -= units
            self.counters[sku][1] += units
        self._order("refunded", one, restocked=restock)
        self.wait(4)
        self._fact("charge.refunded", reservation=one.id, payment=one.payment)

    # What shoppers do.

    def press(
        self, customer: str, units: Mapping[str, int], *, lost: bool = False, bot: bool = False
    ) -> None:
        """A shopper asks for units; when the answer is lost they ask again with the same key."""
        new = customer not in self.wants
        self.wants.setdefault(customer, dict(units))
        sent = self.now
        self.wait(TRIP_MS)
        code, one = self._reserve(customer, dict(units))
        self.wait(TRIP_MS)
        if lost:
            self._silence(customer, sent, bot=bot)
            if bot:
                return
            self.wait(20)
            code, one = self._again(customer, dict(units), one)
            self.wait(TRIP_MS)
        told = self._by(customer, self.now)
        if one is not None:
            one.hold.sent_ms, one.hold.told_ms = self._by(customer, sent), told
            (self.told.bot_holds if bot else self.told.holds).append(one.hold)
        if not bot:
            self.told.pressed += new
            self.told.decided += new
            self._count(code, self.now - sent)
            if code == "sold_out":
                self.told.sold_out.append(SoldOut(dict(units), self._by(customer, sent), told))

    def _again(
        self, customer: str, units: dict[str, int], one: Reservation | None
    ) -> tuple[str, Reservation | None]:
        """The same request with the same key: replayed when it was granted."""
        return ("replayed", one) if one is not None else self._reserve(customer, units)

    def cancel(self, one: Reservation) -> None:
        """The shopper gives the hold up."""
        if one.state == "held":
            self._end(one, "expired" if one.until_ms <= self.now else "cancelled")
            one.hold.status, one.hold.settled = one.state, True

    def pay(self, one: Reservation, *, dawdle_ms: int = 0, authorised: bool = False) -> None:
        """The shopper starts a payment, agrees to it after a while, and reads what came of it."""
        if self.start(one):
            self.wait(dawdle_ms)
            self.agree(one, authorised=authorised)

    def start(self, one: Reservation) -> bool:
        """The shopper starts a payment, which extends the hold once; whether that could be."""
        if one.state != "held" or one.until_ms <= self.now:
            return False
        if not one.extended:
            one.extended, one.until_ms = True, one.until_ms + 500
            self._fact("reservation.extended", one, until_ms=one.until_ms)
        return True

    def agree(self, one: Reservation, *, authorised: bool = False) -> None:
        """The shopper agrees at the provider, and reads what came of it."""
        self.charges += 1
        payment = f"pay_{self.charges}"
        one.hold.payment, one.hold.charged = payment, not authorised
        self.wait(5)
        self._decide(one, payment, authorised=authorised)
        self.read(one)

    def read(self, one: Reservation) -> None:
        """The shopper is told how it stands."""
        overdue = one.state == "held" and one.until_ms <= self.now
        one.hold.status = "expired" if overdue else one.state
        one.hold.settled = one.hold.status != "held"

    # What the engine decides.

    def _reserve(self, customer: str, units: dict[str, int]) -> tuple[str, Reservation | None]:
        if self._over_limit(customer, units):
            return "limit_reached", None
        if any(self.now < self.remembered.get(sku, 0) for sku in units):
            return "sold_out", None
        short = [sku for sku, count in units.items() if self.counters[sku][1] < count]
        if short:
            self.sweep()
            short = [sku for sku, count in units.items() if self.counters[sku][1] < count]
        if short:
            for sku in short:
                if not self.counters[sku][1]:
                    self.remembered[sku] = self._memory_until()
            return "sold_out", None
        place = len(self.reservations) + 1
        until_ms = self.now + self.hold_ms
        name = f"sale.0.{place:016}"
        one = Reservation(name, customer, units, place, until_ms, Hold(name, customer, units, place, 0, 0))
        self.reservations[name] = one
        self._move(units, 1, 2)
        self._fact("reservation.held", one, place=place, until_ms=until_ms)
        return "held", one

    def _memory_until(self) -> int:
        """Never beyond the end of the next hold: its units come back then."""
        ends = [one.until_ms for one in self.reservations.values() if one.state == "held"]
        return min([self.now + MEMORY_MS, *(end for end in ends if end > self.now)])

    def _over_limit(self, customer: str, units: Mapping[str, int]) -> bool:
        has: dict[str, int] = dict(units)
        for one in self.reservations.values():
            if one.customer == customer and one.state in ("held", "confirmed"):
                for sku, count in one.units.items():
                    has[sku] = has.get(sku, 0) + count
        limits = {item.sku: item.limit for item in self.items if item.limit is not None}
        return (self.limit is not None and sum(has.values()) > self.limit) or any(
            has[sku] > limits.get(sku, has[sku]) for sku in units
        )

    def _end(self, one: Reservation, how: str) -> None:
        one.state = how
        self._move(one.units, 2, 1)
        self._fact(f"reservation.{how}", one)

    def _decide(self, one: Reservation, payment: str, *, authorised: bool) -> None:
        """The charge makes an order, or is given back; what was only authorised is released instead."""
        if one.state == "held" and one.until_ms <= self.now:
            self._end(one, "expired")
        if one.state == "held":
            self._move(one.units, 2, 3)
        elif (
            one.state == "expired"
            and not self._over_limit(one.customer, one.units)
            and all(self.counters[sku][1] >= count for sku, count in one.units.items())
        ):
            self._move(one.units, 1, 3)
            one.late = True
        else:
            if not authorised:
                self._fact("charge.refused", reservation=one.id, payment=payment)
                self.wait(4)
                self._fact("charge.refunded", reservation=one.id, payment=payment)
            return
        one.state, one.payment = "confirmed", payment
        self._order("confirmed", one)

    def _move(self, units: Mapping[str, int], from_: int, to: int) -> None:
        for sku, count in units.items():
            self.counters[sku][from_] -= count
            self.counters[sku][to] += count

    def _order(self, status: str, one: Reservation, *, restocked: bool = False) -> None:
        self.sequence += 1
        self._fact(
            f"reservation.{status}", one, sequence=self.sequence, payment=one.payment, restocked=restocked
        )
        self.orders.append(
            FeedOrder(self.sequence, status, one.id, one.customer, one.units, one.payment, self.now)
        )

    def _fact(self, type_: str, one: Reservation | None = None, **more: Any) -> None:
        who = {"reservation": one.id, "customer": one.customer, "units": one.units} if one else {}
        fields = {"seq": len(self.facts) + 1, "at_ms": self.now, "type": type_, **who, **more}
        self.facts.append(Fact(**fields))

    # What the load processes write down.

    def _by(self, customer: str, at_ms: int) -> int:
        """An instant by the clock of this customer's load process."""
        return at_ms + self.skews[len(customer) % len(self.skews)]

    def _silence(self, customer: str, sent_ms: int, *, bot: bool) -> None:
        if bot:
            self.told.bot_silent.append(customer)
            return
        self.told.silences.append(
            Silence("reserve", customer, self._by(customer, sent_ms), self._by(customer, self.now), "closed")
        )
        self._status("0")

    def _count(self, code: str, latency_ms: int) -> None:
        timeline = self.told.timeline
        bucket = (self.now - T0_MS) // timeline.bucket_ms
        row = timeline.answers.setdefault(code, {})
        row[bucket] = row.get(bucket, 0) + 1
        slots = timeline.latency.setdefault("reserve", {}).setdefault(bucket, {})
        slots[slot_of(latency_ms)] = slots.get(slot_of(latency_ms), 0) + 1
        self._status({"held": "201", "replayed": "200"}.get(code, "409"))

    def _status(self, status: str) -> None:
        statuses = self.told.timeline.statuses
        statuses[status] = statuses.get(status, 0) + 1

    def evidence(self) -> Evidence:
        """What the three sides say in the end."""
        self.sweep(SWEPT_MS)
        made = sum(order.status == "confirmed" for order in self.orders)
        return Evidence(
            run=Run(
                "smoke",
                "flash",
                "http://127.0.0.1:8080",
                self.told.pressed,
                T0_MS - 5_000,
                self.now,
                self.alone,
            ),
            terms=Terms("sale", "Sale", T0_MS, self.hold_ms, self.items, "EUR", self.limit),
            told=self.told,
            engine=Engine(
                state="open",
                items={sku: Counters(*counts) for sku, counts in self.counters.items()},
                audit_ok=True,
                audit_findings=[],
                facts=self.facts,
                read_ms=self.now,
                summary={
                    "sequence": self.sequence,
                    "behind": 0,
                    "confirmed": {"count": made, "amount": 100 * made},
                    "refunded": {"count": len(self.orders) - made, "amount": 100 * (len(self.orders) - made)},
                },
            ),
            feed=Feed(self.orders, [Consumer("books", len(self.orders), self.sequence)]),
            processes=[
                LoadProcess(f"load-{number}", 1.0, 10.0, 0.3, 10, 9, 1.0, 4.0, 6.0, float(abs(skew)))
                for number, skew in enumerate(self.skews)
            ],
        )


def play(sale: HonestSale, steps: Iterable[Step]) -> Evidence:
    """Does all of this one after the other. Whatever cannot be done is left out."""
    for what, who, how in steps:
        if what == "press":
            sale.press(f"c-{who}", WANTED[how % len(WANTED)], lost=how % 7 == 6)
        elif what == "bot":
            sale.press(f"bot-{who}", WANTED[0], lost=how % 7 == 6, bot=True)
        elif what == "wait":
            sale.wait((1, 20, 49, 60, 400, sale.hold_ms)[how % 6])
        elif what == "sweep":
            sale.sweep()
        elif what == "restock":
            sale.restock(sale.items[who % len(sale.items)].sku, 1 + how % 3)
        elif sale.told.holds:
            _of_a_shopper(
                sale, what, sale.reservations[sale.told.holds[who % len(sale.told.holds)].reservation], how
            )
    return sale.evidence()


def _of_a_shopper(sale: HonestSale, what: str, one: Reservation, how: int) -> None:
    if what == "cancel":
        sale.cancel(one)
    elif what == "pay" and not one.hold.payment:
        sale.pay(one, dawdle_ms=(0, 10, 3 * sale.hold_ms)[how % 3], authorised=how % 2 == 1)
    elif what == "refund":
        sale.refund(one, restock=how % 2 == 0)
    elif what == "read":
        sale.read(one)
