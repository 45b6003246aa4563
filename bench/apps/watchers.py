"""Thousands of watchers of one sale, each on a connection of its own, as browsers that keep the shop's page open.

    python bench/apps/watchers.py PORT SALE COUNT

Says READY when all of them have been shown the sale. For each line on its standard input it says COUNTED with the events
that all of them have had until now, the most and the least that one of them had since the line before, how many are still
connected, and for how long the one that waits longest has had none. It ends with its standard input.
"""

import asyncio
import resource
import sys
import time
from typing import Final, cast

import uvloop

AT_ONCE: Final = 100
"""How many come at the same time."""


class Watcher(asyncio.Protocol):
    """One of them."""

    def __init__(self, sale: str) -> None:
        self.sale = sale
        self.shown: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.events = 0
        self.before = 0
        self.heard_at = time.monotonic()
        self.there = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        head = (
            f"GET /v1/sales/{self.sale}/live HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n"
        )
        cast("asyncio.Transport", transport).write(head.encode())

    def data_received(self, data: bytes) -> None:
        found = data.count(b"data: ")
        if not found:
            return
        self.events += found
        self.heard_at = time.monotonic()
        if not self.shown.done():
            self.shown.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.there = False
        if not self.shown.done():
            self.shown.set_exception(exc or ConnectionError("the server has closed the connection"))


async def main(port: int, sale: str, count: int) -> None:
    loop = asyncio.get_running_loop()
    watchers: list[Watcher] = []

    async def come() -> None:
        _, watcher = await loop.create_connection(lambda: Watcher(sale), "127.0.0.1", port)
        await watcher.shown
        watchers.append(watcher)

    for start in range(0, count, AT_ONCE):
        await asyncio.gather(*(come() for _ in range(min(AT_ONCE, count - start))))
    print("READY", flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        had = [watcher.events - watcher.before for watcher in watchers] or [0]
        for watcher in watchers:
            watcher.before = watcher.events
        now = time.monotonic()
        longest_s = max((now - watcher.heard_at for watcher in watchers), default=0.0)
        there = sum(watcher.there for watcher in watchers)
        print(f"COUNTED {sum(had)} {max(had)} {min(had)} {there} {longest_s:.3f}", flush=True)


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
