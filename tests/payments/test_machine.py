"""Money under any order of messages: Hypothesis drives a shop whose provider's messages are late, doubled, lost, mixed up.

Server (over HTTP), settlement, scripts and store are the real ones; the provider is `tests.support.ledger_provider`. Jobs
are done in any order, twice, by workers that die between two effects. At the end everything is worked off, the books are
compared, and then each charge in the provider's ledger must be exactly one order or one refund.
"""

import asyncio
import os
import time
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from typing import Any, Final, TypeVar

import pytest
import stamina
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from flashsale import providers
from flashsale.engine.catalog import Catalog
from flashsale.engine.pacing import Breaker
from flashsale.engine.settlement import HopelessJobError, Settlement
from flashsale.engine.till import Till
from flashsale.keys import SaleKeys
from flashsale.model.jobs import Job
from flashsale.model.payment import METHODS
from flashsale.providers.protocol import PaymentState, ProviderError
from flashsale.scripts import payments as scripts
from flashsale.settings import Settings
from flashsale.store.client import Store
from flashsale.store.payments import PaymentStore
from flashsale.store.sales import SaleStore
from tests.support.ledger_provider import HEADERS, LEDGERS, Fault, Ledger
from tests.support.machine import Chance, chances
from tests.support.server import PATIENCE_MS, PATIENCE_S
from tests.support_http.client import ROOT_KEY, Answer, Shop, new_sale_id, token
from tests.support_http.server import app_on

LEDGER_URL: Final = "http://the-ledger"
ENV: Final = {
    "FLASHSALE_PAYMENT_PROVIDER": "simulator",
    "FLASHSALE_SIMULATOR_URL": LEDGER_URL,
    "FLASHSALE_SIMULATOR_SECRET": "of-no-importance-here",
}
CUSTOMERS: Final = ("ann", "bob", "eve")
PRICE: Final = 33_000_000
TRIES: Final = 3
CLICKS: Final = (*["reserve"] * 4, *["start"] * 4, *["pay"] * 8, "decline", "cancel", "refund")
FAULTS: Final[tuple[Fault, ...]] = ("lost", "lost", "away", "refused", "bounces")
AHEAD_MS: Final = 10**10
"""By so much the clock is ahead, so that everything is over or due."""

CI: Final = bool(os.environ.get("CI"))

T = TypeVar("T")


def later_ms() -> int:
    """When everything is over, or due."""
    return round(time.time() * 1000) + AHEAD_MS


class CrashError(BaseException):
    """The worker ends here."""


class World:
    """What there is: an application on a socket, a worker's parts, the ledger."""

    def __init__(self, valkey: str, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._stack = AsyncExitStack()
        self.ledger = LEDGERS[LEDGER_URL] = Ledger()
        self.run(self._begin(valkey))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    async def _begin(self, valkey: str) -> None:
        url = await self._stack.enter_async_context(app_on(valkey, ENV))
        self.shop = await self._stack.enter_async_context(Shop(url))
        self.store = Store.connect(valkey, timeout_ms=PATIENCE_MS)
        self._stack.push_async_callback(self.store.close)
        self.payments, self.sales = (
            PaymentStore(self.store, timeout_s=PATIENCE_S),
            SaleStore(self.store, timeout_s=PATIENCE_S),
        )
        self._stack.push_async_callback(self.payments.close)
        self._stack.push_async_callback(self.sales.close)

    async def empty(self) -> None:
        """Nothing has ever been sold, or paid."""
        await self.store.redis.flushall()
        self.ledger.clear()

    def end(self) -> None:
        del LEDGERS[LEDGER_URL]
        self.run(self._stack.aclose())


class PayingShop(RuleBasedStateMachine):
    """One sale with few units, and customers who pay for them, or try."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.sale = new_sale_id()
        self.held: list[tuple[str, str]] = []
        """Reservation and customer."""
        self.in_hand: list[Job] = []
        """What workers have taken, and not done yet."""
        self.fuse = 0
        till = Till.of(
            Settings.model_validate({"payment_provider": "simulator"}),
            self.world.payments,
            self.world.sales,
            Catalog(self.world.sales),
            {"simulator": self.world.ledger},
        )
        self.settlement = Settlement(till, step=self._step)

    @property
    def ledger(self) -> Ledger:
        return self.world.ledger

    def _step(self, name: str) -> None:
        if self.fuse:
            self.fuse -= 1
            if not self.fuse:
                raise CrashError(name)

    def _ask(self, method: str, path: str, bearer: str = ROOT_KEY, **body: Any) -> Answer:
        return self.world.run(self.world.shop.ask(method, path, bearer=bearer, **body))

    # --- what may happen, in any order ---

    @initialize()
    def open(self) -> None:
        """Few units, and some customers who have begun to pay for them already."""
        self.world.run(self.world.empty())
        terms = {"payment": {"methods": list(METHODS)}, "limit_per_customer": 2, "hold_seconds": 3600}
        self.world.run(self.world.shop.define(self.sale, stock=4, **terms)).must(201)
        for number, customer in enumerate(CUSTOMERS):
            self._reserve(customer)
            self._start(number, METHODS[number])
        self._work_off()

    @rule(chance=chances)
    def customers(self, chance: Chance) -> None:
        """Want something, pay, or think better of it; or support gives an order back."""
        for _ in range(chance.randint(1, 6)):
            self.customer(chance)

    def customer(self, chance: Chance) -> None:
        """One click."""
        number, customer = chance.randrange(1000), chance.choice(CUSTOMERS)
        match chance.choice(CLICKS):
            case "reserve":
                self._reserve(customer)
            case "start":
                self._start(number, chance.choice(METHODS))
            case "pay":
                amount = PRICE + chance.choice((*[0] * 10, 1, -1))
                self.ledger.pay(self._payment_id(number), amount)
            case "decline":
                self.ledger.decline(self._payment_id(number), final=chance.random() < 0.2)
            case "cancel":
                reservation, customer = self._hold(number)
                answer = self.world.run(self.world.shop.cancel(reservation, customer))
                assert answer.status in {200, 409}
            case "refund":
                body = {"restock": chance.random() < 0.5, "reason": "scratched"}
                answer = self._ask("POST", f"/v1/reservations/{self._hold(number)[0]}/refund", json=body)
                assert answer.status in {200, 409}

    @precondition(lambda self: self.ledger.told)
    @rule(chance=chances)
    def provider(self, chance: Chance) -> None:
        """Tells whatever has happened at any time: each message may come late, often, or never."""
        for _ in range(chance.randint(1, 4) if self.ledger.told else 0):
            newest = len(self.ledger.told) - 1
            number = newest - (chance.randint(0, 3) if chance.random() < 0.7 else chance.randint(0, newest))
            body = str(max(number, 0)).encode()
            path = "/v1/payments/simulator/events"
            self.world.run(self.world.shop.ask("POST", path, headers=HEADERS, data=body)).must(202)

    @rule(chance=chances)
    def workers(self, chance: Chance) -> None:
        """Take jobs, or take them from another who has them still; do one; perhaps die at one of its steps."""
        for _ in range(chance.randint(1, 6)):
            self.worker(chance)

    def worker(self, chance: Chance) -> None:
        """One thing that a worker does."""
        match chance.choice(("take", "take", "claim", "work", "work", "work", "work", "trouble")):
            case "take":
                self._take(chance.randint(1, 4))
            case "claim":
                self._claim()
            case "work" if self.in_hand:
                self.fuse = chance.choice((0, 0, 1, 2, 3, 4, 5))
                self.world.run(self._do(self.in_hand.pop(chance.randrange(len(self.in_hand)))))
                self.fuse = 0
            case "trouble":
                self.ledger.faults.append(chance.choice(FAULTS))

    @rule(chance=chances)
    def time(self, chance: Chance) -> None:
        """Holds end, what was put off is due, a person looks after what was given up, books are compared."""
        match chance.choice(("due", "due", "due", "due", "expire", "revive", "reconcile")):
            case "due":
                self._put_due()
            case "expire":
                sales, later = self.world.sales, later_ms()
                self.world.run(sales.expire(self.sale, limit=chance.randint(1, 3), now_ms=later))
            case "revive":
                self._revive()
            case "reconcile":
                assert self._reconciled().status in {200, 503}

    # --- how ---

    def _hold(self, number: int) -> tuple[str, str]:
        """One of the latest reservations, more likely than an old one."""
        return self.held[-1 - number % min(len(self.held), 1 + number % 5)]

    def _payment_id(self, number: int) -> str:
        payments = list(self.ledger.payments_by_id)
        return payments[-1 - number % min(len(payments), 1 + number % 5)]

    def _reserve(self, customer: str) -> None:
        answer = self.world.run(self.world.shop.reserve(self.sale, customer))
        if answer.status == 201:
            self.held.append((str(answer.json["id"]), customer))
        assert answer.status in {201, 409}

    def _start(self, number: int, method: str) -> None:
        reservation, customer = self._hold(number)
        path = f"/v1/reservations/{reservation}/payment"
        assert self._ask("POST", path, token(customer), json={"method": method}).status in {202, 409}

    def _put_due(self) -> None:
        redis, keys = self.world.store.redis, SaleKeys.of(self.sale)
        self.world.run(scripts.dispatch(redis, keys, starts=100, retries=100, now_ms=later_ms()))

    def _revive(self) -> None:
        dead = self.world.run(self.world.payments.dead(self.sale))
        self.world.run(self.world.payments.revive(self.sale, [each.job.entry_id for each in dead]))

    def _reconciled(self) -> Answer:
        return self._ask("POST", "/v1/payments/reconcile", json={"sale": None})

    def _take(self, count: int) -> None:
        self.world.run(self.world.payments.join(self.sale))
        found = self.world.run(self.world.payments.read([self.sale], "one", count=count, block_ms=1))
        self.in_hand += [job for _, jobs in found or () for job in jobs]

    def _claim(self) -> None:
        self.in_hand += self.world.run(self.world.payments.claim(self.sale, "two", idle_ms=0, count=100))

    async def _do(self, job: Job) -> None:
        """As a worker does."""
        try:
            await self.settlement.do(self.sale, job)
        except CrashError:
            self.in_hand += await self.world.payments.claim(self.sale, "two", idle_ms=0, count=100)
        except ProviderError as error:
            await self._put_off(job, error.message, give_up=not error.retry or job.tries + 1 >= TRIES)
        except HopelessJobError as error:
            await self._put_off(job, str(error), give_up=True)

    async def _put_off(self, job: Job, error: str, *, give_up: bool) -> None:
        if give_up:
            await self.settlement.given_up(self.sale, job)
        await self.world.payments.defer(self.sale, job, delay_ms=None if give_up else 1000, error=error)

    # --- the end ---

    def teardown(self) -> None:
        self.ledger.faults.clear()
        self.settlement._breaker = Breaker()
        for _ in range(50):
            self._work_off()
            report = self._reconciled().must(200)
            if report["ok"] and not report["applied"] and not report["settled"] and self._is_idle():
                self._check()
                return
        raise AssertionError("it never comes to an end")

    def _work_off(self) -> None:
        for _ in range(50):
            self._put_due()
            self._revive()
            self._take(100)
            self._claim()
            if not self.in_hand:
                return
            while self.in_hand:
                self.world.run(self._do(self.in_hand.pop(0)))
        raise AssertionError("there is always something to do")

    def _is_idle(self) -> bool:
        self._put_due()
        return not self.world.run(self.world.payments.length(self.sale))

    def _check(self) -> None:
        """Sum of charges = sum of orders + sum of refunds; no order without a charge, no charge without a fate."""
        report = self.world.run(self.world.shop.audit(self.sale))
        taken = [each for each in self.ledger.payments_by_id.values() if each.state is PaymentState.PAID]
        assert all(each.refunded in {0, each.amount} for each in taken)
        kept = [each for each in taken if not each.refunded]
        orders = report["reservations"].get("confirmed", 0)
        assert sorted(each.reservation for each in kept) == sorted(
            reservation
            for reservation, customer in self.held
            if self.world.run(self.world.shop.read(reservation, customer)).json["status"] == "confirmed"
        )
        assert all(each.amount == PRICE for each in kept)
        for each in taken:
            back = [refund for refund in self.ledger.refunds[each.id] if not refund.failed]
            assert len(back) == bool(each.refunded), "given back more than once"
        assert not [
            each for each in self.ledger.payments_by_id.values() if each.state is PaymentState.AUTHORISED
        ]
        (money,) = report["money"] or [None]
        if money is None:
            assert not taken
            return
        assert money["charges"]["amount"] == sum(each.amount for each in taken)
        assert (money["orders"]["count"], money["orders"]["amount"]) == (orders, orders * PRICE)
        assert money["refunds"]["amount"] == sum(each.refunded for each in taken)
        assert money["refunding"]["count"] == 0


@pytest.fixture
def world(valkey: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(providers, "_MAKERS", {"simulator": "tests.support.ledger_provider"})
    loop = asyncio.new_event_loop()
    try:
        world = World(valkey, loop)
        with stamina.set_testing(True, attempts=1):
            yield world
        world.end()
    finally:
        loop.close()


@pytest.mark.parametrize("seed", range(10))
def test_a_long_day_of_a_shop(world: World, seed: int) -> None:
    """The same without Hypothesis, so that everything happens often."""
    chance = Chance(seed)
    shop = type("BoundShop", (PayingShop,), {"world": world})()
    shop.open()
    for _ in range(60):
        chance.choice((shop.customers, shop.customers, shop.provider, shop.workers, shop.workers, shop.time))(
            chance
        )
    shop.teardown()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_every_charge_is_one_order_or_one_refund(world: World) -> None:
    bound = type("BoundShop", (PayingShop,), {"world": world})
    how = settings(
        max_examples=100 if CI else 30,
        stateful_step_count=50,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    run_state_machine_as_test(bound, settings=how)
