"""Our protocol for connections: aiohttp's, which answers what it cannot read like every other refusal, beside the fast lane.

aiohttp answers a request that is not HTTP, or too long, in plain text and logs it with a traceback, so anybody could fill
the log. Here it is answered with a problem, and silent above the level debug.
"""

from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from flashsale.api.cors import CORS
from flashsale.api.lane import Lane, Lanes
from flashsale.api.lane_request import START
from flashsale.api.problems import Problem
from flashsale.api.state import DRAIN, SHOP

KEEPALIVE_SECONDS: Final = 3630.0
"""An idle connection is closed after so long: aiohttp's own choice, longer than any proxy keeps one."""
_END: Final = b"\r\n\r\n"


Unreadable = Callable[[], web.Response]
"""Makes the answer to a request that cannot be read."""


def unreadable() -> web.Response:
    """The answer of a shop."""
    return Problem("malformed", "The request is not HTTP that this server can read.").response()


class Handler(web.RequestHandler):
    """One connection, as long as aiohttp is in charge of it."""

    __slots__ = ("_lane", "_tidy", "_unreadable", "on_lost")

    def __init__(
        self, manager: web.Server, *, unreadable: Unreadable, lane: Lane | None = None, **kwargs: Any
    ) -> None:
        super().__init__(manager, **kwargs)
        self._unreadable = unreadable
        self._lane = lane
        self._tidy = lane is not None
        """Whatever came until now were whole requests, one at a time."""
        self.on_lost: Callable[[], None] | None = None
        """Called when the connection is gone: aiohttp lets a handler that awaits something else wait on."""

    @property
    def awaits_request(self) -> bool:
        """Nothing is in progress, as aiohttp asks before it closes a connection that was kept alive for too long."""
        waiter = self._waiter
        return waiter is not None and not waiter.done()

    @property
    def in_charge(self) -> bool:
        """The connection is here, and not with the fast lane."""
        return self._lane is None or not self._lane.in_charge

    @property
    def unused(self) -> bool:
        """Nothing was ever asked."""
        return self._request_count == 0

    def data_received(self, data: bytes) -> None:
        """What comes while aiohttp is in charge. A request for the fast lane goes back, when there is nothing else to do."""
        if (
            self._lane is not None
            and self._tidy
            and data.startswith(START)
            and self.awaits_request
            and not (self._messages or self._paused or self._close or self._force_close)
        ):
            self._lane.take(data)
        else:
            self.feed(data)

    def feed(self, data: bytes) -> None:
        """What aiohttp is to deal with."""
        before = self._request_count
        super().data_received(data)
        if self._tidy and data:  # without data aiohttp looks for what it has kept
            self._tidy = self._request_count == before + 1 and self._is_whole(data)

    def _is_whole(self, data: bytes) -> bool:
        """Whether the one request that was read out of `data` is all there is in it.

        aiohttp does not tell what its parser has kept. So as many bytes must have been read as came; where those of the body
        cannot be counted (in chunks, compressed), the connection stays where it is.
        """
        if not self._messages:
            return False
        message, body = self._messages[-1]
        if getattr(message, "compression", "") or getattr(message, "chunked", True) or not body.is_eof():
            return False
        return bool(data.find(_END) + len(_END) + body.total_bytes == len(data))

    def _process_keepalive(self) -> None:
        lane = self._lane
        if lane is not None and not self.in_charge:
            active_at = lane.active_at if lane.idle else self._loop.time()
            self._next_keepalive_close_time = max(
                self._next_keepalive_close_time, active_at + self._keepalive_timeout
            )
        super()._process_keepalive()

    async def start(self) -> None:
        """Deals with the requests. The connection may be gone before this has begun: it was handed over just now."""
        if self._manager is not None:
            await super().start()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is gone, whoever was in charge of it."""
        if self._lane is not None:
            self._lane.lost()
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to a request that could not be read; a fault of ours is answered and logged by aiohttp.

        What is raised before the application is asked comes here: by an Expect that is no text, or whose client has left.
        """
        if isinstance(exc, ConnectionError):
            raise exc
        if isinstance(exc, UnicodeEncodeError):
            status = 400
        if status >= 500 or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        self.logger.debug("unreadable request from %s", request.remote, exc_info=exc)
        response = self._unreadable()
        response.force_close()
        return response

    def log_exception(self, *args: Any, exc_info: BaseException | None = None, **kw: Any) -> None:
        """Logs a fault; the rest of a body that is not packed as it says, which nobody needs any more, is none."""
        log = self.logger.debug if isinstance(exc_info, web.RequestPayloadError) else self.logger.error
        log(*args, exc_info=exc_info, **kw)


class Server(web.Server):
    """Makes our protocol for every connection."""

    lanes: Lanes | None = None
    """None when the fast lane is off."""
    unreadable: Unreadable = staticmethod(unreadable)

    def __call__(self) -> Any:
        """The protocol a connection starts with."""
        return self.handler(None) if self.lanes is None else Lane(self.lanes)

    def handler(self, lane: Lane | None) -> Handler:
        """The protocol of aiohttp, for a connection of this lane."""
        return Handler(self, loop=self._loop, unreadable=self.unreadable, lane=lane, **self._kwargs)

    @property
    def open_connections(self) -> int:
        """How many there are, whoever is in charge of them."""
        return len(self.connections) if self.lanes is None else len(self.lanes.open)

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - aiohttp calls it so
        """Ends all connections."""
        await super().shutdown(timeout)
        if self.lanes is not None:
            self.lanes.close()


class Runner(web.AppRunner):
    """aiohttp's runner of an application, with our protocol."""

    __slots__ = ("_fast_lane", "_unreadable")

    def __init__(
        self,
        app: web.Application,
        unreadable: Unreadable = unreadable,
        *,
        fast_lane: bool = False,
        keepalive_timeout: float = KEEPALIVE_SECONDS,
        **kwargs: Any,
    ) -> None:
        """A fast lane is for a shop's application."""
        super().__init__(app, keepalive_timeout=keepalive_timeout, **kwargs)
        self._unreadable = unreadable
        self._fast_lane = fast_lane

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        options = made._kwargs  # noqa: SLF001 - there is no public way to our own protocol; tests/api/test_bad_http.py watches it
        server = Server(made.request_handler, request_factory=made.request_factory, **options)
        server.unreadable = self._unreadable
        if self._fast_lane:
            app, keepalive_s = self.app, options["keepalive_timeout"]
            server.lanes = Lanes(server, app[SHOP], app[DRAIN], keepalive_s, app.get(CORS))
        return server
