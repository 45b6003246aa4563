"""A receiver of webhooks: a real HTTP server in the process of the test, which notes what it is sent."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from multidict import CIMultiDictProxy

PATH: Final = "/v1/payments/simulator/events"


@dataclass(frozen=True)
class Received:
    """One webhook as it came."""

    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def id(self) -> str:
        return str(self.event["id"])

    @property
    def type(self) -> str:
        return str(self.event["type"])


class Receiver:
    """Answers `status` to everything, with a body without end if it is `endless`. `url` is where it listens."""

    def __init__(self) -> None:
        self.url = ""
        self.port = 0
        self.status = 204
        self.endless = False
        self.received: list[Received] = []
        self.answered: list[int] = []
        self._changed = asyncio.Event()

    @property
    def types(self) -> list[str]:
        return [one.type for one in self.received]

    async def until(self, enough: Callable[[], bool]) -> None:
        """Waits until it has received enough."""
        async with asyncio.timeout(60):
            while not enough():
                self._changed.clear()
                await self._changed.wait()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.received.append(Received(request.headers, await request.read()))
        self.answered.append(self.status)
        self._changed.set()
        if not self.endless:
            return web.Response(status=self.status, headers={"Location": self.url})
        response = web.StreamResponse(status=self.status)
        await response.prepare(request)
        while True:
            await response.write(b" " * 65_536)


def url_at(port: int) -> str:
    """Where a receiver at this port is sent webhooks."""
    return f"http://127.0.0.1:{port}{PATH}"


@asynccontextmanager
async def receiver(port: int = 0) -> AsyncIterator[Receiver]:
    """A receiver that listens."""
    made = Receiver()
    app = web.Application()
    app.router.add_post(PATH, made.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        made.port = runner.addresses[0][1]
        made.url = url_at(made.port)
        yield made
    finally:
        await runner.cleanup()
