"""From a hold to an order and back, over HTTP, with a simulator that sends webhooks and a worker beside the server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.support.books import faults_of
from tests.support.house import House
from tests.support.paying import click
from tests.support_http.client import ROOT_KEY, Shop, eventually, lines, new_sale_id

TERMS = {"methods": ["card", "alipay", "bank_transfer"], "deposit_percent": 10, "instalments": 36}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Its store is never emptied: the worker goes on with what no test has waited for, such as telling of an order."""
    with House(tmp_path_factory.mktemp("flow"), env={"FLASHSALE_SWEEP_INTERVAL_MS": "20"}) as house:
        yield house
        house.end_worker()
        faults = asyncio.run(faults_of(house.valkey.url))
    assert not faults, "the books do not add up after these tests:\n" + "\n".join(faults)


@pytest.fixture
async def shop(house: House) -> AsyncIterator[Shop]:
    async with Shop(house.url) as shop:
        yield shop


async def a_sale(shop: Shop, **terms: Any) -> str:
    sale = new_sale_id()
    (await shop.define(sale, **{"payment": TERMS, **terms})).must(201)
    return sale


async def until(shop: Shop, reservation: str, customer: str, **wanted: Any) -> dict[str, Any]:
    """The reservation once its payment says this."""

    async def look() -> dict[str, Any] | None:
        found: dict[str, Any] = (await shop.read(reservation, customer)).must(200)
        payment = found["payment"] or {}
        return found if all(payment.get(name) == value for name, value in wanted.items()) else None

    return await eventually(look, f"the payment says {wanted}") or {}


async def asked(shop: Shop, sale: str, customer: str, method: str = "card") -> dict[str, Any]:
    """A hold whose customer has to act at the provider."""
    hold = (await shop.reserve(sale, customer)).must(201)
    (await shop.pay(hold["id"], customer, method)).must(202)
    return await until(shop, hold["id"], customer, status="requires_action")


async def ordered(shop: Shop, sale: str, customer: str, method: str = "card") -> dict[str, Any]:
    hold = await asked(shop, sale, customer, method)
    await click(hold["payment"]["action"]["url"])
    return await until(shop, hold["id"], customer, status="paid")


@pytest.mark.parametrize("method", ["card", "alipay"])  # the money is taken afterwards, or at once
async def test_from_hold_to_order(shop: Shop, house: House, method: str) -> None:
    sale = await a_sale(shop)
    hold = await asked(shop, sale, "c-1", method)
    payment = hold["payment"]
    assert hold["status"] == "held"
    assert (payment["provider"], payment["method"], payment["attempt"]) == ("simulator", method, 1)
    assert payment["action"] == {"type": "redirect", "url": payment["action"]["url"]}
    assert payment["action"]["url"].startswith(house.simulator.url)
    assert payment["wait_seconds"] is None
    await click(payment["action"]["url"])
    order = await until(shop, hold["id"], "c-1", status="paid")
    paid = {**payment, "status": "paid", "action": None}
    assert order == {**hold, "status": "confirmed", "payment": paid}
    assert order["payment_schedule"] == {"deposit": 3_300_000, "balance": 0, "instalments": [825_000] * 36}
    (await shop.pay(hold["id"], "c-1", method)).refused(409, "already_confirmed")
    (await shop.cancel(hold["id"], "c-1")).refused(409, "already_confirmed")
    money = (await shop.audit(sale))["money"]
    assert [(each["currency"], each["orders"]["amount"], each["charges"]["count"]) for each in money] == [
        ("CNY", 3_300_000, 1)
    ]


async def test_after_a_decline_another_way_is_found(shop: Shop) -> None:
    sale = await a_sale(shop)
    hold = await asked(shop, sale, "c-1")
    await click(hold["payment"]["action"]["url"], "decline")
    failed = await until(shop, hold["id"], "c-1", status="failed")
    assert failed["status"] == "held"
    assert failed["payment"]["error"]
    assert failed["payment"]["action"] is None
    (await shop.pay(hold["id"], "c-1", "bank_transfer")).must(202)
    again = await until(shop, hold["id"], "c-1", status="requires_action", attempt=2)
    assert again["payment"]["error"] is None
    await click(again["payment"]["action"]["url"])
    order = await until(shop, hold["id"], "c-1", status="paid")
    assert (order["status"], order["payment"]["method"]) == ("confirmed", "bank_transfer")


async def test_a_hold_that_is_cancelled_is_called_off_at_the_provider(shop: Shop, house: House) -> None:
    sale = await a_sale(shop)
    hold = await asked(shop, sale, "c-1")
    gone = (await shop.cancel(hold["id"], "c-1")).must(200)
    assert (gone["status"], gone["payment"]["status"]) == ("cancelled", "cancelled")
    assert gone["payment"]["action"] is None

    async def called_off() -> bool:
        states = {each["id"]: each["status"] for each in house.simulator.payments()}
        return bool(states[hold["payment"]["reference"]] == "cancelled")

    await eventually(called_off, "the provider knows")


async def test_a_refund_puts_the_units_on_sale_again(shop: Shop, house: House) -> None:
    sale = await a_sale(shop, stock=1, limit_per_customer=1)
    order = await ordered(shop, sale, "c-1")
    for customer in ("c-2", "c-3", "c-4"):  # this worker knows by now
        (await shop.reserve(sale, customer)).refused(409, "sold_out")
    undone = (await shop.refund(order["id"], restock=True)).must(200)
    assert undone["status"] == "refunded"
    assert undone["payment"]["status"] in {"refunding", "refunded"}
    taken = (await shop.reserve(sale, "c-2")).must(201)
    again = (await shop.refund(order["id"], restock=True)).must(200)
    assert again["status"] == "refunded"
    (await shop.pay(order["id"], "c-1")).refused(409, "already_refunded")
    back = await until(shop, order["id"], "c-1", status="refunded")
    assert back["payment"]["reference"] == order["payment"]["reference"]
    refunded = {each["id"]: each["refunded"] for each in house.simulator.payments()}
    assert refunded[order["payment"]["reference"]] == 3_300_000
    (money,) = (await shop.audit(sale))["money"]
    assert (money["orders"]["count"], money["refunds"]["amount"]) == (0, 3_300_000)
    (await shop.cancel(taken["id"], "c-2")).must(200)


async def test_a_refund_without_restock_sells_nothing_twice(shop: Shop) -> None:
    sale = await a_sale(shop, stock=2)
    order = await ordered(shop, sale, "c-1")
    assert (await shop.refund(order["id"], restock=False)).must(200)["status"] == "refunded"
    await until(shop, order["id"], "c-1", status="refunded")
    (item,) = (await shop.counters(sale))["items"]
    assert (item["stock"], item["available"], item["sold"]) == (2, 1, 1)
    (await shop.reserve(sale, "c-2", lines(quantity=2))).refused(409, "sold_out")


async def test_reconcile_of_one_sale(shop: Shop) -> None:
    sale = await a_sale(shop)
    order = await ordered(shop, sale, "c-1")
    await ordered(shop, sale, "c-2", "alipay")
    (await shop.refund(order["id"], restock=True)).must(200)
    await until(shop, order["id"], "c-1", status="refunded")
    body = {"sale": sale}
    report = (await shop.ask("POST", "/v1/payments/reconcile", bearer=ROOT_KEY, json=body)).must(200)
    assert (report["sale"], report["ok"], report["charges"], report["open"]) == (sale, True, 2, [])
    assert [(each["fate"], each["count"], each["amount"]) for each in report["totals"]] == [
        ("order", 1, 3_300_000),
        ("refunding", 0, 0),
        ("refunded", 1, 3_300_000),
    ]
