"""Customers who are served in batches, so that twenty thousand orders take seconds: the calls are those of the engine.

Every call is made again until it is answered, so some are made twice: each customer has one key, one payment, one refund.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from flashsale.engine import events
from flashsale.engine.events import Received
from flashsale.model.outcomes import Pay
from flashsale.model.payment import METHODS, Money
from flashsale.model.reservation import State
from flashsale.providers.protocol import Event, PaymentState, ProviderPayment
from flashsale.scripts.payments import Wish
from flashsale.scripts.reserve import Claim, Held, Replayed
from flashsale.store.client import Store, StoreUnavailableError
from flashsale.store.lane import Lane
from flashsale.store.payments import PaymentStore
from flashsale.store.sales import SaleStore
from tests.support.house import PatientShop
from tests.support.sales import claim
from tests.support_http.client import eventually

DEPOSIT: Final = 3_300_000
"""Due for one unit, by the terms of `Rush.open`."""
REFUNDED: Final = 0.05
AT_ONCE: Final = 4
"""Batches in hand."""

T = TypeVar("T")


@dataclass(frozen=True)
class Buyer:
    """Somebody who buys one or two units, and perhaps gives them back."""

    sale: str
    claim: Claim
    units: int
    gives_back: bool

    @property
    def reservation(self) -> str:
        return f"{self.sale}.0.{self.claim.token}"

    def paid_event(self) -> bytes:
        """What a provider tells when they have paid, as the server puts it into the queue."""
        payment = ProviderPayment(
            f"pay_{self.claim.token}",
            PaymentState.PAID,
            self.units * DEPOSIT,
            "CNY",
            "flashsale",
            self.reservation,
            1,
            "alipay",
        )
        return events.pack(Received("simulator", Event(f"evt_{self.claim.token}", payment)))


async def surely(call: Callable[[], Awaitable[T]], what: str) -> T:
    """The answer of the store, however often it takes."""

    async def answered() -> tuple[T] | None:
        try:
            return (await call(),)
        except StoreUnavailableError:
            return None

    found = await eventually(answered, what)
    assert found is not None
    return found[0]


@dataclass
class Rush:
    """Everybody who buys. `confirmed` counts their orders; beyond `until` nobody is served who is not in hand already."""

    url: str
    store_url: str
    buyers: Sequence[Buyer]
    batch: int
    confirmed: int = 0
    until: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @classmethod
    def of(cls, url: str, store_url: str, sales: Sequence[str], orders: int, seed: int) -> "Rush":
        chance = random.Random(f"{seed}-buyers")
        buyers = []
        for number in range(orders):
            sale, units = chance.choice(sales), chance.choice((1, 1, 2))
            wanted = claim(f"c-{number}", ("giulia", units), key="the only click", sale=sale)
            buyers.append(Buyer(sale, wanted, units, chance.random() < REFUNDED))
        return cls(url, store_url, buyers, batch=max(5, min(50, orders // 50)))

    def of_sale(self, sale: str) -> list[Buyer]:
        return [each for each in self.buyers if each.sale == sale]

    async def open(self, shop: PatientShop) -> None:
        """Defines the sales, with exactly as much as is wanted."""
        for sale in sorted({each.sale for each in self.buyers}):
            stock = sum(each.units for each in self.of_sale(sale))
            payment = {"methods": list(METHODS), "deposit_percent": 10, "instalments": 36}
            terms = {"limit_per_customer": 2, "hold_seconds": 3600, "payment": payment}
            (await shop.define(sale, stock=stock, **terms)).must(200, 201)

    async def let(self, until: int) -> None:
        """From now on there may be so many orders."""
        async with self.changed:
            self.until = until
            self.changed.notify_all()

    async def reached(self, confirmed: int) -> None:
        """Waits until there are so many orders."""
        async with self.changed:
            await self.changed.wait_for(lambda: self.confirmed >= confirmed)

    async def come(self) -> None:
        """Everybody buys, and some give back what they have bought."""
        batches = iter(range(0, len(self.buyers), self.batch))
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._serve_in_turn(batches))

    async def _serve_in_turn(self, batches: Iterator[int]) -> None:
        store = Store.connect(self.store_url)
        sales = SaleStore(store)
        counter = _Counter(PatientShop(self.url), sales, PaymentStore(store), sales.lane())
        try:
            for first in batches:
                async with self.changed:
                    await self.changed.wait_for(lambda: self.confirmed < self.until)
                buyers = self.buyers[first : first + self.batch]
                for sale in sorted({each.sale for each in buyers}):
                    await counter.sell(sale, [each for each in buyers if each.sale == sale])
                async with self.changed:
                    self.confirmed += len(buyers)
                    self.changed.notify_all()
                for each in buyers:
                    if each.gives_back:
                        answer = await counter.shop.refund(each.reservation, restock=False)
                        answer.must(200)
        finally:
            await counter.close()
            await store.close()


@dataclass(frozen=True)
class _Counter:
    shop: PatientShop
    sales: SaleStore
    payments: PaymentStore
    lane: Lane

    async def sell(self, sale: str, buyers: Sequence[Buyer]) -> None:
        """From the first click to the order, of several at once."""
        claims = [each.claim for each in buyers]
        batch = await surely(lambda: self.sales.reserve(self.lane, sale, claims), "they have a hold")
        assert all(isinstance(each, Held | Replayed) for each in batch.decisions), batch.decisions
        wishes = [Wish(each.claim.token, "alipay", Money(each.units * DEPOSIT, "CNY")) for each in buyers]
        await surely(lambda: self._pay(sale, wishes), "their payments begin")
        told = [each.paid_event() for each in buyers]
        await surely(lambda: self._tell(sale, told), "the provider tells of it")
        tokens = [each.claim.token for each in buyers]

        async def all_confirmed() -> bool:
            try:
                glance = await self.sales.find(sale, tokens)
            except StoreUnavailableError:
                return False
            return all(each is not None and each.state is State.CONFIRMED for each in glance.reservations)

        await eventually(all_confirmed, "everybody who has paid has an order")

    async def _tell(self, sale: str, told: Sequence[bytes]) -> None:
        await asyncio.gather(*(self.payments.add_event(sale, each) for each in told))

    async def _pay(self, sale: str, wishes: Sequence[Wish]) -> None:
        paying = await self.payments.pay(sale, wishes, extension_ms=0, rate=0, queue_limit=1_000_000)
        assert {each.outcome for each in paying} <= {Pay.DONE, Pay.UNDER_WAY}, paying

    async def close(self) -> None:
        await self.shop.__aexit__(None, None, None)
        await self.sales.close()
        await self.payments.close()
