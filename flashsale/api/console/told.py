"""A story as plain values ready for JSON, and what can be said of it in short."""

from collections.abc import Iterator
from typing import Any

from flashsale.api import render
from flashsale.engine.reservations import Found
from flashsale.engine.story import Story
from flashsale.model import ids
from flashsale.model.facts import Fact, FactType
from flashsale.model.instants import to_rfc3339
from flashsale.model.payment import UNDER_WAY, Charge, Money, PaymentStatus

Finding = dict[str, Any]


def story(told: Story, found: list[tuple[Found, int]]) -> dict[str, Any]:
    """Everything that is known. `found` are its reservations, each with the payments that its provider takes a second."""
    attempts = told.attempts
    return {
        "sale": told.sale,
        "server_time": to_rfc3339(told.state.now_ms),
        "customer": told.customer,
        "reservation": ids.reservation_id(told.sale, told.token) if told.token else None,
        "sale_history": _history(told),
        "reservations": [
            {
                "held_at": to_rfc3339(each.reservation.held_ms),
                "reservation": render.found(each, rate),
                "charges": [_charge(one) for one in (each.payment.charges if each.payment else ())],
            }
            for each, rate in found
        ],
        "facts": [_fact(told.sale, fact) for fact in told.facts],
        "attempts": [
            {
                "outcome": each.name,
                "first_at": to_rfc3339(each.first_ms),
                "last_at": to_rfc3339(each.last_ms),
                "count": each.count,
            }
            for each in (attempts.attempts if attempts else ())
        ],
        "attempts_kept": attempts is not None or told.customer is None,
        "attempts_dropped": attempts.dropped if attempts else 0,
        "complete": told.complete,
        "summary": summary(told),
    }


def _history(told: Story) -> dict[str, Any]:
    course, state = told.course, told.state
    closed_ms = course.closed_ms
    if not closed_ms and 0 < state.closes_ms <= state.now_ms:
        closed_ms = state.closes_ms
    return {
        "opens_at": to_rfc3339(state.opens_ms),
        "opened_at": _instant(course.opened_ms),
        "sold_out_at": _instant(course.sold_out_ms),
        "closed_at": _instant(closed_ms),
        "changes": [
            {
                "at": to_rfc3339(change.at_ms),
                "type": change.type,
                "sku": change.sku,
                "units": change.units,
                "detail": change.detail,
            }
            for change in course.changes
        ],
    }


def _charge(charge: Charge) -> dict[str, Any]:
    return {
        "reference": charge.reference,
        "amount": charge.money.amount,
        "currency": charge.money.currency,
        "fate": charge.fate.name.lower(),
    }


def _fact(sale: str, fact: Fact) -> dict[str, Any]:
    try:
        detail = _detail(fact)
    except (ValueError, LookupError):
        detail = {}  # it cannot be read: the audit says so
    return {
        "seq": fact.seq,
        "at": to_rfc3339(fact.at_ms),
        "type": fact.type,
        "reservation": ids.reservation_id(sale, fact.token),
        "detail": detail,
    }


def _detail(fact: Fact) -> dict[str, Any]:
    match fact.type:
        case FactType.HELD:
            held = fact.held()
            items = [{"sku": sku, "quantity": units} for sku, units in held.lines]
            return {"place": held.place, "held_until": to_rfc3339(held.held_until_ms), "items": items}
        case FactType.EXTENDED:
            return {"held_until": to_rfc3339(fact.extended_until_ms())}
        case FactType.CANCELLED:
            return {"reason": _reason(fact)}
        case FactType.CONFIRMED:
            paid = fact.confirmed()
            known = {"sequence": paid.sequence, "late": paid.late, "method": paid.method}
            return {**known, **_money(paid.money), "reference": paid.reference}
        case FactType.REFUNDED:
            undone = fact.refunded()
            known = {"sequence": undone.sequence, "restocked": undone.restocked, "method": undone.method}
            return {
                **known,
                **_money(undone.money),
                "reference": undone.reference,
                "reason": undone.reason,
            }
        case FactType.CHARGE_REFUSED:
            refused = fact.charge_refused()
            why = {"reason": refused.reason.name.lower(), "method": refused.method}
            return {**why, **_money(refused.money), "reference": refused.reference}
        case FactType.CHARGE_REFUNDED:
            reference, refund = fact.charge_refunded()
            return {"reference": reference, "refund": refund}
        case _:
            return {}


def _money(money: Money) -> dict[str, Any]:
    return {"amount": money.amount, "currency": money.currency}


def _reason(fact: Fact) -> str:
    return fact.data[len(fact.token) :].decode(errors="replace")


# --- in short ---


def summary(told: Story) -> list[Finding]:
    """What can be said of it, in order of time; what has no time comes last."""
    findings = [*_of_facts(told), *_of_attempts(told)]
    findings.sort(key=lambda each: each["at"])
    findings += _of_payments(told)
    if not findings and not told.found:
        findings.append(_finding("never_seen"))
    if told.attempts is None and told.customer is not None:
        findings.append(_finding("attempts_not_kept"))
    elif told.attempts is not None and (told.attempts.dropped or told.attempts.cut):
        findings.append(_finding("attempts_dropped", count=told.attempts.dropped or None))
    return findings


def _of_facts(told: Story) -> Iterator[Finding]:
    for fact in told.facts:
        shown = _fact(told.sale, fact)
        detail = shown["detail"]
        code = fact.type.rpartition(".")[2]
        if fact.type in {FactType.CHARGE_REFUSED, FactType.CHARGE_REFUNDED}:
            code = fact.type.replace(".", "_")
        elif fact.type == FactType.CONFIRMED and detail.get("late"):
            code = "confirmed_late"
        yield _finding(
            code,
            at=shown["at"],
            reservation=shown["reservation"],
            place=detail.get("place"),
            detail=detail.get("reason") or None,
        )


def _of_attempts(told: Story) -> Iterator[Finding]:
    for each in told.attempts.attempts if told.attempts else ():
        yield _finding(
            f"refused_{each.name}",
            at=to_rfc3339(each.first_ms),
            last_at=to_rfc3339(each.last_ms),
            count=each.count,
        )


def _of_payments(told: Story) -> Iterator[Finding]:
    for each in told.found:
        record, name = each.payment, render.reservation_id(each.offer, each.reservation.token)
        if record is not None and record.status is PaymentStatus.FAILED:
            yield _finding("payment_failed", reservation=name, detail=record.error)
        elif record is not None and record.status in UNDER_WAY:
            yield _finding("payment_waiting", reservation=name, detail=record.status.name.lower())


def _finding(code: str, **known: Any) -> Finding:
    nothing = dict.fromkeys(("at", "last_at", "count", "place", "reservation", "detail"))
    return {"code": code, **nothing, **known}


def _instant(instant_ms: int) -> str | None:
    return to_rfc3339(instant_ms) if instant_ms else None
