"""An order system, in a process of its own: `python -m flashsale.demo.order_system`.

It reads one line from standard input (`TakeOrders`), and then the shop's feed of orders, over HTTP, from where its own
books end (`order_books`). It says how far it has come to standard output. It may be killed at any moment and started again.
It ends when its standard input ends.

Its API key is in FLASHSALE_API_KEY, and may do nothing but read orders.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from contextlib import aclosing
from pathlib import Path
from time import time

import uvloop

from flashsale.client import ApiError, OrderFeed, OrderFeedError, UnreachableError
from flashsale.demo.messages import (
    Began,
    FromOrderSystem,
    Stopped,
    TakeOrders,
    decode_for_order_system,
    encode,
)
from flashsale.demo.order_books import OrderBooks

TELL_SECONDS = 0.2
PAGE = 100
"""Orders of one transaction at most."""


async def take_orders(job: TakeOrders, key: str, books: OrderBooks) -> None:
    """Read the feed into the books, for ever. Raises OrderFeedError or ApiError when it cannot go on."""
    cursor, run = books.cursor, books.begin(time() * 1000)
    say(Began(run, books.counts()))
    ticker = asyncio.get_running_loop().create_task(_tell(books))
    try:
        feed = OrderFeed(job.url, key, after=cursor, sale=job.sale, page_size=PAGE)
        async with aclosing(feed.pages()) as pages:
            async for page in pages:
                books.post(page, time() * 1000, run)
    finally:
        ticker.cancel()
        say(books.counts())


async def _tell(books: OrderBooks) -> None:
    said = books.counts()
    while True:
        await asyncio.sleep(TELL_SECONDS)
        counts = books.counts()
        if counts != said:
            said = counts
            say(counts)


async def run(stdin: asyncio.StreamReader, key: str) -> int:
    """Do one job until the parent has gone; the exit code."""
    line = await stdin.readline()
    if not line:
        return 0
    job = decode_for_order_system(line)
    try:
        books = OrderBooks(Path(job.books))
    except (OSError, sqlite3.Error) as fault:
        say(Stopped(f"{type(fault).__name__}: {fault}"))
        return 1
    reading = asyncio.ensure_future(take_orders(job, key, books))
    leaving = asyncio.ensure_future(stdin.read())
    try:
        await asyncio.wait({reading, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            return 0
        reading.result()
    except (OrderFeedError, ApiError, UnreachableError, sqlite3.Error) as fault:
        say(Stopped(f"{type(fault).__name__}: {fault}"))
        return 1
    finally:
        for task in (reading, leaving):
            task.cancel()
        await asyncio.gather(reading, leaving, return_exceptions=True)
        books.close()
    return 0


def say(message: FromOrderSystem) -> None:
    """Write one line to the parent."""
    sys.stdout.buffer.write(encode(message))
    sys.stdout.buffer.flush()


async def _main() -> int:
    stdin = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    try:
        return await run(stdin, os.environ["FLASHSALE_API_KEY"])
    except BrokenPipeError:
        return 1


if __name__ == "__main__":
    sys.exit(uvloop.run(_main()))
