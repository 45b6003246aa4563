"""The shopper's side of the simulator's HTTP interface: the page of a payment, and the click on it."""

import hashlib
import hmac
from urllib.parse import quote

from aiohttp import web

from flashsale.simulator import page
from flashsale.simulator.answers import answer, refusal, status_of
from flashsale.simulator.bodies import BodyError, Try, convert, decode
from flashsale.simulator.desk import Desk, TemporaryError
from flashsale.simulator.ledger import LedgerError
from flashsale.simulator.records import Payment


class Shopper:
    """The handlers. `public_url` is where shoppers reach them."""

    def __init__(self, desk: Desk, secret: str, public_url: str) -> None:
        self._desk = desk
        self._secret = secret.encode()
        self._public_url = public_url

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Adds the routes of the shopper."""
        router.add_get("/pay/{payment:[^/]+}", self._show)
        router.add_post("/pay/{payment:[^/]+}", self._pay)

    def url_of(self, payment: Payment) -> str:
        """The address of a payment's page, with the shopper's key."""
        return f"{self._public_url}/pay/{payment.id}?k={self._key_of(payment)}"

    async def _show(self, request: web.Request) -> web.StreamResponse:
        key = request.query.get("k", "")
        payment = self._find(request, key)
        if payment is None:
            return _html(page.message_page("There is no such payment."), 404)
        return _html(page.payment_page(payment, key))

    async def _pay(self, request: web.Request) -> web.StreamResponse:
        """The click: JSON is answered as JSON, a form leads back to the page."""
        is_form = request.content_type == "application/x-www-form-urlencoded"
        try:
            asked = convert(await _form(request), Try) if is_form else decode(await request.read(), Try)
        except BodyError as error:
            return refusal(400, "invalid", str(error))
        payment = self._find(request, asked.k)
        if payment is None:
            missing = "There is no such payment."
            return (
                _html(page.message_page(missing), 404)
                if is_form
                else refusal(404, "unknown_payment", missing)
            )
        money = None
        if asked.amount is not None or asked.currency is not None:
            money = (asked.amount or payment.order.amount, asked.currency or payment.order.currency)
        try:
            self._desk.pay(payment, asked.outcome, money)
        except LedgerError as error:
            if is_form:
                return _html(page.payment_page(payment, asked.k, error.message), status_of(error))
            return refusal(status_of(error), error.code, error.message)
        except TemporaryError as error:
            return refusal(500, "failed", str(error))
        if is_form:
            # Relative, so that it is right behind a proxy as well; seen again by GET, so that a reload pays nothing.
            return web.Response(
                status=303, headers={**page.HEADERS, "Location": f"{payment.id}?k={quote(asked.k)}"}
            )
        return answer(
            {"id": payment.id, "status": payment.state, "error": payment.error, "final": payment.final}
        )

    def _find(self, request: web.Request, key: str) -> Payment | None:
        """The payment, for whoever has its key."""
        try:
            payment = self._desk.ledger.find(request.match_info["payment"])
        except LedgerError:
            return None
        good = hmac.compare_digest(key.encode("utf-8", "surrogateescape"), self._key_of(payment).encode())
        return payment if good else None

    def _key_of(self, payment: Payment) -> str:
        """Follows from the secret, so that it need not be kept."""
        return hmac.digest(self._secret, f"pay:{payment.id}".encode(), hashlib.sha256).hex()[:32]


async def _form(request: web.Request) -> dict[str, str]:
    return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html", headers=page.HEADERS)
