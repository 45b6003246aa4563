"""Handlers: what shoppers do."""

from typing import Any

import orjson
from aiohttp import web

from flashsale.api import bodies, callers, problems, render
from flashsale.api.problems import Problem
from flashsale.api.replies import Reply
from flashsale.api.state import SHOP, Shop
from flashsale.engine.batcher import BusyError
from flashsale.engine.catalog import Offer
from flashsale.engine.reservations import Found
from flashsale.model import ids
from flashsale.model.ids import ReservationId
from flashsale.model.instants import to_rfc3339
from flashsale.model.outcomes import Reserve, Resolve
from flashsale.scripts.reserve import Decision, Refused, Replayed
from flashsale.store.client import StoreUnavailableError

_MOST_RETRY_AFTER_S = 3600
_OUTCOMES = {outcome: outcome.name.lower() for outcome in Reserve}


async def reserve(request: web.Request) -> web.Response:
    """POST /v1/sales/{sale}/reservations. The fast lane (flashsale/api/lane.py) does the same for plain requests."""
    shop = request.app[SHOP]
    lines = bodies.reservation_lines(await bodies.read_object(request))
    key = bodies.idempotency_key(request)
    customer = callers.customer(request, shop)
    sale = request.match_info["sale"]
    try:
        offer, decision = await shop.reservations.reserve(sale, customer, lines, key)
    except (BusyError, StoreUnavailableError) as error:
        raise undecided(shop, error) from error
    return (await reply(shop, sale, offer, decision)).response()


def undecided(shop: Shop, error: BusyError | StoreUnavailableError) -> Problem:
    """The answer to a claim that was not decided, or of which nobody knows."""
    if isinstance(error, BusyError):
        shop.requests.reserve["busy"] += 1
        return problems.busy()
    shop.requests.reserve["unavailable"] += 1
    return problems.unavailable(error)


async def reply(shop: Shop, sale: str, offer: Offer | None, decision: Decision) -> Reply:
    """The answer to a decision."""
    if isinstance(decision, Replayed) and offer is not None:
        shop.requests.reserve["replayed"] += 1
        body = await _replayed(shop, offer, decision)
        location = render.location(offer, decision.reservation.token)
        return Reply(200, orjson.dumps(body), headers={"Location": location})
    return reply_at_once(shop, sale, offer, decision)


def reply_at_once(shop: Shop, sale: str, offer: Offer | None, decision: Decision) -> Reply:
    """The answer to a decision that is no replay."""
    if isinstance(decision, Refused):
        shop.requests.reserve[_OUTCOMES[decision.outcome]] += 1
        if not isinstance(decision.shown, Reply):
            decision.shown = _refusal(sale, offer, decision).reply()
        return decision.shown
    if offer is None or isinstance(decision, Replayed):
        return problems.unknown_sale(sale).reply()
    shop.requests.reserve["held"] += 1
    location = render.location(offer, decision.claim.token)
    return Reply(201, render.held(offer, decision), headers={"Location": location})


async def _replayed(shop: Shop, offer: Offer, decision: Replayed) -> dict[str, Any]:
    """The reservation of an earlier request, with its payment if there may be one: the decision does not carry it."""
    token = decision.reservation.token
    found = None
    if offer.definition.payment.methods:
        found = await shop.reservations.get(ReservationId(offer.sale, 0, token))
    if found is None:
        return render.reservation(offer, decision.reservation, decision.now_ms)
    return render.found(found, shop.payments.rate(found.offer))


def _refusal(sale: str, offer: Offer | None, refused: Refused) -> Problem:
    """The refusal of a reservation as a problem."""
    if offer is None or refused.outcome is Reserve.UNKNOWN_SALE:
        return problems.unknown_sale(sale)
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
        raise problems.unknown_sale(sale)
    return render.json_response(
        {"reservations": [render.found(each, shop.payments.rate(each.offer)) for each in found]}
    )


async def read(request: web.Request) -> web.Response:
    """GET /v1/reservations/{reservation}."""
    shop = request.app[SHOP]
    _, found = await named(request, shop, await callers.customer_or_support(request, shop))
    return render.json_response(render.found(found, shop.payments.rate(found.offer)))


async def cancel(request: web.Request) -> web.Response:
    """DELETE /v1/reservations/{reservation}."""
    shop = request.app[SHOP]
    customer = await callers.customer_or_support(request, shop)
    reservation_id, found = await named(request, shop, customer)
    by = "support" if customer is None else "customer"
    resolved = await shop.reservations.cancel(reservation_id, reason=by)
    if resolved.reservation is None:
        raise problems.unknown_reservation()
    if resolved.outcome not in {Resolve.DONE, Resolve.ALREADY_CANCELLED}:
        status = resolved.outcome.name.removeprefix("ALREADY_").lower()
        raise Problem(f"already_{status}", f"The reservation is {status} and cannot be cancelled.")
    if found.payment is not None:  # given up with its hold
        _, found = await named(request, shop, customer)
        return render.json_response(render.found(found, shop.payments.rate(found.offer)))
    return render.json_response(render.reservation(found.offer, resolved.reservation, resolved.now_ms))


async def named(request: web.Request, shop: Shop, customer: str | None) -> tuple[ReservationId, Found]:
    """The reservation that the path names, which must be this customer's; None may see all.

    Raises:
        Problem: 403 for another customer's, 404.
    """
    reservation_id = ids.parse_reservation_id(request.match_info["reservation"])
    found = await shop.reservations.get(reservation_id) if reservation_id else None
    if reservation_id is None or found is None:
        raise problems.unknown_reservation()
    if customer is not None and found.reservation.customer != customer:
        raise Problem("forbidden", "This reservation is somebody else's.")
    return reservation_id, found
