"""A small real server that takes webhooks in and keeps them as they came."""

import asyncio
from types import TracebackType
from typing import NamedTuple, Self

from aiohttp import web
from multidict import CIMultiDictProxy

WAIT_SECONDS = 60.0


class Webhook(NamedTuple):
    """One request as it came."""

    headers: CIMultiDictProxy[str]
    body: bytes


class Receiver:
    """Listens on a free port of 127.0.0.1 inside its block, and answers every POST with 200."""

    def __init__(self) -> None:
        self._came: asyncio.Queue[Webhook] = asyncio.Queue()
        app = web.Application()
        app.router.add_post("/{path:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        self.url = ""

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def next(self) -> Webhook:
        """The next webhook, waited for."""
        async with asyncio.timeout(WAIT_SECONDS):
            return await self._came.get()

    async def _take(self, request: web.Request) -> web.Response:
        self._came.put_nowait(Webhook(request.headers, await request.read()))
        return web.Response()
