"""A whole run made up by a small simulation, with three sides that agree: what reports and advice are tested with."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypedDict, Unpack

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
    SoldOut,
    Terms,
    Told,
    slot_of,
)
from tests.verdict.honest_sale import T0_MS

SKU = "giulia"


@dataclass(kw_only=True)
class Plan:
    """What comes, and what it meets."""

    shoppers: int = 400
    units: int = 50
    title: str = "Alfa Romeo Giulia Milano"
    answers_per_second: int = 2_000
    hold_ms: int = 5_000
    reaction_ms: int = 300
    pay_ms: int = 1_500
    """Median from the hold to the payment."""
    leave: float = 0.1
    """Share of the holders who leave without a word."""
    cancel: float = 0.03
    refund: float = 0.0
    """Share of the orders that are given back, their units on sale again."""
    press_again_ms: int = 1_000
    patience_ms: int = 30_000
    limit: int | None = 1
    processes: int = 2
    cpu_share: float = 0.4
    late_ms: float = 3.0
    consumers: int = 1
    delay_ms: float = 40.0
    host: str = "http://127.0.0.1:8080"
    seed: int = 7


class Details(TypedDict, total=False):
    """What only some facts have."""

    reservation: str
    customer: str
    units: dict[str, int]
    sequence: int
    payment: str
    restocked: bool
    place: int
    until_ms: int


@dataclass
class Simulation:
    """Shoppers queue for one server that answers one after the other."""

    plan: Plan
    events: list[tuple[float, int, Callable[[float], None]]] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    told: Told = field(default_factory=Told)
    orders: list[FeedOrder] = field(default_factory=list)
    free_at: float = 0.0
    number: int = 0
    place: int = 0
    end: float = 0.0

    def __post_init__(self) -> None:
        self.random = random.Random(self.plan.seed)
        self.left, self.held, self.sold = self.plan.units, 0, 0
        self.again_sold_out = self.plan.patience_ms

    def later(self, at: float, what: Callable[[float], None]) -> None:
        self.number += 1
        heapq.heappush(self.events, (at, self.number, what))

    def fact(self, at: float, kind: str, hold: Hold | None = None, **more: Unpack[Details]) -> None:
        if hold is not None:
            more = {
                "reservation": hold.reservation,
                "customer": hold.customer,
                "units": hold.units,
                **more,
            }
        self.facts.append(Fact(len(self.facts) + 1, T0_MS + int(at), kind, **more))

    def count(self, kind: str, sent: float, at: float) -> None:
        timeline = self.told.timeline
        bucket, slot = int(at // timeline.bucket_ms), slot_of(at - sent)
        row = timeline.answers.setdefault(kind, {})
        row[bucket] = row.get(bucket, 0) + 1
        slots = timeline.latency.setdefault("reserve", {}).setdefault(bucket, {})
        slots[slot] = slots.get(slot, 0) + 1

    def status(self, code: str) -> None:
        self.told.timeline.statuses[code] = self.told.timeline.statuses.get(code, 0) + 1

    def run(self) -> None:
        self.facts.append(Fact(1, T0_MS - 60_000, "item.restocked", units={SKU: self.plan.units}))
        self.fact(0, "sale.opened")
        for number in range(self.plan.shoppers):
            at = self.random.lognormvariate(0, 0.6) * self.plan.reaction_ms
            self.later(at, partial(self.press, customer=f"c-{number}"))
        self.told.pressed = self.told.decided = self.plan.shoppers
        while self.events:
            at, _, what = heapq.heappop(self.events)
            self.end = max(self.end, at)
            what(at)

    def press(self, now: float, customer: str) -> None:
        begin = max(now, self.free_at)
        self.free_at = begin + 1000 / self.plan.answers_per_second
        self.later(self.free_at, lambda at: self.answer(now, at, customer))

    def answer(self, sent: float, now: float, customer: str) -> None:
        if not self.left:
            self.count("sold_out", sent, now)
            self.status("409")
            self.told.sold_out.append(SoldOut({SKU: 1}, T0_MS + int(sent), T0_MS + int(now)))
            if now + self.plan.press_again_ms < self.plan.patience_ms and self.held:
                self.later(
                    now + self.plan.press_again_ms * self.random.uniform(0.8, 1.2),
                    lambda at: self.press(at, customer),
                )
            return
        self.place += 1
        self.left, self.held = self.left - 1, self.held + 1
        hold = Hold(
            f"r-{self.place}",
            customer,
            {SKU: 1},
            self.place,
            T0_MS + int(sent),
            T0_MS + int(now),
            settled=True,
        )
        self.count("held", sent, now)
        self.status("201")
        self.told.holds.append(hold)
        self.fact(
            now, "reservation.held", hold, place=hold.place, until_ms=T0_MS + int(now) + self.plan.hold_ms
        )
        self.decide(now, hold)

    def decide(self, now: float, hold: Hold) -> None:
        fate = self.random.random()
        pays_at = now + self.random.lognormvariate(0, 0.5) * self.plan.pay_ms
        if fate < self.plan.cancel:
            self.later(
                min(pays_at, now + self.plan.hold_ms / 2), lambda at: self.give_up(at, hold, "cancelled")
            )
        elif fate < self.plan.cancel + self.plan.leave or pays_at >= now + self.plan.hold_ms:
            if pays_at >= now + self.plan.hold_ms and fate >= self.plan.cancel + self.plan.leave:
                self.later(now + self.plan.hold_ms * 0.95, lambda at: self.extend(at, hold))
            self.later(now + self.plan.hold_ms, lambda at: self.give_up(at, hold, "expired"))
        else:
            self.later(pays_at, lambda at: self.pay(at, hold))

    def give_up(self, now: float, hold: Hold, how: str) -> None:
        self.left, self.held, hold.status = self.left + 1, self.held - 1, how
        self.fact(now, f"reservation.{how}", hold)

    def extend(self, now: float, hold: Hold) -> None:
        self.fact(now, "reservation.extended", hold, until_ms=hold.told_ms + self.plan.hold_ms)

    def pay(self, now: float, hold: Hold) -> None:
        self.held, self.sold = self.held - 1, self.sold + 1
        hold.status, hold.payment = "confirmed", f"pi-{hold.reservation}"
        self.order(now, "confirmed", hold)
        if self.random.random() < self.plan.refund:
            self.later(now + 500, lambda at: self.refund(at, hold))

    def refund(self, now: float, hold: Hold) -> None:
        self.left, self.sold, hold.status = self.left + 1, self.sold - 1, "refunded"
        self.order(now, "refunded", hold)
        self.fact(now + 5, "charge.refunded", hold, payment=hold.payment, units={})

    def order(self, now: float, status: str, hold: Hold) -> None:
        sequence = len(self.orders) + 1
        self.fact(
            now,
            f"reservation.{status}",
            hold,
            sequence=sequence,
            payment=hold.payment,
            restocked=status == "refunded",
        )
        self.orders.append(
            FeedOrder(
                sequence, status, hold.reservation, hold.customer, hold.units, hold.payment, T0_MS + int(now)
            )
        )

    def evidence(self) -> Evidence:
        plan = self.plan
        return Evidence(
            Run(
                "smoke",
                "flash",
                plan.host,
                plan.shoppers,
                T0_MS - 10_000,
                T0_MS + int(self.end) + 1_000,
                alone=True,
                options={
                    "sale": "giulia-milano",
                    "users": plan.shoppers,
                    "units": plan.units,
                    "abandon": plan.leave,
                },
                machine="Linux x86_64, 2 cores, 24 GiB",
                versions={"flashsale": "0.9.0", "locust": "2.47.0"},
            ),
            Terms(
                "giulia-milano",
                plan.title,
                T0_MS,
                plan.hold_ms,
                [Item(SKU, plan.units, price=33_000_000)],
                "CNY",
                plan.limit,
            ),
            self.told,
            Engine(
                "open" if self.left else "sold_out",
                {SKU: Counters(plan.units, self.left, self.held, self.sold)},
                True,
                [],
                self.facts,
                summary=summary(self.orders),
            ),
            Feed(self.orders, [consumer(plan, number, self.orders) for number in range(plan.consumers)]),
            [process(plan, number) for number in range(plan.processes)],
        )


def consumer(plan: Plan, number: int, orders: list[FeedOrder]) -> Consumer:
    return Consumer(f"books-{number + 1}", len(orders), len(orders), [], plan.delay_ms, plan.delay_ms * 2)


def process(plan: Plan, number: int) -> LoadProcess:
    fired = plan.shoppers // plan.processes + (number < plan.shoppers % plan.processes)
    return LoadProcess(
        f"load-{number + 1}",
        cpu_seconds=4.2,
        wall_seconds=30.0,
        rush_cpu_share=plan.cpu_share,
        fired=fired,
        fired_in_first_second=fired * 95 // 100,
        late_p50_ms=plan.late_ms / 4,
        late_p99_ms=plan.late_ms,
        late_max_ms=plan.late_ms * 2,
        clock_error_ms=0.4,
        memory_mib=120.5,
    )


def summary(orders: list[FeedOrder]) -> dict[str, object]:
    """As the engine sums its orders up: only what is needed here."""
    undone = sum(order.status == "refunded" for order in orders)
    return {
        "sequence": len(orders),
        "confirmed": {"count": len(orders) - undone},
        "refunded": {"count": undone},
        "behind": 0,
    }


def made_run(plan: Plan | None = None) -> Evidence:
    """The evidence of a run that went by this plan."""
    simulation = Simulation(plan or Plan())
    simulation.run()
    return simulation.evidence()
