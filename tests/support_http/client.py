"""A shop under test as its clients see it: HTTP calls that hand back whole answers, and what a refusal must look like."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import aiohttp
import jwt
from yarl import URL

ROOT_KEY: Final = "root-key-of-the-tests-0123456789"
SECRET: Final = "shopper-secret-of-the-tests-0123456789-0123456789"
PATIENCE_S: Final = 60.0
"""How long a test waits for what must come true; no test comes near it unless it fails."""

_NUMBERS = count(1)
T = TypeVar("T")


def new_sale_id() -> str:
    """A sale id that no other test of this run uses."""
    return f"sale-{next(_NUMBERS)}-{time.monotonic_ns():x}"


def instant(seconds_from_now: float) -> str:
    """An RFC 3339 instant."""
    return (datetime.now(UTC) + timedelta(seconds=seconds_from_now)).isoformat().replace("+00:00", "Z")


def definition(stock: int = 10, **changes: Any) -> dict[str, Any]:
    """A sale of one item, `giulia`, open since an hour ago; `changes` replace whole fields, None takes one out."""
    whole = {
        "title": "Giulia Milano",
        "opens_at": instant(-3600),
        "currency": "CNY",
        "items": [{"sku": "giulia", "price": 33_000_000, "stock": stock}],
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


def claims(customer: Any = "c-1", **changes: Any) -> dict[str, Any]:
    """The claims of a good token; `changes` replace single claims, None takes one out."""
    now = int(time.time())
    whole = {"sub": customer, "aud": "flashsale", "iat": now, "exp": now + 3600, **changes}
    return {name: value for name, value in whole.items() if value is not None}


def token(customer: str, **changes: Any) -> str:
    """A shopper's token as the brand's login issues it."""
    return jwt.encode(claims(customer, **changes), SECRET, algorithm="HS256")


def lines(sku: Any = "giulia", quantity: Any = 1) -> dict[str, Any]:
    """The body of a reservation of one line."""
    return {"items": [{"sku": sku, "quantity": quantity}]}


def label(value: object) -> str:
    """The name of a parameter in a test's id: its beginning and its end."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:40]}...{text[-17:]} ({len(text)})"


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The `code` of a problem, the empty text of anything else."""
        kind = self.headers.get("Content-Type", "")
        return str(self.json["code"]) if kind.startswith("application/problem+json") else ""

    def must(self, *statuses: int) -> Any:
        """The body as JSON, of an answer that has one of these statuses."""
        assert self.status in statuses, f"{self.status}: {self.body!r}"
        return self.json

    def refused(self, status: int, code: str) -> Any:
        """The body of a complete problem document with this status and code."""
        assert self.status == status, f"{self.status}, not {status}: {self.body!r}"
        assert self.headers["Content-Type"] == "application/problem+json"
        problem = self.json
        assert problem["code"] == code, problem
        assert problem["status"] == status
        assert problem["type"] == f"/docs#{code}"
        assert problem["title"]
        assert problem["detail"]
        if status == 503:
            assert int(self.headers["Retry-After"]) >= 1
        return problem

    def invalid(self, *fields: str) -> Any:
        """The body of a 422 that names exactly these fields."""
        problem = self.refused(422, "invalid")
        assert sorted(error["field"] for error in problem["errors"]) == sorted(fields), problem
        for error in problem["errors"]:
            assert error["detail"]
            assert error["pointer"].startswith("#")
        return problem


class Shop:
    """One client of a shop, with connections of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=PATIENCE_S)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._http.close()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        bearer: str | None = None,
        headers: Mapping[str, str] | None = None,
        **body: Any,
    ) -> Answer:
        """Sends one request; the path goes out as it is given, percent signs included. `body` is aiohttp's."""
        whole = dict(headers or {})
        if bearer is not None:
            whole["Authorization"] = f"Bearer {bearer}"
        url = URL(self.url + path, encoded=True)
        async with self._http.request(method, url, headers=whole, **body) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def define(self, sale: str, **changes: Any) -> Answer:
        return await self.ask("PUT", f"/v1/sales/{sale}", bearer=ROOT_KEY, json=definition(**changes))

    async def reserve(
        self,
        sale: str,
        customer: str,
        body: Any = None,
        *,
        key: str | None = None,
        data: Any = None,
        content_type: str | None = "application/json",
        bearer: str | None = None,
    ) -> Answer:
        """Reserves one `giulia`, or what `body` says; `data` is sent as it is. `content_type` None sends none."""
        headers = {} if key is None else {"Idempotency-Key": key}
        if content_type is not None:
            headers["Content-Type"] = content_type
        if data is None:
            data = json.dumps(lines() if body is None else body)
        return await self.ask(
            "POST",
            f"/v1/sales/{sale}/reservations",
            bearer=token(customer) if bearer is None else bearer,
            headers=headers,
            data=data,
            skip_auto_headers=["Content-Type"],
        )

    async def read(self, reservation: str, customer: str) -> Answer:
        return await self.ask("GET", f"/v1/reservations/{reservation}", bearer=token(customer))

    async def cancel(self, reservation: str, customer: str) -> Answer:
        return await self.ask("DELETE", f"/v1/reservations/{reservation}", bearer=token(customer))

    async def pay(self, reservation: str, customer: str, method: str = "card") -> Answer:
        path = f"/v1/reservations/{reservation}/payment"
        return await self.ask("POST", path, bearer=token(customer), json={"method": method})

    async def refund(self, reservation: str, *, restock: bool, bearer: str = ROOT_KEY) -> Answer:
        path = f"/v1/reservations/{reservation}/refund"
        return await self.ask("POST", path, bearer=bearer, json={"restock": restock, "reason": "a test"})

    async def mine(self, sale: str, customer: str) -> list[dict[str, Any]]:
        answer = await self.ask("GET", f"/v1/sales/{sale}/reservations/mine", bearer=token(customer))
        found: list[dict[str, Any]] = answer.must(200)["reservations"]
        return found

    async def steer(self, sale: str, verb: str, *, bearer: str = ROOT_KEY) -> Answer:
        return await self.ask("POST", f"/v1/sales/{sale}/{verb}", bearer=bearer)

    async def restock(self, sale: str, units: Any, *, sku: str = "giulia", key: str | None = None) -> Answer:
        headers = {} if key is None else {"Idempotency-Key": key}
        path = f"/v1/sales/{sale}/items/{sku}/restock"
        return await self.ask("POST", path, bearer=ROOT_KEY, headers=headers, json={"units": units})

    async def view(self, sale: str) -> Any:
        return (await self.ask("GET", f"/v1/sales/{sale}")).must(200)

    async def counters(self, sale: str) -> Any:
        """What the stats of a sale say, without the clock."""
        stats = (await self.ask("GET", f"/v1/sales/{sale}/stats", bearer=ROOT_KEY)).must(200)
        stats.pop("server_time")
        return stats

    async def audit(self, sale: str) -> Any:
        """The verdict of the audit, which must be a clean one."""
        report = (await self.ask("GET", f"/v1/sales/{sale}/audit", bearer=ROOT_KEY)).must(200)
        assert report["ok"], report["findings"]
        for item in report["items"]:
            assert item["available"] + item["held"] + item["sold"] == item["stock"]
        return report

    async def ready(self) -> bool:
        """Whether /readyz says so."""
        try:
            return (await self.ask("GET", "/readyz")).status == 200
        except aiohttp.ClientError:
            return False

    async def frames(self, sale: str) -> AsyncGenerator[Any]:
        """The live view: what each frame says, until the server ends the stream."""
        url = URL(f"{self.url}/v1/sales/{sale}/live", encoded=True)
        async with self._http.get(url, timeout=aiohttp.ClientTimeout(sock_read=PATIENCE_S)) as answer:
            assert answer.status == 200
            assert answer.content_type == "text/event-stream"
            async for line in answer.content:
                if line.startswith(b"data: "):
                    yield json.loads(line.removeprefix(b"data: "))


@asynccontextmanager
async def untouched(shop: Shop, sale: str) -> AsyncIterator[None]:
    """What happens inside must leave every counter, and the number of facts, as it was, and the audit clean."""
    before = await shop.counters(sale)
    yield
    assert await shop.counters(sale) == before
    await shop.audit(sale)


async def eventually(look: Callable[[], Awaitable[T]], what: str) -> T:
    """What `look` answers as soon as that is true; fails when it never is, after a generous while."""
    deadline = time.monotonic() + PATIENCE_S
    while not (seen := await look()):
        assert time.monotonic() < deadline, f"never came true: {what}"
        await asyncio.sleep(0.02)
    return seen
