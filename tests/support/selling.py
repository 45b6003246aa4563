"""Shops that sell by themselves, and a publisher that tells of it: what readers of orders are tested with.

async with publishing(url):
    seller = Seller(store, sale_store, Clock(), "giulia")
    await seller.begin()
    await seller.sell(20)        # orders, and now and then a refund
    seller.told                  # how many order events there must be in the end
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson

from flashsale.engine.cloudevents import EventMaker
from flashsale.engine.publisher import Publisher
from flashsale.model.outcomes import Confirm
from flashsale.scripts import payments as scripts
from flashsale.scripts.reserve import Held
from flashsale.store.client import Store
from flashsale.store.orders import OrderStore
from flashsale.store.sales import SaleStore
from flashsale.workers.outbox import publish
from tests.support.sales import Clock, claim
from tests.support.server import PATIENCE_MS, PATIENCE_S
from tests.support.shop import Shop

STOCK = 100_000


class Seller(Shop):
    """One sale that sells; some of what it has sold comes back."""

    def __init__(self, store: Store, sale_store: SaleStore, sale: str, *, seed: int = 1) -> None:
        super().__init__(store, sale_store, Clock(), sale)
        self.told = 0
        self._chance = random.Random(f"{sale}-{seed}")

    async def begin(self, *, rehearsal: bool = False) -> None:
        await self.open({"car": STOCK}, hold_seconds=3600, rehearsal=rehearsal)

    @property
    def provider(self) -> str:
        """Who takes the money."""
        return "simulator" if self.terms is not None and self.terms.rehearsal else "sim"

    async def sell(self, orders: int, *, refunds: float = 0.2) -> None:
        for _ in range(orders):
            self.told += 1
            name = f"{self.sale}-{self.told}"
            order = await self.paid(name, ("car", 1), reference=f"{self.provider}:{name}")
            if self._chance.random() < refunds:
                await self.refund(order.token, reason="changed my mind")
                self.told += 1

    async def sell_many(self, orders: int) -> None:
        """As fast as it goes: a hundred by each call, and nothing comes back."""
        for start in range(0, orders, 100):
            names = [f"{self.sale}-many-{self.told + number}" for number in range(min(100, orders - start))]
            held = await self.reserve(*(claim(name, ("car", 1), sale=self.sale) for name in names))
            reservations = [each.reservation for each in held if isinstance(each, Held)]
            assert len(reservations) == len(names)
            await scripts.pay(
                self.store.redis,
                self.keys,
                [scripts.Wish(each.token, "card", self.due(each)) for each in reservations],
                extension_ms=0,
                rate=100,
                queue_limit=10**6,
                now_ms=self.now_ms,
            )
            pairs = zip(reservations, names, strict=True)
            done = await self.confirmed(
                *(self.charge(each, f"{self.provider}:{name}") for each, name in pairs)
            )
            assert done == [Confirm.CONFIRMED] * len(names)
            self.told += len(names)


@asynccontextmanager
async def publishing(url: str) -> AsyncIterator[None]:
    """The real publisher, at work inside the block."""
    store, stop = Store.connect(url, timeout_ms=PATIENCE_MS), asyncio.Event()
    sales, orders = SaleStore(store, timeout_s=PATIENCE_S), OrderStore(store, timeout_s=PATIENCE_S)
    task = asyncio.create_task(publish(Publisher(sales, orders, EventMaker(sales, "test")), sales, stop))
    try:
        yield
    finally:
        stop.set()
        await task
        await orders.close()
        await sales.close()
        await store.close()


async def publish_all(shop: Shop) -> None:
    """Publishes what a sale has decided so far."""
    orders = OrderStore(shop.store, timeout_s=PATIENCE_S)
    publisher = Publisher(shop.sale_store, orders, EventMaker(shop.sale_store, "test"))
    await publisher.follow([shop.sale])
    while await publisher.publish(block_ms=1):
        pass
    await orders.close()


class Books:
    """What a consumer has got: every sale's events must come in order, none missing and none twice."""

    def __init__(self) -> None:
        self.sequences: dict[str, int] = {}
        self.count = 0

    def take(self, body: Any) -> None:
        event = orjson.loads(body) if isinstance(body, bytes | str) else body
        sale, sequence = event["data"]["sale"], event["data"]["sequence"]
        expected = self.sequences.get(sale, 0) + 1
        assert sequence == expected, f"{sale}: number {sequence} came, and not {expected}"
        assert int(event["sequence"]) == sequence
        self.sequences[sale] = sequence
        self.count += 1
