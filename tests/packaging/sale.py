"""One reservation through HTTP: what an installation that works can do."""

import asyncio
import time
from typing import Any

import aiohttp
import jwt

from tests.support_http.client import PATIENCE_S

DEFINITION = {
    "title": "Packaging",
    "opens_at": "2020-01-01T00:00:00Z",
    "currency": "EUR",
    "items": [{"sku": "one", "price": 100, "stock": 3}],
}
SALE = "packaging"


async def ask(method: str, url: str, token: str = "", body: Any = None, *, key: str = "") -> tuple[int, Any]:
    """The status and the JSON of the answer; `key` is the Idempotency-Key.

    A 503 says when to ask again, and is asked again, though what it was the answer to may have been carried out: of
    several worker processes on one port, each notices by itself that Valkey was away, and a shipped server gives up
    a store that stalls for seconds.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if key:
        headers["Idempotency-Key"] = key
    deadline = time.monotonic() + PATIENCE_S
    while True:
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, url, json=body, headers=headers) as answer,
        ):
            told = await answer.json(content_type=None)
            if answer.status != 503 or time.monotonic() > deadline:
                return answer.status, told
            pause = float(answer.headers["Retry-After"])
        await asyncio.sleep(pause)


async def reserve_one(url: str, root_key: str, shopper_secret: str) -> dict[str, Any]:
    """Define a sale, reserve a unit of it, and answer the reservation as the server told it."""
    claims = {"sub": "c-1", "aud": "flashsale", "exp": int(time.time()) + 600}
    shopper = jwt.encode(claims, shopper_secret, algorithm="HS256")
    status, told = await ask("PUT", f"{url}/v1/sales/{SALE}", root_key, DEFINITION)
    assert status in {200, 201}, told
    order = {"items": [{"sku": "one", "quantity": 1}]}
    status, reservation = await ask("POST", f"{url}/v1/sales/{SALE}/reservations", shopper, order, key="one")
    assert status in {200, 201}, reservation
    return dict(reservation)


async def audit(url: str, root_key: str) -> dict[str, Any]:
    """The audit of the sale."""
    status, told = await ask("GET", f"{url}/v1/sales/{SALE}/audit", root_key)
    assert status == 200, told
    return dict(told)
