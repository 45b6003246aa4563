"""The publisher: every order made or undone is told once, in order, whoever publishes and whatever happens meanwhile."""

import asyncio
import random
from collections.abc import AsyncIterator
from hashlib import sha256

import orjson
import pytest

from flashsale.engine.cloudevents import EventMaker
from flashsale.engine.publisher import Publisher
from flashsale.model.events import Tally
from flashsale.model.facts import ORDER_FACTS
from flashsale.store.client import Store
from flashsale.store.orders import OrderStore
from flashsale.store.sales import SaleStore
from tests.support.server import PATIENCE_MS, PATIENCE_S
from tests.support.shop import Shop

OTHER = "other"
BLOCK_MS = PATIENCE_MS * 3 // 4
"""Long enough for whatever is waited for, and less than the store may take to answer."""


@pytest.fixture
async def orders(shop: Shop) -> AsyncIterator[OrderStore]:
    store = OrderStore(shop.store, timeout_s=PATIENCE_S)
    yield store
    await store.close()


def publisher_of(shop: Shop, orders: OrderStore) -> Publisher:
    return Publisher(shop.sale_store, orders, EventMaker(shop.sale_store, "test"))


async def published(publisher: Publisher, *sales: str) -> int:
    """Publishes until there is nothing left; how many that were."""
    await publisher.follow(list(sales))
    total = 0
    while count := await publisher.publish(block_ms=1):
        total += count
    return total


async def test_orders_and_refunds_are_told_and_nothing_else(shop: Shop, orders: OrderStore) -> None:
    await shop.open({"car": 3}, hold_seconds=10, limit=2)
    ann = await shop.paid("ann", ("car", 1))
    await shop.hold("bob", ("car", 1))
    await shop.refund(ann.token, reason="changed my mind")
    assert await published(publisher_of(shop, orders), shop.sale) == 2
    made, undone = await orders.read(shop.sale)
    assert [(each.sequence, each.seq) for each in (made, undone)] == [(1, 4), (2, 6)]
    event = orjson.loads(made.body)
    assert event["type"] == "io.flashsale.reservation.confirmed.v1"
    assert (event["id"], event["subject"]) == (f"{shop.sale}.0.4", f"{shop.sale}.0.{ann.token}")
    assert (event["sequence"], event["factseq"]) == ("000000000000001", "000000000000004")
    data = event["data"]
    assert (data["customer"], data["place"], data["late"], data["status"]) == ("ann", 1, False, "confirmed")
    assert data["items"] == [{"sku": "car", "quantity": 1, "price": 100}]
    assert data["payment"] == {
        "method": "card",
        "provider": "sim",
        "reference": "1",
        "amount": 100,
        "currency": "CNY",
    }
    refund = orjson.loads(undone.body)["data"]
    assert (refund["status"], refund["reservation"]) == ("refunded", data["reservation"])
    assert refund["payment"] == data["payment"]
    assert refund["refund"] == {"restocked": True, "reason": "changed my mind"}


async def test_the_tally_can_be_followed_by_anybody(shop: Shop, orders: OrderStore) -> None:
    await shop.open({"car": 3}, hold_seconds=10)
    ann = await shop.paid("ann", ("car", 1))
    await shop.paid("bob", ("car", 1), reference="sim:2")
    await shop.refund(ann.token)
    await published(publisher_of(shop, orders), shop.sale)
    digest = ""
    for each in await orders.read(shop.sale):
        data = orjson.loads(each.body)["data"]
        line = f"{data['sequence']} {data['status']} {data['reservation']} {data['amount_due']}"
        digest = sha256(f"{digest}\n{line}".encode()).hexdigest()
    last, tally = await orders.last(shop.sale)
    assert last is not None
    assert tally == Tally(3, 2, 200, 1, 100, "CNY", digest)


async def test_one_that_begins_later_goes_on_where_another_has_ended(shop: Shop, orders: OrderStore) -> None:
    await shop.open({"car": 9}, hold_seconds=10)
    for number in range(3):
        await shop.paid(f"customer-{number}", ("car", 1), reference=f"sim:{number}")
        assert await published(publisher_of(shop, orders), shop.sale) == 1
    assert [each.sequence for each in await orders.read(shop.sale)] == [1, 2, 3]
    assert [each.sequence for each in await orders.read(shop.sale, after=1, limit=1)] == [2]


async def test_several_that_work_at_once_tell_everything_once(shop: Shop, orders: OrderStore) -> None:
    await shop.open({"car": 300}, hold_seconds=10)
    publishers = [publisher_of(shop, orders) for _ in range(4)]
    chance = random.Random(7)

    async def sell() -> None:
        for number in range(200):
            order = await shop.paid(f"customer-{number}", ("car", 1), reference=f"sim:{number}")
            if chance.random() < 0.2:
                await shop.refund(order.token)

    async def work(publisher: Publisher) -> None:
        await publisher.follow([shop.sale])
        while not selling.done():
            await publisher.publish(block_ms=5)
            if chance.random() < 0.1:
                publisher.forget()
                await publisher.follow([shop.sale])
        await published(publisher, shop.sale)

    selling = asyncio.create_task(sell())
    await asyncio.gather(selling, *map(work, publishers))
    told = [each.seq for each in await orders.read(shop.sale)]
    facts = [fact.seq for fact in await shop.facts() if fact.type in ORDER_FACTS]
    assert told == facts
    _, tally = await orders.last(shop.sale)
    assert (tally.sequence, tally.confirmed) == (len(facts), 200)


async def test_the_events_are_the_same_whoever_makes_them(shop: Shop, orders: OrderStore) -> None:
    await shop.open({"car": 3}, hold_seconds=10)
    ann = await shop.paid("ann", ("car", 2))
    first = EventMaker(shop.sale_store, "test")
    facts = await shop.facts()
    before = [event.body for event in await first.make(shop.sale, facts)]
    await shop.refund(ann.token)
    again = await EventMaker(shop.sale_store, "test").make(shop.sale, facts)
    assert [event.body for event in again] == before
    await published(publisher_of(shop, orders), shop.sale)
    assert (await orders.read(shop.sale))[0].body in before


async def test_sales_are_told_side_by_side_and_one_that_is_damaged_stops_no_other(
    shop: Shop, orders: OrderStore, store: Store, sale_store: SaleStore
) -> None:
    other = Shop(store, sale_store, shop.clock, OTHER)
    for each in (shop, other):
        await each.open({"car": 3}, hold_seconds=10)
    ann = await shop.paid("ann", ("car", 1))
    record = await store.redis.hget(shop.keys.reservations, ann.token)
    await store.redis.hset(shop.keys.reservations, ann.token, b"damaged")
    await other.paid("bob", ("car", 1), reference="sim:2")
    publisher = publisher_of(shop, orders)
    assert await published(publisher, shop.sale, OTHER) == 1
    assert await orders.read(shop.sale) == []
    assert len(await orders.read(OTHER)) == 1
    assert record is not None
    await store.redis.hset(shop.keys.reservations, ann.token, record)
    assert await published(publisher, shop.sale, OTHER) == 1


async def test_what_is_waited_for_is_told_when_it_comes(shop: Shop, orders: OrderStore) -> None:
    await shop.open({"car": 3}, hold_seconds=10)
    publisher = publisher_of(shop, orders)
    await published(publisher, shop.sale)
    reader = asyncio.create_task(orders.tail({shop.sale: 0}, block_ms=BLOCK_MS))
    waiting = asyncio.create_task(publisher.publish(block_ms=BLOCK_MS))
    await shop.hold("bob", ("car", 1))
    assert await waiting == 0  # a hold wakes it, and is nobody's order
    waiting = asyncio.create_task(publisher.publish(block_ms=BLOCK_MS))
    ann = await shop.hold("ann", ("car", 1))
    await shop.pay(ann)
    await waiting
    await shop.confirm(shop.charge(ann))
    assert await published(publisher, shop.sale) == 1
    (event,) = await reader
    assert (event.sale, event.sequence) == (shop.sale, 1)
