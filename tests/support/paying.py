"""Shoppers of a running server who pay at its simulator, as their browsers do."""

import asyncio
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp

from flashsale.client import Client, Json
from tests.support_http.client import eventually


async def click(url: str, outcome: str = "succeed", **extra: Any) -> None:
    """One click on the simulator's page: `succeed`, `decline` or `refuse`; `amount` and `currency` may be other ones."""
    body = {"k": parse_qs(urlsplit(url).query)["k"][0], "outcome": outcome, **extra}
    async with aiohttp.ClientSession() as http, http.post(url.partition("?")[0], json=body) as answer:
        assert answer.status == 200, await answer.text()


class Shopper:
    """The customer of this token, at the server of this address."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token

    def reserve(self, sale: str, quantity: int = 1) -> Json:
        """A hold."""
        return asyncio.run(self._reserve(sale, quantity))

    def order(self, sale: str, method: str = "card") -> Json:
        """A hold that is paid for: the reservation once it is confirmed."""
        return self.until(self.agree(sale, method)["id"], "paid")

    def agree(self, sale: str, method: str = "card") -> Json:
        """A hold whose customer has agreed to its payment on the provider's page; what comes of it is not waited for."""
        return asyncio.run(self._agree(sale, method))

    def read(self, reservation: str) -> Json:
        """The reservation as it is now."""
        return asyncio.run(self._call("GET", f"/v1/reservations/{reservation}"))

    def until(self, reservation: str, status: str) -> Json:
        """The reservation once its payment has this status."""
        return asyncio.run(self._until(reservation, status))

    async def _agree(self, sale: str, method: str) -> Json:
        held = await self._reserve(sale, 1)
        await self._call("POST", f"/v1/reservations/{held['id']}/payment", {"method": method})
        asked = await self._until(held["id"], "requires_action")
        await click(asked["payment"]["action"]["url"])
        return asked

    async def _reserve(self, sale: str, quantity: int) -> Json:
        body = {"items": [{"sku": "giulia", "quantity": quantity}]}
        return await self._call("POST", f"/v1/sales/{sale}/reservations", body)

    async def _until(self, reservation: str, status: str) -> Json:
        async def look() -> Json | None:
            found = await self._call("GET", f"/v1/reservations/{reservation}")
            return found if found["payment"] and found["payment"]["status"] == status else None

        return await eventually(look, f"the payment is {status}") or {}

    async def _call(self, method: str, path: str, body: object = None) -> Json:
        async with Client(self._url, self._token) as client:
            return await client.request(method, path, body)
