"""A reverse proxy between a crowd and its server, which passes everything on but for what its lies do to some answers."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import aiohttp
import jwt
import orjson
from aiohttp import web
from yarl import URL

_OF_A_CONNECTION: Final = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "host", "upgrade"}
)
_STREAMS: Final = ("/live", "/stream")
"""Ends of the paths that answer for as long as somebody listens."""


@dataclass(frozen=True)
class Question:
    """A request as it came."""

    method: str
    url: URL
    """Path and query."""
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.url.path

    @property
    def reserves(self) -> bool:
        """Whether this is a shopper who presses."""
        return self.method == "POST" and self.path.endswith("/reservations")

    @property
    def customer(self) -> str:
        """Whose token it carries."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        return str(jwt.decode(token, options={"verify_signature": False})["sub"])


@dataclass(frozen=True)
class Reply:
    """An answer as it goes."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    def saying(self, body: object, status: int = 0) -> "Reply":
        """The same with another body, and another status unless that is 0."""
        return replace(self, status=status or self.status, body=orjson.dumps(body))


Forward = Callable[[Question], Awaitable[Reply | None]]
Lie = Callable[[Question, Forward], Awaitable[Reply | None]]
"""Answers a question, with or without passing it on. None: the connection ends instead."""


class Between:
    """The proxy. The first of its lies is told the question first."""

    def __init__(self, target: str, lies: Sequence[Lie] = ()) -> None:
        self.url = ""
        self._target = target.rstrip("/")
        self._lies = lies
        self._http: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Its address, without a slash at the end."""
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(None)) as http:
            self._http = http
            try:
                await web.TCPSite(runner, "127.0.0.1", 0, backlog=2048).start()
                host, port = runner.addresses[0][:2]
                self.url = f"http://{host}:{port}"
                yield self.url
            finally:
                await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        headers = {
            name: value for name, value in request.headers.items() if name.lower() not in _OF_A_CONNECTION
        }
        question = Question(request.method, request.rel_url, headers, await request.read())
        if question.path.endswith(_STREAMS):
            return await self._stream(request, question)
        reply = await self._told(question, self._lies)
        if reply is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.Response(status=reply.status, headers=reply.headers, body=reply.body)

    async def _told(self, question: Question, lies: Sequence[Lie]) -> Reply | None:
        if not lies:
            return await self.forward(question)

        async def others(asked: Question) -> Reply | None:
            return await self._told(asked, lies[1:])

        return await lies[0](question, others)

    async def forward(self, question: Question) -> Reply:
        """What the server answers."""
        async with self._ask(question) as answer:
            return Reply(answer.status, _without_the_connection(answer.headers), await answer.read())

    def _ask(self, question: Question) -> Any:
        assert self._http is not None
        url = URL(f"{self._target}{question.url}", encoded=True)
        return self._http.request(question.method, url, headers=question.headers, data=question.body or None)

    async def _stream(self, request: web.Request, question: Question) -> web.StreamResponse:
        async with self._ask(question) as answer:
            response = web.StreamResponse(
                status=answer.status, headers=_without_the_connection(answer.headers)
            )
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            return response


def _without_the_connection(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _OF_A_CONNECTION}
