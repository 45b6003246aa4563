"""Little scenes at a shop, over HTTP: what is needed to see that a fault happens."""

from collections.abc import Sequence
from typing import Any

from tests.support.paying import click
from tests.support_http.client import ROOT_KEY, Answer, Shop, eventually

SALE = "giulia"
STOCK = 4


async def define(shop: Shop, hold_seconds: int = 300) -> None:
    terms = {"limit_per_customer": 1, "hold_seconds": hold_seconds, "payment": {"methods": ["card"]}}
    (await shop.define(SALE, stock=STOCK, **terms)).must(201)


async def rush(shop: Shop, customers: int, name: str = "c") -> list[Answer]:
    """So many customers press, one after the other; each with a key, so that none is answered from a worker's memory."""
    names = [f"{name}-{number}" for number in range(customers)]
    return [await shop.reserve(SALE, customer, key=customer) for customer in names]


def held(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    return [answer.json for answer in answers if answer.status == 201]


async def pay(shop: Shop, reservation: dict[str, Any]) -> None:
    """Its customer agrees to the payment; what comes of it is not waited for."""
    (await shop.pay(reservation["id"], reservation["customer"])).must(202)

    async def action() -> Any:
        payment = (await shop.read(reservation["id"], reservation["customer"])).json["payment"]
        return payment and payment["action"]

    await click((await eventually(action, "there is a page to pay on"))["url"])


async def status(shop: Shop, reservation: dict[str, Any]) -> str:
    answer = await shop.read(reservation["id"], reservation["customer"])
    return str(answer.must(200)["status"])


async def has_become(shop: Shop, reservation: dict[str, Any], wanted: str) -> None:
    async def become() -> bool:
        return await status(shop, reservation) == wanted

    await eventually(become, f"reservation {reservation['place']} is {wanted}")


async def counters(shop: Shop) -> dict[str, int]:
    (item,) = (await shop.counters(SALE))["items"]
    return {name: item[name] for name in ("available", "held", "sold")}


async def findings(shop: Shop) -> str:
    """What the engine's own audit says against itself, in one text; empty when it is content."""
    report = (await shop.ask("GET", f"/v1/sales/{SALE}/audit", bearer=ROOT_KEY)).must(200)
    return "; ".join(finding["detail"] for finding in report["findings"])


async def facts(shop: Shop) -> list[dict[str, Any]]:
    path = f"/v1/sales/{SALE}/events?limit=1000"
    events: list[dict[str, Any]] = (await shop.ask("GET", path, bearer=ROOT_KEY)).must(200)["events"]
    return events
