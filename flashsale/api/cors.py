"""Lets pages of other origins call the API where a setting says so: CORS, as the Fetch standard has it.

Nothing here is a lock: who may do what is decided by tokens and keys, which a page has to send itself. There are no cookies,
so credentials are never allowed.
"""

import re
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from flashsale.settings import Settings

PREFIX: Final = "/v1/"
"""Of what may be asked for with methods and headers that need a preflight."""
EXPOSED: Final = "Location, Retry-After"
"""Headers of answers that pages may read, beside those that they always may."""
ALLOWED: Final = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"
MAX_AGE_S: Final = 7200
"""How long a browser need not ask again: the longest that Chromium takes."""

_ORIGIN = re.compile(rb"\r\norigin:", re.IGNORECASE)


class Cors:
    """What answers say to pages of other origins.

    One origin, or any, is the same header for everybody, whoever asks: a cache between us and them cannot mix them up. With
    several the answer depends on who asks, and says so (`Vary`).
    """

    def __init__(self, origins: tuple[str, ...]) -> None:
        """At least one origin, or `*`."""
        self._origins = frozenset(origins)
        self.varies = len(origins) > 1
        only = {"Access-Control-Allow-Origin": origins[0], "Access-Control-Expose-Headers": EXPOSED}
        self.to_all = {"Vary": "Origin"} if self.varies else only
        """Headers of every answer to a request that names no origin, and, with one origin, of all others too."""

    @property
    def lines(self) -> bytes:
        """`to_all` as lines of a head, each with the end of the line before it."""
        return "".join(f"\r\n{name}: {value}" for name, value in self.to_all.items()).encode()

    @staticmethod
    def named_in(head: bytes, end: int) -> bool:
        """Whether a request names an origin; its head is within the first `end` bytes."""
        return _ORIGIN.search(head, 0, end) is not None

    async def mark(self, request: web.Request, response: web.StreamResponse) -> None:
        """Adds the headers to any answer, before its head is sent."""
        _add(response.headers, self.to_all)
        origin = request.headers.get("Origin")
        if self.varies and origin in self._origins:
            _add(
                response.headers,
                {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": EXPOSED},
            )

    def preflight(self, request: web.Request) -> web.Response | None:
        """The answer to a browser that asks whether a page may ask; None to everything else."""
        asks = "Origin" in request.headers and "Access-Control-Request-Method" in request.headers
        if request.method != "OPTIONS" or not asks or not request.path.startswith(PREFIX):
            return None
        refusal = request.match_info.http_exception
        if not isinstance(refusal, web.HTTPMethodNotAllowed):
            return None  # there is nothing at this path
        headers = {
            "Access-Control-Allow-Methods": ", ".join(sorted(refusal.allowed_methods)),
            "Access-Control-Allow-Headers": ALLOWED,
            "Access-Control-Max-Age": str(MAX_AGE_S),
        }
        return web.Response(status=204, headers=headers)


def _add(headers: "CIMultiDict[str]", more: dict[str, str]) -> None:
    for name, value in more.items():
        headers.add(name, value)


CORS: Final = web.AppKey("cors", Cors)


def add_cors(app: web.Application, settings: Settings) -> None:
    """Lets the origins of the settings in; without any nothing is changed."""
    origins = settings.calling_origins
    if origins:
        app[CORS] = Cors(origins)
        app.on_response_prepare.append(app[CORS].mark)
