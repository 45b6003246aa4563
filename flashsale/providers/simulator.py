"""The simulator as a payment provider: the client of `flashsale/simulator`, over HTTP like any other."""

import time
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Final, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from yarl import URL

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
from flashsale.providers.signature import HEADER, verify
from flashsale.settings import Settings

TIMEOUT_SECONDS: Final = 10.0
CONNECTIONS: Final = 64
MAX_ANSWER_BYTES: Final = 4_194_304
PAGE_PAYMENTS: Final = 500
DESCRIPTION_CHARACTERS: Final = 500
MANUAL_METHODS: Final = frozenset({"card", "paypal", "klarna"})

_REFUSALS: Final = frozenset({400, 409, 413, 422})
"""Statuses after which the same call never works: after any other it may, even if only a setting has to be put right."""


class _Refund(msgspec.Struct, frozen=True):
    id: str
    amount: int
    status: str


class _Payment(msgspec.Struct, frozen=True):
    id: str
    status: PaymentState
    amount: int
    currency: str
    method: str
    metadata: dict[str, str]
    refunded: int
    refunds: list[_Refund]
    error: str
    final: bool
    created_ms: int
    url: str = ""


class _Payments(msgspec.Struct, frozen=True):
    payments: list[_Payment]
    next: str | None


class _Event(msgspec.Struct, frozen=True):
    id: str
    type: str
    payment: _Payment | None = None


class _Trouble(msgspec.Struct, frozen=True):
    code: str
    message: str


class _Refusal(msgspec.Struct, frozen=True):
    error: _Trouble


_Read = TypeVar("_Read")

_PAYMENT = msgspec.json.Decoder(_Payment)
_PAYMENTS = msgspec.json.Decoder(_Payments)
_REFUND = msgspec.json.Decoder(_Refund)
_EVENT = msgspec.json.Decoder(_Event)
_REFUSAL = msgspec.json.Decoder(_Refusal)
_encode = msgspec.json.Encoder().encode


class Simulator:
    """A simulator at `url`. Connections are opened when they are needed."""

    name = "simulator"

    def __init__(self, url: str, secret: str, *, rate: int = 0, tolerance_s: int = 300) -> None:
        self.rate = rate
        self._url = url
        self._secret = secret.encode()
        self._tolerance_s = tolerance_s
        self._headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        self._session: aiohttp.ClientSession | None = None

    def capture_of(self, method: str) -> Capture:
        """Both ways occur, as both do at real providers."""
        return Capture.MANUAL if method in MANUAL_METHODS else Capture.AUTOMATIC

    async def start(self, order: PaymentOrder) -> Started:
        """Opens a payment, or finds it again."""
        body = {
            "amount": order.amount,
            "currency": order.currency,
            "method": order.method,
            "capture": self.capture_of(order.method),
            "description": order.description[:DESCRIPTION_CHARACTERS],
            "metadata": {
                "shop": order.shop,
                "reservation": order.reservation,
                "attempt": str(order.attempt),
                "customer": order.customer,
            },
        }
        payment = _read(await self._call("POST", "/v1/payments", body, order.key), _PAYMENT)
        if payment.status is PaymentState.CANCELLED or payment.final:
            raise ProviderError(payment.error or "The payment was cancelled.", retry=False)
        if payment.status in {PaymentState.OPEN, PaymentState.FAILED}:
            action = {"type": "redirect", "url": payment.url}
            return Started(payment.id, PaymentStatus.REQUIRES_ACTION, action)
        return Started(payment.id, PaymentStatus.PROCESSING, None)

    async def capture(self, payment_id: str) -> ProviderPayment:
        """Takes the money of an authorised payment."""
        return await self._change(payment_id, "capture")

    async def cancel(self, payment_id: str) -> ProviderPayment:
        """Gives a payment up; one that was paid stays so."""
        return await self._change(payment_id, "cancel")

    async def refund(self, payment_id: str, amount: int) -> str:
        """Gives the whole charge back, once."""
        payment = await self._find(payment_id)
        if payment is None:
            raise ProviderError("There is no such payment.", retry=False)
        done = [refund for refund in payment.refunds if refund.status != "failed"]
        if done and payment.refunded >= amount:
            return done[-1].id
        # A refund that failed after it was accepted keeps its key, so the next one needs another.
        key = f"refund:{payment_id}:{len(payment.refunds) - len(done)}"
        body = {"payment": payment_id, "amount": amount - payment.refunded}
        made = _read(await self._call("POST", "/v1/refunds", body, key), _REFUND)
        if made.status == "failed":
            raise ProviderError("The refund did not reach the customer.", retry=True)
        return made.id

    async def find(self, payment_id: str) -> ProviderPayment | None:
        """The payment as it is now."""
        payment = await self._find(payment_id)
        return None if payment is None else _payment(payment)

    async def payments(self, *, since_ms: int = 0) -> AsyncIterator[ProviderPayment]:
        """Every payment made since then, in the order of making."""
        after: str | None = ""
        while after is not None:
            query = urlencode({"since_ms": since_ms, "limit": PAGE_PAYMENTS, "after": after})
            found = _read(await patiently(partial(self._call, "GET", f"/v1/payments?{query}")), _PAYMENTS)
            for payment in found.payments:
                yield _payment(payment)
            after = found.next

    def read_event(self, headers: Mapping[str, str], body: bytes) -> Event | None:
        """A verified webhook."""
        verify(
            headers.get(HEADER, ""),
            self._secret,
            body,
            now_s=time.time(),
            tolerance_s=self._tolerance_s,
        )
        try:
            event = _EVENT.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise SignatureError("The body is signed, but is no event.") from error
        if event.payment is None:
            return None
        return Event(event.id, _payment(event.payment), refund_failed=event.type == "refund.failed")

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _change(self, payment_id: str, verb: str) -> ProviderPayment:
        path = f"/v1/payments/{quote(payment_id, safe='')}/{verb}"
        return _payment(_read(await self._call("POST", path), _PAYMENT))

    async def _find(self, payment_id: str) -> _Payment | None:
        try:
            return _read(await self._call("GET", f"/v1/payments/{quote(payment_id, safe='')}"), _PAYMENT)
        except _UnknownError:
            return None

    async def _call(self, method: str, path: str, body: object = None, key: str | None = None) -> bytes:
        """The body of a good answer. Raises `ProviderError`."""
        headers = self._headers if key is None else {**self._headers, "Idempotency-Key": key}
        data = None if body is None else _encode(body)
        url = URL(self._url + path, encoded=True)  # ids are quoted already: nothing in them is to be resolved
        try:
            async with self._opened().request(
                method, url, data=data, headers=headers, allow_redirects=False
            ) as response:
                status, raw = response.status, await _answer_of(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = type(error).__name__
            raise ProviderError(f"The simulator does not answer ({reason}).", retry=True) from error
        if status == 200:
            return raw
        trouble = _trouble(raw)
        if trouble.code == "unknown_payment":
            raise _UnknownError(trouble.message, retry=False)
        raise ProviderError(trouble.message, retry=status not in _REFUSALS)

    def _opened(self) -> aiohttp.ClientSession:
        """Made in the loop that uses it."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS),
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


class _UnknownError(ProviderError):
    """The provider knows of no such thing."""


def from_settings(settings: Settings) -> Simulator | None:
    """The simulator of the settings; None when they name none."""
    if settings.simulator_url is None or settings.simulator_secret is None:
        return None
    return Simulator(
        settings.simulator_url,
        settings.simulator_secret.get_secret_value(),
        rate=settings.simulator_rate,
        tolerance_s=settings.simulator_tolerance_seconds,
    )


async def _answer_of(response: aiohttp.ClientResponse) -> bytes:
    """The body of an answer; empty when it is larger than any of the simulator's."""
    raw = bytearray()
    async for chunk in response.content.iter_any():
        raw += chunk
        if len(raw) > MAX_ANSWER_BYTES:
            return b""
    return bytes(raw)


def _read(raw: bytes, decoder: msgspec.json.Decoder[_Read]) -> _Read:
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProviderError("The answer of the simulator cannot be read.", retry=True) from error


def _trouble(raw: bytes) -> _Trouble:
    """Why it refused, as far as it says."""
    try:
        return _REFUSAL.decode(raw).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _Trouble("", "What answers is not the simulator, or it is in trouble.")


def _payment(payment: _Payment) -> ProviderPayment:
    attempt = payment.metadata.get("attempt", "")
    return ProviderPayment(
        id=payment.id,
        state=payment.status,
        amount=payment.amount,
        currency=payment.currency,
        shop=payment.metadata.get("shop", ""),
        reservation=payment.metadata.get("reservation", ""),
        attempt=int(attempt) if attempt.isascii() and attempt.isdecimal() and len(attempt) < 10 else 0,
        method=payment.method,
        refunded=payment.refunded,
        error=payment.error,
        final=payment.final,
        created_ms=payment.created_ms,
    )
