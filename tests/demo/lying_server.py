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

from tests.demo import lying_feed
from tests.demo.lying_feed import LyingFeed
from tests.demo.lying_provider import CURRENCY, LyingProvider

LIES_ABOUT_UNITS = frozenset(
    {
        "drops_answers",
        "sells_one_too_many",
        "keeps_one_back",
        "forgets_one",
        "replays_another",
        "swaps_place",
        "hoards",
        "sells_the_held",
        "takes_back_the_paid",
    }
)
LIES_ABOUT_MONEY = frozenset(
    {
        "charges_without_order",
        "confirms_without_charge",
        "charges_twice",
        "charges_too_much",
        "refunds_twice",
        "refunds_orders",
        "hides_charges",
        "denies_trouble",
    }
)
LIES = LIES_ABOUT_UNITS | LIES_ABOUT_MONEY | lying_feed.LIES
DUE = 100


def instant(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class LyingServer:
    """One sale of one item in memory, its payment provider, and the feed of its orders."""

    def __init__(self, lie: str = "", cuts_first: int = 0, busy_first: int = 0, early_first: int = 0) -> None:
        if lie and lie not in LIES:
            raise ValueError(lie)
        self.lie = lie
        self.cuts_left = cuts_first
        self.busy_left = busy_first
        self.early_left = early_first
        self.early = 0
        self.sale = ""
        self.definition: dict[str, Any] = {}
        self.granted: dict[str, dict[str, Any]] = {}
        """customer -> reservation, in the order of places."""
        self.charges: list[dict[str, Any]] = []
        """Payments of which the provider has told, as the shop sees them."""
        self.presses: list[tuple[str, str]] = []
        self.provider = LyingProvider(lie)
        self.provider.on_paid = self.hear
        self.feed = LyingFeed(lie)

    def app(self) -> web.Application:
        app = web.Application()
        reservation = "/v1/reservations/{id}"
        app.add_routes(
            [
                web.get("/v1/sales", self.list),
                web.put("/v1/sales/{sale}", self.put),
                web.get("/v1/sales/{sale}", self.view),
                web.get("/v1/sales/{sale}/stats", self.stats),
                web.get("/v1/sales/{sale}/audit", self.audit),
                web.post("/v1/sales/{sale}/reservations", self.reserve),
                web.get(reservation, self.read),
                web.post(f"{reservation}/payment", self.start_payment),
                web.post("/v1/payments/reconcile", self.reconcile),
                *self.provider.routes(),
                *self.feed.routes(),
            ]
        )
        return app

    # --- the brand's side ---

    async def list(self, request: web.Request) -> web.Response:
        return web.json_response({"sales": [{"id": self.sale}] if self.sale else []})

    async def put(self, request: web.Request) -> web.Response:
        self.sale, self.definition = request.match_info["sale"], await request.json()
        return web.json_response(self.public(), status=201)

    async def view(self, request: web.Request) -> web.Response:
        return web.json_response(self.public())

    async def stats(self, request: web.Request) -> web.Response:
        held, sold = self.count("held"), self.count("confirmed")
        body = self.public()
        body["items"][0] |= {"held": held, "sold": sold}
        return web.json_response(body | {"place": len(self.granted), "live_holds": held})

    async def audit(self, request: web.Request) -> web.Response:
        charges = {"hides_charges": [], "charges_without_order": self.charges[1:]}.get(self.lie, self.charges)
        money = {
            "charges": charges,
            "orders": [one for one in charges if not one["refunded"]],
            "refunding": [],
            "refunds": [one for one in charges if one["refunded"]],
        }
        sums = {name: {"count": len(some), "amount": len(some) * DUE} for name, some in money.items()}
        facts, found = len(self.granted) + 1, [{"currency": CURRENCY, **sums}] if charges else []
        return web.json_response({"ok": True, "facts": facts, "findings": [], "money": found})

    async def reconcile(self, request: web.Request) -> web.Response:
        lost = self.lie == "denies_trouble"
        charge = {"reference": "lying:pay_0", "problem": "it has no fate"}
        return web.json_response(
            {
                "ok": not lost,
                "charges": len(self.charges) - (self.lie == "charges_without_order"),
                "totals": [{"fate": "refunding", "count": 0}],
                "open": [charge] if lost else [],
            }
        )

    async def read(self, request: web.Request) -> web.Response:
        found = self.find(request.match_info["id"])
        if found is None or (self.lie == "forgets_one" and found["place"] == 3):
            return problem(404, "unknown_reservation")
        by_brand = "Authorization" in request.headers and "." not in request.headers["Authorization"]
        paid = [event["subject"] for event in self.feed.events[:1]]
        if self.lie == "takes_back_the_paid" and by_brand and found["id"] in paid:
            found = dict(found, status="expired")
        return web.json_response(found)

    # --- the shopper's side ---

    async def reserve(self, request: web.Request) -> web.Response:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        customer = jwt.decode(token, options={"verify_signature": False})["sub"]
        key = request.headers["Idempotency-Key"]
        self.presses.append((customer, key))
        if self.early_left > 0 or datetime.now(UTC) < datetime.fromisoformat(self.definition["opens_at"]):
            self.early_left -= 1
            self.early += 1
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
        self.sweep()
        if customer in self.granted:
            known = self.granted[customer]
            return web.json_response(
                dict(known, id=known["id"] + "x") if self.lie == "replays_another" else known
            )
        if self.available() + {"sells_one_too_many": 1, "keeps_one_back": -1}.get(self.lie, 0) <= 0:
            others = max(1, self.count("held")) if self.lie == "hoards" else self.count("held")
            ends = [one["held_until"] for one in self.granted.values() if one["status"] == "held"]
            return problem(409, "sold_out", next_release_at=min(ends, default=None), held_by_others=others)
        place = len(self.granted) + 1
        self.granted[customer] = {
            "id": f"{self.sale}.0.{place:016d}",
            "sale": self.sale,
            "status": "held",
            "customer": customer,
            "items": body["items"],
            "place": place - 1 if self.lie == "swaps_place" and place == 5 else place,
            "amount_due": DUE,
            "currency": CURRENCY,
            "held_until": instant(datetime.now(UTC) + timedelta(seconds=self.definition["hold_seconds"])),
            "payment": None,
        }
        return web.json_response(self.granted[customer], status=201)

    async def start_payment(self, request: web.Request) -> web.Response:
        self.sweep()
        reservation = self.find(request.match_info["id"])
        assert reservation is not None
        if reservation["status"] != "held":
            return problem(409, f"already_{reservation['status']}")
        if self.lie == "confirms_without_charge" and not self.charges and not self.count("confirmed"):
            self.confirm(reservation)
            reservation["payment"] = {"status": "paid", "attempt": 1, "reference": "pay_none"}
            return web.json_response(reservation, status=202)
        payment = self.provider.open(reservation["id"], DUE)
        attempt = (reservation["payment"] or {"attempt": 0})["attempt"] + 1
        reservation["payment"] = {
            "status": "requires_action",
            "attempt": attempt,
            "reference": payment["id"],
            "action": {"type": "redirect", "url": self.provider.page(payment)},
        }
        return web.json_response(reservation, status=202)

    def hear(self, payment: dict[str, Any]) -> None:
        """The provider tells that a payment was made."""
        self.sweep()
        first = not self.charges
        reservation = self.find(payment["metadata"]["reservation"])
        assert reservation is not None
        self.charges.append(payment)
        if self.lie == "charges_without_order" and first:
            return
        wanted = reservation["status"] == "held" or self.available() > 0
        if wanted and not (self.lie == "refunds_twice" and first):
            self.confirm(reservation)
            reservation["payment"] |= {"status": "paid", "reference": payment["id"]}
            if self.lie == "refunds_orders" and first:
                self.provider.refund(payment)
            return
        reservation["status"] = "expired"
        reservation["payment"] |= {"status": "refunded"}
        self.provider.refund(payment)

    def confirm(self, reservation: dict[str, Any]) -> None:
        """It is an order, once."""
        if reservation["status"] != "confirmed":
            reservation["status"] = "confirmed"
            self.feed.confirmed(reservation, instant(datetime.now(UTC)))

    # --- what is there ---

    def sweep(self) -> None:
        """End what has run out."""
        now = datetime.now(UTC)
        for reservation in self.granted.values():
            if reservation["status"] == "held" and now >= datetime.fromisoformat(reservation["held_until"]):
                reservation["status"] = "expired"

    def count(self, status: str) -> int:
        self.sweep()
        return sum(one["status"] == status for one in self.granted.values())

    def available(self) -> int:
        stock = int(self.definition["items"][0]["stock"])
        if self.lie == "hoards":
            return stock - len(self.granted)
        if self.lie == "sells_the_held" and len(self.granted) >= stock:
            return stock + 1 - len(self.granted)
        return stock - self.count("held") - self.count("confirmed")

    def find(self, reservation: str) -> dict[str, Any] | None:
        self.sweep()
        return next((one for one in self.granted.values() if one["id"] == reservation), None)

    def public(self) -> dict[str, Any]:
        item = self.definition["items"][0]
        opens_at = datetime.fromisoformat(self.definition["opens_at"])
        taken = self.count("held") + self.count("confirmed")
        return {
            "id": self.sale,
            "state": "scheduled" if datetime.now(UTC) < opens_at else "open",
            "server_time": instant(datetime.now(UTC)),
            "opens_at": self.definition["opens_at"],
            "items": [
                {"sku": item["sku"], "stock": item["stock"], "available": max(0, item["stock"] - taken)}
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
        server.provider.url = f"http://{host}:{port}"
        yield server.provider.url
    finally:
        await runner.cleanup()
