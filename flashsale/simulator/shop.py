"""The shop's side of the simulator's HTTP interface: every call with the secret, and every call may meet a fault."""

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from aiohttp import web

from flashsale.simulator.answers import answer, refusal
from flashsale.simulator.bodies import (
    BodyError,
    Listing,
    NewPayment,
    NewRefund,
    decode,
    decode_fields,
    read_key,
)
from flashsale.simulator.desk import Desk
from flashsale.simulator.faults import Counts
from flashsale.simulator.records import Payment
from flashsale.simulator.shopper import Shopper

IDEMPOTENCY_HEADER: Final = "Idempotency-Key"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Call = Callable[[web.Request, bytes], object]
"""Is given the request and its body, is carried out without waiting, and returns what is to be shown."""


class Shop:
    """The calls; `shopper` knows the address of a payment's page."""

    def __init__(self, desk: Desk, shopper: Shopper, secret: str) -> None:
        self._desk = desk
        self._shopper = shopper
        self._authorization = f"Bearer {secret}".encode()
        self._counts = Counts()
        self._started = time.monotonic()

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Adds the routes of the shop."""
        payment = "/v1/payments/{payment:[^/]+}"
        router.add_post("/v1/payments", self._faulty("POST payments", self._start))
        router.add_post(f"{payment}/capture", self._faulty("POST payments/capture", self._capture))
        router.add_post(f"{payment}/cancel", self._faulty("POST payments/cancel", self._cancel))
        router.add_get(payment, self._faulty("GET payments/", self._read))
        router.add_get("/v1/payments", self._faulty("GET payments", self._list_payments))
        router.add_post("/v1/refunds", self._faulty("POST refunds", self._refund))
        router.add_get("/v1/refunds", self._faulty("GET refunds", self._list_refunds))
        router.add_get("/v1/faults", self._sure(self._show_faults))
        router.add_put("/v1/faults", self._sure(self._set_faults))

    def _sure(self, call: Call) -> Handler:
        """A handler that no fault strikes."""

        async def handle(request: web.Request) -> web.StreamResponse:
            if not self._may_call(request):
                return _unauthenticated()
            return answer(call(request, await request.read()))

        return handle

    def _faulty(self, name: str, call: Call) -> Handler:
        """A handler that now and then is away, late, or not heard of again, as the faults have it."""

        async def handle(request: web.Request) -> web.StreamResponse:
            if not self._may_call(request):
                return _unauthenticated()
            body = await request.read()
            faults = self._desk.faults
            about = request.match_info.get("payment") or request.headers.get(IDEMPOTENCY_HEADER, "")
            what = f"{name}:{about}"
            if faults.vary:
                what = f"{what}:{self._counts.next(what)}"
            if faults.is_away(what, time.monotonic() - self._started):
                return refusal(503, "away", "The simulator is away.", {"Retry-After": "1"})
            response = answer(call(request, body))
            # It is done by now: only the answer may come late, or never.
            latency_seconds = faults.latency_seconds(what)
            if latency_seconds > 0:
                await asyncio.sleep(latency_seconds)
            if faults.is_unanswered(what) and request.transport is not None:
                request.transport.abort()
            return response

        return handle

    def _may_call(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        return hmac.compare_digest(given, self._authorization)

    def _start(self, request: web.Request, body: bytes) -> object:
        order = decode(body, NewPayment).order()
        return self._view(self._desk.open(read_key(request.headers.get(IDEMPOTENCY_HEADER)), order))

    def _read(self, request: web.Request, _: bytes) -> object:
        return self._view(self._payment(request))

    def _capture(self, request: web.Request, _: bytes) -> object:
        payment = self._payment(request)
        self._desk.capture(payment)
        return payment.view()

    def _cancel(self, request: web.Request, _: bytes) -> object:
        payment = self._payment(request)
        self._desk.cancel(payment)
        return payment.view()

    def _list_payments(self, request: web.Request, _: bytes) -> object:
        asked = decode_fields(request.rel_url.raw_query_string, Listing)
        found = self._desk.ledger.payments(after=asked.after, since_ms=asked.since_ms, limit=asked.limit)
        end = found[-1].id if len(found) == asked.limit else None
        return {"payments": [payment.view() for payment in found], "next": end}

    def _refund(self, request: web.Request, body: bytes) -> object:
        key = read_key(request.headers.get(IDEMPOTENCY_HEADER))
        asked = decode(body, NewRefund)
        payment = self._desk.ledger.find(asked.payment)
        shown = self._desk.refund(payment, key, asked.amount).view()
        self._desk.bounce(payment)  # after the answer is made: that says that it was accepted
        return shown

    def _list_refunds(self, request: web.Request, _: bytes) -> object:
        asked = decode_fields(request.rel_url.raw_query_string, Listing)
        found = self._desk.ledger.refunds(after=asked.after, limit=asked.limit)
        end = found[-1].id if len(found) == asked.limit else None
        return {"refunds": [refund.view() for refund in found], "next": end}

    def _show_faults(self, _: web.Request, __: bytes) -> object:
        return self._desk.faults

    def _set_faults(self, _: web.Request, body: bytes) -> object:
        """Those named are changed, the others stay."""
        asked = decode(body, dict[str, Any])
        try:
            self._desk.faults = self._desk.faults.changed(asked)
        except msgspec.ValidationError as error:
            raise BodyError(str(error)) from error
        return self._desk.faults

    def _payment(self, request: web.Request) -> Payment:
        return self._desk.ledger.find(request.match_info["payment"])

    def _view(self, payment: Payment) -> dict[str, Any]:
        return {**payment.view(), "url": self._shopper.url_of(payment)}


def _unauthenticated() -> web.Response:
    return refusal(401, "unauthenticated", "The secret is missing or wrong.")
