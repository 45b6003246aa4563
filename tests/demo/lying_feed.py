"""The orders of the lying server, as its order system reads them: events, the feed, the sums, and the key to read with."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from flashsale.model.cursor import Cursor
from flashsale.model.events import next_digest

LIES = frozenset(
    {"skips_a_number", "hides_an_order", "tells_an_order_twice", "tells_another_amount", "sums_up_wrongly"}
)
SPOILED = 5
"""The number of the order that a lie is about."""

KEY = "fsk_of-the-order-system"
LOOK_SECONDS = 0.02


class LyingFeed:
    """Order events in memory, of one sale. `keys` are those that may read it."""

    def __init__(self, lie: str) -> None:
        self.lie = lie
        self.events: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.revoked: list[str] = []
        self.readers: set[str] = set()
        """Who has read: the keys given with requests."""
        self._count = 0

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/keys", self.make_key),
            web.delete("/v1/keys/{key}", self.revoke_key),
            web.get("/v1/orders", self.read),
            web.get("/v1/sales/{sale}/orders/summary", self.summary),
        ]

    def confirmed(self, reservation: dict[str, Any], at: str) -> None:
        """The shop has made an order."""
        self._count += 1
        spoiled = self._count == SPOILED
        if spoiled and self.lie == "hides_an_order":
            return
        event = order_event(reservation, "confirmed", len(self.events) + 1, at)
        if spoiled and self.lie == "tells_another_amount":
            event["data"]["amount_due"] += 1
        self.events.append(event)
        if spoiled and self.lie == "tells_an_order_twice":
            self.events.append(order_event(reservation, "confirmed", len(self.events) + 1, at))

    async def make_key(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        assert wanted["scopes"] == ["orders"]
        self.keys.add(KEY)
        return web.json_response({"id": "0123456789ab", "key": KEY}, status=201)

    async def revoke_key(self, request: web.Request) -> web.Response:
        self.keys.clear()
        self.revoked.append(request.match_info["key"])
        return web.Response(status=204)

    async def read(self, request: web.Request) -> web.Response:
        reader = request.headers["Authorization"].removeprefix("Bearer ")
        self.readers.add(reader)
        if reader not in self.keys:
            return web.json_response({"title": "unauthorized", "code": "unauthorized"}, status=401)
        query = request.query
        sale, cursor = query["sale"], Cursor.decode(query["after"])
        deadline = asyncio.get_running_loop().time() + int(query["wait"])
        while True:
            behind = [event for event in self.told() if int(event["sequence"]) > cursor.of(sale)]
            if behind or asyncio.get_running_loop().time() > deadline or request.transport is None:
                break
            await asyncio.sleep(LOOK_SECONDS)
        page = behind[: int(query["limit"])]
        if page:
            cursor.move(sale, int(page[-1]["sequence"]))
        more = len(page) < len(behind)
        return web.json_response({"events": page, "cursor": cursor.encode(), "more": more})

    def told(self) -> Sequence[dict[str, Any]]:
        """The events that the feed gives."""
        skip = SPOILED if self.lie == "skips_a_number" else 0
        return [event for event in self.events if int(event["sequence"]) != skip]

    async def summary(self, request: web.Request) -> web.Response:
        digest, amount = "", 0
        for event in self.events:
            digest = next_digest(digest, event["data"])
            amount += event["data"]["amount_due"]
        if self.lie == "sums_up_wrongly":
            digest = next_digest(digest, self.events[0]["data"])
        return web.json_response(
            {
                "sale": request.match_info["sale"],
                "sequence": len(self.events),
                "behind": 0,
                "confirmed": {"count": len(self.events), "amount": amount},
                "refunded": {"count": 0, "amount": 0},
                "currency": "EUR",
                "digest": digest,
            }
        )


def order_event(reservation: dict[str, Any], status: str, sequence: int, at: str) -> dict[str, Any]:
    """The event of an order made or undone, with what its reader needs of it."""
    due, currency = reservation["amount_due"], reservation["currency"]
    data = {
        "sale": reservation["sale"],
        "reservation": reservation["id"],
        "sequence": sequence,
        "status": status,
        "customer": reservation["customer"],
        "items": [{**item, "price": due} for item in reservation["items"]],
        "place": reservation["place"],
        "late": False,
        "amount": due,
        "amount_due": due,
        "currency": currency,
        "payment": None,
        "payment_schedule": {"deposit": due, "balance": 0, "instalments": []},
        "held_at": at,
    }
    return {
        "specversion": "1.0",
        "id": f"{reservation['sale']}.0.{sequence}",
        "source": f"urn:flashsale:lying:{reservation['sale']}",
        "type": f"io.flashsale.reservation.{status}.v1",
        "subject": reservation["id"],
        "time": at,
        "sequence": f"{sequence:015d}",
        "data": data,
    }
