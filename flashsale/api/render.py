"""What the API answers, as plain values ready for JSON."""

from dataclasses import asdict
from functools import lru_cache
from typing import Any, Final

import orjson
from aiohttp import web

from flashsale.engine import events
from flashsale.engine.audit import AuditReport
from flashsale.engine.audit_outgoing import ArchiveState, OrdersState
from flashsale.engine.catalog import Offer
from flashsale.engine.reconcile import ReconcileReport
from flashsale.engine.reservations import Found
from flashsale.engine.sales import SaleView
from flashsale.model import ids
from flashsale.model.instants import to_rfc3339
from flashsale.model.jobs import DeadJob, JobKind
from flashsale.model.ledger import MoneySums
from flashsale.model.payment import PaymentRecord, PaymentStatus
from flashsale.model.reservation import Reservation
from flashsale.model.schedule import Schedule
from flashsale.scripts.calls import SaleState, Stock
from flashsale.scripts.reserve import Held

_MOST_PATTERNS: Final = 256


def json_response(
    data: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """A JSON answer."""
    return web.Response(
        body=orjson.dumps(data), status=status, content_type="application/json", headers=headers
    )


def reservation_id(offer: Offer, token: str) -> str:
    """The whole id of a reservation."""
    return ids.reservation_id(offer.sale, token)


def location(offer: Offer, token: str) -> str:
    """Where a reservation is."""
    return f"/v1/reservations/{reservation_id(offer, token)}"


def found(found: Found, rate: int) -> dict[str, Any]:
    """A reservation as its customer sees it, with its payment if there is one.

    `rate` is how many payments a second go to the provider, 0 for any number.
    """
    shown = reservation(found.offer, found.reservation, found.now_ms)
    if found.payment is not None:
        shown["payment"] = payment(found.payment, found.ahead or 0, rate)
    return shown


def reservation(offer: Offer, found: Reservation, now_ms: int) -> dict[str, Any]:
    """A reservation without a payment as its customer sees it at `now_ms` of the store's clock."""
    amount = offer.amount(found.lines)
    parts = offer.schedule(amount)
    return {
        "id": f"{offer.sale}.0.{found.token}",
        "sale": offer.sale,
        "status": found.state_at(now_ms).name.lower(),
        "customer": found.customer,
        "items": [{"sku": sku, "quantity": units} for sku, units in found.lines],
        "place": found.place,
        "amount": amount,
        "amount_due": parts.deposit,
        "currency": offer.definition.currency,
        "held_until": to_rfc3339(found.held_until_ms),
        "late": found.late,
        "payment_schedule": schedule(parts),
        "payment": None,
    }


def held(offer: Offer, decision: Held) -> bytes:
    """The JSON of a reservation that was granted just now: what `reservation` gives, at a tenth of its cost."""
    claim = decision.claim
    pattern = offer.patterns.get(claim.lines) or _pattern(offer, decision)
    until = _until(decision.held_until_ms)
    return pattern % (claim.token.encode(), orjson.dumps(claim.customer), decision.place, until)


@lru_cache(maxsize=256)
def _until(instant_ms: int) -> bytes:
    """Remembered: all holds of a batch end at the same instant."""
    return to_rfc3339(instant_ms).encode()


def _pattern(offer: Offer, decision: Held) -> bytes:
    """The JSON of such reservations of these lines, with a place for each of token, customer, place and held_until.

    It is cut out of one that `reservation` has made. A quote within a text has a backslash before it, so that no text can be
    taken for the name of a member.
    """
    rest = orjson.dumps(reservation(offer, decision.reservation, decision.now_ms))
    found = []
    for before, value in (
        (f'{{"id":"{offer.sale}.0.', f"{decision.claim.token}"),
        ('"customer":', orjson.dumps(decision.claim.customer).decode()),
        ('"place":', f"{decision.place}"),
        ('"held_until":"', to_rfc3339(decision.held_until_ms)),
    ):
        head, rest = rest.split((before + value).encode(), 1)
        found.append((head + before.encode()).replace(b"%", b"%%"))
    pattern = b"%b".join(found[:3]) + b"%d" + found[3] + b"%b" + rest.replace(b"%", b"%%")
    if len(offer.patterns) >= _MOST_PATTERNS:
        offer.patterns.clear()
    offer.patterns[decision.claim.lines] = pattern
    return pattern


def schedule(parts: Schedule) -> dict[str, Any]:
    """What is paid when."""
    return {"deposit": parts.deposit, "balance": parts.balance, "instalments": parts.instalments}


def payment(record: PaymentRecord, ahead: int, rate: int) -> dict[str, Any]:
    """A reservation's payment as its customer sees it; while it is queued, `ahead` others go to the provider before it."""
    provider, _, reference = record.reference.partition(":")
    wait_seconds = -(-ahead // rate) if rate else 0
    return {
        "status": record.status.name.lower(),
        "method": record.method,
        "attempt": record.attempt,
        "amount": record.money.amount,
        "currency": record.money.currency,
        "provider": provider or None,
        "reference": reference or None,
        "action": record.action,
        "error": record.error,
        "wait_seconds": wait_seconds if record.status is PaymentStatus.QUEUED else None,
    }


def sale(view: SaleView) -> dict[str, Any]:
    """The public view of a sale."""
    definition, state = view.offer.definition, view.state
    stock = {item.sku: item for item in state.stock}
    return {
        "id": view.offer.sale,
        "title": definition.title,
        "state": state.public_state,
        "server_time": to_rfc3339(state.now_ms),
        "opens_at": to_rfc3339(state.opens_ms),
        "closes_at": to_rfc3339(state.closes_ms) if state.closes_ms else None,
        "currency": definition.currency,
        "limit_per_customer": definition.limit_per_customer,
        "hold_seconds": definition.hold_seconds,
        "items": [
            {
                "sku": item.sku,
                "title": item.title or item.sku,
                "price": item.price,
                "stock": stock[item.sku].stock,
                "available": stock[item.sku].available,
                "held": stock[item.sku].held,
                "limit_per_customer": item.limit_per_customer,
            }
            for item in definition.items
            if item.sku in stock
        ],
        "next_release_at": _next_release(state),
        "payment": definition.payment.model_dump(),
        "rehearsal": definition.rehearsal,
    }


def counters(items: tuple[Stock, ...]) -> list[dict[str, Any]]:
    """Where the units of each item are."""
    return [
        {
            "sku": item.sku,
            "stock": item.stock,
            "available": item.available,
            "held": item.held,
            "sold": item.sold,
        }
        for item in items
    ]


def stats(view: SaleView) -> dict[str, Any]:
    """The counters of a sale."""
    state = view.state
    return {
        "sale": view.offer.sale,
        "state": state.public_state,
        "server_time": to_rfc3339(state.now_ms),
        "items": counters(state.stock),
        "place": state.place,
        "seq": state.seq,
        "live_holds": state.holds,
        "customers": state.customers,
        "reservations": state.reservations,
        "next_release_at": _next_release(state),
    }


def _next_release(state: SaleState) -> str | None:
    """When the next hold ends."""
    return to_rfc3339(state.next_due_ms) if state.next_due_ms else None


def audit(report: AuditReport) -> dict[str, Any]:
    """The verdict of an audit."""
    return {
        "sale": report.sale,
        "ok": report.ok,
        "facts": report.facts,
        "last_seq": report.facts,
        "findings": [{"seq": finding.seq, "detail": finding.detail} for finding in report.findings],
        "items": counters(report.items),
        "reservations": report.reservations,
        "customers": report.customers,
        "last_place": report.last_place,
        "money": [_money(sums) for sums in (report.money, *report.other_money) if sums.charges.count],
        "archive": _archive(report.archive),
        "orders": _orders(report.orders),
    }


def _archive(archive: ArchiveState | None) -> dict[str, Any] | None:
    """How far the archive is, and what it has."""
    if archive is None:
        return None
    books = archive.books
    return {
        "seq": archive.seq,
        "behind": archive.behind,
        "orders": {"count": books.confirmed, "amount": books.confirmed_amount},
        "refunds": {"count": books.refunded, "amount": books.refunded_amount},
    }


def _orders(orders: OrdersState | None) -> dict[str, Any] | None:
    """How far order systems can read."""
    if orders is None:
        return None
    return {"sequence": orders.sequence, "published": orders.published, "behind": orders.behind}


def _money(sums: MoneySums) -> dict[str, Any]:
    """The charges of one currency: as many, and as much, as became orders and refunds."""
    return {
        "currency": sums.currency,
        "charges": asdict(sums.charges),
        "orders": asdict(sums.orders),
        "refunding": asdict(sums.refunding),
        "refunds": asdict(sums.refunds),
    }


def dead_job(sale: str, dead: DeadJob) -> dict[str, Any]:
    """A payment job that was given up; what it is about is null where it cannot be read."""
    job = dead.job
    about: str | None = None
    reference: str | None = None
    try:
        if job.kind == JobKind.EVENT:
            received = events.unpack(job.payload)
            about, reference = received.event.payment.reservation, received.reference
        elif job.kind in {JobKind.START, JobKind.VOID, JobKind.REFUND}:
            about = f"{sale}.0.{job.token}"
        if job.kind == JobKind.VOID:
            reference = job.voided()[1]
        elif job.kind == JobKind.REFUND:
            reference = job.refunded()[1]
    except (ValueError, IndexError):
        pass  # damaged: perhaps that is why it was given up
    return {
        "id": job.entry_id,
        "kind": job.kind,
        "reservation": about,
        "reference": reference or None,
        "tries": job.tries,
        "error": dead.error,
        "at": to_rfc3339(dead.at_ms),
    }


def reconciliation(sale: str | None, report: ReconcileReport) -> dict[str, Any]:
    """What a comparison with the providers' books has found."""
    return {
        "sale": sale,
        "ok": report.ok,
        "charges": report.charges,
        "totals": [
            {"currency": currency, "fate": fate.name.lower(), **asdict(total)}
            for currency, fates in sorted(report.fates.items())
            for fate, total in fates.items()
        ],
        "open": [asdict(charge) for charge in report.open],
        "open_count": report.open_count,
        "applied": report.applied,
        "settled": report.settled,
        "foreign": report.foreign,
    }
