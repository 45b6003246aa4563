"""The shopper's side of the simulator's HTTP interface: the page of a payment, and the click on it."""

import hashlib
import hmac
from typing import Final
from urllib.parse import quote

from aiohttp import web

from flashsale.simulator import page
from flashsale.simulator.answers import answer, refusal, refusal_of, status_of
from flashsale.simulator.bodies import Key, Try, decode, decode_fields, return_address
from flashsale.simulator.desk import Desk
from flashsale.simulator.ledger import LedgerError
from flashsale.simulator.records import Payment

PATH: Final = "/pay/"
UNKNOWN: Final = "There is no such payment."


class Shopper:
    """The handlers of the page and the click. `public_url` is where shoppers reach them."""

    def __init__(self, desk: Desk, secret: str, public_url: str) -> None:
        self._desk = desk
        self._page_key = hashlib.sha256(f"page:{secret}".encode()).digest()
        self._public_url = public_url

    def url_of(self, payment: Payment) -> str:
        """The address of a payment's page, with the shopper's key."""
        return f"{self._public_url}{PATH}{payment.id}?k={self._key_of(payment)}"

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Adds the routes of the shopper."""
        router.add_get(PATH + "{payment:[^/]+}", self._read)
        router.add_post(PATH + "{payment:[^/]+}", self._post)

    async def _read(self, request: web.Request) -> web.StreamResponse:
        asked = decode_fields(request.rel_url.raw_query_string, Key)
        return self._show(request.match_info["payment"], asked.k, return_address(asked.back))

    async def _post(self, request: web.Request) -> web.StreamResponse:
        payment_id, body = request.match_info["payment"], await request.read()
        if request.content_type == "application/x-www-form-urlencoded":
            return self._click(payment_id, decode_fields(body.decode("latin-1"), Try))
        return self._pay(payment_id, decode(body, Try))

    def _show(self, payment_id: str, key: str, back: str) -> web.Response:
        payment = self._find(payment_id, key)
        if payment is None:
            return _html(page.message_page(UNKNOWN), 404)
        return _html(page.payment_page(payment, key, back=back))

    def _click(self, payment_id: str, asked: Try) -> web.Response:
        """A form, which leads back to the page."""
        payment, back = self._find(payment_id, asked.k), return_address(asked.back)
        if payment is None:
            return _html(page.message_page(UNKNOWN), 404)
        try:
            self._try(payment, asked)
        except LedgerError as error:
            return _html(page.payment_page(payment, asked.k, error.message, back=back), status_of(error))
        # Relative, so that it is right behind a proxy as well; read with GET, so that a reload pays nothing.
        location = f"{payment.id}?k={quote(asked.k)}" + (f"&return={quote(back, safe='')}" if back else "")
        return web.Response(status=303, headers={**page.HEADERS, "Location": location})

    def _pay(self, payment_id: str, asked: Try) -> web.Response:
        """JSON, answered as JSON."""
        payment = self._find(payment_id, asked.k)
        if payment is None:
            return refusal(404, "unknown_payment", UNKNOWN)
        try:
            self._try(payment, asked)
        except LedgerError as error:
            return refusal_of(error)
        return answer(
            {"id": payment.id, "status": payment.state, "error": payment.error, "final": payment.final}
        )

    def _try(self, payment: Payment, asked: Try) -> None:
        money = None
        if asked.amount is not None or asked.currency is not None:
            money = (asked.amount or payment.order.amount, asked.currency or payment.order.currency)
        self._desk.pay(payment, asked.outcome, money)

    def _find(self, payment_id: str, key: str) -> Payment | None:
        """The payment, for whoever has its key."""
        try:
            payment = self._desk.ledger.find(payment_id)
        except LedgerError:
            return None
        given = key.encode(errors="surrogateescape")
        return payment if hmac.compare_digest(given, self._key_of(payment).encode()) else None

    def _key_of(self, payment: Payment) -> str:
        """Follows from the secret, so that it need not be kept."""
        return hashlib.blake2b(payment.id.encode(), digest_size=16, key=self._page_key).hexdigest()


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html", headers=page.HEADERS)
