"""Handlers: what shoppers do."""

from typing import Any

from aiohttp import web

from flashsale.api import bodies, callers, problems, render
from flashsale.api.problems import Problem
from flashsale.api.state import SHOP, Shop
from flashsale.engine.batcher import BusyError
from flashsale.engine.catalog import Offer
from flashsale.engine.reservations import Found
from flashsale.model import ids
from flashsale.model.ids import ReservationId
from flashsale.model.instants import to_rfc3339
from flashsale.model.outcomes import Reserve, Resolve
from flashsale.scripts.reserve import Held, Refused
from flashsale.store.client import StoreUnavailableError

_MOST_RETRY_AFTER_S = 3600
_OUTCOMES = {outcome: outcome.name.lower() for outcome in Reserve}


async def reserve(request: web.Request) -> web.Response:
    """POST /v1/sales/{sale}/reservations."""
    shop = request.app[SHOP]
    lines = bodies.reservation_lines(await bodies.read_object(request))
    key = bodies.idempotency_key(request)
    customer = callers.customer(request, shop)
    sale = request.match_info["sale"]
    try:
        offer, decision = await shop.reservations.reserve(sale, customer, lines, key)
    except BusyError:
        shop.requests.reserve["busy"] += 1
        raise problems.busy() from None
    except StoreUnavailableError:
        shop.requests.reserve["unavailable"] += 1
        raise
    if isinstance(decision, Refused):
        shop.requests.reserve[_OUTCOMES[decision.outcome]] += 1
        raise _refusal(sale, offer, decision)
    if offer is None:
        raise _unknown_sale(sale)
    fresh = isinstance(decision, Held)
    shop.requests.reserve["held" if fresh else "replayed"] += 1
    body = render.reservation(offer, decision.reservation, decision.now_ms)
    return render.json_response(body, 201 if fresh else 200, {"Location": f"/v1/reservations/{body['id']}"})


def _unknown_sale(sale: str) -> Problem:
    return Problem("unknown_sale", f"There is no sale {sale[:100]}.")


def _refusal(sale: str, offer: Offer | None, refused: Refused) -> Problem:
    """The refusal of a reservation as a problem."""
    if offer is None or refused.outcome is Reserve.UNKNOWN_SALE:
        return _unknown_sale(sale)
    match refused.outcome:
        case Reserve.SOLD_OUT:
            release = refused.next_release_ms
            return Problem(
                "sold_out",
                f"Not enough units of {refused.sku} are left.",
                sku=refused.sku,
                held_by_others=refused.held_by_others,
                next_release_at=to_rfc3339(release) if release else None,
            )
        case Reserve.LIMIT_REACHED:
            what = f"of {refused.sku}" if refused.sku else "in this sale"
            return Problem(
                "limit_reached",
                f"This is more than one customer may have {what}.",
                reservations=[
                    render.reservation_id(offer, each.token) for each in refused.entries if each.units
                ],
            )
        case Reserve.NOT_OPEN:
            opens_at = to_rfc3339(refused.opens_ms)
            wait_s = -((refused.now_ms - refused.opens_ms) // 1000)
            return Problem(
                "not_open",
                f"The sale opens at {opens_at}.",
                headers={"Retry-After": str(min(max(wait_s, 1), _MOST_RETRY_AFTER_S))},
                opens_at=opens_at,
            )
        case Reserve.PAUSED:
            return Problem("paused", "The sale is paused.")
        case Reserve.CLOSED:
            return Problem("closed", "The sale is closed.")
        case Reserve.UNKNOWN_ITEM:
            return Problem("unknown_item", f"The sale {sale} has no item {refused.sku}.", sku=refused.sku)
        case Reserve.IDEMPOTENCY_MISMATCH:
            return Problem("idempotency_mismatch", "This Idempotency-Key was used for another request.")
        case _:
            raise AssertionError(f"{refused.outcome!r} is no refusal")


async def mine(request: web.Request) -> web.Response:
    """GET /v1/sales/{sale}/reservations/mine."""
    shop = request.app[SHOP]
    customer = callers.customer(request, shop)
    sale = request.match_info["sale"]
    found = await shop.reservations.of_customer(sale, customer)
    if found is None:
        raise _unknown_sale(sale)
    return render.json_response({"reservations": [_rendered(each) for each in found]})


async def read(request: web.Request) -> web.Response:
    """GET /v1/reservations/{reservation}."""
    _, found, _ = await _authorised(request, request.app[SHOP])
    return render.json_response(_rendered(found))


async def cancel(request: web.Request) -> web.Response:
    """DELETE /v1/reservations/{reservation}."""
    shop = request.app[SHOP]
    reservation_id, found, by = await _authorised(request, shop)
    resolved = await shop.reservations.cancel(reservation_id, reason=by)
    if resolved.reservation is None:
        raise _unknown_reservation()
    if resolved.outcome not in {Resolve.DONE, Resolve.ALREADY_CANCELLED}:
        status = resolved.outcome.name.removeprefix("ALREADY_").lower()
        raise Problem(f"already_{status}", f"The reservation is {status} and cannot be cancelled.")
    return render.json_response(render.reservation(found.offer, resolved.reservation, resolved.now_ms))


def _rendered(found: Found) -> dict[str, Any]:
    return render.reservation(found.offer, found.reservation, found.now_ms)


def _unknown_reservation() -> Problem:
    return Problem("unknown_reservation", "There is no such reservation.")


async def _authorised(request: web.Request, shop: Shop) -> tuple[ReservationId, Found, str]:
    """The reservation named in the path, when the caller may see it, and what the caller is: customer or support.

    Raises:
        Problem: 401, 403 for another customer's, 404.
    """
    customer = await callers.customer_or_support(request, shop)
    reservation_id = ids.parse_reservation_id(request.match_info["reservation"])
    found = await shop.reservations.get(reservation_id) if reservation_id else None
    if reservation_id is None or found is None:
        raise _unknown_reservation()
    if customer is not None and found.reservation.customer != customer:
        raise Problem("forbidden", "This reservation is somebody else's.")
    return reservation_id, found, "support" if customer is None else "customer"
