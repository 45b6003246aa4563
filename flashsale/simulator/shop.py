"""The shop's side of the simulator's HTTP interface: every call with the secret, and every call may meet a fault."""

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from aiohttp import web

from flashsale.simulator.answers import answer, refusal, status_of
from flashsale.simulator.bodies import (
    BodyError,
    Listing,
    NewPayment,
    NewRefund,
    convert,
    decode,
    read_key,
)
from flashsale.simulator.desk import Desk, TemporaryError
from flashsale.simulator.faults import Counts
from flashsale.simulator.ledger import LedgerError
from flashsale.simulator.records import Payment
from flashsale.simulator.shopper import Shopper

IDEMPOTENCY_HEADER: Final = "Idempotency-Key"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Call = Callable[[web.Request], Awaitable[object]]


class Shop:
    """The handlers; `shopper` knows the address of a payment's page."""

    def __init__(self, desk: Desk, shopper: Shopper, secret: str) -> None:
        self._desk = desk
        self._shopper = shopper
        self._authorization = f"Bearer {secret}".encode()
        self._counts = Counts()
        self._started = time.monotonic()

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Adds the routes of the shop."""
        payment = "/v1/payments/{payment:[^/]+}"
        router.add_post("/v1/payments", self._faulty("start", self._start))
        router.add_post(f"{payment}/capture", self._faulty("capture", self._capture))
        router.add_post(f"{payment}/cancel", self._faulty("cancel", self._cancel))
        router.add_get(payment, self._faulty("read", self._read))
        router.add_get("/v1/payments", self._faulty("list", self._list_payments))
        router.add_post("/v1/refunds", self._faulty("refund", self._refund))
        router.add_get("/v1/refunds", self._faulty("refunds", self._list_refunds))
        router.add_get("/v1/faults", self._guarded(self._show_faults))
        router.add_put("/v1/faults", self._guarded(self._set_faults))

    def _faulty(self, name: str, call: Call) -> Handler:
        """A handler that now and then fails, or is late, or is not heard of again, as the faults have it."""

        async def handle(request: web.Request) -> web.StreamResponse:
            faults = self._desk.faults
            about = request.headers.get(IDEMPOTENCY_HEADER) or request.match_info.get("payment", "")
            what = f"{name}:{about}"
            if faults.vary:
                what = f"{what}:{self._counts.next(what)}"
            if faults.is_away(what, time.monotonic() - self._started):
                return refusal(503, "away", "The simulator is away.", {"Retry-After": "1"})
            if faults.latency_ms or faults.jitter_ms:
                await asyncio.sleep(faults.latency_seconds(what))
            response = answer(await call(request))
            if faults.is_unanswered(what) and request.transport is not None:
                request.transport.abort()
            return response

        return self._guarded(handle)

    def _guarded(self, handler: Handler) -> Handler:
        """A handler for whoever has the secret; what is refused becomes an answer that says why."""

        async def handle(request: web.Request) -> web.StreamResponse:
            given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
            if not hmac.compare_digest(given, self._authorization):
                return refusal(401, "unauthenticated", "The secret is missing or wrong.")
            try:
                return await handler(request)
            except LedgerError as error:
                return refusal(status_of(error), error.code, error.message)
            except BodyError as error:
                return refusal(400, "invalid", str(error))
            except web.HTTPRequestEntityTooLarge:
                return refusal(413, "too_large", "The body is too large.")
            except TemporaryError as error:
                return refusal(500, "failed", str(error))

        return handle

    async def _start(self, request: web.Request) -> object:
        body = decode(await request.read(), NewPayment)
        return self._view(self._desk.open(read_key(request.headers.get(IDEMPOTENCY_HEADER)), body.order()))

    async def _read(self, request: web.Request) -> object:
        return self._view(self._payment(request))

    async def _capture(self, request: web.Request) -> object:
        payment = self._payment(request)
        self._desk.capture(payment)
        return payment.view()

    async def _cancel(self, request: web.Request) -> object:
        payment = self._payment(request)
        self._desk.cancel(payment)
        return payment.view()

    async def _list_payments(self, request: web.Request) -> object:
        asked = convert(dict(request.query), Listing)
        found = self._desk.ledger.payments(after=asked.after, since_ms=asked.since_ms, limit=asked.limit)
        end = found[-1].id if len(found) == asked.limit else None
        return {"payments": [payment.view() for payment in found], "next": end}

    async def _refund(self, request: web.Request) -> object:
        key = read_key(request.headers.get(IDEMPOTENCY_HEADER))
        body = decode(await request.read(), NewRefund)
        payment = self._desk.ledger.find(body.payment)
        shown = self._desk.refund(payment, key, body.amount).view()
        self._desk.bounce(payment)  # after the answer is made: that says that it was accepted
        return shown

    async def _list_refunds(self, request: web.Request) -> object:
        asked = convert(dict(request.query), Listing)
        found = self._desk.ledger.refunds(after=asked.after, limit=asked.limit)
        end = found[-1].id if len(found) == asked.limit else None
        return {"refunds": [refund.view() for refund in found], "next": end}

    async def _show_faults(self, request: web.Request) -> web.StreamResponse:  # noqa: ARG002 - aiohttp's own
        return answer(self._desk.faults)

    async def _set_faults(self, request: web.Request) -> web.StreamResponse:
        """Those named are changed, the others stay."""
        asked = decode(await request.read(), dict[str, Any])
        try:
            self._desk.faults = self._desk.faults.changed(asked)
        except msgspec.ValidationError as error:
            raise BodyError(str(error)) from error
        return answer(self._desk.faults)

    def _payment(self, request: web.Request) -> Payment:
        return self._desk.ledger.find(request.match_info["payment"])

    def _view(self, payment: Payment) -> dict[str, Any]:
        return {**payment.view(), "url": self._shopper.url_of(payment)}
