"""The HTTP contract of the race for the contenders on aiohttp: one reservation of one item, 201 or 409.

A contender gives `serve` what opens its store and reserves; everything else is the same for all of them. uvloop, orjson and
no access log, as somebody does who wants aiohttp to be fast. The shopper's token is not looked at.
"""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

import orjson
import uvloop
from aiohttp import web


class Reserve(Protocol):
    """What a contender does."""

    def __call__(self, sale: str, sku: str, units: int, reservation: str, /) -> Awaitable[bool]:
        """Whether the units were reserved under this id."""
        ...


Opened = Callable[[], AsyncIterator[Reserve]]

POOL_SIZE = 64
"""As many connections to the store as the race has to the server."""
SOLD_OUT = orjson.dumps(
    {
        "type": "about:blank",
        "title": "Sold out",
        "status": 409,
        "code": "sold_out",
        "detail": "Nothing is left.",
    }
)
RESERVE: web.AppKey[Reserve] = web.AppKey("reserve")


def stock_key(sale: str, sku: str) -> str:
    return f"peer:{{{sale}}}:stock:{sku}"


def reservations_key(sale: str) -> str:
    return f"peer:{{{sale}}}:reservations"


async def _reserve(request: web.Request) -> web.Response:
    sale = request.match_info["sale"]
    try:
        (line,) = orjson.loads(await request.read())["items"]
        sku, units = line["sku"], line["quantity"]
    except (KeyError, TypeError, ValueError):
        return web.Response(status=400)
    reservation = secrets.token_hex(8)
    if not await request.app[RESERVE](sale, sku, units, reservation):
        return web.Response(body=SOLD_OUT, status=409, content_type="application/problem+json")
    told = {"id": reservation, "sale": sale, "status": "held", "items": [{"sku": sku, "quantity": units}]}
    return web.Response(body=orjson.dumps(told), status=201, content_type="application/json")


def serve(port: int, opened: Opened) -> None:
    """Serve on this port until told to end."""

    async def store(app: web.Application) -> AsyncIterator[None]:
        async for reserve in opened():
            app[RESERVE] = reserve
            yield

    app = web.Application()
    app.cleanup_ctx.append(store)
    app.router.add_post("/v1/sales/{sale}/reservations", _reserve)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, loop=uvloop.new_event_loop())
