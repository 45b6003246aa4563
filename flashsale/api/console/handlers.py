"""Handlers: what those ask who watch over a sale, and what support asks."""

import re
from typing import Final

from aiohttp import web

from flashsale.api import callers, problems, render
from flashsale.api.console import shown, told
from flashsale.api.console.state import DESK
from flashsale.api.problems import Problem
from flashsale.api.state import SHOP
from flashsale.engine.batcher import BusyError
from flashsale.identity.tokens import MAX_CUSTOMER_BYTES
from flashsale.model import ids
from flashsale.model.faults import Fault

LEAST_POINTS: Final = 2
MOST_POINTS: Final = 1000
DEFAULT_POINTS: Final = 200
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_POINTS: Final = re.compile(r"[0-9]{1,4}")


async def definition(request: web.Request) -> web.Response:
    """GET /v1/sales/{sale}/definition."""
    shop, sale = request.app[SHOP], request.match_info["sale"]
    await callers.require_scope(request, shop, "sales")
    view = await shop.sales.view(sale)
    if view is None:
        raise problems.unknown_sale(sale)
    return render.json_response(shown.definition(view))


async def activity(request: web.Request) -> web.Response:
    """GET /v1/sales/{sale}/activity."""
    shop, sale = request.app[SHOP], request.match_info["sale"]
    await callers.require_scope(request, shop, "sales")
    found = await request.app[DESK].activities.of(sale) if ids.is_sale_id(sale) else None
    if found is None:
        raise problems.unknown_sale(sale)
    return render.json_response(shown.activity(found))


async def curve(request: web.Request) -> web.Response:
    """GET /v1/sales/{sale}/curve."""
    shop, sale = request.app[SHOP], request.match_info["sale"]
    text = request.query.get("points", str(DEFAULT_POINTS))
    if not _POINTS.fullmatch(text) or not LEAST_POINTS <= int(text) <= MOST_POINTS:
        rule = f"must be a whole number from {LEAST_POINTS} to {MOST_POINTS}"
        raise problems.invalid([Fault(("points",), rule)])
    await callers.require_scope(request, shop, "sales")
    found = await request.app[DESK].curves.of(sale) if ids.is_sale_id(sale) else None
    if found is None:
        raise problems.unknown_sale(sale)
    return render.json_response(shown.curve(found, int(text)))


async def story(request: web.Request) -> web.Response:
    """GET /v1/sales/{sale}/story."""
    shop, sale = request.app[SHOP], request.match_info["sale"]
    _check(request)
    key = await callers.api_key(request, shop)
    if not (key.may("sales") or key.may("support")):
        raise Problem("forbidden", "This needs an API key with the scope sales, or support.")
    customer, token = _about(request, sale)
    try:
        stories = request.app[DESK].stories
        found = await stories.tell(sale, customer=customer, token=token) if ids.is_sale_id(sale) else None
    except BusyError:
        raise problems.busy("Others are being told their stories; try again.") from None
    if found is None:
        raise problems.unknown_sale(sale)
    rates = [(each, shop.payments.rate(each.offer)) for each in found.found]
    return render.json_response(told.story(found, rates), headers={"Cache-Control": "no-store"})


def _check(request: web.Request) -> None:
    """What is asked about must be in a form that exists, whoever asks."""
    customer, reservation = request.query.get("customer"), request.query.get("reservation")
    faults = []
    if customer is not None:
        size = len(customer.encode(errors="surrogatepass"))
        if not 1 <= size <= MAX_CUSTOMER_BYTES or _SURROGATE.search(customer):
            faults.append(Fault(("customer",), f"must be text of 1 to {MAX_CUSTOMER_BYTES} bytes"))
    if reservation is not None and ids.parse_reservation_id(reservation) is None:
        faults.append(Fault(("reservation",), "must be the id of a reservation"))
    if faults:
        raise problems.invalid(faults)


def _about(request: web.Request, sale: str) -> tuple[str | None, str | None]:
    """The customer, or the token of the reservation, that is asked about: one of the two."""
    customer, reservation = request.query.get("customer"), request.query.get("reservation")
    if (customer is None) == (reservation is None):
        rule = "must be given, or else reservation: one of the two"
        raise problems.invalid([Fault(("customer",), rule)])
    if reservation is None:
        return customer, None
    parts = ids.parse_reservation_id(reservation)
    if parts is None or parts.shard != 0 or parts.sale != sale:
        raise problems.invalid([Fault(("reservation",), "must be the id of a reservation of this sale")])
    return None, parts.token
