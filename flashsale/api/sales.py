"""Handlers: what brands do, and what anyone may see of it."""

from aiohttp import web

from flashsale.api import bodies, callers, problems, render
from flashsale.api.problems import Problem
from flashsale.api.state import SHOP, Shop
from flashsale.engine.sales import SaleView
from flashsale.model import ids
from flashsale.model.faults import Fault
from flashsale.model.outcomes import OpenSale, Restock, SetState
from flashsale.model.sale import parse_definition


async def _view(shop: Shop, sale: str) -> SaleView:
    view = await shop.sales.view(sale)
    if view is None:
        raise problems.unknown_sale(sale)
    return view


async def put(request: web.Request) -> web.Response:
    """PUT /v1/sales/{sale}."""
    shop, sale = request.app[SHOP], request.match_info["sale"]
    data = await bodies.read_object(request)
    if not ids.is_sale_id(sale):
        rule = "must be 1 to 63 of a-z, 0-9 and -, the first no -"
        raise problems.invalid([Fault(("sale",), rule)])
    definition = parse_definition(data)
    await callers.require_scope(request, shop, "sales")
    outcome = await shop.sales.define(sale, definition)
    if outcome is OpenSale.ALREADY_OPENED:
        raise Problem("already_opened", f"The sale {sale} has opened; its definition can no longer change.")
    view = await _view(shop, sale)
    return render.json_response(render.sale(view), 201 if outcome is OpenSale.CREATED else 200)


async def list_all(request: web.Request) -> web.Response:
    """GET /v1/sales."""
    return render.json_response(
        {"sales": [render.sale(view) for view in await request.app[SHOP].sales.views()]}
    )


async def read(request: web.Request) -> web.Response:
    """GET /v1/sales/{sale}."""
    return render.json_response(render.sale(await _view(request.app[SHOP], request.match_info["sale"])))


async def steer(request: web.Request) -> web.Response:
    """POST /v1/sales/{sale}/pause, /resume, /close."""
    shop, sale = request.app[SHOP], request.match_info["sale"]
    verb = request.path.rpartition("/")[2]
    await callers.require_scope(request, shop, "sales")
    if not ids.is_sale_id(sale):
        raise problems.unknown_sale(sale)
    outcome = await shop.sales.set_state(sale, verb)
    if outcome is SetState.UNKNOWN_SALE:
        raise problems.unknown_sale(sale)
    if outcome is SetState.CLOSED:
        raise Problem("closed", "The sale is closed and stays so.")
    shop.reservations.changed(sale)
    return render.json_response(render.sale(await _view(shop, sale)))


async def restock(request: web.Request) -> web.Response:
    """POST /v1/sales/{sale}/items/{sku}/restock."""
    shop, sale, sku = request.app[SHOP], request.match_info["sale"], request.match_info["sku"]
    units, reason = bodies.restock(await bodies.read_object(request))
    key = bodies.idempotency_key(request)
    await callers.require_scope(request, shop, "sales")
    if not ids.is_sale_id(sale):
        raise problems.unknown_sale(sale)
    outcome = await shop.sales.restock(sale, sku=sku, units=units, reason=reason, repeat_key=key or "")
    match outcome:
        case Restock.UNKNOWN_SALE:
            raise problems.unknown_sale(sale)
        case Restock.UNKNOWN_ITEM:
            raise Problem("unknown_item", f"The sale {sale} has no item {sku[:100]}.", sku=sku[:100])
        case Restock.REPEAT_MISMATCH:
            raise Problem("idempotency_mismatch", "This Idempotency-Key was used for another restock.")
        case Restock.CLOSED:
            raise Problem("closed", "The sale is closed; it cannot be restocked.")
        case Restock.DONE | Restock.REPLAYED:
            shop.reservations.changed(sale)
    return render.json_response(render.sale(await _view(shop, sale)))


async def stats(request: web.Request) -> web.Response:
    """GET /v1/sales/{sale}/stats."""
    shop = request.app[SHOP]
    await callers.require_scope(request, shop, "sales")
    return render.json_response(render.stats(await _view(shop, request.match_info["sale"])))


async def audit(request: web.Request) -> web.Response:
    """GET /v1/sales/{sale}/audit."""
    shop, sale = request.app[SHOP], request.match_info["sale"]
    await callers.require_scope(request, shop, "sales")
    report = await shop.sales.audit(sale) if ids.is_sale_id(sale) else None
    if report is None:
        raise problems.unknown_sale(sale)
    return render.json_response(render.audit(report))
