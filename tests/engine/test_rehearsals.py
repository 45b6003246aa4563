"""Rehearsals and the feed: nothing of one is ever in the other's, whatever was defined, and defined anew, before."""

import asyncio
import random

import pytest

from flashsale.engine.feed import Feed
from flashsale.engine.rehearsals import Rehearsals
from flashsale.model.cursor import Cursor
from flashsale.model.outcomes import OpenSale
from flashsale.store.client import Store
from flashsale.store.orders import Published
from flashsale.store.sales import SaleStore
from tests.engine.feeds import LARGE, FeedOf, read_all
from tests.support.sales import OPENS_MS, definition
from tests.support.selling import Seller, publish_all, publishing
from tests.support.shop import Shop
from tests.support_http.client import PATIENCE_S, eventually

REAL, PRETENDED = "milano", "milano-rehearsal"


@pytest.fixture
async def both(store: Store, sale_store: SaleStore) -> tuple[Seller, Seller]:
    """An ordinary sale and its rehearsal."""
    real, pretended = Seller(store, sale_store, REAL), Seller(store, sale_store, PRETENDED)
    await real.begin()
    await pretended.begin(rehearsal=True)
    return real, pretended


async def test_each_feed_has_its_own_sales_only(both: tuple[Seller, Seller], feed_of: FeedOf) -> None:
    for seller in both:
        await seller.sell(20)
        await publish_all(seller)
    for rehearsals, seller in ((False, both[0]), (True, both[1])):
        feed, other = feed_of(rehearsals=rehearsals), both[rehearsals is False]
        found = await read_all(feed)
        assert [(event.sale, event.sequence) for event in found] == [
            (seller.sale, number) for number in range(1, seller.told + 1)
        ]
        assert await feed.knows(seller.sale)
        assert not await feed.knows(other.sale)
        assert await read_all(feed, sale=other.sale) == []


async def test_a_cursor_gets_no_mark_of_a_rehearsal(both: tuple[Seller, Seller], feed_of: FeedOf) -> None:
    for seller in both:
        await seller.sell(5)
        await publish_all(seller)
    with feed_of().reader(Cursor()) as reader:
        await reader.take(100, LARGE)
        assert reader.cursor.encode() == Cursor.at({REAL: both[0].told}).encode()
    with feed_of().reader(Cursor()) as reader:
        await reader.skip()
        assert reader.cursor.encode() == Cursor.at({REAL: both[0].told}).encode()


async def test_readers_who_follow_get_none_of_it(
    valkey: str, both: tuple[Seller, Seller], feed_of: FeedOf
) -> None:
    feed, found = feed_of(), list[Published]()

    async def follow() -> None:
        with feed.reader(Cursor()) as reader:
            while len(found) < both[0].told or not both[0].told:
                found.extend((await reader.take(50, LARGE)).events)
                await reader.wait(0.05)

    async with publishing(valkey):
        following = asyncio.create_task(follow())
        await asyncio.gather(*(seller.sell(40) for seller in both))
        await asyncio.wait_for(following, PATIENCE_S)
    assert {event.sale for event in found} == {REAL}


@pytest.mark.parametrize("rehearsal", [True, False])
async def test_a_sale_that_is_followed_and_then_defined_anew_as_the_other_kind(
    store: Store, sale_store: SaleStore, feed_of: FeedOf, rehearsal: bool
) -> None:
    """The feed has known it as its own, and its first order comes before the feed looks at its sales again."""
    seller = Seller(store, sale_store, REAL)
    seller.clock.now_ms = OPENS_MS - 1000
    await seller.open({"car": 10}, rehearsal=not rehearsal)
    feed, other = feed_of(rehearsals=not rehearsal), feed_of(rehearsals=rehearsal)
    assert await feed.knows(REAL)
    feed._look_at = other._look_at = asyncio.get_running_loop().time() + 3600
    again = definition({"car": 10}, rehearsal=rehearsal, hold_seconds=3600)
    assert await seller.define(again) is OpenSale.REDEFINED
    seller.clock.now_ms = OPENS_MS
    with feed.reader(Cursor()) as reader:
        assert (await reader.take(10, LARGE)).events == []
        await seller.sell(3, refunds=0)
        await publish_all(seller)
        async with asyncio.timeout(PATIENCE_S):
            while REAL in feed.window.tails:  # until its task has met the orders
                assert (await reader.take(10, LARGE)).events == []
                await asyncio.sleep(0.001)
        assert (await reader.take(10, LARGE)).events == []
        assert reader.cursor.encode() == Cursor().encode()
    assert not await feed.knows(REAL)
    assert await other.knows(REAL)
    assert [event.sequence for event in await read_all(other)] == [1, 2, 3]


@pytest.mark.parametrize("seed", range(3))
async def test_many_sales_of_both_kinds_that_change_until_they_open(
    valkey: str, store: Store, sale_store: SaleStore, feed_of: FeedOf, seed: int
) -> None:
    chance = random.Random(seed)
    real, rehearsed = feed_of(), feed_of(rehearsals=True)
    kinds: dict[str, bool] = {}
    stop = asyncio.Event()

    async def sell(number: int) -> Seller:
        seller = Seller(store, sale_store, f"sale-{number}", seed=seed)
        seller.clock.now_ms = OPENS_MS - 1000
        for _ in range(chance.randint(1, 4)):
            kinds[seller.sale] = chance.random() < 0.5
            await seller.define(
                definition({"car": 1000}, rehearsal=kinds[seller.sale], limit=chance.choice([None, 5]))
            )
            await asyncio.sleep(chance.random() * 0.2)
        seller.clock.now_ms = OPENS_MS
        await seller.sell(20)
        return seller

    async def follow(feed: Feed, found: list[Published]) -> None:
        with feed.reader(Cursor()) as reader:
            while not stop.is_set():
                found.extend((await reader.take(50, LARGE)).events)
                await reader.wait(0.02)

    found: dict[bool, list[Published]] = {False: [], True: []}
    async with publishing(valkey):
        readers = [asyncio.create_task(follow(real, found[False]))]
        readers.append(asyncio.create_task(follow(rehearsed, found[True])))
        sellers = await asyncio.gather(*(sell(number) for number in range(8)))
        told = sum(seller.told for seller in sellers)

        async def all_read() -> bool:
            return sum(map(len, found.values())) >= told

        await eventually(all_read, "every order is read")
        stop.set()
        await asyncio.gather(*readers)
    for rehearsal, events in found.items():
        expected = {seller.sale: seller.told for seller in sellers if kinds[seller.sale] is rehearsal}
        for sale in {event.sale for event in events} | expected.keys():
            got = [event.sequence for event in events if event.sale == sale]
            assert got == list(range(1, expected.get(sale, 0) + 1)), (sale, rehearsal)


async def test_what_is_remembered_is_only_what_cannot_change(shop: Shop, sale_store: SaleStore) -> None:
    rehearsals = Rehearsals(sale_store)
    shop.clock.now_ms = OPENS_MS - 1000
    assert await rehearsals.among([shop.sale]) == set()
    await shop.define(definition({"car": 3}, rehearsal=True))
    assert await rehearsals.among([shop.sale]) == {shop.sale}
    await shop.define(definition({"car": 3}))
    assert not await rehearsals.has(shop.sale)
    await shop.define(definition({"car": 3}, rehearsal=True))
    assert rehearsals.known(shop.sale) is None
    shop.clock.now_ms = OPENS_MS
    await shop.hold("ann")
    assert await rehearsals.has(shop.sale)
    assert rehearsals.known(shop.sale) is True
    rehearsals.forget([shop.sale])
    assert rehearsals.known(shop.sale) is None


async def test_the_audit_finds_a_mark_that_is_not_that_of_the_definition(shop: Shop) -> None:
    await shop.open({"car": 3}, rehearsal=True)
    await shop.hold("ann")
    assert (await shop.audit()).findings == []
    await shop.store.redis.hdel(shop.keys.sale, "rehearsal")
    (finding,) = (await shop.audit()).findings
    assert "the mark of a rehearsal is False, the facts say True" in finding.detail
    await shop.store.redis.hset(shop.keys.sale, "rehearsal", "1")
