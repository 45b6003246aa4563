"""Definitions and restocks that cannot be: each fault is named, and nothing changes."""

import json
from typing import Any

import pytest

from tests.support_http.client import (
    ROOT_KEY,
    Shop,
    definition,
    instant,
    label,
    lines,
    new_sale_id,
    untouched,
)

AS_JSON = {"Content-Type": "application/json"}
ITEM = {"sku": "giulia", "price": 1, "stock": 1}


async def refused(shop: Shop, body: Any, *fields: str) -> None:
    """The definition is refused for exactly these fields, and no sale comes of it."""
    sale = new_sale_id()
    (
        await shop.ask("PUT", f"/v1/sales/{sale}", bearer=ROOT_KEY, data=json.dumps(body), headers=AS_JSON)
    ).invalid(*fields)
    (await shop.ask("GET", f"/v1/sales/{sale}")).refused(404, "unknown_sale")
    assert (await shop.ask("GET", "/v1/sales")).must(200) == {"sales": []}


async def test_faults_in_five_places_are_all_named(shop: Shop) -> None:
    body = definition(
        title="",
        opens_at="2026-11-22T10:00:00Z",
        closes_at="2026-11-22T09:59:59Z",
        currency="CNX",
        items=[{"sku": "giulia", "price": 0, "stock": 350}, {"sku": "giulia", "price": 1, "stock": 1}],
    )
    await refused(shop, body, "title", "closes_at", "currency", "items[0].price", "items[1].sku")


async def test_closes_before_it_opens(shop: Shop) -> None:
    for closes_at in ("2026-11-22T09:59:59Z", "2026-11-22T10:00:00Z", "2026-11-22T11:00:00+02:00"):
        await refused(shop, definition(opens_at="2026-11-22T10:00:00Z", closes_at=closes_at), "closes_at")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", None), ("title", ""), ("title", " x"), ("title", "a\nb"), ("title", 7), ("title", "x" * 201),
        ("opens_at", None), ("opens_at", ""), ("opens_at", "2026-11-22T10:00:00"), ("opens_at", "2026-11-22"),
        ("opens_at", 1_795_341_600), ("opens_at", "1795341600"), ("opens_at", "2026-13-22T10:00:00Z"), ("opens_at", "T"),
        ("opens_at", "9999-12-31T23:59:59-14:00"), ("opens_at", "0001-01-01T00:00:00+14:00"),
        ("opens_at", "1970-01-01T00:00:00Z"), ("opens_at", "9999-12-31T23:59:59Z"),
        ("closes_at", "9999-12-31T23:59:59-14:00"),
        ("closes_at", "2026-11-22T12:00:00"), ("closes_at", "tomorrow"), ("closes_at", False), ("closes_at", 10**30),
        ("currency", None), ("currency", "cny"), ("currency", "YUAN"), ("currency", ""), ("currency", "XXY"),
        ("limit_per_customer", 0), ("limit_per_customer", -1), ("limit_per_customer", 1.5),
        ("limit_per_customer", "1"), ("limit_per_customer", True), ("limit_per_customer", 2**63),
        ("hold_seconds", 0), ("hold_seconds", -1), ("hold_seconds", 0.5), ("hold_seconds", 604_801),
        ("hold_seconds", 10**30),
        ("items", None), ("items", []), ("items", {}), ("items", "giulia"),
        ("items", [{"sku": f"s{n}", "price": 1, "stock": 1} for n in range(1001)]),
        ("payment", []), ("state", "open"), ("id", "another"),
    ],
    ids=label,
)  # fmt: skip
async def test_wrong_fields(shop: Shop, field: str, value: Any) -> None:
    body = definition()
    body.pop(field, None)
    if value is not None:
        body[field] = value
    await refused(shop, body, field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sku", ""), ("sku", " giulia"), ("sku", "a\0"), ("sku", "x" * 65), ("sku", 7), ("sku", None),
        ("price", 0), ("price", -1), ("price", 1.5), ("price", 1.0), ("price", "1"), ("price", True), ("price", None),
        ("price", 10**12 + 1), ("price", 2**63), ("price", 10**30),
        ("stock", -1), ("stock", 1.5), ("stock", "1"), ("stock", False), ("stock", None), ("stock", 10**9 + 1),
        ("stock", 2**63),
        ("limit_per_customer", 0), ("limit_per_customer", -1), ("limit_per_customer", 10**30),
        ("title", ""), ("sold", 1), ("available", 5),
    ],
    ids=label,
)  # fmt: skip
async def test_wrong_fields_of_items(shop: Shop, field: str, value: Any) -> None:
    item: dict[str, Any] = {**ITEM, field: value}
    if value is None:
        del item[field]
    await refused(shop, definition(items=[{**ITEM, "sku": "other"}, item]), f"items[1].{field}")


@pytest.mark.parametrize(
    ("payment", "fields"),
    [
        ({"methods": ["card", "cash"]}, ["payment.methods[1]"]),
        ({"methods": ["card", "card"]}, ["payment.methods"]),
        ({"methods": "card"}, ["payment.methods"]),
        ({"deposit_percent": 0}, ["payment.deposit_percent"]),
        ({"deposit_percent": 101, "instalments": -1}, ["payment.deposit_percent", "payment.instalments"]),
        ({"fee": 1}, ["payment.fee"]),
    ],
    ids=label,
)
async def test_wrong_payment(shop: Shop, payment: Any, fields: list[str]) -> None:
    await refused(shop, definition(payment=payment), *fields)


@pytest.mark.parametrize("body", [[], "x", 7, None], ids=label)
async def test_no_object(shop: Shop, body: Any) -> None:
    await refused(shop, body, "")


@pytest.mark.parametrize(
    "sale",
    [
        "Sale",
        "-sale",
        "a" * 64,
        "a_b",
        "a.0",
        "%7Ba%7D",
        "*",
        "%20",
        "%00",
        "%F0%9F%9A%97",
        "%FF",
        "x" * 10_240,
    ],
    ids=label,
)
async def test_sale_ids_that_cannot_be(shop: Shop, sale: str) -> None:
    answer = await shop.ask("PUT", f"/v1/sales/{sale}", bearer=ROOT_KEY, json=definition())
    answer.invalid("sale")
    assert (await shop.ask("GET", "/v1/sales")).must(200) == {"sales": []}


async def test_the_longest_and_the_oddest_id(shop: Shop) -> None:
    for sale in ("a" * 63, "0", "a-", "0--0"):
        (await shop.define(sale)).must(201)
        (await shop.reserve(sale, "c-1")).must(201)
        await shop.audit(sale)


async def test_the_same_definition_again_changes_nothing(shop: Shop) -> None:
    for opens_at in (instant(-60), instant(3600)):
        sale, body = new_sale_id(), definition(opens_at=opens_at)
        path = f"/v1/sales/{sale}"
        (await shop.ask("PUT", path, bearer=ROOT_KEY, json=body)).must(201)
        await shop.reserve(sale, "c-1")
        async with untouched(shop, sale):
            (await shop.ask("PUT", path, bearer=ROOT_KEY, json=body)).must(200)
            # Said in other words, but the same.
            said = {**body, "hold_seconds": 300, "limit_per_customer": None, "closes_at": None}
            (await shop.ask("PUT", path, bearer=ROOT_KEY, json=dict(reversed(said.items())))).must(200)


async def test_another_definition_before_the_opening(shop: Shop) -> None:
    sale = new_sale_id()
    (await shop.define(sale, opens_at=instant(3600), stock=10)).must(201)
    items = [{"sku": "giulia", "price": 2, "stock": 4}, {"sku": "stelvio", "price": 3, "stock": 5}]
    changed = (await shop.define(sale, opens_at=instant(1800), title="Later", items=items)).must(200)
    assert changed["title"] == "Later"
    assert [(item["sku"], item["price"], item["stock"]) for item in changed["items"]] == [
        ("giulia", 2, 4),
        ("stelvio", 3, 5),
    ]
    await shop.audit(sale)
    (await shop.define(sale, items=[{"sku": "stelvio", "price": 3, "stock": 1}])).must(200)
    held = (await shop.reserve(sale, "c-1", lines("stelvio"))).must(201)
    assert held["amount"] == 3
    (await shop.reserve(sale, "c-2", lines("giulia"))).refused(404, "unknown_item")
    await shop.audit(sale)


async def test_another_definition_after_the_opening(shop: Shop, sale: str) -> None:
    async with untouched(shop, sale):
        before = await shop.view(sale)
        for changes in (
            {"stock": 11},
            {"title": "Another"},
            {"opens_at": instant(60)},
            {"limit_per_customer": 1},
        ):
            (await shop.define(sale, **changes)).refused(409, "already_opened")
        after = await shop.view(sale)
        assert {**after, "server_time": None} == {**before, "server_time": None}


async def test_another_definition_once_it_is_over(shop: Shop) -> None:
    sale = new_sale_id()
    (await shop.define(sale, opens_at=instant(3600))).must(201)
    (await shop.steer(sale, "close")).must(200)
    async with untouched(shop, sale):
        (await shop.define(sale, stock=11)).refused(409, "already_opened")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["units"]),
        ({"units": 0}, ["units"]),
        ({"units": -1}, ["units"]),
        ({"units": 1.5}, ["units"]),
        ({"units": 1.0}, ["units"]),
        ({"units": True}, ["units"]),
        ({"units": "1"}, ["units"]),
        ({"units": None}, ["units"]),
        ({"units": 10**9 + 1}, ["units"]),
        ({"units": 2**63}, ["units"]),
        ({"units": 10**30}, ["units"]),
        ({"units": 1, "reason": 7}, ["reason"]),
        ({"units": 1, "reason": "a\0b"}, ["reason"]),
        ({"units": 1, "reason": "x" * 201}, ["reason"]),
        ({"units": -5, "reason": [], "sku": "giulia"}, ["units", "reason", "sku"]),
        ([], [""]),
    ],
    ids=label,
)
async def test_restocks_that_cannot_be(shop: Shop, sale: str, body: Any, fields: list[str]) -> None:
    path = f"/v1/sales/{sale}/items/giulia/restock"
    async with untouched(shop, sale):
        (await shop.ask("POST", path, bearer=ROOT_KEY, json=body)).invalid(*fields)


async def test_restocks(shop: Shop, sale: str) -> None:
    async with untouched(shop, sale):
        assert (await shop.restock(sale, 1, sku="stelvio")).refused(404, "unknown_item")["sku"] == "stelvio"
    seen = (await shop.restock(sale, 5)).must(200)
    assert (seen["items"][0]["stock"], seen["items"][0]["available"]) == (15, 14)
    (await shop.restock(sale, 3, key="again")).must(200)
    async with untouched(shop, sale):
        assert (await shop.restock(sale, 3, key="again")).must(200)["items"][0]["stock"] == 18
        (await shop.restock(sale, 4, key="again")).refused(422, "idempotency_mismatch")
    for _ in range(3):
        (await shop.restock(sale, 10**9)).must(200)
    assert (await shop.view(sale))["items"][0]["stock"] == 3 * 10**9 + 18
    (await shop.steer(sale, "close")).must(200)
    async with untouched(shop, sale):
        (await shop.restock(sale, 1)).refused(410, "closed")


async def test_what_can_be_done_with_a_closed_sale(shop: Shop, sale: str) -> None:
    held = (await shop.reserve(sale, "c-1")).must(201)["id"]
    assert (await shop.steer(sale, "close")).must(200)["state"] == "closed"
    async with untouched(shop, sale):
        (await shop.steer(sale, "pause")).refused(410, "closed")
        (await shop.steer(sale, "resume")).refused(410, "closed")
        assert (await shop.steer(sale, "close")).must(200)["state"] == "closed"
        (await shop.reserve(sale, "c-2")).refused(410, "closed")
    assert (await shop.cancel(held, "c-1")).must(200)["status"] == "cancelled"
    await shop.audit(sale)


async def test_pausing_twice_is_pausing(shop: Shop, sale: str) -> None:
    for verb, state in (("pause", "paused"), ("resume", "open")):
        assert (await shop.steer(sale, verb)).must(200)["state"] == state
        async with untouched(shop, sale):
            assert (await shop.steer(sale, verb)).must(200)["state"] == state
