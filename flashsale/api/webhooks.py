"""Handlers: webhooks, which order systems register and look after. A secret is told once, when it is made."""

import re
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from aiohttp import web

from flashsale.api import bodies, callers, problems, render
from flashsale.api.problems import Problem, invalid
from flashsale.api.state import SHOP
from flashsale.engine.webhooks import UnknownSaleError, View, Webhooks
from flashsale.model.events import ORDER_EVENTS
from flashsale.model.faults import Fault
from flashsale.model.ids import is_sale_id
from flashsale.model.instants import to_rfc3339
from flashsale.model.webhooks import Attempt, Webhook, full_type
from flashsale.settings import Settings
from flashsale.store.sales import SaleStore
from flashsale.store.webhooks import MAX_WEBHOOKS, TooManyWebhooksError, WebhookStore
from flashsale.webhooks.addresses import BadUrlError, Guard, check_url

MAX_LIMIT: Final = 1000
DEFAULT_LIMIT: Final = 100
MAX_NUMBER: Final = 10**15 - 1
MOST_SALES: Final = 1000
"""Of one webhook that are shown."""
MOST_SALES_LISTED: Final = 20
"""Of each webhook, in the list of all."""
NOT_STORED: Final = {"Cache-Control": "no-store"}
WEBHOOKS: Final = web.AppKey("webhooks", Webhooks)
_WEBHOOK: Final = "/v1/webhooks/{webhook:[^/]+}"
_LIMIT: Final = re.compile(r"[0-9]{1,5}")


def add_webhooks(app: web.Application, settings: Settings) -> None:
    """Adds the routes, and what is behind them. To be called when the shop is set up already."""
    router = app.router
    router.add_post("/v1/webhooks", create)
    router.add_get("/v1/webhooks", list_all)
    router.add_get(_WEBHOOK, read)
    router.add_delete(_WEBHOOK, remove)
    router.add_post(f"{_WEBHOOK}/rotate", rotate)
    router.add_post(f"{_WEBHOOK}/enable", enable)
    router.add_get(f"{_WEBHOOK}/deliveries", deliveries)
    router.add_post(f"{_WEBHOOK}/replay", replay)
    app.cleanup_ctx.append(_webhooks(settings))


def _webhooks(settings: Settings) -> Callable[[web.Application], AsyncIterator[None]]:
    async def context(app: web.Application) -> AsyncIterator[None]:
        store = app[SHOP].store
        sales = SaleStore(store, timeout_s=settings.redis_timeout_ms / 1000)
        guard = Guard(private_networks=settings.webhook_private_networks)
        app[WEBHOOKS] = Webhooks(WebhookStore(store), sales, guard)
        yield
        await sales.close()

    return context


# --- handlers ---


async def create(request: web.Request) -> web.Response:
    """POST /v1/webhooks."""
    url, types, sale = _new_webhook(await bodies.read_object(request))
    await callers.require_scope(request, request.app[SHOP], "orders")
    webhooks = request.app[WEBHOOKS]
    try:
        webhook_id, webhook = await webhooks.create(url, types, sale)
    except BadUrlError as error:
        raise invalid([Fault(("url",), str(error))]) from None
    except TooManyWebhooksError:
        detail = f"There are {MAX_WEBHOOKS} webhooks already; remove those that nobody needs."
        raise Problem("forbidden", detail) from None
    view = _known(await webhooks.get(webhook_id))
    headers = {**NOT_STORED, "Location": f"/v1/webhooks/{webhook_id}"}
    return render.json_response({**_shown(view), "secret": webhook.secret}, 201, headers)


async def list_all(request: web.Request) -> web.Response:
    """GET /v1/webhooks."""
    await callers.require_scope(request, request.app[SHOP], "orders")
    found = await request.app[WEBHOOKS].all()
    return render.json_response({"webhooks": [_shown(view, MOST_SALES_LISTED) for view in found]})


async def read(request: web.Request) -> web.Response:
    """GET /v1/webhooks/{webhook}."""
    await callers.require_scope(request, request.app[SHOP], "orders")
    return render.json_response(_shown(_known(await request.app[WEBHOOKS].get(_id(request)))))


async def remove(request: web.Request) -> web.Response:
    """DELETE /v1/webhooks/{webhook}."""
    await callers.require_scope(request, request.app[SHOP], "orders")
    if not await request.app[WEBHOOKS].remove(_id(request)):
        raise _unknown()
    return web.Response(status=204)


async def rotate(request: web.Request) -> web.Response:
    """POST /v1/webhooks/{webhook}/rotate."""
    await callers.require_scope(request, request.app[SHOP], "orders")
    webhooks, webhook_id = request.app[WEBHOOKS], _id(request)
    webhook = await webhooks.rotate(webhook_id)
    if webhook is None:
        raise _unknown()
    view = _known(await webhooks.get(webhook_id))
    return render.json_response({**_shown(view), "secret": webhook.secret}, 200, dict(NOT_STORED))


async def enable(request: web.Request) -> web.Response:
    """POST /v1/webhooks/{webhook}/enable."""
    await callers.require_scope(request, request.app[SHOP], "orders")
    return render.json_response(_shown(_known(await request.app[WEBHOOKS].enable(_id(request)))))


async def deliveries(request: web.Request) -> web.Response:
    """GET /v1/webhooks/{webhook}/deliveries."""
    sale, limit = _which_deliveries(request)
    await callers.require_scope(request, request.app[SHOP], "orders")
    found = await request.app[WEBHOOKS].attempts(_id(request), sale=sale, limit=limit)
    if found is None:
        raise _unknown()
    return render.json_response({"deliveries": [_attempt(each) for each in found]})


async def replay(request: web.Request) -> web.Response:
    """POST /v1/webhooks/{webhook}/replay."""
    sale, after = _from_where(await bodies.read_object(request))
    await callers.require_scope(request, request.app[SHOP], "orders")
    try:
        view = await request.app[WEBHOOKS].replay(_id(request), sale, after)
    except UnknownSaleError:
        raise problems.unknown_sale(sale) from None
    except ValueError as error:
        raise invalid([Fault(("after",), str(error))]) from None
    return render.json_response(_shown(_known(view)))


def _id(request: web.Request) -> str:
    return request.match_info["webhook"]


def _unknown() -> Problem:
    return Problem("not_found", "There is no such webhook.")


def _known(view: View | None) -> View:
    if view is None:
        raise _unknown()
    return view


# --- what is asked ---


def _new_webhook(data: dict[str, Any]) -> tuple[str, list[str], str | None]:
    """Address, types and sale of a webhook to register; raises 422 with every fault."""
    faults = _strangers(data, frozenset({"url", "types", "sale"}))
    url, types, sale = data.get("url"), data.get("types"), data.get("sale")
    if isinstance(url, str):
        try:
            check_url(url)
        except BadUrlError as error:
            faults.append(Fault(("url",), str(error)))
    else:
        faults.append(Fault(("url",), "must be the address of a receiver"))
    if types is None:
        types = sorted(ORDER_EVENTS)
    elif not isinstance(types, list) or not types:
        faults.append(Fault(("types",), "must be a list of one or more types of events"))
    else:
        faults += _type_faults(types)
    if sale is not None and not (isinstance(sale, str) and is_sale_id(sale)):
        faults.append(Fault(("sale",), "must be the id of a sale, or null for all"))
    if faults:
        raise invalid(faults)
    return str(url), list(types), sale


def _type_faults(types: list[Any]) -> list[Fault]:
    return [
        Fault(("types", index), "is not a type of events, or is there twice")
        for index, each in enumerate(types)
        if not isinstance(each, str) or full_type(each) is None or each in types[:index]
    ]


def _from_where(data: dict[str, Any]) -> tuple[str, int]:
    """Sale and position of a replay; raises 422 with every fault."""
    faults = _strangers(data, frozenset({"sale", "after"}))
    sale, after = data.get("sale"), data.get("after")
    if not isinstance(sale, str) or not is_sale_id(sale):
        faults.append(Fault(("sale",), "must be the id of a sale"))
    if type(after) is not int or not 0 <= after <= MAX_NUMBER:
        faults.append(Fault(("after",), "must be the number of the last event that is not wanted, 0 for all"))
    if faults:
        raise invalid(faults)
    return str(sale), int(after or 0)


def _which_deliveries(request: web.Request) -> tuple[str | None, int]:
    sale, limit = request.query.get("sale"), request.query.get("limit", str(DEFAULT_LIMIT))
    faults = []
    if sale is not None and not is_sale_id(sale):
        faults.append(Fault(("sale",), "must be the id of a sale"))
    if not _LIMIT.fullmatch(limit) or not 1 <= int(limit) <= MAX_LIMIT:
        faults.append(Fault(("limit",), f"must be a whole number from 1 to {MAX_LIMIT}"))
    if faults:
        raise invalid(faults)
    return sale, int(limit)


def _strangers(data: dict[str, Any], known: frozenset[str]) -> list[Fault]:
    return [Fault((name[:100],), "is not a known field") for name in data if name not in known]


# --- what is answered ---


def _shown(view: View, most_sales: int = MOST_SALES) -> dict[str, Any]:
    """A webhook without its secrets; the sales in which something fails come first."""
    webhook, retries = view.webhook, view.progress.retries
    names = sorted(view.heads, key=lambda sale: (sale not in retries, sale))
    return {
        "id": view.id,
        "url": webhook.url,
        "types": list(webhook.types),
        "sale": webhook.sale,
        "state": "on" if webhook.is_on else "off",
        "reason": webhook.reason,
        "off_at": _instant(webhook.off_at_ms),
        "created_at": to_rfc3339(webhook.created_at_ms),
        "old_secret_until": _instant(webhook.old_until_ms) if webhook.old_secret else None,
        "sales": [_of_sale(view, webhook, sale) for sale in names[:most_sales]],
        "sales_count": len(names),
    }


def _of_sale(view: View, webhook: Webhook, sale: str) -> dict[str, Any]:
    retry = view.progress.retries.get(sale)
    return {
        "sale": sale,
        "position": view.progress.positions.get(sale, 0),
        "last": view.heads[sale].of(webhook),
        "tries": retry.tries if retry else 0,
        "error": retry.error if retry else None,
        "next_at": to_rfc3339(retry.next_ms) if retry and webhook.is_on else None,
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "event": attempt.event,
        "type": attempt.type,
        "sale": attempt.sale,
        "number": attempt.number,
        "at": to_rfc3339(attempt.at_ms),
        "duration_ms": attempt.duration_ms,
        "try": attempt.tries,
        "delivered": attempt.error is None,
        "status": attempt.status,
        "error": attempt.error,
        "next_at": _instant(attempt.next_ms),
    }


def _instant(instant_ms: int | None) -> str | None:
    return to_rfc3339(instant_ms) if instant_ms else None
