"""kill -9 of all that is between an order and the order system, at random points: it ends with exactly the orders there are.

Customers buy, some give back. Store, database, server, its worker, the work on payments, the work on orders and two order
systems are killed, one or two at a time, in an order that the seed decides. In the end the journal, the archive, the order
system's books and the shop's own sums agree. FLASHSALE_TEST_SEED repeats a run, as far as the clock lets it.
"""

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from flashsale.archive import Archive
from flashsale.client import Books, Client, Tally
from flashsale.keys import SaleKeys
from flashsale.model.facts import ORDER_FACTS, Fact, FactType
from flashsale.store.client import Store
from flashsale.store.orders import OrderStore, Published
from flashsale.store.payments import PaymentStore
from flashsale.store.sales import SaleStore
from tests.crash.order_house import OrderHouse
from tests.crash.rush import Rush
from tests.support.house import PatientShop
from tests.support.seeds import say
from tests.support.server import PATIENCE_MS, PATIENCE_S
from tests.support_http.client import ROOT_KEY, eventually, new_sale_id

SALES = 3
MOMENT_S = 0.2
"""Up to so much later than its point a kill comes, so that each meets its victim at something else."""
STATUS = {FactType.CONFIRMED: "confirmed", FactType.REFUNDED: "refunded"}


async def in_time(look: Callable[[], Awaitable[bool]], what: str) -> None:
    """Waits for what takes a feed some time that has found nobody again and again; each look costs a connection."""
    deadline = time.monotonic() + 180
    while not await look():
        assert time.monotonic() < deadline, f"never came true: {what}"
        await asyncio.sleep(0.2)


@dataclass(frozen=True)
class Size:
    orders: int
    kills: int
    """Of each victim."""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[OrderHouse]:
    with OrderHouse(tmp_path) as house:
        yield house


class Killer:
    """Kills everybody so many times, at points that are counted in orders; nobody buys beyond the next point meanwhile."""

    def __init__(self, house: OrderHouse, rush: Rush, size: Size, seed: int) -> None:
        self._house, self._rush = house, rush
        self._chance = random.Random(f"{seed}-killer")
        self._victims = [*house.victims()] * size.kills
        self._chance.shuffle(self._victims)
        self._points = sorted(self._chance.sample(range(1, size.orders * 9 // 10), len(self._victims)))

    async def run(self) -> None:
        ends, before = iter([*self._points[1:], len(self._rush.buyers)]), 0
        for point in self._points:
            if self._chance.random() < 0.5:
                await self._told(before)
            before = point
            # Everything is in full swing when the point comes, and goes on while somebody is dead.
            await self._rush.let(next(ends))
            await self._rush.reached(point)
            await asyncio.sleep(self._chance.random() * MOMENT_S)
            await self._kill_some(2 if self._chance.random() < 0.3 else 1)
            if not self._victims:
                break
        await self._rush.let(len(self._rush.buyers))

    async def _kill_some(self, count: int) -> None:
        """Those that are killed together are started again in any order."""
        victims = list(dict.fromkeys(self._victims[:count]))
        del self._victims[: len(victims)]
        revivals = [await self._house.kill(victim) for victim in victims]
        self._chance.shuffle(revivals)
        await asyncio.gather(*(revive() for revive in revivals))

    async def _told(self, orders: int) -> None:
        """Waits until the order system has so many."""

        async def look() -> bool:
            return (await asyncio.to_thread(self._house.told)).get("confirmed", 0) >= orders

        await in_time(look, f"the order system has {orders} orders")


@dataclass
class Truth:
    """What is in the store of one sale in the end."""

    facts: list[Fact]
    published: list[Published]

    @classmethod
    async def read(cls, store: Store, sale: str) -> "Truth":
        sales, orders, truth = (
            SaleStore(store, timeout_s=PATIENCE_S),
            OrderStore(store, timeout_s=PATIENCE_S),
            cls([], []),
        )
        try:
            while page := await sales.facts(sale, after=truth.facts[-1].seq if truth.facts else 0):
                truth.facts += page
            while found := await orders.read(
                sale, after=truth.published[-1].sequence if truth.published else 0
            ):
                truth.published += found
        finally:
            await sales.close()
            await orders.close()
        return truth

    @property
    def orders(self) -> list[Fact]:
        return [fact for fact in self.facts if fact.type in ORDER_FACTS]


async def all_done(house: OrderHouse, rush: Rush) -> None:
    """Every order and refund is in the books of the order system, every fact in the archive, and no job is left."""
    back = sum(each.gives_back for each in rush.buyers)
    expected = {"confirmed": len(rush.buyers), "refunded": back}

    async def told() -> bool:
        found = await asyncio.to_thread(house.told)
        assert all(found.get(status, 0) <= count for status, count in expected.items()), found
        return found == {status: count for status, count in expected.items() if count}

    async def example() -> bool:
        found = await asyncio.to_thread(house.example_count)
        assert found <= sum(expected.values())
        return found == sum(expected.values())

    await in_time(told, f"the order system has {expected}")
    await in_time(example, f"the example has {expected}")
    store = Store.connect(house.valkey.url, timeout_ms=PATIENCE_MS)
    payments = PaymentStore(store, timeout_s=PATIENCE_S)
    sales = sorted({each.sale for each in rush.buyers})

    async def settled() -> bool:
        lengths = [await payments.length(sale) for sale in sales]
        return not any(lengths) and not any(map(any, await payments.waiting(sales)))

    archive = await asyncio.to_thread(Archive.open, house.archive)

    async def archived() -> bool:
        positions = await asyncio.to_thread(archive.positions)
        ends = [int(await store.redis.hget(SaleKeys.of(sale).sale, "seq") or 0) for sale in sales]
        return [positions[sale].seq if sale in positions else 0 for sale in sales] == ends

    try:
        await in_time(settled, "no payment and no refund is on its way")
        await in_time(archived, "everything is in the archive")
    finally:
        archive.close()
        await payments.close()
        await store.close()


def tally_of(rows: list[tuple[Any, ...]]) -> Tally:
    """The sums of the order system's books, made from what it has stored."""
    tally = Tally()
    for *_, text in rows:
        tally = tally.plus(orjson.loads(text)["data"])
    return tally


async def judge(house: OrderHouse, rush: Rush, sale: str) -> None:
    """Everybody's books of one sale say the same."""
    store = Store.connect(house.valkey.url, timeout_ms=PATIENCE_MS)
    archive = await asyncio.to_thread(Archive.open, house.archive)
    try:
        truth = await Truth.read(store, sale)
        # The journal: one order for each who has bought, one refund for each who gave back, numbered without a gap.
        told = Counter((f"{sale}.0.{fact.token}", STATUS[FactType(fact.type)]) for fact in truth.orders)
        expected = Counter((each.reservation, "confirmed") for each in rush.of_sale(sale))
        expected.update((each.reservation, "refunded") for each in rush.of_sale(sale) if each.gives_back)
        assert told == expected
        assert [fact.sequence for fact in truth.orders] == list(range(1, len(truth.orders) + 1))
        assert [fact.seq for fact in truth.facts] == list(range(1, len(truth.facts) + 1))
        # The order system: exactly these, each once.
        rows = await asyncio.to_thread(house.rows, sale)
        assert [row[:4] for row in rows] == [
            (fact.sequence, f"{sale}.0.{fact.seq}", STATUS[FactType(fact.type)], f"{sale}.0.{fact.token}")
            for fact in truth.orders
        ]
        assert await asyncio.to_thread(house.example_rows, sale) == [
            (*row[:1], *row[2:4], orjson.loads(row[4])["data"]["amount_due"]) for row in rows
        ]
        # The stream and the archive: the same, byte for byte.
        assert [(each.sequence, each.seq) for each in truth.published] == [
            (fact.sequence, fact.seq) for fact in truth.orders
        ]
        assert [orjson.loads(row[4]) for row in rows] == [orjson.loads(each.body) for each in truth.published]
        await asyncio.to_thread(judge_archive, archive, sale, truth)
        # The sums.
        async with Client(house.url, ROOT_KEY) as client:
            assert Books({sale: tally_of(rows)}).differences(await client.orders_summary(sale)) == []
    finally:
        archive.close()
        await store.close()


def judge_archive(archive: Archive, sale: str, truth: Truth) -> None:
    facts: list[Fact] = []
    while page := archive.facts(sale, after=len(facts), limit=5000):
        facts += page
    assert facts == truth.facts
    sent: list[tuple[int, int, bytes]] = []
    while events := archive.events(sale, after=len(sent), limit=5000):
        sent += [(each.sequence, each.seq, each.body) for each in events]
    assert sent == [(each.sequence, each.seq, each.body) for each in truth.published]
    books, made = archive.books(sale), Counter(fact.type for fact in truth.orders)
    assert (books.facts, books.confirmed, books.refunded) == (
        len(truth.facts),
        made[FactType.CONFIRMED],
        made[FactType.REFUNDED],
    )


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(Size(500, 1), id="small", marks=[pytest.mark.long, pytest.mark.timeout(600)]),
        pytest.param(Size(20_000, 4), id="large", marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
    ],
)
async def test_everybody_is_killed(house: OrderHouse, base_seed: int, size: Size) -> None:
    say(base_seed)
    sales = [new_sale_id() for _ in range(SALES)]
    rush = Rush.of(house.url, house.valkey.url, sales, size.orders, base_seed)
    try:
        async with PatientShop(house.url) as shop, Client(house.url, ROOT_KEY) as client:
            await eventually(shop.ready, "the server is ready")
            await rush.open(shop)
            key = str((await client.create_key("order system", ["orders"]))["key"])
            async with house.order_systems(key):
                async with asyncio.TaskGroup() as group:
                    group.create_task(rush.come())
                    group.create_task(Killer(house, rush, size, base_seed).run())
                await all_done(house, rush)
            assert house.killed == dict.fromkeys(house.victims(), size.kills)
            for sale in sales:
                await judge(house, rush, sale)
                report = await shop.audit(sale)
                assert [(each["available"], each["held"]) for each in report["items"]] == [(0, 0)]
    except BaseException:
        sys.stderr.write(house.logs())
        raise
