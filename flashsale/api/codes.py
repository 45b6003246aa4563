"""The code of an order: what a shopper shows at the hand-over, and whoever hands over scans."""

import io
from typing import Final

import segno
from aiohttp import web

from flashsale.api import callers, render
from flashsale.api.problems import Problem
from flashsale.api.reservations import named
from flashsale.api.state import SHOP
from flashsale.model.reservation import State

QUIET_MODULES: Final = 4
"""The margin that scanners need (ISO/IEC 18004)."""
MODULE_PIXELS: Final = 8
_MASK: Final = 4
"""Any of the eight is right. To look for the most even one would take six times as long, in a busy minute."""
_HEADERS: Final = {
    # The reservation may be refunded, and the picture is for one shopper's eyes.
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'",
    "X-Content-Type-Options": "nosniff",
}


async def show(request: web.Request) -> web.Response:
    """GET /v1/reservations/{reservation}/code."""
    shop = request.app[SHOP]
    customer = await callers.customer_or_support(request, shop)
    _, found = await named(request, shop, customer)
    state = found.reservation.state_at(found.now_ms)
    if state is not State.CONFIRMED:
        raise Problem(
            "not_confirmed", f"The reservation is {state.name.lower()}: only a confirmed one has a code."
        )
    picture = svg(render.reservation_id(found.offer, found.reservation.token))
    return web.Response(body=picture, content_type="image/svg+xml", headers=_HEADERS)


def svg(text: str) -> bytes:
    """A QR code of this text as an SVG picture, dark on light whatever is behind it, of any size without blur."""
    code = segno.make_qr(text, error="q", mask=_MASK)
    written = io.BytesIO()
    code.save(written, kind="svg", border=QUIET_MODULES, light="#fff", xmldecl=False, nl=False, omitsize=True)
    side = code.symbol_size(scale=MODULE_PIXELS, border=QUIET_MODULES)[0]
    size = f'<svg width="{side}" height="{side}" shape-rendering="crispEdges" '
    return written.getvalue().replace(b"<svg ", size.encode(), 1)
