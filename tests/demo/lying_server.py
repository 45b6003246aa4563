"""A small server that speaks the part of the contract a demo needs, and lies when it is told to.

The demo must be able to say *red*. The real server gives it no occasion to, so these tests run the whole demo
against this one. Told no lie, it sells correctly, and the verdict on it is green.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import orjson
from aiohttp import web

LIES = frozenset(
    {"drops_answers", "sells_one_too_many", "keeps_one_back", "forgets_one", "replays_another", "swaps_place"}
)


def instant(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class LyingServer:
    """One sale of one item in memory."""

    def __init__(self, lie: str = "", cuts_first: int = 0, busy_first: int = 0) -> None:
        if lie and lie not in LIES:
            raise ValueError(lie)
        self.lie = lie
        self.cuts_left = cuts_first
        self.busy_left = busy_first
        self.sale = ""
        self.definition: dict[str, Any] = {}
        self.sold: dict[str, dict[str, Any]] = {}
        self.presses: list[tuple[str, str]] = []
        self.told_first: dict[str, Any] = {}

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.get("/v1/sales", self.list),
                web.put("/v1/sales/{sale}", self.put),
                web.get("/v1/sales/{sale}", self.view),
                web.get("/v1/sales/{sale}/stats", self.stats),
                web.get("/v1/sales/{sale}/audit", self.audit),
                web.post("/v1/sales/{sale}/reservations", self.reserve),
                web.get("/v1/reservations/{id}", self.read),
            ]
        )
        return app

    async def list(self, request: web.Request) -> web.Response:
        return web.json_response({"sales": [{"id": self.sale}] if self.sale else []})

    async def put(self, request: web.Request) -> web.Response:
        self.sale, self.definition = request.match_info["sale"], await request.json()
        return web.json_response(self.public(), status=201)

    async def view(self, request: web.Request) -> web.Response:
        return web.json_response(self.public())

    async def stats(self, request: web.Request) -> web.Response:
        item = self.definition["items"][0]
        held = len(self.sold)
        items = [
            {
                "sku": item["sku"],
                "stock": item["stock"],
                "available": item["stock"] - held,
                "held": held,
                "sold": 0,
            }
        ]
        return web.json_response({"sale": self.sale, "state": "open", "items": items, "place": held})

    async def audit(self, request: web.Request) -> web.Response:
        return web.json_response({"sale": self.sale, "ok": True, "facts": len(self.sold) + 1, "findings": []})

    async def read(self, request: web.Request) -> web.Response:
        for reservation in self.sold.values():
            if reservation["id"] == request.match_info["id"] and not (
                self.lie == "forgets_one" and reservation["place"] == 3
            ):
                return web.json_response(reservation)
        return problem(404, "unknown_reservation")

    async def reserve(self, request: web.Request) -> web.Response:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        customer = jwt.decode(token, options={"verify_signature": False})["sub"]
        key = request.headers["Idempotency-Key"]
        self.presses.append((customer, key))
        if datetime.now(UTC) < datetime.fromisoformat(self.definition["opens_at"]):
            return problem(409, "not_open", opens_at=self.definition["opens_at"])
        if self.busy_left > 0:
            self.busy_left -= 1
            return problem(503, "busy", headers={"Retry-After": "0"})
        answer = self.decide(customer, await request.json())
        dropped = self.lie == "drops_answers" and customer == self.presses[0][0]
        if dropped or self.cuts_left > 0:
            self.cuts_left -= 1
            assert request.transport is not None
            request.transport.abort()
            await asyncio.sleep(0.01)
        return answer

    def decide(self, customer: str, body: dict[str, Any]) -> web.Response:
        if customer in self.sold:
            known = self.sold[customer]
            return web.json_response(
                dict(known, id=known["id"] + "x") if self.lie == "replays_another" else known
            )
        item = self.definition["items"][0]
        stock = item["stock"] + {"sells_one_too_many": 1, "keeps_one_back": -1}.get(self.lie, 0)
        if len(self.sold) >= stock:
            return problem(409, "sold_out", next_release_at=instant(datetime.now(UTC)))
        place = len(self.sold) + 1
        self.sold[customer] = {
            "id": f"{self.sale}.0.{place:016d}",
            "sale": self.sale,
            "status": "held",
            "customer": customer,
            "items": body["items"],
            "place": place - 1 if self.lie == "swaps_place" and place == 5 else place,
            "held_until": instant(datetime.now(UTC) + timedelta(seconds=self.definition["hold_seconds"])),
        }
        return web.json_response(self.sold[customer], status=201)

    def public(self) -> dict[str, Any]:
        item = self.definition["items"][0]
        opens_at = datetime.fromisoformat(self.definition["opens_at"])
        return {
            "id": self.sale,
            "state": "scheduled" if datetime.now(UTC) < opens_at else "open",
            "server_time": instant(datetime.now(UTC)),
            "opens_at": self.definition["opens_at"],
            "items": [
                {
                    "sku": item["sku"],
                    "stock": item["stock"],
                    "available": max(0, item["stock"] - len(self.sold)),
                }
            ],
        }


def problem(status: int, code: str, headers: dict[str, str] | None = None, **more: Any) -> web.Response:
    body = orjson.dumps({"type": f"/docs#{code}", "title": code, "status": status, "code": code, **more})
    return web.Response(status=status, body=body, content_type="application/problem+json", headers=headers)


@asynccontextmanager
async def serving(server: LyingServer) -> AsyncIterator[str]:
    """The server on a free port of the loopback interface; its address without a slash at the end."""
    runner = web.AppRunner(server.app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=2048)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
