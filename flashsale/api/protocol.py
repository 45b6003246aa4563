"""What aiohttp's own protocol refuses before any handler runs: a request that is not HTTP, or too long.

aiohttp answers these in plain text and logs each with a traceback, so anybody could fill the log. Here they are answered
like every other refusal, and silent above the level debug.
"""

from collections.abc import Callable
from typing import Any

from aiohttp import web

Unreadable = Callable[[], web.Response]
"""Makes the answer to a request that cannot be read."""


class _Handler(web.RequestHandler):
    """One connection."""

    __slots__ = ("_unreadable",)

    def __init__(self, manager: web.Server, *, unreadable: Unreadable, **kwargs: Any) -> None:
        super().__init__(manager, **kwargs)
        self._unreadable = unreadable

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to a request that could not be read; a fault of ours is answered and logged by aiohttp."""
        if status >= 500 or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        self.logger.debug("unreadable request from %s", request.remote, exc_info=exc)
        response = self._unreadable()
        response.force_close()
        return response


class _Server(web.Server):
    """Makes our handler for every connection."""

    def __call__(self) -> _Handler:
        return _Handler(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """aiohttp's runner of an application, with our protocol."""

    __slots__ = ("_unreadable",)

    def __init__(self, app: web.Application, unreadable: Unreadable, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        self._unreadable = unreadable

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        options = {**made._kwargs, "unreadable": self._unreadable}  # noqa: SLF001 - there is no public way to our own protocol; tests/api/test_bad_http.py watches it
        return _Server(made.request_handler, request_factory=made.request_factory, **options)
