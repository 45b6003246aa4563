"""GET /v1/orders/stream: resumed from any event, bounded for those who read slowly, and gone when the server goes."""

import asyncio
import os
import random
import signal
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import psutil
import pytest

from flashsale.api.orders import outlet, stream
from flashsale.engine.feed import Reader
from flashsale.model.cursor import Cursor
from flashsale.process.embedded import EmbeddedValkey
from flashsale.store.client import Store
from flashsale.store.sales import SaleStore
from tests.support.selling import Books, Seller, publish_all, publishing
from tests.support.server import PATIENCE_MS, binary
from tests.support_http.client import PATIENCE_S, ROOT_KEY, Shop, eventually
from tests.support_http.server import Server, app_on

KEY = {"Authorization": f"Bearer {ROOT_KEY}"}
PATH = "/v1/orders/stream"


@pytest.fixture
async def seller(store: Store, sale_store: SaleStore) -> Seller:
    seller = Seller(store, sale_store, "giulia")
    await seller.begin()
    return seller


@dataclass
class Frame:
    """One event as a reader of the standard sees it; `data` is empty of one that only carries an id."""

    id: str = ""
    event: str = ""
    data: str = ""
    retry: str = ""
    comment: str = ""


async def frames(url: str, query: str = "", last: str | None = None) -> AsyncGenerator[Frame]:
    """The events of a stream until it ends."""
    headers = KEY | ({"Last-Event-ID": last} if last is not None else {})
    timeout = aiohttp.ClientTimeout(sock_read=PATIENCE_S)
    async with (
        aiohttp.ClientSession(timeout=timeout, read_bufsize=2**20) as http,
        http.get(f"{url}{PATH}{query}", headers=headers) as answer,
    ):
        assert answer.status == 200, await answer.read()
        assert answer.content_type == "text/event-stream"
        frame = Frame()
        async for line in answer.content:
            text = line.decode().removesuffix("\n")
            name, _, value = text.partition(": ")
            if text:
                setattr(frame, name or "comment", value)
            else:
                yield frame
                frame = Frame()


async def test_it_tells_what_there_is_and_what_comes(url: str, valkey: str, seller: Seller) -> None:
    await seller.sell(3, refunds=0)
    async with publishing(valkey), asyncio.timeout(PATIENCE_S):
        stream_of = frames(url, "?limit=5")
        first = await anext(stream_of)
        assert (first.retry, first.id, first.data) == ("1000", Cursor().encode(), "")
        found = [await anext(stream_of) for _ in range(3)]
        await seller.sell(2, refunds=0)
        found += [frame async for frame in stream_of]  # it ends after five
    assert [orjson.loads(frame.data)["data"]["sequence"] for frame in found] == [1, 2, 3, 4, 5]
    assert {frame.event for frame in found} == {"io.flashsale.reservation.confirmed.v1"}
    assert [Cursor.decode(frame.id).of("giulia") for frame in found] == [1, 2, 3, 4, 5]


async def test_it_goes_on_where_it_was(url: str, seller: Seller) -> None:
    await seller.sell(10, refunds=0)
    await publish_all(seller)
    every = [frame async for frame in frames(url, "?wait=0") if frame.data]
    assert len(every) == 10
    for number in (0, 4, 9):
        # The header goes before `after`, which a browser sends again as it was.
        rest = [
            frame async for frame in frames(url, "?wait=0&after=now", last=every[number].id) if frame.data
        ]
        assert [frame.data for frame in rest] == [frame.data for frame in every[number + 1 :]]
        rest = [
            frame async for frame in frames(url, f"?wait=0&after={every[number].id}", last="") if frame.data
        ]
        assert len(rest) == 9 - number


async def test_now_begins_with_a_cursor(url: str, seller: Seller) -> None:
    await seller.sell(2, refunds=0)
    await publish_all(seller)
    (only,) = [frame async for frame in frames(url, "?wait=0&after=now")]
    assert Cursor.decode(only.id).of("giulia") == 2


async def test_what_cannot_be_is_refused_with_a_status(url: str) -> None:
    async with Shop(url) as shop:
        for header in ("nothing", "0", "x" * 1000):
            answer = await shop.ask("GET", PATH, bearer=ROOT_KEY, headers={"Last-Event-ID": header})
            answer.invalid("Last-Event-ID")
        (await shop.ask("GET", f"{PATH}?sale=nobody", bearer=ROOT_KEY)).refused(404, "unknown_sale")


async def test_heartbeats(url: str, seller: Seller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(stream, "SLICE_S", 0.05)
    async with asyncio.timeout(PATIENCE_S), aclosing(frames(url)) as stream_of:
        await anext(stream_of)
        for _ in range(3):
            beat = await anext(stream_of)
            assert (beat.comment, beat.data) == ("still here", "")
            assert beat.id == Cursor().encode()


@pytest.mark.parametrize("seed", [1, 2])
async def test_each_order_once_however_often_the_connection_ends(
    url: str, valkey: str, store: Store, sale_store: SaleStore, seed: int
) -> None:
    chance = random.Random(seed)
    sellers = [Seller(store, sale_store, f"sale-{number}", seed=seed) for number in range(4)]

    async def sell(seller: Seller) -> None:
        await asyncio.sleep(chance.random())
        await seller.begin()
        for _ in range(5):
            await seller.sell(chance.randrange(10))
            await asyncio.sleep(chance.random() / 10)

    async def consume() -> Books:
        books, last = Books(), Cursor().encode()
        while not selling.done() or books.count < sum(seller.told for seller in sellers):
            left = chance.randrange(1, 40)
            async with aclosing(frames(url, "?wait=1", last=last)) as stream_of:
                async for frame in stream_of:
                    if frame.data:
                        books.take(frame.data)
                    last = frame.id
                    left -= 1
                    if not left:
                        break
        return books

    async with asyncio.timeout(PATIENCE_S), publishing(valkey):
        selling = asyncio.gather(*map(sell, sellers))
        for books in await asyncio.gather(*(consume() for _ in range(4))):
            assert books.sequences == {seller.sale: seller.told for seller in sellers if seller.told}
        await selling


class Stuck:
    """Readers who ask for the stream and take nothing of it."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []

    async def connect(self, url: str, count: int) -> None:
        loop, (host, port) = asyncio.get_running_loop(), url.removeprefix("http://").split(":")
        request = f"GET {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ROOT_KEY}\r\n\r\n".encode()
        for _ in range(count):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.setblocking(False)
            self.sockets.append(one)
            await loop.sock_connect(one, (host, int(port)))
            await loop.sock_sendall(one, request)

    def ended(self) -> int:
        """How many of them the server has cut off; what they were sent before that is taken now."""
        gone = 0
        for one in self.sockets:
            try:
                while one.recv(1 << 20):
                    pass
                gone += 1
            except BlockingIOError:
                pass
            except ConnectionError:
                gone += 1
        return gone

    def served(self) -> int:
        """How many of them a server in this process has, whether they have taken everything or not."""
        ports = {one.getsockname()[1] for one in self.sockets}
        found = psutil.Process().net_connections("tcp")
        return sum(bool(each.raddr) and each.raddr.port in ports for each in found)

    def close(self) -> None:
        for one in self.sockets:
            one.close()


@pytest.fixture
def stuck() -> Any:
    stuck = Stuck()
    yield stuck
    stuck.close()


async def test_many_who_are_stuck_cost_little_and_hold_up_nobody(
    valkey: str, store: Store, sale_store: SaleStore, servers: list[Server], stuck: Stuck, tmp_path: Path
) -> None:
    servers.append(Server(tmp_path, ["--redis-url", valkey]))
    (worker,) = servers[0].workers()
    seller = Seller(store, sale_store, "giulia")
    await seller.begin()
    async with publishing(valkey), asyncio.timeout(100):
        books = Books()

        async def read() -> None:
            async with aclosing(frames(servers[0].url)) as stream_of:
                async for frame in stream_of:
                    if frame.data:
                        books.take(frame.data)
                        if books.count >= seller.told >= 2050:
                            return

        await seller.sell(50, refunds=0)
        reading = asyncio.create_task(read())
        await stuck.connect(servers[0].url, 200)
        await eventually(lambda: _counted(books, seller.told), "the reader has caught up")
        before = worker.memory_info().rss
        await seller.sell_many(2000)
        await reading
        grown = worker.memory_info().rss - before
    assert books.sequences == {"giulia": seller.told}
    # 2,000 events of a kilobyte for 200 readers would be 400 MB; what each may hold is some 50 KB.
    assert grown < 60 * 2**20, f"{grown / 2**20:.0f} MB more"


async def _counted(books: Books, told: int) -> bool:
    return books.count >= told


async def test_who_takes_nothing_is_cut_off(
    url: str, seller: Seller, stuck: Stuck, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlet, "STUCK_S", 0.2)
    await seller.sell(300, refunds=0)
    await publish_all(seller)
    await stuck.connect(url, 3)

    async def cut() -> bool:
        return stuck.ended() == 3

    # Nothing is taken before they are cut off: looking would be taking.
    await eventually(lambda: asyncio.sleep(0, stuck.served() == 3), "they are let in")
    await eventually(lambda: asyncio.sleep(0, stuck.served() == 0), "the server is done with them")
    await eventually(cut, "they are cut off")


async def test_a_server_that_leaves_ends_streams_and_waits_soon(
    valkey: str, seller: Seller, servers: list[Server], stuck: Stuck, tmp_path: Path
) -> None:
    await seller.sell(300, refunds=0)
    await publish_all(seller)
    servers.append(Server(tmp_path, ["--redis-url", valkey], env={"FLASHSALE_DRAIN_SECONDS": "60"}))
    url = servers[0].url
    async with Shop(url) as shop, asyncio.timeout(PATIENCE_S):
        polling = asyncio.create_task(shop.ask("GET", "/v1/orders?after=now&wait=60", bearer=ROOT_KEY))
        facts = asyncio.create_task(
            shop.ask("GET", "/v1/sales/giulia/events?after=10000&wait=60", bearer=ROOT_KEY)
        )
        stream_of = frames(url, "?after=now")
        await anext(stream_of)
        await stuck.connect(url, 5)
        await asyncio.sleep(0.5)
        began = time.monotonic()
        servers[0].program.send(signal.SIGTERM)
        assert (await polling).must(200)["events"] == []
        (await facts).must(200)
        assert [frame async for frame in stream_of] == []
        assert await asyncio.to_thread(servers[0].program.wait) == 0
        assert time.monotonic() - began < 20  # and not after the 60 seconds that it has


async def test_the_store_goes_and_comes_back_and_nothing_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers wait it out: the streams stay open, and the long polls that had begun are answered."""
    waiting_readers: set[Reader] = set()
    whole = Reader.wait

    async def noted(reader: Reader, seconds: float) -> None:
        waiting_readers.add(reader)
        await whole(reader, seconds)

    monkeypatch.setattr(Reader, "wait", noted)
    with EmbeddedValkey(tmp_path / "durable", binary=binary()) as durable:
        store = Store.connect(durable.url, timeout_ms=PATIENCE_MS)
        sales = SaleStore(store, timeout_s=PATIENCE_S)
        seller = Seller(store, sales, "giulia")
        await seller.begin()
        async with (
            asyncio.timeout(PATIENCE_S),
            app_on(durable.url) as url,
            Shop(url) as shop,
            publishing(durable.url),
            aclosing(frames(url)) as stream_of,
        ):
            await seller.sell(3, refunds=0)
            books = Books()
            while books.count < 3:
                if (frame := await anext(stream_of)).data:
                    books.take(frame.data)
            waiting = asyncio.create_task(shop.ask("GET", "/v1/orders?after=now&wait=60", bearer=ROOT_KEY))
            await eventually(lambda: asyncio.sleep(0, len(waiting_readers) == 2), "the poll waits too")
            os.kill(durable.pid, signal.SIGKILL)

            async def refused() -> bool:
                return (await shop.ask("GET", "/v1/orders", bearer=ROOT_KEY)).status == 503

            await eventually(refused, "the store is missed")
            durable.restart()

            async def sold() -> bool:
                try:
                    await seller.sell(1, refunds=0)
                except Exception:  # noqa: BLE001 - whatever a client of a store that is still loading says
                    seller.told -= 1
                    return False
                return True

            await eventually(sold, "it sells again")
            while books.count < 4:
                if (frame := await anext(stream_of)).data:
                    books.take(frame.data)
            (event,) = (await waiting).must(200)["events"]
            assert event["data"]["sequence"] == 4
        await sales.close()
        await store.close()


async def test_another_publisher_goes_on_and_nobody_notices(url: str, valkey: str, seller: Seller) -> None:
    books = Books()
    async with asyncio.timeout(PATIENCE_S), aclosing(frames(url)) as stream_of:
        for round_ in range(3):
            async with publishing(valkey):
                await seller.sell(4)
                while books.count < seller.told:
                    if (frame := await anext(stream_of)).data:
                        books.take(frame.data)
            await seller.sell(2)  # nobody publishes: it comes in the next round
            assert books.count < seller.told, round_
