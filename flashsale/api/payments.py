"""Handlers: payments, by shoppers, support and providers. What they are sent is never logged."""

from aiohttp import web

from flashsale.api import bodies, callers, problems, render
from flashsale.api.problems import Problem
from flashsale.api.reservations import named
from flashsale.api.state import SHOP
from flashsale.engine.batcher import BusyError
from flashsale.engine.payments import NoProviderError, UnknownProviderError
from flashsale.keys import STRAY
from flashsale.model.ids import is_sale_id
from flashsale.model.outcomes import Pay, Refund
from flashsale.providers.protocol import ProviderError, SignatureError


async def start(request: web.Request) -> web.Response:
    """POST /v1/reservations/{reservation}/payment."""
    shop = request.app[SHOP]
    method = bodies.payment_method(await bodies.read_object(request))
    reservation_id, found = await named(request, shop, callers.customer(request, shop))
    try:
        result = await shop.payments.start(reservation_id, found, method)
    except NoProviderError as error:
        raise problems.payments_unavailable(str(error)) from None
    match result.outcome:
        case Pay.DONE | Pay.UNDER_WAY:
            body = render.found(result.found, shop.payments.rate(result.found.offer))
            return render.json_response(body, 202, {"Location": f"/v1/reservations/{body['id']}"})
        case Pay.UNKNOWN_RESERVATION:
            raise problems.unknown_reservation()
        case Pay.TOO_MANY_ATTEMPTS:
            raise Problem("too_many_attempts", "No other payment of this reservation is taken.")
        case Pay.BUSY:
            raise problems.busy("Too many payments are waiting. Nothing was changed; try again.")
        case already:
            status = already.name.removeprefix("ALREADY_").lower()
            raise Problem(f"already_{status}", f"The reservation is {status} and cannot be paid.")


async def refund(request: web.Request) -> web.Response:
    """POST /v1/reservations/{reservation}/refund."""
    shop = request.app[SHOP]
    restock, reason = bodies.refund(await bodies.read_object(request))
    await callers.require_scope(request, shop, "support")
    reservation_id, found = await named(request, shop, None)
    result = await shop.payments.refund(reservation_id, found, restock=restock, reason=reason)
    match result.outcome:
        case Refund.UNKNOWN_RESERVATION:
            raise problems.unknown_reservation()
        case Refund.NOT_CONFIRMED:
            status = result.found.reservation.state_at(result.found.now_ms).name.lower()
            raise Problem(
                "not_confirmed", f"The reservation is {status}: only a confirmed one can be refunded."
            )
        case Refund.DONE | Refund.ALREADY_REFUNDED:
            shop.reservations.changed(reservation_id.sale)
    return render.json_response(render.found(result.found, shop.payments.rate(result.found.offer)))


async def receive(request: web.Request) -> web.Response:
    """POST /v1/payments/{provider}/events."""
    shop, provider = request.app[SHOP], request.match_info["provider"]
    body = await bodies.read(request)
    try:
        await shop.payments.receive(provider, request.headers, body)
    except UnknownProviderError:
        raise Problem("unknown_provider", f"There is no payment provider {provider[:100]}.") from None
    except SignatureError as error:
        raise Problem("bad_signature", str(error)) from None
    except BusyError:
        raise problems.busy("Too many messages are waiting. This one was not taken; send it again.") from None
    return render.json_response({"received": True}, 202)


async def dead(request: web.Request) -> web.Response:
    """GET /v1/sales/{sale}/payments/dead."""
    shop = request.app[SHOP]
    await callers.require_scope(request, shop, "support")
    sale = _sale(request)
    jobs = await shop.payments.dead(sale)
    if jobs is None:
        raise problems.unknown_sale(sale)
    return render.json_response({"jobs": [render.dead_job(sale, job) for job in jobs]})


async def retry(request: web.Request) -> web.Response:
    """POST /v1/sales/{sale}/payments/dead/retry."""
    shop = request.app[SHOP]
    job_id = bodies.retry(await bodies.read_object(request))
    await callers.require_scope(request, shop, "support")
    sale = _sale(request)
    retried = await shop.payments.revive(sale, job_id)
    if retried is None:
        raise problems.unknown_sale(sale)
    if job_id is not None and not retried:
        raise Problem("not_found", f"No job {job_id} of this sale was given up.")
    return render.json_response({"retried": retried})


async def reconcile(request: web.Request) -> web.Response:
    """POST /v1/payments/reconcile."""
    shop = request.app[SHOP]
    sale = bodies.reconcile(await bodies.read_object(request))
    await callers.require_scope(request, shop, "support")
    try:
        report = await shop.payments.reconcile(sale)
    except NoProviderError as error:
        raise problems.payments_unavailable(str(error)) from None
    except ProviderError as error:
        raise problems.payments_unavailable(f"The payment provider does not answer: {error}") from None
    if report is None:
        raise problems.unknown_sale(sale or "")
    return render.json_response(render.reconciliation(sale, report))


def _sale(request: web.Request) -> str:
    """The sale that the path names, or the one that stands for all that nobody knows.

    Raises:
        Problem: 404 for what cannot be the id of a sale.
    """
    sale = request.match_info["sale"]
    if sale != STRAY and not is_sale_id(sale):
        raise problems.unknown_sale(sale)
    return sale
