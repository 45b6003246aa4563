"""One reservation through HTTP: what an installation that works can do."""

import time
from typing import Any

import aiohttp
import jwt

DEFINITION = {
    "title": "Packaging",
    "opens_at": "2020-01-01T00:00:00Z",
    "currency": "EUR",
    "items": [{"sku": "one", "price": 100, "stock": 3}],
}


async def reserve_one(
    url: str, root_key: str, shopper_secret: str, sale: str = "packaging"
) -> dict[str, Any]:
    """Define a sale, reserve a unit of it, and answer the reservation as the server told it."""
    claims = {"sub": "c-1", "aud": "flashsale", "exp": int(time.time()) + 600}
    shopper = {"Authorization": f"Bearer {jwt.encode(claims, shopper_secret, algorithm='HS256')}"}
    brand = {"Authorization": f"Bearer {root_key}"}
    async with aiohttp.ClientSession(url) as http:
        async with http.put(f"/v1/sales/{sale}", json=DEFINITION, headers=brand) as answer:
            assert answer.status == 201, await answer.text()
        order = {"items": [{"sku": "one", "quantity": 1}]}
        async with http.post(f"/v1/sales/{sale}/reservations", json=order, headers=shopper) as answer:
            assert answer.status == 201, await answer.text()
            reservation: dict[str, Any] = await answer.json()
    return reservation


async def audit(url: str, root_key: str, sale: str = "packaging") -> dict[str, Any]:
    """The audit of the sale."""
    async with (
        aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {root_key}"}) as http,
        http.get(f"/v1/sales/{sale}/audit") as answer,
    ):
        assert answer.status == 200, await answer.text()
        told: dict[str, Any] = await answer.json()
    return told


async def get_json(url: str, path: str) -> tuple[int, Any]:
    """The status and the JSON of an address anyone may read."""
    async with aiohttp.ClientSession(url) as http, http.get(path) as answer:
        return answer.status, await answer.json(content_type=None)
