"""The terms on which a sale is paid: checked when it is defined, shown in the sale and in every reservation."""

from typing import Any

import pytest

from tests.support_http.client import Shop, lines, new_sale_id

TERMS = {"methods": ["card", "klarna"], "deposit_percent": 10, "instalments": 36}


def item(price: int) -> list[dict[str, Any]]:
    return [{"sku": "giulia", "price": price, "stock": 10}]


@pytest.mark.parametrize(
    ("currency", "price", "quantity", "terms", "schedule"),
    [
        ("EUR", 10_000, 1, {"deposit_percent": 10, "instalments": 7}, (1_000, 0, [1_286] * 5 + [1_285] * 2)),
        ("EUR", 10_000, 2, {"deposit_percent": 10, "instalments": 7}, (2_000, 0, [2_572] * 3 + [2_571] * 4)),
        ("JPY", 1_000_001, 1, {"deposit_percent": 33, "instalments": 3}, (330_000, 0, [223_334] * 2 + [223_333])),
        ("KWD", 9_999_999, 1, {"deposit_percent": 20, "instalments": 12}, (2_000_000, 0, [666_667] * 7 + [666_666] * 5)),
        ("CNY", 33_000_000, 1, {"deposit_percent": 10, "instalments": 36}, (3_300_000, 0, [825_000] * 36)),
        ("EUR", 10_005, 1, {"deposit_percent": 50}, (5_003, 5_002, [])),
        ("EUR", 10_005, 1, {}, (10_005, 0, [])),
        ("JPY", 3, 1, {"deposit_percent": 10, "instalments": 36}, (1, 0, [1, 1])),
    ],
)  # fmt: skip
async def test_what_is_paid_when(
    shop: Shop, currency: str, price: int, quantity: int, terms: dict[str, int], schedule: Any
) -> None:
    sale = new_sale_id()
    payment = {"methods": ["card"], **terms}
    (await shop.define(sale, currency=currency, items=item(price), payment=payment)).must(201)
    held = (await shop.reserve(sale, "c-1", lines(quantity=quantity))).must(201)
    deposit, balance, instalments = schedule
    assert held["payment_schedule"] == {"deposit": deposit, "balance": balance, "instalments": instalments}
    assert deposit + balance + sum(instalments) == held["amount"] == price * quantity
    assert held["amount_due"] == deposit
    assert held["payment"] is None
    assert (await shop.read(held["id"], "c-1")).must(200) == held
    assert (await shop.cancel(held["id"], "c-1")).must(200) == {**held, "status": "cancelled"}


async def test_a_sale_shows_its_terms(shop: Shop) -> None:
    sale = new_sale_id()
    (await shop.define(sale, payment=TERMS)).must(201)
    assert (await shop.view(sale))["payment"] == {**TERMS, "hold_extension_seconds": 0}
    plain = new_sale_id()
    (await shop.define(plain)).must(201)
    whole = {"methods": [], "deposit_percent": 100, "instalments": 0, "hold_extension_seconds": 0}
    assert (await shop.view(plain))["payment"] == whole


@pytest.mark.parametrize(
    ("payment", "fields"),
    [
        ({"methods": ["card", "cash"]}, ["payment.methods[1]"]),
        ({"methods": ["card", "card"]}, ["payment.methods"]),
        ({"deposit_percent": 10.5}, ["payment.deposit_percent"]),
        ({"instalments": 12}, ["payment.instalments"]),
        ({"deposit_percent": 100, "instalments": 1}, ["payment.instalments"]),
        ({"hold_extension_seconds": -1, "tips": 1}, ["payment.hold_extension_seconds", "payment.tips"]),
    ],
)
async def test_terms_that_cannot_be(shop: Shop, payment: dict[str, Any], fields: list[str]) -> None:
    (await shop.define(new_sale_id(), payment=payment)).invalid(*fields)
