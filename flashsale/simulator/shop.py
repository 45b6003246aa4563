"""The shop's side of the simulator's HTTP interface: every call with the secret, and every call may meet a fault."""

import hmac
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from flashsale.simulator.answers import answer, refusal, refusal_of
from flashsale.simulator.bodies import (
    BodyError,
    Listing,
    NewPayment,
    NewRefund,
    decode,
    decode_fields,
    read_key,
)
from flashsale.simulator.desk import Desk, TemporaryError
from flashsale.simulator.faults import Counts
from flashsale.simulator.http import Answer, Request
from flashsale.simulator.ledger import LedgerError
from flashsale.simulator.records import Payment
from flashsale.simulator.shopper import Shopper

IDEMPOTENCY_HEADER: Final = "idempotency-key"

Call = Callable[[Request, str], object]
"""It is given the payment's id that stands in the path, and answers what is to be shown."""


class Shop:
    """The calls; `shopper` knows the address of a payment's page."""

    def __init__(self, desk: Desk, shopper: Shopper, secret: str) -> None:
        self._desk = desk
        self._shopper = shopper
        self._authorization = f"Bearer {secret}".encode()
        self._counts = Counts()
        self._started = time.monotonic()
        self._calls: dict[tuple[str, str], Call] = {
            ("POST", "payments"): self._start,
            ("POST", "payments/capture"): self._capture,
            ("POST", "payments/cancel"): self._cancel,
            ("GET", "payments/"): self._read,
            ("GET", "payments"): self._list_payments,
            ("POST", "refunds"): self._refund,
            ("GET", "refunds"): self._list_refunds,
        }
        self._controls: dict[tuple[str, str], Call] = {
            ("GET", "faults"): self._show_faults,
            ("PUT", "faults"): self._set_faults,
        }

    def handle(self, request: Request) -> Answer:
        """The answer to a call below /v1/."""
        given = request.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, self._authorization):
            return refusal(401, "unauthenticated", "The secret is missing or wrong.")
        name, payment_id = _route(request.path)
        control = self._controls.get((request.method, name))
        try:
            if control is not None:
                return answer(control(request, payment_id))
            call = self._calls.get((request.method, name))
            if call is None:
                return refusal(404, "not_found", "There is no such call.")
            return self._carry_out(call, request, name, payment_id)
        except LedgerError as error:
            return refusal_of(error)
        except BodyError as error:
            return refusal(400, "invalid", str(error))
        except TemporaryError as error:
            return refusal(500, "failed", str(error))

    def _carry_out(self, call: Call, request: Request, name: str, payment_id: str) -> Answer:
        """Carries a call out, unless a fault has it otherwise. The answer may come late, or never."""
        faults = self._desk.faults
        what = f"{request.method} {name}:{payment_id or request.headers.get(IDEMPOTENCY_HEADER, '')}"
        if faults.vary:
            what = f"{what}:{self._counts.next(what)}"
        if faults.is_away(what, time.monotonic() - self._started):
            away = refusal(503, "away", "The simulator is away.")
            away.headers = [("Retry-After", "1")]
            return away
        made = answer(call(request, payment_id))
        made.delay_seconds = faults.latency_seconds(what)
        made.unheard = faults.is_unanswered(what)
        return made

    def _start(self, request: Request, _: str) -> object:
        body = decode(request.body, NewPayment)
        return self._view(self._desk.open(read_key(request.headers.get(IDEMPOTENCY_HEADER)), body.order()))

    def _read(self, _: Request, payment_id: str) -> object:
        return self._view(self._desk.ledger.find(payment_id))

    def _capture(self, _: Request, payment_id: str) -> object:
        payment = self._desk.ledger.find(payment_id)
        self._desk.capture(payment)
        return payment.view()

    def _cancel(self, _: Request, payment_id: str) -> object:
        payment = self._desk.ledger.find(payment_id)
        self._desk.cancel(payment)
        return payment.view()

    def _list_payments(self, request: Request, _: str) -> object:
        asked = decode_fields(request.query, Listing)
        found = self._desk.ledger.payments(after=asked.after, since_ms=asked.since_ms, limit=asked.limit)
        end = found[-1].id if len(found) == asked.limit else None
        return {"payments": [payment.view() for payment in found], "next": end}

    def _refund(self, request: Request, _: str) -> object:
        key = read_key(request.headers.get(IDEMPOTENCY_HEADER))
        body = decode(request.body, NewRefund)
        payment = self._desk.ledger.find(body.payment)
        shown = self._desk.refund(payment, key, body.amount).view()
        self._desk.bounce(payment)  # after the answer is made: that says that it was accepted
        return shown

    def _list_refunds(self, request: Request, _: str) -> object:
        asked = decode_fields(request.query, Listing)
        found = self._desk.ledger.refunds(after=asked.after, limit=asked.limit)
        end = found[-1].id if len(found) == asked.limit else None
        return {"refunds": [refund.view() for refund in found], "next": end}

    def _show_faults(self, _: Request, __: str) -> object:
        return self._desk.faults

    def _set_faults(self, request: Request, _: str) -> object:
        """Those named are changed, the others stay."""
        asked = decode(request.body, dict[str, Any])
        try:
            self._desk.faults = self._desk.faults.changed(asked)
        except msgspec.ValidationError as error:
            raise BodyError(str(error)) from error
        return self._desk.faults

    def _view(self, payment: Payment) -> dict[str, Any]:
        return {**payment.view(), "url": self._shopper.url_of(payment)}


def _route(path: str) -> tuple[str, str]:
    """The name of a call and the payment it is about: /v1/payments/pay_1/capture is ("payments/capture", "pay_1")."""
    name, *rest = path.removeprefix("/v1/").split("/")
    if not rest:
        return name, ""
    payment_id, *verb = rest
    return f"{name}/{'/'.join(verb)}", payment_id
