"""The demo's order system as a process: killed at any moment, its books have every order once."""

import asyncio
import random
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any

import psutil
import pytest

from flashsale.client import MemoryCursor, Order, OrderFeed
from flashsale.demo.messages import Began, Received, Stopped, TakeOrders, decode_from_order_system, encode
from flashsale.demo.order_books import OrderBooks, discard, read_ledger
from flashsale.demo.order_process import OrderSystem, order_system
from flashsale.demo.orders import tally_of
from flashsale.demo.server import Secrets
from tests.demo.lying_feed import KEY, order_event
from tests.demo.lying_provider import CURRENCY
from tests.demo.lying_server import DUE, LyingServer, instant, serving
from tests.demo.stories import OPENS_AT

SALE = "cars"
AT = instant(OPENS_AT)
WAIT_SECONDS = 60.0
"""How long anything may take; nothing is decided by it but that a test ends."""


def reservation(number: int) -> dict[str, Any]:
    return {
        "id": f"{SALE}.0.{number:016d}",
        "sale": SALE,
        "customer": f"c-{number}",
        "items": [{"sku": "car", "quantity": 1}],
        "place": number,
        "amount_due": DUE,
        "currency": CURRENCY,
    }


def sell(server: LyingServer, first: int, last: int) -> None:
    for number in range(first, last + 1):
        server.feed.confirmed(reservation(number), AT)


def undo(server: LyingServer, number: int) -> None:
    events = server.feed.events
    events.append(order_event(reservation(number), "refunded", len(events) + 1, AT))


def chance() -> random.Random:
    return random.Random(1)


def environment(key: str = KEY) -> dict[str, str]:
    return Secrets.order_system_environment(key)


def soon() -> float:
    return monotonic() + WAIT_SECONDS


async def orders_of(url: str) -> list[Order]:
    return [order async for order in OrderFeed(url, KEY, sale=SALE, cursor=MemoryCursor(), follow=False)]


async def started(job: TakeOrders) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "flashsale.demo.order_system"),
        env=environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(encode(job))
    return process


async def heard(process: asyncio.subprocess.Process) -> Began | Received | Stopped:
    assert process.stdout is not None
    async with asyncio.timeout(WAIT_SECONDS):
        return decode_from_order_system(await process.stdout.readline())


@pytest.mark.slow
async def test_killed_again_and_again_it_has_every_order_once(tmp_path: Path) -> None:
    server, dice = LyingServer(), random.Random(20)
    server.feed.keys.add(KEY)
    path = tmp_path / "books" / "orders.sqlite3"
    async with serving(server) as url:
        job = TakeOrders(url, SALE, str(path))
        sold, runs = 0, 6
        for run in range(1, runs + 1):
            process = await started(job)
            began = await heard(process)
            assert isinstance(began, Began)
            assert (began.run, began.books.dropped) == (run, 0)
            assert began.books.sequence <= sold
            # The orders come in pieces, so that it is killed before, within and behind transactions.
            for _ in range(8):
                sell(server, sold + 1, sold + 40)
                sold += 40
                await asyncio.sleep(dice.uniform(0.0, 0.04))
            process.kill()
            await process.wait()
        undo(server, 3)
        process = await started(job)
        while (await heard(process)).__class__ is not Received or read_ledger(path).postings[
            -1
        ].sequence <= sold:
            pass
        assert process.stdin is not None
        process.stdin.close()
        assert await process.wait() == 0
    ledger = read_ledger(path)
    assert [one.sequence for one in ledger.postings] == list(range(1, sold + 2))
    assert len(ledger.orders) == sold
    assert [name for name, one in ledger.orders.items() if one.status == "refunded"] == [reservation(3)["id"]]
    assert ledger.dropped == []
    assert len(ledger.began_ms) == runs + 1
    sums = tally_of(ledger.postings)
    assert (sums.confirmed, sums.confirmed_amount, sums.refunded) == (sold, sold * DUE, 1)


async def test_it_is_killed_once_and_goes_on(tmp_path: Path) -> None:
    server = LyingServer()
    said: list[str] = []
    server.feed.keys.add(KEY)
    async with serving(server) as url, order_system(environment(), chance()) as system:
        system.said = said.append
        sell(server, 1, 30)
        await system.take_orders(TakeOrders(url, SALE, str(tmp_path / "orders.sqlite3")), kill_after=10)
        await system.caught_up(30, soon())
        await system.killed(soon())
        sell(server, 31, 50)
        await system.caught_up(50, soon())
        delivered = await system.end()
    assert delivered.failure == ""
    assert delivered.killed_after == 30
    assert said == [
        "  order system killed (kill -9) after 30 orders and started again: it goes on behind its own number 30"
    ]
    assert [one.run for one in delivered.ledger.postings] == [1] * 30 + [2] * 20
    assert len(delivered.ledger.orders) == 50
    assert delivered.ledger.dropped == []


async def test_few_orders_are_enough_to_kill_it_in_the_end(tmp_path: Path) -> None:
    server = LyingServer()
    server.feed.keys.add(KEY)
    async with serving(server) as url, order_system(environment(), chance()) as system:
        sell(server, 1, 2)
        await system.take_orders(TakeOrders(url, SALE, str(tmp_path / "orders.sqlite3")), kill_after=10)
        await system.caught_up(2, soon())
        await system.killed(soon())
        delivered = await system.end()
    assert (delivered.killed_after, len(delivered.ledger.began_ms)) == (2, 2)


async def test_one_without_orders_is_left_alone(tmp_path: Path) -> None:
    server = LyingServer()
    server.feed.keys.add(KEY)
    async with serving(server) as url, order_system(environment(), chance()) as system:
        await system.take_orders(TakeOrders(url, SALE, str(tmp_path / "orders.sqlite3")), kill_after=1)
        await system.killed(soon())
        delivered = await system.end()
    assert (delivered.killed_after, delivered.failure, delivered.ledger.postings) == (None, "", [])


async def follow_until_it_fails(system: OrderSystem, url: str, path: Path) -> str:
    await system.take_orders(TakeOrders(url, SALE, str(path)), kill_after=1000)
    await system.caught_up(10**9, soon())
    return (await system.end()).failure


async def test_a_gap_ends_it_and_is_named(tmp_path: Path) -> None:
    server = LyingServer("skips_a_number")
    server.feed.keys.add(KEY)
    path = tmp_path / "orders.sqlite3"
    async with serving(server) as url, order_system(environment(), chance()) as system:
        sell(server, 1, 9)
        failure = await follow_until_it_fails(system, url, path)
    assert failure.startswith("GapError: orders of the sale cars are missing: after number 4 came number 6")
    assert [one.sequence for one in read_ledger(path).postings] == [1, 2, 3, 4]


async def test_a_key_that_is_not_accepted_ends_it(tmp_path: Path) -> None:
    async with serving(LyingServer()) as url, order_system(environment(), chance()) as system:
        failure = await follow_until_it_fails(system, url, tmp_path / "orders.sqlite3")
    assert failure == "ApiError: unauthorized (unauthorized)"
    assert KEY not in failure


async def test_books_that_cannot_be_written_end_it(tmp_path: Path) -> None:
    path = tmp_path / "orders.sqlite3"
    path.mkdir()
    process = await started(TakeOrders("http://127.0.0.1:1", SALE, str(path)))
    stopped = await heard(process)
    assert isinstance(stopped, Stopped)
    assert "unable to open database file" in stopped.reason
    assert await process.wait() == 1


async def test_one_that_somebody_else_ends_is_missed(tmp_path: Path) -> None:
    server = LyingServer()
    server.feed.keys.add(KEY)
    async with serving(server) as url, order_system(environment(), chance()) as system:
        assert system._process is not None
        system._process.kill()
        failure = await follow_until_it_fails(system, url, tmp_path / "orders.sqlite3")
    assert failure == "it ended with exit code -9"


async def test_its_key_is_not_in_its_arguments_and_it_has_no_other(tmp_path: Path) -> None:
    server = LyingServer()
    server.feed.keys.add(KEY)
    sell(server, 1, 1)
    async with serving(server) as url, order_system(environment(), chance()) as system:
        await system.take_orders(TakeOrders(url, SALE, str(tmp_path / "orders.sqlite3")), kill_after=10)
        await system.caught_up(1, soon())
        assert system._process is not None
        process = psutil.Process(system._process.pid)
        assert KEY not in " ".join(process.cmdline())
        names = [name for name in process.environ() if name.startswith("FLASHSALE_")]
        assert names == ["FLASHSALE_API_KEY"]
    assert not process.is_running()


async def test_without_a_demo_it_goes_home() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "flashsale.demo.order_system"),
        env=environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate(b"")
    assert (process.returncode, said) == (0, b"")


async def test_the_books_of_a_page_and_its_cursor_are_stored_together(tmp_path: Path) -> None:
    server = LyingServer()
    server.feed.keys.add(KEY)
    sell(server, 1, 3)
    undo(server, 2)
    async with serving(server) as url:
        page = await orders_of(url)
    path = tmp_path / "orders.sqlite3"
    with closing(OrderBooks(path)) as books:
        assert (books.cursor, books.counts()) == ("", Received())
        run = books.begin(5.0)
        books.post(page[:2], 7.0, run)
        assert (books.cursor, books.counts()) == (page[1].cursor, Received(orders=2, sequence=2))
        with pytest.raises(AttributeError):
            books.post([page[2], object()], 8.0, run)  # type: ignore[list-item]  # what breaks in the middle of it
        assert (books.cursor, books.counts()) == (page[1].cursor, Received(orders=2, sequence=2))
    with closing(OrderBooks(path)) as books:
        assert books.begin(6.0) == 2
        books.post(page[1:], 9.0, 2)
        assert books.cursor == page[-1].cursor
        assert books.counts() == Received(orders=3, refunds=1, sequence=4, dropped=1)
    ledger = read_ledger(path)
    assert [(one.sequence, one.status, one.run) for one in ledger.postings] == [
        *((1, "confirmed", 1), (2, "confirmed", 1)),
        *((3, "confirmed", 2), (4, "refunded", 2)),
    ]
    assert ledger.dropped == [page[1].reservation]
    assert list(ledger.began_ms) == [5.0, 6.0]
    assert ledger.postings[0].told_ms == OPENS_AT.timestamp() * 1000


def test_books_of_an_earlier_sale_are_put_away(tmp_path: Path) -> None:
    path = tmp_path / "orders.sqlite3"
    books = OrderBooks(path)
    books.begin(1.0)
    left = {one.name for one in tmp_path.iterdir()}
    assert left == {"orders.sqlite3", "orders.sqlite3-wal", "orders.sqlite3-shm"}
    discard(path)
    assert list(tmp_path.iterdir()) == []
    books.close()
    assert read_ledger(path).postings == ()


def test_what_is_no_database_says_so(tmp_path: Path) -> None:
    path = tmp_path / "orders.sqlite3"
    path.write_bytes(b"something else" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        OrderBooks(path)
