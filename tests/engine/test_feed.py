"""The feed: whoever reads, from wherever and however slowly, gets every event of every sale once and in order."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest

from flashsale.engine import feed as feeds
from flashsale.engine.feed import Feed, Reader
from flashsale.engine.refusals import CursorAheadError, CursorExpiredError, TooManyReadersError
from flashsale.engine.window import Window
from flashsale.model.cursor import Cursor
from flashsale.model.events import type_of
from flashsale.process.embedded import EmbeddedValkey
from flashsale.store.client import Store, StoreUnavailableError
from flashsale.store.orders import OrderStore, Published
from flashsale.store.sales import SaleStore
from tests.engine.feeds import LARGE, FeedOf, read_all
from tests.support.selling import Books, Seller, publish_all, publishing
from tests.support.server import PATIENCE_MS
from tests.support_http.client import PATIENCE_S, eventually


@pytest.fixture
async def orders(store: Store) -> AsyncIterator[OrderStore]:
    orders = OrderStore(store, timeout_s=PATIENCE_S)
    yield orders
    await orders.close()


@pytest.fixture
async def seller(store: Store, sale_store: SaleStore) -> Seller:
    seller = Seller(store, sale_store, "giulia")
    await seller.begin()
    return seller


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[Store, SaleStore, OrderStore]]:
    store = Store.connect(url, timeout_ms=PATIENCE_MS)
    sales, orders = SaleStore(store, timeout_s=PATIENCE_S), OrderStore(store, timeout_s=PATIENCE_S)
    try:
        yield store, sales, orders
    finally:
        await orders.close()
        await sales.close()
        await store.close()


async def test_what_there_is_comes_in_order_in_pieces(seller: Seller, feed_of: FeedOf) -> None:
    await seller.sell(20)
    await publish_all(seller)
    found = await read_all(feed_of())
    assert [event.sequence for event in found] == list(range(1, seller.told + 1))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("window", [4, 64, 16_384])
async def test_many_sales_with_readers_who_come_and_go(
    valkey: str, store: Store, sale_store: SaleStore, feed_of: FeedOf, seed: int, window: int
) -> None:
    """Whatever the window holds: each reader goes from feed to feed with its cursor, while orders are made."""
    chance = random.Random(seed)
    feeds_here = [feed_of(window=Window(most_events=window)) for _ in range(2)]
    sellers = [Seller(store, sale_store, f"sale-{number}", seed=seed) for number in range(4)]

    async def sell(seller: Seller) -> None:
        await asyncio.sleep(chance.random() * 0.3)
        await seller.begin()
        for _ in range(8):
            await seller.sell(chance.randrange(12))
            await asyncio.sleep(chance.random() * 0.05)

    async def consume(books: Books, only: str | None) -> None:
        text = Cursor().encode()
        wanted = [seller for seller in sellers if only in {None, seller.sale}]
        while not selling.done() or books.count < sum(seller.told for seller in wanted):
            feed = chance.choice(feeds_here)
            with feed.reader(Cursor.decode(text), sale=only) as reader:
                for _ in range(chance.randrange(1, 6)):
                    before = reader.cursor.copy()
                    batch = await reader.take(chance.randrange(1, 40), chance.choice([1, 4000, LARGE]))
                    for event in batch.events:
                        books.take(event.body)
                        before.move(event.sale, event.sequence)
                    text = before.encode()
                    if not batch.events:
                        assert not batch.more
                        await reader.wait(0.05)

    async with asyncio.timeout(PATIENCE_S), publishing(valkey):
        selling = asyncio.gather(*map(sell, sellers))
        all_books = [Books() for _ in range(6)]
        await asyncio.gather(
            *(consume(books, "sale-1" if number == 5 else None) for number, books in enumerate(all_books))
        )
        await selling
    for books in all_books[:5]:
        assert books.sequences == {seller.sale: seller.told for seller in sellers if seller.told}
    assert all_books[5].sequences == {"sale-1": sellers[1].told}


async def woken(reader: Reader) -> list[Published]:
    """What there is when it wakes up; it may also do so for nothing."""
    while True:
        await reader.wait(PATIENCE_S)
        if events := (await reader.take(10, LARGE)).events:
            return events


async def test_who_waits_is_woken_and_events_are_shared(valkey: str, seller: Seller, feed_of: FeedOf) -> None:
    feed = feed_of()
    async with asyncio.timeout(PATIENCE_S), publishing(valkey):
        with feed.reader(Cursor()) as one, feed.reader(Cursor()) as other:
            assert not (await one.take(10, LARGE)).events
            assert not (await other.take(10, LARGE)).events
            selling = asyncio.create_task(seller.sell(1, refunds=0))
            (here,), (there,) = await asyncio.gather(woken(one), woken(other))
            assert here.body is there.body
            await selling


async def test_a_new_sale_is_found_while_somebody_waits(
    valkey: str, store: Store, sale_store: SaleStore, feed_of: FeedOf
) -> None:
    feed = feed_of()
    async with asyncio.timeout(PATIENCE_S), publishing(valkey):
        with feed.reader(Cursor()) as reader:
            assert not (await reader.take(10, LARGE)).events
            seller = Seller(store, sale_store, "new")
            await seller.begin()
            await seller.sell(3, refunds=0)
            books = Books()
            while books.count < 3:
                for event in (await reader.take(10, LARGE)).events:
                    books.take(event.body)
                await reader.wait(0.1)


async def test_without_readers_there_is_no_work(
    seller: Seller, feed_of: FeedOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "LINGER_S", 0.05)
    feed = feed_of()

    async def resting() -> bool:
        return not feed.running

    assert await resting()
    with feed.reader(Cursor()) as reader:
        await reader.take(1, LARGE)
        await reader.wait(0.3)
        assert not await resting()
    await seller.sell(2, refunds=0)
    await publish_all(seller)
    await eventually(resting, "the task ends")
    assert feed.window.bytes == 0
    assert len(await read_all(feed)) == 2  # and begins anew for whoever comes


async def test_only_some_types(seller: Seller, feed_of: FeedOf) -> None:
    await seller.sell(30)
    await publish_all(seller)
    feed, kind = feed_of(), b"io.flashsale.reservation.refunded.v1"
    found = await read_all(feed, types={kind})
    assert 0 < len(found) == seller.told - 30
    assert {orjson.loads(event.body)["type"] for event in found} == {kind.decode()}
    assert {type_of(event.body) for event in found} == {kind}
    with feed.reader(Cursor(), types={b"nothing"}) as reader:
        assert not (await reader.take(1, LARGE)).events
        assert reader.cursor.of(seller.sale) == seller.told  # what nobody wants is passed over for good


async def test_a_batch_is_bounded_in_bytes_but_never_empty(seller: Seller, feed_of: FeedOf) -> None:
    await seller.sell(5, refunds=0)
    await publish_all(seller)
    with feed_of().reader(Cursor()) as reader:
        batch = await reader.take(100, 1)
        assert (len(batch.events), batch.more) == (1, True)
        batch = await reader.take(100, 2 * len(batch.events[0].body) + 10)
        assert (len(batch.events), batch.more) == (2, True)
        assert ([event.sequence for event in batch.events], reader.cursor.of(seller.sale)) == ([2, 3], 3)


@pytest.mark.parametrize("archived", [True, False])
async def test_what_was_trimmed_comes_from_the_archive_or_is_refused(
    seller: Seller, feed_of: FeedOf, orders: OrderStore, *, archived: bool
) -> None:
    await seller.sell(20, refunds=0)
    await publish_all(seller)
    kept = await orders.read(seller.sale)
    await seller.store.redis.xtrim(seller.keys.orders, minid="11-0", approximate=False)

    async def older(sale: str, after: int, limit: int) -> list[Published]:
        assert sale == seller.sale
        return kept[after : after + limit]

    feed = feed_of(older=older if archived else None)
    if archived:
        assert [event.sequence for event in await read_all(feed)] == list(range(1, 21))
        return
    with pytest.raises(
        CursorExpiredError, match="behind number 3 are gone; the oldest one left is number 11"
    ):
        await read_all(feed, Cursor.at({seller.sale: 3}))
    found = await read_all(feed, Cursor.at({seller.sale: 10}))
    assert [event.sequence for event in found] == list(range(11, 21))


async def test_a_cursor_of_what_never_was_is_refused(seller: Seller, feed_of: FeedOf) -> None:
    await seller.sell(2, refunds=0)
    await publish_all(seller)
    said = "number 3 of giulia was read; there have been 2"
    with feed_of().reader(Cursor.at({seller.sale: 3})) as reader, pytest.raises(CursorAheadError, match=said):
        await reader.check()
    with feed_of().reader(Cursor.at({seller.sale: 2, "gone": 99})) as reader:
        await reader.check()
        assert not (await reader.take(10, LARGE)).events
        assert reader.cursor.of("gone") == 99  # carried along
    # What has been decided and not yet been told is no fault: another process may have seen it.
    await seller.sell(1, refunds=0)
    with feed_of().reader(Cursor.at({seller.sale: 3})) as reader:
        await reader.check()


async def test_now_is_behind_everything(seller: Seller, feed_of: FeedOf) -> None:
    await seller.sell(3, refunds=0)
    await publish_all(seller)
    feed = feed_of()
    with feed.reader(Cursor()) as reader:
        await reader.skip()
        assert not (await reader.take(10, LARGE)).events
        await seller.sell(1, refunds=0)
        await publish_all(seller)
        batch = await reader.take(10, LARGE)
        while not batch.events:
            await reader.wait(1)
            batch = await reader.take(10, LARGE)
        assert [event.sequence for event in batch.events] == [4]


async def test_there_is_room_for_so_many_readers(feed_of: FeedOf, valkey: str) -> None:
    feed = feed_of(most_readers=2)
    with feed.reader(Cursor()), feed.place():
        with pytest.raises(TooManyReadersError):
            feed.reader(Cursor())
        with pytest.raises(TooManyReadersError), feed.place():
            pass
    with feed.reader(Cursor()):
        assert feed.readers == 1


async def test_a_store_that_goes_away_and_comes_back(own_server: EmbeddedValkey) -> None:
    books = Books()
    async with connected(own_server.url) as (store, sales, orders):
        seller = Seller(store, sales, "giulia")
        await seller.begin()
        await seller.sell(3, refunds=0)
        await publish_all(seller)
        feed = Feed(sales, orders)
        with feed.reader(Cursor()) as reader:
            for event in (await reader.take(10, LARGE)).events:
                books.take(event.body)
            os.kill(own_server.pid, signal.SIGKILL)

            async def refused() -> bool:
                try:
                    await reader.take(10, LARGE)
                except StoreUnavailableError:
                    return True
                return False

            await eventually(refused, "the store is missed")
            assert reader.cursor.of("giulia") == 3
            own_server.restart()  # with nothing: its data was in memory

            async def back() -> bool:
                return not await refused()

            await eventually(back, "the store is there again")
            # It begins anew with fewer orders than the cursor says: whoever asks anew is told.
            with pytest.raises(CursorAheadError):
                await anew(feed, store, sales, reader.cursor)
        await feed.close()


async def anew(feed: Feed, store: Store, sales: SaleStore, cursor: Cursor) -> None:
    seller = Seller(store, sales, "giulia")
    await seller.begin()
    await seller.sell(1, refunds=0)
    await publish_all(seller)
    assert await feed.knows("giulia")
    with feed.reader(cursor) as reader:
        await reader.check()


def test_the_window_is_bounded_and_counts_right() -> None:
    window = Window(most_events=100, most_bytes=2000)
    window.follow({"a": 0, "b": 0})
    for number in range(1, 501):
        window.add(Published("a" if number % 2 else "b", (number + 1) // 2, number, b"x" * 30))
        assert window.bytes <= 2000
    assert window.end == 500
    assert window.tails == {"a": 250, "b": 250}
    found = window.missing({"a": 240, "b": 245})
    assert found is not None
    assert [(event.sale, event.sequence) for event in found[:2]] == [("a", 241), ("a", 242)]
    assert len(found) == 15
    assert window.missing({"a": 100}) is None
    assert window.missing({}) == []


def test_the_window_does_not_pretend_to_have_what_it_lacks() -> None:
    window = Window()
    window.follow({"a": 5})
    epoch = window.epoch
    window.add(Published("a", 5, 5, b""))  # known
    window.add(Published("a", 8, 8, b""))  # somebody has trimmed 6 and 7
    window.add(Published("other", 1, 1, b""))  # nobody asked for
    assert window.end == 1
    assert window.missing({"a": 5}) is None
    assert [event.sequence for event in window.missing({"a": 7}) or ()] == [8]
    window.follow({"b": 3})
    assert window.epoch > epoch
    assert set(window.touched_since(window.end, epoch)) == {"a", "b"}
    assert set(window.touched_since(0, window.epoch)) == {"a"}
    window.drop({"b"})
    assert window.cursor().of("b") == 0
    window.reset()
    assert (window.tails, window.bytes) == ({}, 0)
