"""Sales, reservations and keys of a running server, in every state there is, made as they are asked for."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from flashsale.client import Client, Json
from flashsale.model.payment import METHODS
from tests.support.served import Served

STATES: Final = ("open", "scheduled", "paused", "sold_out", "closed")
SKU: Final = "giulia"
MOST_WEBHOOKS: Final = 50


def definition(opens_in: timedelta = timedelta(hours=-1), **changes: Any) -> Json:
    """A sale of 5 units of one item, open since an hour unless told otherwise."""
    opens_at = (datetime.now(UTC) + opens_in).isoformat().replace("+00:00", "Z")
    items = [{"sku": SKU, "price": 33_000_000, "stock": 5}]
    terms = {"title": "Giulia Milano", "opens_at": opens_at, "currency": "CNY", "items": items}
    return {**terms, "payment": {"methods": list(METHODS)}, **changes}


class World:
    """What there is on one server. The names it makes up are the same in every run."""

    def __init__(self, server: Served, customer: str) -> None:
        self._server = server
        self._customer = customer
        self._made = 0
        self._kept: dict[tuple[str, str], str] = {}

    def name(self, parameter: str, state: str, *, fresh: bool) -> str:
        """The value of a path parameter that leads to something that exists, of a sale in this state.

        Unless it must be `fresh`, it may be one that was handed out before.
        """
        if parameter == "sku":
            return SKU
        if parameter == "provider":
            return "simulator"
        if parameter == "schema":
            return "reservation.confirmed.v1"
        if fresh or (parameter, state) not in self._kept:
            self._kept[parameter, state] = asyncio.run(self._make(parameter, state))
        return self._kept[parameter, state]

    async def _make(self, parameter: str, state: str) -> str:
        async with Client(self._server.url, self._server.root_key) as brand:
            if parameter == "webhook":
                return await self._webhook(brand)
            if parameter == "key":
                return str((await brand.create_key("made up", ["support"]))["id"])
            self._made += 1
            sale = f"made-up-{self._made}"
            later = timedelta(hours=1) if state == "scheduled" else timedelta(hours=-1)
            await brand.put_sale(sale, definition(later))
            reservation = ""
            if state != "scheduled":
                reservation = await self._reserve(sale, 5 if state == "sold_out" else 1)
            if state == "paused":
                await brand.pause(sale)
            if state == "closed":
                await brand.close(sale)
            # Of a sale that is not open there is no reservation: one that may never be is as good as any.
            return (reservation or f"{sale}.0.{'A' * 16}") if parameter == "reservation" else sale

    async def _webhook(self, brand: Client) -> str:
        """A webhook that leads nowhere; there can be 100, so those that are not needed any more make room."""
        kept = set(self._kept.values())
        found = await brand.webhooks()
        for webhook in found if len(found) > MOST_WEBHOOKS else ():
            if webhook["id"] not in kept:
                await brand.delete_webhook(webhook["id"])
        return str((await brand.create_webhook("http://127.0.0.1:1/made-up"))["id"])

    async def _reserve(self, sale: str, quantity: int) -> str:
        async with Client(self._server.url, self._server.token(self._customer)) as shopper:
            body = {"items": [{"sku": SKU, "quantity": quantity}]}
            return str((await shopper.request("POST", f"/v1/sales/{sale}/reservations", body))["id"])
