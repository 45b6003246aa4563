"""Calls to Stripe, each with an idempotency key, and the verification of its webhooks."""

import hashlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import Any, Final, TypeVar

import aiohttp
import orjson
import stripe
from stripe.params import PaymentIntentCreateParams, PaymentIntentListParams

from flashsale.model.payment import PaymentStatus
from flashsale.providers.patience import patiently
from flashsale.providers.protocol import (
    Capture,
    Event,
    PaymentOrder,
    PaymentState,
    ProviderError,
    ProviderPayment,
    SignatureError,
    Started,
)
from flashsale.providers.stripe.amounts import to_stripe
from flashsale.providers.stripe.errors import REFUSED, TROUBLE, CallError, call_error
from flashsale.providers.stripe.methods import BANK_TRANSFERS, METHODS
from flashsale.providers.stripe.reading import REFUND_OVER, SHOP, event_of, metadata_of, payment_of

# It would write an id of this machine into the home directory, and send it and how long calls take with every call.
stripe.enable_telemetry = False
# Its log has every answer in full, client secrets included; ours says what was refused and why.
logging.getLogger("stripe").setLevel(logging.WARNING)

CONNECT_SECONDS: Final = 5.0
CALL_SECONDS: Final = 10.0  # the three calls of a refund fit into the time that a worker keeps a job

_SPELL_SECONDS: Final = 600  # far more than a call can be under way
_EXPAND: Final = "latest_charge.refunds"
_ENDED: Final = frozenset({PaymentState.PAID, PaymentState.CANCELLED})
_PAGE: Final = 100  # the most that Stripe gives
_MAX_DESCRIPTION: Final = 500

_T = TypeVar("_T")


class Stripe:
    """Stripe as a payment provider. Made anywhere; connects at its first call, in the loop that makes it."""

    name = "stripe"

    def __init__(
        self,
        *,
        secret_key: str,
        webhook_secret: str,
        publishable_key: str | None,
        shop: str,
        rate: int,
        tolerance_seconds: int,
        bank_country: str,
        api_base: str,
    ) -> None:
        self.rate = rate
        self._webhook_secret = webhook_secret
        self._publishable_key = publishable_key
        self._shop = shop
        self._tolerance_seconds = tolerance_seconds
        self._bank_country = bank_country
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS, sock_connect=CONNECT_SECONDS)
        self._http = stripe.AIOHTTPClient(timeout=timeout)
        self._api = stripe.StripeClient(
            secret_key,
            http_client=self._http,
            base_addresses={"api": api_base},
            max_network_retries=0,  # the worker repeats, with its own patience and the same keys
        ).v1

    def capture_of(self, method: str) -> Capture:
        """As in `METHODS`."""
        return METHODS[method].capture

    async def start(self, order: PaymentOrder) -> Started:
        """Creates a PaymentIntent for the one method that was chosen; the page confirms it with the client secret."""
        method = METHODS[order.method]
        params: PaymentIntentCreateParams = {
            "amount": _units(order.amount, order.currency),
            "currency": order.currency.lower(),
            "description": order.description[:_MAX_DESCRIPTION],
            "metadata": metadata_of(order),
            # Those that cannot be used for this purchase, Stripe leaves out of it without a word.
            "allowed_payment_method_types": [method.type],
        }
        if method.capture is Capture.MANUAL:
            params["capture_method"] = "manual"
        if order.method == "bank_transfer":
            transfer = self._bank_transfer(order.currency)
            params["payment_method_options"] = {
                "customer_balance": {"funding_type": "bank_transfer", "bank_transfer": transfer}
            }
            params["customer"] = await self._customer(order)
        intent = await self._call(
            "start",
            self._api.payment_intents.create_async(params, {"idempotency_key": f"payment:{order.key}"}),
        )
        if method.type not in intent.to_dict().get("payment_method_types", [method.type]):
            raise ProviderError(REFUSED, retry=False)
        action = {"type": "client_secret", "client_secret": intent.client_secret}
        if self._publishable_key is not None:
            action["publishable_key"] = self._publishable_key
        return Started(intent.id, PaymentStatus.REQUIRES_ACTION, action)

    async def capture(self, payment_id: str) -> ProviderPayment:
        """Captures, and asks only when that was refused: mostly it is the first and only call."""
        call = self._api.payment_intents.capture_async(
            payment_id, {"expand": [_EXPAND]}, {"idempotency_key": _spell(f"capture:{payment_id}")}
        )
        try:
            return payment_of((await self._call("capture", call)).to_dict())
        except CallError as error:
            # Stripe remembers a failed answer with its key, even if the money was taken: so look.
            payment = await self._after(payment_id, error)
            if payment is None:
                raise
            return payment

    async def cancel(self, payment_id: str) -> ProviderPayment:
        """Looks before it acts: a refusal would be remembered with its key, even if the payment has moved on."""
        intent = await self._intent(payment_id)
        payment = payment_of(intent)
        if payment.state in _ENDED:
            return payment
        call = self._api.payment_intents.cancel_async(
            payment_id,
            {"expand": [_EXPAND]},
            {"idempotency_key": _spell(f"cancel:{payment_id}:{intent['status']}")},
        )
        try:
            return payment_of((await self._call("cancel", call)).to_dict())
        except CallError as error:
            ended = await self._after(payment_id, error)
            if ended is not None:
                return ended
            # What Stripe is just processing it will not cancel; soon it is paid, or has failed.
            error.retry = error.retry or error.code == "payment_intent_unexpected_state"
            raise

    async def refund(self, payment_id: str, amount: int) -> str:
        """Gives back what is still to be given back of the whole.

        The number of refunds that there are is part of the key: a refund that failed must not be the answer to the next.
        """
        intent = await self._intent(payment_id)
        payment = payment_of(intent)
        if payment.state is not PaymentState.PAID:
            raise ProviderError("This payment has taken no money that could be given back.", retry=False)
        refunds = await self._refunds(payment_id)
        good = [refund for refund in refunds if refund["status"] not in REFUND_OVER]
        owed = _units(amount, payment.currency) - sum(refund["amount"] for refund in good)
        if owed <= 0:
            return str(max(good, key=lambda refund: int(refund["amount"]))["id"])
        call = self._api.refunds.create_async(
            {"payment_intent": payment_id, "amount": owed, "metadata": dict(intent["metadata"])},
            {"idempotency_key": _spell(f"refund:{payment_id}:{len(refunds)}")},
        )
        try:
            refund = await self._call("refund", call)
        except CallError as error:
            # Somebody was faster; the next look finds that refund.
            error.retry = error.retry or error.code == "charge_already_refunded"
            raise
        if refund.status in REFUND_OVER:
            raise ProviderError(f"The refund {refund.id} failed at once.", retry=True)
        return refund.id

    async def find(self, payment_id: str) -> ProviderPayment | None:
        """Retrieves the PaymentIntent."""
        try:
            return payment_of(await self._intent(payment_id))
        except CallError as error:
            if error.status == 404:
                return None
            raise

    async def payments(self, *, since_ms: int = 0) -> AsyncIterator[ProviderPayment]:
        """Every PaymentIntent, the newest first, page by page."""
        params: PaymentIntentListParams = {"limit": _PAGE, "expand": [f"data.{_EXPAND}"]}
        if since_ms:
            params["created"] = {"gte": since_ms // 1000}
        while True:
            page = await patiently(lambda: self._call("list", self._api.payment_intents.list_async(params)))
            for intent in page.data:
                yield payment_of(intent.to_dict())
            if not page.has_more:
                return
            params["starting_after"] = page.data[-1].id

    def read_event(self, headers: Mapping[str, str], body: bytes) -> Event | None:
        """Lets Stripe's library verify the signature and its age, then reads the event."""
        header = headers.get("Stripe-Signature")
        if not header:
            raise SignatureError("There is no Stripe-Signature header.")
        try:
            stripe.WebhookSignature.verify_header(body, header, self._webhook_secret, self._tolerance_seconds)
        except stripe.SignatureVerificationError as error:
            raise SignatureError(error.user_message or "The signature is not Stripe's.") from None
        except (TypeError, ValueError):  # a body or a header that is no text
            raise SignatureError("The signature is not Stripe's.") from None
        try:
            return event_of(orjson.loads(body), self._shop)
        except ValueError as error:
            raise SignatureError("The body is not an event of Stripe's.") from error

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.close_async()

    async def _customer(self, order: PaymentOrder) -> str:
        """Bank transfers arrive in the balance of a Customer, so there has to be one."""
        digest = hashlib.sha256(order.customer.encode()).hexdigest()
        customer = await self._call(
            "customer",
            self._api.customers.create_async(
                {"metadata": {SHOP: order.shop, "flashsale_customer": order.customer[:_MAX_DESCRIPTION]}},
                {"idempotency_key": f"customer:{order.shop}:{digest}"},
            ),
        )
        return customer.id

    def _bank_transfer(self, currency: str) -> Any:
        kind = BANK_TRANSFERS.get(currency)
        if kind is None:
            raise ProviderError(f"A bank transfer in {currency} is not possible.", retry=False)
        options: dict[str, Any] = {"type": kind}
        if kind == "eu_bank_transfer":
            options[kind] = {"country": self._bank_country}
        return options

    async def _intent(self, payment_id: str) -> dict[str, Any]:
        intent = await self._call(
            "find", self._api.payment_intents.retrieve_async(payment_id, {"expand": [_EXPAND]})
        )
        return intent.to_dict()

    async def _after(self, payment_id: str, error: CallError) -> ProviderPayment | None:
        """The payment, if it has ended in spite of an error; asked for only where Stripe answers at all."""
        if error.status is None or error.status == 429:
            return None
        payment = await self.find(payment_id)
        return payment if payment is not None and payment.state in _ENDED else None

    async def _refunds(self, payment_id: str) -> list[dict[str, Any]]:
        """The refunds of a payment, the latest first."""
        page = await self._call(
            "refunds", self._api.refunds.list_async({"payment_intent": payment_id, "limit": _PAGE})
        )
        return [refund.to_dict() for refund in page.data]

    async def _call(self, what: str, call: Awaitable[_T]) -> _T:
        try:
            return await call
        except TROUBLE as error:
            raise call_error(what, error) from error


def _spell(key: str) -> str:
    """The key for these ten minutes, of a call that Stripe carries out once under any key.

    Stripe remembers failed answers for a day, and would give them again when the fault is over, or support has put right
    what was refused. It captures and cancels only once, and gives back no more than was taken.
    """
    return f"{key}:{int(time.time()) // _SPELL_SECONDS}"


def _units(amount: int, currency: str) -> int:
    try:
        return to_stripe(amount, currency)
    except ValueError as error:
        raise ProviderError(str(error), retry=False) from error
