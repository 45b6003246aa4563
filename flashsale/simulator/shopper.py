"""The shopper's side of the simulator's HTTP interface: the page of a payment, and the click on it."""

import hashlib
import hmac
from urllib.parse import quote

from flashsale.simulator import page
from flashsale.simulator.answers import answer, refusal, refusal_of, status_of
from flashsale.simulator.bodies import BodyError, Key, Try, decode, decode_fields
from flashsale.simulator.desk import Desk, TemporaryError
from flashsale.simulator.http import Answer, Request
from flashsale.simulator.ledger import LedgerError
from flashsale.simulator.records import Payment

PATH = "/pay/"
UNKNOWN = "There is no such payment."


class Shopper:
    """The page and the click. `public_url` is where shoppers reach them."""

    def __init__(self, desk: Desk, secret: str, public_url: str) -> None:
        self._desk = desk
        self._page_key = hashlib.sha256(f"page:{secret}".encode()).digest()
        self._public_url = public_url

    def url_of(self, payment: Payment) -> str:
        """The address of a payment's page, with the shopper's key."""
        return f"{self._public_url}{PATH}{payment.id}?k={self._key_of(payment)}"

    def handle(self, request: Request) -> Answer:
        """The answer to a request below /pay/."""
        payment_id = request.path.removeprefix(PATH)
        is_form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        try:
            if request.method == "GET":
                return self._show(payment_id, decode_fields(request.query, Key).k)
            if request.method != "POST":
                return refusal(405, "method_not_allowed", "The page is read or clicked on.")
            if is_form:
                return self._click(payment_id, decode_fields(request.body.decode("latin-1"), Try))
            return self._pay(payment_id, decode(request.body, Try))
        except BodyError as error:
            return refusal(400, "invalid", str(error))
        except TemporaryError as error:
            return refusal(500, "failed", str(error))

    def _show(self, payment_id: str, key: str) -> Answer:
        payment = self._find(payment_id, key)
        if payment is None:
            return _html(page.message_page(UNKNOWN), 404)
        return _html(page.payment_page(payment, key))

    def _click(self, payment_id: str, asked: Try) -> Answer:
        """A form, which leads back to the page."""
        payment = self._find(payment_id, asked.k)
        if payment is None:
            return _html(page.message_page(UNKNOWN), 404)
        try:
            self._try(payment, asked)
        except LedgerError as error:
            return _html(page.payment_page(payment, asked.k, error.message), status_of(error))
        # Relative, so that it is right behind a proxy as well; read with GET, so that a reload pays nothing.
        location = f"{payment.id}?k={quote(asked.k)}"
        return Answer(303, headers=[*page.HEADERS, ("Location", location)])

    def _pay(self, payment_id: str, asked: Try) -> Answer:
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
        return payment if hmac.compare_digest(key.encode(), self._key_of(payment).encode()) else None

    def _key_of(self, payment: Payment) -> str:
        """Follows from the secret, so that it need not be kept."""
        return hashlib.blake2b(payment.id.encode(), digest_size=16, key=self._page_key).hexdigest()


def _html(text: str, status: int = 200) -> Answer:
    return Answer(status, text.encode(), "text/html; charset=utf-8", page.HEADERS)
