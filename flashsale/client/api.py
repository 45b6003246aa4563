"""A small client of the HTTP API: one method an endpoint, JSON in and out.

    async with Client("http://127.0.0.1:8080", api_key) as client:
        await client.put_sale("giulia-milano", definition)
        print(await client.audit("giulia-milano"))

Answers are the decoded JSON objects that the API documents. A refusal is an `ApiError`, a server that cannot
be talked to an `UnreachableError`; both read as one sentence for people.
"""

import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, cast
from urllib.parse import quote, urlencode

import aiohttp
import orjson
from yarl import URL

from flashsale.client.errors import ApiError, Json, UnreachableError
from flashsale.client.shapes import Guest, OrdersSummary, ReservationView
from flashsale.client.waiting import seconds_of

DEFAULT_TIMEOUT_SECONDS: Final = 30.0
AUDIT_TIMEOUT_SECONDS: Final = 3600.0
NO_TIMEOUT: Final = 0.0


class Client:
    """The API at `url`, called with `api_key` (or a shopper's token) where one is given.

    Use it as an async context manager. One call may take `timeout_seconds`, and is never repeated by itself.
    """

    def __init__(
        self, url: str, api_key: str | None = None, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> None:
        self.url = url.rstrip("/")
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {api_key}"} if api_key else None,
            timeout=aiohttp.ClientTimeout(total=timeout_seconds),
            # A proxy of the environment would be sent the key.
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> Json:
        """One call. `body` is sent as JSON unless it is None; the answer of an empty body is `{}`.

        `timeout_seconds` is for this call, where the client's own is not right; `NO_TIMEOUT` waits for the answer for ever.

        Raises `ApiError` for any status of 400 and above, `UnreachableError` when there is no proper answer.
        """
        status, raw, later = await self._send(method, path, body, headers, timeout_seconds)
        return _decoded(self.url, status, raw, later)

    async def _send(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> tuple[int, bytes, float | None]:
        """Status and body of an answer, and the seconds of its Retry-After."""
        send = dict(headers or {})
        data = None
        if body is not None:
            data = orjson.dumps(body)
            send["Content-Type"] = "application/json"
        try:
            # Encoded already: an id such as `..` must reach the server as it is, and be refused there.
            url = URL(self.url + path, encoded=True)
            timeout = self._session.timeout
            if timeout_seconds is not None:
                timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=DEFAULT_TIMEOUT_SECONDS)
            async with self._session.request(
                method, url, data=data, headers=send, allow_redirects=False, timeout=timeout
            ) as response:
                raw = await response.read()
                status, later = response.status, response.headers.get("Retry-After")
        except TimeoutError:
            raise UnreachableError(f"{self.url} did not answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise UnreachableError(_unreachable(self.url, error)) from error
        return status, raw, seconds_of(later)

    async def put_sale(self, sale: str, definition: Mapping[str, Any]) -> Json:
        """Define a sale; answers its public view."""
        return await self.request("PUT", _sale(sale), definition)

    async def sales(self) -> list[Json]:
        """The public views of all sales."""
        return list((await self.request("GET", "/v1/sales"))["sales"])

    async def sale(self, sale: str) -> Json:
        """The public view of one sale."""
        return await self.request("GET", _sale(sale))

    async def pause(self, sale: str) -> Json:
        """Stop reservations for now; answers the public view."""
        return await self.request("POST", f"{_sale(sale)}/pause")

    async def resume(self, sale: str) -> Json:
        """Take reservations again; answers the public view."""
        return await self.request("POST", f"{_sale(sale)}/resume")

    async def close(self, sale: str) -> Json:
        """End a sale for good; answers the public view."""
        return await self.request("POST", f"{_sale(sale)}/close")

    async def restock(
        self,
        sale: str,
        sku: str,
        units: int,
        reason: str | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Json:
        """Add units of an item. With an idempotency key a repeated call adds them once."""
        body: Json = {"units": units} if reason is None else {"units": units, "reason": reason}
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else None
        path = f"{_sale(sale)}/items/{quote(sku, safe='')}/restock"
        return await self.request("POST", path, body, headers=headers)

    async def stats(self, sale: str) -> Json:
        """The counters of a sale."""
        return await self.request("GET", f"{_sale(sale)}/stats")

    async def audit(self, sale: str) -> Json:
        """The journal of a sale replayed against its counters: about a minute for a million facts."""
        return await self.request("GET", f"{_sale(sale)}/audit", timeout_seconds=AUDIT_TIMEOUT_SECONDS)

    async def definition(self, sale: str) -> Json:
        """How a sale was defined: its `definition` as `put_sale` takes it, and whether it is still `editable`."""
        return await self.request("GET", f"{_sale(sale)}/definition")

    async def activity(self, sale: str) -> Json:
        """What goes on around a sale: answers by outcome, queues, workers, webhooks."""
        return await self.request("GET", f"{_sale(sale)}/activity")

    async def curve(self, sale: str, points: int = 200) -> Json:
        """How the units of a sale moved since it opened, in at most so many points."""
        return await self.request("GET", f"{_sale(sale)}/curve?points={points}")

    async def story(self, sale: str, *, customer: str = "", reservation: str = "") -> Json:
        """What happened to a customer, or to a reservation, of a sale: one of the two is named."""
        named = {"customer": customer} if customer else {"reservation": reservation}
        return await self.request("GET", f"{_sale(sale)}/story?{urlencode(named)}")

    # --- orders: see flashsale.client.OrderFeed for a consumer that remembers how far it has come ---

    async def orders(
        self,
        after: str | None = None,
        *,
        limit: int = 100,
        wait_seconds: int = 0,
        sale: str | None = None,
        types: Sequence[str] = (),
    ) -> Json:
        """Some orders as CloudEvents: `events`, the `cursor` behind them, and whether there is `more` already.

        `after` is a cursor, None for the very first order, or `now`. `types` are `confirmed` and `refunded`, none for both.
        """
        asked: dict[str, str | int] = {"limit": limit, "wait": wait_seconds}
        if after is not None:
            asked["after"] = after
        if sale is not None:
            asked["sale"] = sale
        if types:
            asked["types"] = ",".join(types)
        timeout = wait_seconds + DEFAULT_TIMEOUT_SECONDS
        return await self.request("GET", f"/v1/orders?{urlencode(asked)}", timeout_seconds=timeout)

    async def events(self, sale: str, after: int = 0, *, limit: int = 100, wait_seconds: int = 0) -> Json:
        """Some facts of a sale as CloudEvents: `events`, the `last_seq` of them, and whether there may be `more`."""
        asked = urlencode({"after": after, "limit": limit, "wait": wait_seconds})
        timeout = wait_seconds + DEFAULT_TIMEOUT_SECONDS
        return await self.request("GET", f"{_sale(sale)}/events?{asked}", timeout_seconds=timeout)

    # --- shoppers: with the token of the brand's login, or of a guest, instead of an API key ---

    async def guest(self) -> Guest:
        """A new shopper of a shop that lets in guests. Give the answer's `token` to a client of its own."""
        return cast("Guest", await self.request("POST", "/v1/guests"))

    async def reserve(
        self, sale: str, items: Mapping[str, int], *, idempotency_key: str | None = None
    ) -> ReservationView:
        """Hold so many units of each sku, all of them or none; answers the reservation, whose `status` is `held`.

        With an idempotency key the same call again answers the same reservation, so that it can be repeated when the
        answer is lost. The `code` of the `ApiError` of a refusal says why: `sold_out`, `limit_reached`, `not_open`, ...
        """
        body = {"items": [{"sku": sku, "quantity": quantity} for sku, quantity in items.items()]}
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else None
        path = f"{_sale(sale)}/reservations"
        return cast("ReservationView", await self.request("POST", path, body, headers=headers))

    async def reservation(self, reservation: str) -> ReservationView:
        """A reservation as it is now; with a key that has the scope `support` anybody's."""
        return cast("ReservationView", await self.request("GET", _reservation(reservation)))

    async def mine(self, sale: str) -> list[ReservationView]:
        """The shopper's own reservations in a sale."""
        answer = await self.request("GET", f"{_sale(sale)}/reservations/mine")
        return cast("list[ReservationView]", answer["reservations"])

    async def code(self, reservation: str) -> bytes:
        """The code of an order, to be scanned at the hand-over: a picture (SVG) of the reservation's id."""
        status, raw, later = await self._send("GET", f"{_reservation(reservation)}/code")
        if status != 200:
            _decoded(self.url, status, raw, later)  # raises
        return raw

    async def cancel(self, reservation: str) -> ReservationView:
        """Give a hold back; answers the reservation, whose `status` is `cancelled`."""
        return cast("ReservationView", await self.request("DELETE", _reservation(reservation)))

    async def pay(self, reservation: str, method: str) -> ReservationView:
        """Start a payment of a hold; answers the reservation. Its `payment` says what comes next: read it until then."""
        path = f"{_reservation(reservation)}/payment"
        return cast("ReservationView", await self.request("POST", path, {"method": method}))

    # --- support, and the brand's order system ---

    async def orders_summary(self, sale: str) -> OrdersSummary:
        """The shop's own sums of a sale's orders, to compare with one's own: see `Books`."""
        return cast("OrdersSummary", await self.request("GET", f"{_sale(sale)}/orders/summary"))

    async def refund(self, reservation: str, *, restock: bool, reason: str | None = None) -> Json:
        """Undo an order: its money goes back, and its units go on sale again if `restock` says so."""
        body: Json = {"restock": restock} if reason is None else {"restock": restock, "reason": reason}
        return await self.request("POST", f"{_reservation(reservation)}/refund", body)

    async def dead_payments(self, sale: str) -> list[Json]:
        """The payment jobs of a sale that were given up, the oldest first."""
        return list((await self.request("GET", f"{_sale(sale)}/payments/dead"))["jobs"])

    async def retry_dead_payments(self, sale: str, job: str | None = None) -> int:
        """Try a payment job that was given up again, or all of them; answers how many there were."""
        answer = await self.request("POST", f"{_sale(sale)}/payments/dead/retry", {"id": job})
        return int(answer["retried"])

    async def reconcile(self, sale: str | None = None) -> Json:
        """Compare the providers' books with ours, of one sale or of all. Takes as long as they are long."""
        body = {"sale": sale}
        return await self.request("POST", "/v1/payments/reconcile", body, timeout_seconds=NO_TIMEOUT)

    async def create_webhook(
        self, url: str, types: Sequence[str] | None = None, *, sale: str | None = None
    ) -> Json:
        """Register a webhook, by default for orders of all sales; its `secret` is shown this once."""
        body: Json = {"url": url, "sale": sale, "types": None if types is None else list(types)}
        return await self.request("POST", "/v1/webhooks", body)

    async def webhooks(self) -> list[Json]:
        """All webhooks, without their secrets."""
        return list((await self.request("GET", "/v1/webhooks"))["webhooks"])

    async def webhook(self, webhook_id: str) -> Json:
        """One webhook: whether it is on, how far it is in each sale, and what fails."""
        return await self.request("GET", _webhook(webhook_id))

    async def delete_webhook(self, webhook_id: str) -> None:
        """Remove a webhook."""
        await self.request("DELETE", _webhook(webhook_id))

    async def rotate_webhook(self, webhook_id: str) -> Json:
        """Give a webhook a new `secret`, shown this once; the old one signs too for 24 hours."""
        return await self.request("POST", f"{_webhook(webhook_id)}/rotate")

    async def enable_webhook(self, webhook_id: str) -> Json:
        """Switch a webhook on: it goes on where it was."""
        return await self.request("POST", f"{_webhook(webhook_id)}/enable")

    async def deliveries(self, webhook_id: str, *, sale: str | None = None, limit: int = 100) -> list[Json]:
        """The last tries to deliver a webhook's events, the newest first."""
        query = f"limit={limit}" if sale is None else f"limit={limit}&sale={quote(sale, safe='')}"
        return list((await self.request("GET", f"{_webhook(webhook_id)}/deliveries?{query}"))["deliveries"])

    async def replay_webhook(self, webhook_id: str, sale: str, *, after: int = 0) -> Json:
        """Deliver everything of a sale again that comes after this number, and switch the webhook on."""
        body = {"sale": sale, "after": after}
        return await self.request("POST", f"{_webhook(webhook_id)}/replay", body)

    async def create_key(self, name: str, scopes: Sequence[str]) -> Json:
        """Make an API key; its secret is the answer's `key`, shown this once."""
        return await self.request("POST", "/v1/keys", {"name": name, "scopes": list(scopes)})

    async def keys(self) -> list[Json]:
        """All API keys, without their secrets."""
        return list((await self.request("GET", "/v1/keys"))["keys"])

    async def revoke_key(self, key_id: str) -> None:
        """Revoke an API key."""
        await self.request("DELETE", f"/v1/keys/{quote(key_id, safe='')}")

    async def openapi(self) -> Json:
        """The OpenAPI document that the server serves."""
        return await self.request("GET", "/openapi.json")


def _sale(sale: str) -> str:
    return f"/v1/sales/{quote(sale, safe='')}"


def _webhook(webhook_id: str) -> str:
    return f"/v1/webhooks/{quote(webhook_id, safe='')}"


def _reservation(reservation: str) -> str:
    return f"/v1/reservations/{quote(reservation, safe='')}"


def _unreachable(url: str, error: Exception) -> str:
    if isinstance(error, aiohttp.InvalidURL):
        return f"{url} is not an address of a server"
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:
        said = os.strerror(cause.errno)
    else:
        said = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return f"no server can be reached at {url}: {said}"


def _decoded(url: str, status: int, raw: bytes, later_seconds: float | None) -> Json:
    """The JSON object of an answer, or the problem that it is."""
    if not raw and status < 300:
        return {}
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict) or 300 <= status < 400:
        raise UnreachableError(f"{url} is not a flashsale server: it answered {status} without a JSON object")
    if status >= 400:
        raise ApiError(status, body, retry_after_seconds=later_seconds)
    return body
