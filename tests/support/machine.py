"""The state machine: random sales on the real server, each step compared with the oracle.

After each step the outcome, every counter, entry, record and hold, and every new fact must be what the oracle says; after
the last step the audit must be clean. `tests.support.runs` gives the machine a server and an event loop, and
`tests.support.machine_money` teaches it to pay.
"""

import asyncio
import random
from collections.abc import Awaitable, Collection
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from flashsale.model.facts import Confirmed, Fact
from flashsale.model.ids import derived_token
from flashsale.model.outcomes import Reserve
from flashsale.model.reservation import Line, unpack_entries, unpack_record
from flashsale.model.sale import SaleDefinition
from flashsale.scripts.reserve import Batch, Claim, Decision, Held, Replayed
from flashsale.store.client import Store
from flashsale.store.sales import SaleStore
from tests.support.books import faults_of
from tests.support.oracle import Answer, FactRow, Want
from tests.support.oracle_money import MoneyOracle
from tests.support.sales import OPENS_MS, SALE, Clock, definition
from tests.support.server import PATIENCE_MS, PATIENCE_S
from tests.support.shop import Shop, Snapshot

T = TypeVar("T")

SKUS = ("a", "b", "ç")
CUSTOMERS = ("ann", "bób", "\0", "🏎️")
KEYS = (None, None, "k", "l")
UNKNOWN_TOKEN = "unknown-unknown-"
UNKNOWN_SKU = "no such"


class Chance(random.Random):
    """Evenly spread choices from one number, which a failure prints. Left to itself Hypothesis prefers the simplest
    values, and a sale in which everybody is ann and wants one car shows little.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.number = seed

    def __repr__(self) -> str:
        return f"Chance({self.number})"

    def definition(self) -> SaleDefinition:
        """A small sale, so that limits are met and items run out."""
        skus = self.sample(SKUS, self.randint(1, 3))
        opens_ms = OPENS_MS + self.choice([-1000, 0, 0, 0, 1000, 60_000])
        lasts_ms = self.choice([None, None, 10_000, 60_000])
        limits = [None, None, None, 2, 4]
        return definition(
            {sku: self.choice([0, 1, 2, 4, 8, 16, 16]) for sku in skus},
            opens_ms=opens_ms,
            closes_ms=None if lasts_ms is None else opens_ms + lasts_ms,
            limit=self.choice(limits),
            item_limits={sku: limit for sku in skus if (limit := self.choice(limits))},
            hold_seconds=self.choice([1, 5, 60]),
            deposit_percent=self.choice([100, 100, 33, 1]),
            rehearsal=self.random() < 0.2,
        )

    def sku(self, stock: Collection[str]) -> str:
        return self.choice([*stock]) if stock and self.random() < 0.95 else UNKNOWN_SKU

    def lines(self, stock: Collection[str]) -> tuple[Line, ...]:
        skus = {self.sku(stock) for _ in range(self.choice([1, 1, 2, 3]))}
        return tuple((sku, self.choice([1, 1, 1, 2, 3])) for sku in sorted(skus))


chances = st.integers(0, 2**32).map(Chance)


class Machine(RuleBasedStateMachine):
    """One sale from before it is defined until after it is closed."""

    loop: asyncio.AbstractEventLoop
    url: str

    def __init__(self) -> None:
        super().__init__()
        self.store = Store.connect(self.url, timeout_ms=PATIENCE_MS)
        self.sale_store = SaleStore(self.store, timeout_s=PATIENCE_S)
        self.clock = Clock(OPENS_MS - 1000)
        self.shop = Shop(self.store, self.sale_store, self.clock)
        self.oracle = MoneyOracle()
        self.tokens: list[str] = []
        self.keyed: list[Want] = []
        self.seen = 0
        self.run(self.store.redis.flushall())

    def run(self, work: Awaitable[T]) -> T:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        try:
            faults = self.run(faults_of(self.url))
            assert not faults, faults
        finally:
            self.run(self.sale_store.close())
            self.run(self.store.close())

    # --- rules ---

    @initialize(chance=chances)
    def first_definition(self, chance: Chance) -> None:
        """Most sales are defined and open at once; the others show what happens before."""
        terms = chance.definition()
        if chance.random() < 0.95:
            self.define(terms)
            if chance.random() < 0.9:
                self.clock.now_ms = max(self.clock.now_ms, terms.opens_ms)

    @rule(chance=chances)
    def define_again(self, chance: Chance) -> None:
        self.define(chance.definition())

    def define(self, terms: SaleDefinition) -> None:
        assert self.run(self.shop.define(terms)) is self.oracle.open_sale(self.clock.now_ms, terms)

    @rule(chance=chances)
    def reserve_one(self, chance: Chance) -> None:
        self.reserve([self.want(chance.choice(CUSTOMERS), ((chance.sku(self.oracle.stock), 1),), None)])

    @rule(chance=chances)
    def reserve_many(self, chance: Chance) -> None:
        self.reserve(
            [
                self.want(chance.choice(CUSTOMERS), chance.lines(self.oracle.stock), chance.choice(KEYS))
                for _ in range(chance.randint(1, 6))
            ]
        )

    @precondition(lambda self: self.keyed)
    @rule(chance=chances)
    def reserve_again(self, chance: Chance) -> None:
        """As a client that got no answer, or one that uses its key for something else."""
        want = chance.choice(self.keyed)
        if chance.random() < 0.2:
            want = Want(want.token, want.customer, chance.lines(self.oracle.stock), repeatable=True)
        self.reserve([want] * chance.randint(1, 2))

    def want(self, customer: str, lines: tuple[Line, ...], key: str | None) -> Want:
        token = f"token-{len(self.tokens):010d}" if key is None else derived_token(SALE, customer, key)
        self.tokens.append(token)
        want = Want(token, customer, lines, key is not None)
        if want.repeatable:
            self.keyed.append(want)
        return want

    def reserve(self, wants: list[Want]) -> None:
        claims = [Claim(w.token, w.customer, w.lines, w.repeatable) for w in wants]
        decided = self.run(self.shop.reserve_batch(*claims))
        answers = self.oracle.reserve(self.clock.now_ms, wants)
        for decision, answer in zip(decided.decisions, answers, strict=True):
            self.compare(decision, answer)
        self.compare_summary(decided)

    @precondition(lambda self: self.tokens)
    @rule(chance=chances)
    def cancel(self, chance: Chance) -> None:
        token, reason = self.a_token(chance), chance.choice(["", "customer", "ö"])
        resolved = self.run(self.shop.cancel(token, reason))
        assert resolved.outcome is self.oracle.cancel(self.clock.now_ms, token, reason)
        assert resolved.reservation == self.oracle.reservations.get(token)

    @precondition(lambda self: self.tokens)
    @rule(chance=chances)
    def extend(self, chance: Chance) -> None:
        token, seconds = self.a_token(chance), chance.choice([0, 1, 60])
        resolved = self.run(self.shop.extend(token, seconds))
        assert resolved.outcome is self.oracle.extend(self.clock.now_ms, token, seconds * 1000)
        assert resolved.reservation == self.oracle.reservations.get(token)

    def a_token(self, chance: Chance) -> str:
        """Mostly that of a hold; sometimes that of any reservation, of a refused or of an unknown one."""
        held = [token for _, token in self.oracle.holds()]
        others = [chance.choice(self.tokens), UNKNOWN_TOKEN]
        return chance.choice(held if held and chance.random() < 0.8 else others)

    @rule(limit=st.sampled_from([1, 2, 100]))
    def expire(self, limit: int) -> None:
        sweep = self.run(self.shop.expire(limit))
        expected = self.oracle.expire(self.clock.now_ms, limit)
        assert (sweep.expired, sweep.next_due_ms, sweep.state) == expected

    @rule(chance=chances)
    def restock(self, chance: Chance) -> None:
        sku, units, key = chance.sku(self.oracle.stock), chance.randint(1, 3), chance.choice(["", "k", "l"])
        outcome = self.run(self.shop.restock(sku, units, reason="més", repeat_key=key))
        assert outcome is self.oracle.restock(self.clock.now_ms, sku, units, "més", key)

    @rule(verb=st.sampled_from(["resume", "pause"]))
    @precondition(lambda self: len(self.tokens) > 10)
    def steer(self, verb: str) -> None:
        assert self.run(self.shop.set_state(verb)) is self.oracle.set_state(self.clock.now_ms, verb)

    @precondition(lambda self: self.oracle.state == "paused")
    @rule()
    def resume(self) -> None:
        """Or else half of all sales would stand still."""
        self.steer("resume")

    @precondition(lambda self: len(self.tokens) > 15)
    @rule()
    def close_sale(self) -> None:
        assert self.run(self.shop.set_state("close")) is self.oracle.set_state(self.clock.now_ms, "close")

    @rule(chance=chances)
    def time_passes(self, chance: Chance) -> None:
        """Mostly to just before, at or just after an instant at which something happens by itself."""
        now, terms = self.clock.now_ms, self.oracle.terms
        instants = [end for end, _ in self.oracle.holds()[:3]]
        instants += [terms.opens_ms, terms.closes_ms] if terms else []
        ahead = [instant for instant in instants if instant > now]
        if ahead and chance.random() < 0.8:
            self.clock.now_ms = chance.choice(ahead) + chance.choice([-1, 0, 0, 1])
        else:
            self.clock.now_ms += chance.choice([1, 1000, 5000])

    @rule()
    def the_server_forgets_the_scripts(self) -> None:
        self.run(self.store.redis.script_flush())

    # --- what must be true ---

    def compare(self, decision: Decision, answer: Answer) -> None:
        if isinstance(decision, Held | Replayed):
            assert answer.outcome is (Reserve.HELD if isinstance(decision, Held) else Reserve.REPLAYED)
            assert decision.reservation == answer.reservation
            return
        assert decision.outcome is answer.outcome
        assert decision.sku == answer.sku
        assert decision.entries == answer.entries
        if decision.outcome is Reserve.SOLD_OUT:
            held = self.oracle.held_units(decision.sku)
            assert decision.held_by_others == max(0, held - answer.own)
            assert decision.next_release_ms == self.oracle.next_release_ms(decision.sku)
        elif decision.outcome is Reserve.NOT_OPEN:
            assert self.oracle.terms is not None
            assert decision.opens_ms == self.oracle.terms.opens_ms

    def compare_summary(self, batch: Batch) -> None:
        assert (batch.version, batch.place) == (self.oracle.version, self.oracle.place)
        for sku, item in batch.items.items():
            _, available, held, _ = self.oracle.items()[sku]
            assert (item.available, item.held) == (available, held)
            # Of an item with something left it is told only when somebody wanted more.
            due = self.oracle.next_release_ms(sku)
            assert item.next_release_ms == due or (available > 0 and item.next_release_ms == 0)

    @invariant()
    def everything_stored_is_as_the_oracle_says(self) -> None:
        oracle, found = self.oracle, self.run(self.shop.snapshot())
        if oracle.terms is None:
            assert not any(found.values())
            return
        sale = {field.decode(): value.decode() for field, value in found["sale"].items()}
        assert sale["state"] == oracle.state
        assert int(sale.get("place", 0)) == oracle.place
        assert int(sale.get("seq", 0)) == len(oracle.journal)
        assert sale.get("opened", "0") == str(int(oracle.opened))
        assert int(sale["version"]) == oracle.version
        stock = {field.decode(): int(value) for field, value in found["stock"].items()}
        counters = ("stock", "available", "held", "sold")
        items = oracle.items()
        assert {sku: tuple(stock[f"{counter}:{sku}"] for counter in counters) for sku in items} == items
        assert len(stock) == 5 * len(items)
        entries = {name.decode(): unpack_entries(value) for name, value in found["customers"].items()}
        assert entries == oracle.entries()
        records = {
            token.decode(): unpack_record(token.decode(), record)
            for token, record in found["reservations"].items()
        }
        assert records == oracle.reservations
        assert [(int(end), token.decode()) for token, end in found["holds"]] == oracle.holds()
        self.compare_journal(found["journal"])
        self.compare_payments(found)

    def compare_payments(self, found: Snapshot) -> None:
        """What is stored of payments; the machine that pays knows."""

    def compare_journal(self, journal: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
        """Facts are never changed, so only the new ones are read."""
        assert len(journal) == len(self.oracle.journal)
        for entry_id, fields in journal[self.seen :]:
            seq, at_ms = map(int, entry_id.split(b"-"))
            ((kind, data),) = fields.items()
            assert seq == self.seen + 1
            assert row_of(Fact(seq, at_ms, kind.decode(), data)) == self.oracle.journal[self.seen]
            self.seen += 1


def row_of(fact: Fact) -> FactRow:
    """A stored fact in the oracle's form."""
    about: object
    match fact.type:
        case "reservation.held":
            about = fact.held()
        case "reservation.extended":
            about = (fact.token, fact.extended_until_ms())
        case "reservation.cancelled":
            about = (fact.token, fact.data[16:].decode())
        case "reservation.expired":
            about = fact.token
        case "item.restocked":
            about = fact.restocked()
        case "sale.opened":
            about = fact.data
        case "reservation.confirmed" | "charge.refused":
            paid = fact.confirmed() if fact.type == "reservation.confirmed" else fact.charge_refused()
            how = paid.late if isinstance(paid, Confirmed) else paid.reason
            number = (paid.sequence,) if isinstance(paid, Confirmed) else ()
            about = (fact.token, *number, how, paid.method, paid.money, paid.reference)
        case "reservation.refunded":
            about = (fact.token, fact.refunded())
        case "charge.refunded":
            about = (fact.token, *fact.charge_refunded())
        case _:
            about = fact.data.decode()
    return fact.at_ms, fact.type, about
