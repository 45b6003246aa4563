"""What aiohttp's own protocol refuses before any handler runs: a request that is not HTTP, or too long.

aiohttp answers these in plain text and logs each with a traceback, so anybody could fill the log. Here they are problems
like every other refusal, and silent above the level debug.
"""

from aiohttp import web

from flashsale.api.problems import Problem


class _Handler(web.RequestHandler):
    """One connection."""

    __slots__ = ()

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
        response = Problem("malformed", "The request is not HTTP that this server can read.").response()
        response.force_close()
        return response


class _Server(web.Server):
    """Makes our handler for every connection."""

    def __call__(self) -> _Handler:
        return _Handler(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """aiohttp's runner of an application, with our protocol."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(made.request_handler, request_factory=made.request_factory, **made._kwargs)  # noqa: SLF001 - there is no public way to our own protocol; tests/api/test_bad_http.py watches it
