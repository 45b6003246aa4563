"""One order system: reads the orders of the sale `bench` by one of the ways in, and says how old they were when it had them.

    python bench/apps/orders_reader.py WAY COUNT [AFTER]

WAY is `feed` (`OrderFeed`), `poll` (GET /v1/orders, 1000 at a time), `stream` (server-sent events) or `group` (XREADGROUP).
It begins behind all orders that there are, or behind AFTER of them; says READY when the first has come; and ends with
a line `RESULT {...}` when COUNT more have come, each with the sequence that it should have. How old they are is told of
new orders only, and counts from the instant of their fact in the journal, by the store's clock. That has milliseconds, so
what is told is up to one too many.
Where to read, and with which key, comes in the environment.
"""

import json
import os
import sys
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final

import aiohttp
import orjson
import uvloop
from redis.asyncio import Redis

from flashsale.client import NOW, OrderFeed
from flashsale.keys import SaleKeys
from flashsale.model.cursor import Cursor

SALE: Final = "bench"
URL, KEY, REDIS = (os.environ.get(name, "") for name in ("SHOP_URL", "SHOP_KEY", "FLASHSALE_REDIS_URL"))
PAGE: Final = 1000
Event = dict[str, Any]


def session() -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(sock_read=60)
    return aiohttp.ClientSession(URL, headers={"Authorization": f"Bearer {KEY}"}, timeout=timeout)


async def feed(after: str) -> AsyncIterator[list[Event]]:
    async for page in OrderFeed(URL, KEY, after=after, page_size=PAGE).pages():
        yield [order.event for order in page]


async def poll(after: str) -> AsyncIterator[list[Event]]:
    async with session() as http:
        while True:
            query = {"after": after, "limit": str(PAGE), "wait": "30"}
            async with http.get("/v1/orders", params=query) as answer:
                assert answer.status == 200, await answer.text()
                page = orjson.loads(await answer.read())
            after = page["cursor"]
            yield page["events"]


async def stream(after: str) -> AsyncIterator[list[Event]]:
    async with session() as http, http.get("/v1/orders/stream", params={"after": after}) as answer:
        assert answer.status == 200, await answer.text()
        left = b""
        async for piece in answer.content.iter_any():
            *frames, left = (left + piece).split(b"\n\n")
            yield [
                orjson.loads(frame[frame.index(b"data: ") + 6 :]) for frame in frames if b"data: " in frame
            ]


async def group(_after: str) -> AsyncIterator[list[Event]]:
    names, name = SaleKeys.of(SALE), f"bench-{os.getpid()}"
    redis: Any = Redis.from_url(REDIS, socket_timeout=60)
    await redis.xgroup_create(names.orders, name, id="$", mkstream=True)
    while True:
        found = await redis.xreadgroup(name, "one", {names.orders: ">"}, count=100, block=1000)
        entries = [entry for _, entries in found for entry in entries]
        yield [orjson.loads(fields[b"event"]) for _, fields in entries]
        if entries:
            await redis.xack(names.orders, name, *(entry_id for entry_id, _ in entries))


WAYS: Final = {"feed": feed, "poll": poll, "stream": stream, "group": group}


def age_ms(event: Event, now: float) -> float:
    return (now - datetime.fromisoformat(event["time"]).timestamp()) * 1000


def say(line: str) -> None:
    print(line, flush=True)


async def main(way: str, count: int, after: str) -> None:
    cursor = NOW if after == NOW else Cursor.at({SALE: int(after)}).encode()
    expected, came, ages, began, cpu = 0, -1, list[float](), 0.0, 0.0
    async for page in WAYS[way](cursor):
        now = time.time()
        for event in page:
            sequence = int(event["sequence"])
            assert sequence == (expected or sequence), f"{sequence} came, not {expected}"
            expected = sequence + 1
            if came < 0:
                say("READY")
                began, cpu = time.monotonic(), time.process_time()
            elif after == NOW:
                ages.append(age_ms(event, now))
            came += 1
        if came >= count:
            break
    spent = {"seconds": time.monotonic() - began, "cpu_seconds": time.process_time() - cpu}
    say("RESULT " + json.dumps({"orders": came, **spent, "ages_ms": ages}))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else NOW))
