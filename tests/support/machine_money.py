"""The state machine that pays too: attempts, charges in any order, doubled, late, wrong and lost, refunds, and the queue.

`PayingMachine` keeps what a provider would know: the payments that were made there, and the money it has taken. Only the
provider takes money, each payment at most once; what it tells comes whenever it comes. After the last step everything it has
taken is told at last, every refund is made, and the books must have each charge as an order or a refund.
"""

import sys
from typing import Any

from hypothesis.stateful import precondition, rule

from flashsale.keys import SaleKeys
from flashsale.model.jobs import Job
from flashsale.model.outcomes import Pay
from flashsale.model.payment import METHODS, Fate, Money, PaymentStatus, pack_record
from flashsale.model.reservation import State
from flashsale.scripts import payments as scripts
from flashsale.scripts.payments import ChargeClaim
from tests.support.machine import UNKNOWN_TOKEN, Chance, Machine, chances
from tests.support.oracle_money import Taken, Wish, packed
from tests.support.sales import SALE
from tests.support.shop import Snapshot, job_of

KEYS = SaleKeys.of(SALE)
STATUSES = (
    PaymentStatus.REQUIRES_ACTION,
    PaymentStatus.PROCESSING,
    PaymentStatus.FAILED,
    PaymentStatus.CANCELLED,
)
DETAILS: tuple[dict[str, Any], ...] = (
    {},
    {"error": "declined"},
    {"action": {"type": "redirect", "url": "ü"}},
)


class PayingMachine(Machine):
    """One sale, its payments, and a provider."""

    def __init__(self) -> None:
        super().__init__()
        self.told: set[str] = set()
        self.taken: dict[str, Taken] = {}
        """By reference, in the order in which the provider took them."""

    def teardown(self) -> None:
        try:
            # A step that has failed already is told by its own difference.
            if self.oracle.terms is not None and sys.exc_info()[0] is None:
                self.all_is_told_at_last()
        finally:
            super().teardown()

    # --- rules ---

    @precondition(lambda self: self.tokens)
    @rule(chance=chances)
    def pay(self, chance: Chance) -> None:
        count = chance.choice([1, 1, 2, 4])
        self.wish([(self.a_token(chance), chance.choice(METHODS[:2])) for _ in range(count)], chance)

    def wish(self, wishes: list[Wish], chance: Chance) -> None:
        extension_ms, rate = chance.choice([0, 0, 3000]), chance.choice([0, 2, 2, 100])
        limit, now = chance.choice([1000, 1000, 1000, 3]), self.clock.now_ms
        sent = [scripts.Wish(token, method, self.due_or(token)) for token, method in wishes]
        answers = self.run(
            scripts.pay(
                self.store.redis,
                KEYS,
                sent,
                extension_ms=extension_ms,
                rate=rate,
                queue_limit=limit,
                now_ms=now,
            )
        )
        expected = self.oracle.pay(now, wishes, extension_ms=extension_ms, rate=rate, queue_limit=limit)
        assert [(paying.outcome, paying.ahead) for paying in answers] == expected
        last = {token: paying for (token, _), paying in zip(wishes, answers, strict=True)}
        for token, paying in last.items():
            assert paying.reservation == self.oracle.reservations.get(token)
            if paying.outcome is not Pay.UNKNOWN_RESERVATION:
                assert paying.payment == self.oracle.payments.get(token)
        looked = self.run(self.shop.look(tokens=[*last])).ahead
        waiting = self.oracle.turns
        assert list(looked) == [self.oracle.ahead(token) if token in waiting else None for token in last]

    @precondition(lambda self: self.oracle.holds())
    @rule(chance=chances)
    def checkout(self, chance: Chance) -> None:
        """As most go, from the wish to pay to the money; unless the customer or the provider stops on the way."""
        held = [token for _, token in self.oracle.holds()]
        tokens, method = chance.sample(held, min(len(held), chance.randint(1, 3))), chance.choice(METHODS[:2])
        self.wish([(token, method) for token in tokens], chance)
        status, asked = chance.choice(STATUSES[:2]), [t for t in tokens if t in self.oracle.payments]
        numbers = {token: self.oracle.payments[token].attempt for token in asked}
        tries = [
            scripts.Try(token, number, status, self.reference_of(token, number))
            for token, number in numbers.items()
        ]
        if not tries or chance.random() < 0.1:
            return
        if chance.random() < 0.2:
            self.time_passes(chance)
        self.answer(tries)
        if chance.random() < 0.2:
            self.time_passes(chance)
        for token in asked:
            self.take(token, chance)
        told = [self.taken[each.reference] for each in tries if each.reference in self.taken]
        if told:
            self.tell(told * chance.choice([1, 1, 2]), chance, through_the_queue=True)

    def reference_of(self, token: str, attempt: int, *, strange: bool = False) -> str:
        """What the sale's provider calls the payment of an attempt: asked again, it finds the same one.

        A strange one is of another provider than the sale's.
        """
        pretends = self.oracle.terms is not None and self.oracle.terms.rehearsal
        return f"{'simulator' if pretends != strange else 'sim'}:{token}.{attempt}"

    def due_or(self, token: str, amount: int = 1) -> Money:
        """What is due for a reservation, or some money for one that nobody knows."""
        return self.oracle.due(token) if token in self.oracle.reservations else Money(amount, "CNY")

    @precondition(lambda self: self.oracle.payments)
    @rule(chance=chances)
    def provider_answers(self, chance: Chance) -> None:
        """To some attempts: mostly the present ones, or late to older ones; with references of their own, or none."""
        self.answer([self.a_try(chance) for _ in range(chance.choice([1, 1, 1, 3]))])

    def answer(self, tries: list[scripts.Try]) -> None:
        answers = self.run(scripts.attempt(self.store.redis, KEYS, tries, now_ms=self.clock.now_ms))
        for each, answered in zip(tries, answers, strict=True):
            assert answered.outcome is self.oracle.attempt(
                self.clock.now_ms, each.token, each.attempt, each.status, each.reference, each.details
            )
            assert answered.payment == self.oracle.payments.get(each.token)
            assert answered.reservation == self.oracle.reservations.get(each.token)

    def a_try(self, chance: Chance) -> scripts.Try:
        token = chance.choice([*self.oracle.payments, UNKNOWN_TOKEN])
        known = self.oracle.payments.get(token)
        attempt = max(1, (known.attempt if known else 1) - chance.choice([0, 0, 0, 1]))
        known_there = self.reference_of(token, attempt)
        reference = chance.choice(["", known_there, known_there])
        return scripts.Try(token, attempt, chance.choice(STATUSES), reference, chance.choice(DETAILS))

    @precondition(
        lambda self: self.tokens and self.oracle.terms
    )  # others go to a sale of their own, keys.STRAY
    @rule(chance=chances)
    def provider_takes(self, chance: Chance) -> None:
        """Mostly what is due for the present attempt; sometimes for an older one, nobody's, or the wrong amount."""
        paying = [token for token in self.oracle.payments if token in self.oracle.reservations]
        self.take(chance.choice(paying) if paying and chance.random() < 0.8 else self.a_token(chance), chance)

    def take(self, token: str, chance: Chance) -> None:
        known = self.oracle.payments.get(token)
        asked = known.attempt if known else 0
        attempt = max(1, asked + chance.choice([0, 0, 0, 0, -1, 1] if asked else [1, 2]))
        money = self.due_or(token, 7)
        if chance.random() < 0.25:
            money = chance.choice(
                [Money(money.amount + 1, "CNY"), Money(1, "CNY"), Money(money.amount, "EUR")]
            )
        method = known.method if known and known.method and known.attempt == attempt else "klarna"
        reference = self.reference_of(token, attempt, strange=chance.random() < 0.1)
        self.taken.setdefault(reference, Taken(token, attempt, method, money, reference))

    @precondition(lambda self: self.taken)
    @rule(chance=chances)
    def provider_tells(self, chance: Chance) -> None:
        """Of some charges in any order: for the first time, again, or twice at once."""
        charges = chance.choices([*self.taken.values()], k=chance.randint(1, 5))
        self.tell(charges, chance, through_the_queue=chance.random() < 0.5)

    def tell(self, charges: list[Taken], chance: Chance, *, through_the_queue: bool) -> None:
        """The charges are decided, with the jobs that have brought them or without."""
        entries = [self.run(self.bring(each)) if through_the_queue else "" for each in charges]
        claims = [
            ChargeClaim(each.token, each.attempt, each.method, each.money, each.reference, entry_id)
            for each, entry_id in zip(charges, entries, strict=True)
        ]
        simulated = chance.random() < 0.5
        decisions = self.run(self.shop.confirm(*claims, simulated=simulated))
        expected = self.oracle.confirm(self.clock.now_ms, charges, simulated=simulated)
        assert [(decision.outcome, decision.fate) for decision in decisions] == expected
        self.told |= {each.reference for each in charges}

    async def bring(self, charge: Taken) -> str:
        entry_id: Any = await self.store.redis.xadd(KEYS.payments, {"event": charge.packed()})
        return str(entry_id.decode())

    @precondition(lambda self: self.tokens)
    @rule(chance=chances)
    def refund(self, chance: Chance) -> None:
        confirmed = [t for t, each in self.oracle.reservations.items() if each.state is State.CONFIRMED]
        token = chance.choice(confirmed) if confirmed and chance.random() < 0.8 else self.a_token(chance)
        restock, reason = chance.random() < 0.5, chance.choice(["", "wét"])
        answer = self.run(self.shop.refund(token, restock=restock, reason=reason))
        assert answer.outcome is self.oracle.refund(self.clock.now_ms, token, restock=restock, reason=reason)
        assert answer.payment == self.oracle.payments.get(token)
        assert answer.reservation == self.oracle.reservations.get(token)

    @precondition(lambda self: self.taken)
    @rule(chance=chances)
    def settle(self, chance: Chance) -> None:
        """A refund is made: mostly one that was asked for, by its job."""
        jobs = self.run(self.shop.jobs())
        refunds = [nth for nth, job in enumerate(jobs) if job.kind == "refund"]
        if refunds and chance.random() < 0.8:
            self.settle_nth(jobs, chance.choice(refunds))
            return
        charge = chance.choice([*self.taken.values()])
        token = chance.choice([charge.token, charge.token, UNKNOWN_TOKEN])
        settled = self.run(self.shop.settle(token, charge.reference))
        assert settled is self.oracle.settle(self.clock.now_ms, token, charge.reference, "back-1")

    def settle_nth(self, jobs: list[Job], nth: int) -> None:
        job = jobs[nth]
        _, reference = job.refunded()
        settled = self.run(self.shop.settle(job.token, reference, entry_id=job.entry_id))
        assert settled is self.oracle.settle(self.clock.now_ms, job.token, reference, "back-1")
        del self.oracle.jobs[nth]

    @rule(chance=chances)
    def dispatch(self, chance: Chance) -> None:
        most, more = chance.choice([0, 1, 2, 100]), chance.choice([0, 1, 100])
        done = self.run(self.shop.dispatch(most, more))
        expected = self.oracle.dispatch(self.clock.now_ms, most, more)
        assert (done.started, done.retried, done.turns_left, done.next_due_ms) == expected

    @precondition(lambda self: self.oracle.jobs)
    @rule(chance=chances)
    def defer(self, chance: Chance) -> None:
        jobs = self.run(self.shop.jobs())
        nth, seconds = chance.randrange(len(jobs)), chance.choice([None, 0, 1, 5])
        assert self.run(self.shop.defer(jobs[nth], seconds, "tröuble"))
        delay_ms = None if seconds is None else seconds * 1000
        self.oracle.defer(self.clock.now_ms, nth, jobs[nth].entry_id, delay_ms, "tröuble")
        assert not self.run(self.shop.defer(jobs[nth], seconds))

    @precondition(lambda self: self.oracle.dead)
    @rule(chance=chances)
    def revive(self, chance: Chance) -> None:
        ids = [*chance.sample([*self.oracle.dead], chance.randint(1, len(self.oracle.dead))), "0-1"]
        assert self.run(self.shop.revive(*ids)) == self.oracle.revive(ids)

    # --- what must be true ---

    def compare_payments(self, found: Snapshot) -> None:
        stored = {token.decode(): record for token, record in found["attempts"].items()}
        assert stored == {token: pack_record(record) for token, record in self.oracle.payments.items()}
        rows = [job_of(entry_id, fields) for entry_id, fields in found["payments"]]
        assert [(job.kind, job.payload, job.tries) for job in rows] == self.oracle.jobs
        places = {token.encode(): self.oracle.reservations[token].place for token in self.oracle.turns}
        assert dict(found["turns"]) == places
        assert dict(found["retries"]) == {packed(row): at_ms for row, at_ms in self.oracle.retries.items()}
        dead = {entry.decode(): scripts.dead_job(entry.decode(), job) for entry, job in found["dead"].items()}
        assert {
            entry: ((each.job.kind, each.job.payload, each.job.tries), each.error, each.at_ms)
            for entry, each in dead.items()
        } == self.oracle.dead

    def all_is_told_at_last(self) -> None:
        """As a reconciliation sees to it, and the workers: then sum of charges = sum of orders + refunds."""
        lost = [each for each in self.taken.values() if each.reference not in self.told]
        if lost:
            self.tell(lost, Chance(len(lost)), through_the_queue=False)
        self.everything_stored_is_as_the_oracle_says()
        for token, record in [*self.oracle.payments.items()]:
            for charge in record.charges:
                if charge.fate is Fate.REFUNDING:
                    self.run(self.shop.settle(token, charge.reference))
                    self.oracle.settle(self.clock.now_ms, token, charge.reference, "back-1")
        self.everything_stored_is_as_the_oracle_says()
        report = self.run(self.shop.audit())
        assert report.ok, report.findings
        sums = [report.money, *report.other_money]
        for each in sums:
            own = [
                taken.money.amount for taken in self.taken.values() if taken.money.currency == each.currency
            ]
            assert (each.charges.count, each.charges.amount) == (len(own), sum(own))
            assert each.refunding.count == 0
            assert each.charges.amount == each.orders.amount + each.refunds.amount
        assert sum(each.charges.count for each in sums) == len(self.taken)
