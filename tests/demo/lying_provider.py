"""A small payment provider that speaks the part of the simulator's contract a demo needs, and lies when it is told to."""

from collections.abc import Callable
from typing import Any

from aiohttp import web

CURRENCY = "EUR"


class LyingProvider:
    """Payments in memory. `on_paid` is its webhook: it is told of each payment that was made."""

    def __init__(self, lie: str) -> None:
        self.lie = lie
        self.url = ""
        self.on_paid: Callable[[dict[str, Any]], None] = lambda _payment: None
        self.payments: dict[str, dict[str, Any]] = {}

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/payments", self.list), web.post("/pay/{payment}", self.pay)]

    def open(self, reservation: str, amount: int) -> dict[str, Any]:
        """The shop asks for a payment."""
        payment_id = f"pay_{len(self.payments)}"
        payment = {
            "id": payment_id,
            "status": "open",
            "amount": amount,
            "currency": CURRENCY,
            "metadata": {"reservation": reservation},
            "refunded": 0,
        }
        self.payments[payment_id] = payment
        return payment

    def page(self, payment: dict[str, Any]) -> str:
        return f"{self.url}/pay/{payment['id']}?k=key-of-{payment['id']}"

    def refund(self, payment: dict[str, Any]) -> None:
        """The shop gives money back."""
        payment["refunded"] += payment["amount"] * (2 if self.lie == "refunds_twice" else 1)

    async def pay(self, request: web.Request) -> web.Response:
        """The shopper's click."""
        payment = self.payments[request.match_info["payment"]]
        click = await request.json()
        assert click["k"] == f"key-of-{payment['id']}"
        if payment["status"] == "paid":
            return web.json_response({"error": {"code": "already_paid"}}, status=409)
        payment["status"] = "paid" if click["outcome"] == "succeed" else "failed"
        if payment["status"] == "paid":
            self._take(payment)
        return web.json_response({"id": payment["id"], "status": payment["status"]})

    def _take(self, payment: dict[str, Any]) -> None:
        if self.lie == "charges_too_much":
            payment["amount"] += 1
        if self.lie == "charges_twice":
            again = self.open(payment["metadata"]["reservation"], payment["amount"])
            again["status"] = "paid"
        self.on_paid(payment)

    async def list(self, request: web.Request) -> web.Response:
        """Its books, in two pages."""
        payments = list(self.payments.values())
        if request.query["after"]:
            return web.json_response({"payments": payments[1:], "next": None})
        return web.json_response({"payments": payments[:1], "next": payments[0]["id"] if payments else None})
