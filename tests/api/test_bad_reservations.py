"""What is wrong with a request to reserve is named, and changes nothing."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support_http.bad_requests import (
    LINE,
    MAX_BODY_BYTES,
    NO_JSON,
    ODD_CUSTOMERS,
    RIGHT_MEDIA_TYPES,
    UNKNOWN_SALES,
    UNKNOWN_SKUS,
    WRONG_MEDIA_TYPES,
    WRONG_QUANTITIES,
    WRONG_SHAPES,
    WRONG_SKUS,
    padded,
)
from tests.support_http.client import ROOT_KEY, Shop, label, lines, new_sale_id, token, untouched


@pytest.mark.parametrize("body", NO_JSON, ids=label)
async def test_no_json(shop: Shop, sale: str, body: bytes) -> None:
    async with untouched(shop, sale):
        answer = await shop.reserve(sale, "c-1", data=body)
        answer.refused(400, "malformed")


@pytest.mark.parametrize(("body", "fields"), WRONG_SHAPES, ids=label)
async def test_wrong_shape(shop: Shop, sale: str, body: Any, fields: list[str]) -> None:
    async with untouched(shop, sale):
        (await shop.reserve(sale, "c-1", data=json.dumps(body))).invalid(*fields)


@pytest.mark.parametrize("quantity", WRONG_QUANTITIES)
async def test_wrong_quantity(shop: Shop, sale: str, quantity: str) -> None:
    body = f'{{"items": [{{"sku": "giulia", "quantity": {quantity}}}]}}'
    async with untouched(shop, sale):
        (await shop.reserve(sale, "c-1", data=body)).invalid("items[0].quantity")


@pytest.mark.parametrize("sku", WRONG_SKUS, ids=label)
async def test_sku_that_cannot_be(shop: Shop, sale: str, sku: Any) -> None:
    async with untouched(shop, sale):
        (await shop.reserve(sale, "c-1", lines(sku))).invalid("items[0].sku")


@pytest.mark.parametrize("sku", UNKNOWN_SKUS)
async def test_unknown_item(shop: Shop, sale: str, sku: str) -> None:
    async with untouched(shop, sale):
        problem = (await shop.reserve(sale, "c-1", lines(sku))).refused(404, "unknown_item")
        assert problem["sku"] == sku
        more = {"items": [LINE, {"sku": sku, "quantity": 1}]}
        assert (await shop.reserve(sale, "c-1", more)).refused(404, "unknown_item")["sku"] == sku


@pytest.mark.parametrize("sale_id", UNKNOWN_SALES, ids=label)
async def test_unknown_sale(shop: Shop, sale: str, sale_id: str) -> None:
    path = f"/v1/sales/{sale_id}"
    async with untouched(shop, sale):
        (await shop.reserve(sale_id, "c-1")).refused(404, "unknown_sale")
        (await shop.ask("GET", path)).refused(404, "unknown_sale")
        (await shop.ask("GET", f"{path}/live")).refused(404, "unknown_sale")
        (await shop.ask("GET", f"{path}/reservations/mine", bearer=token("c"))).refused(404, "unknown_sale")
        for rest in ("stats", "audit"):
            (await shop.ask("GET", f"{path}/{rest}", bearer=ROOT_KEY)).refused(404, "unknown_sale")
        for verb in ("pause", "resume", "close"):
            (await shop.steer(sale_id, verb)).refused(404, "unknown_sale")
        (await shop.restock(sale_id, 1)).refused(404, "unknown_sale")


@pytest.mark.parametrize(
    "reservation",
    [
        "x", "%7D", "%7B", "{}", "*", "%20", "%00", "%F0%9F%9A%97", "%FF", "x" * 10_240,
        "{sale}.0.AAAAAAAAAAAAAAAA", "{sale}.1.AAAAAAAAAAAAAAAA", "{sale}.0.AAAA", "{sale}.00.AAAAAAAAAAAAAAAA",
        "no-such-sale.0.AAAAAAAAAAAAAAAA", "{sale}.0.AAAAAAAAAAAAAAA%0A", "%7B{sale}%7D.0.AAAAAAAAAAAAAAAA",
    ],
    ids=label,
)  # fmt: skip
async def test_unknown_reservation(shop: Shop, sale: str, reservation: str) -> None:
    reservation = reservation.replace("{sale}", sale)
    async with untouched(shop, sale):
        (await shop.read(reservation, "c-1")).refused(404, "unknown_reservation")
        (await shop.cancel(reservation, "c-1")).refused(404, "unknown_reservation")


async def test_same_reservation_in_another_shard_is_unknown(shop: Shop, sale: str) -> None:
    held = (await shop.reserve(sale, "c-1")).must(201)["id"]
    elsewhere = held.replace(f"{sale}.0.", f"{sale}.7.")
    async with untouched(shop, sale):
        (await shop.read(elsewhere, "c-1")).refused(404, "unknown_reservation")
        (await shop.cancel(elsewhere, "c-1")).refused(404, "unknown_reservation")


async def test_ten_lines_of_one_sku_are_summed(shop: Shop, sale: str) -> None:
    held = (await shop.reserve(sale, "c-1", {"items": [LINE] * 9})).must(201)
    assert held["items"] == [{"sku": "giulia", "quantity": 9}]
    await shop.audit(sale)


async def test_lines_of_one_sku_beyond_the_stock(shop: Shop, sale: str) -> None:
    async with untouched(shop, sale):
        body = {"items": [{"sku": "giulia", "quantity": 5}] * 2}
        problem = (await shop.reserve(sale, "c-1", body)).refused(409, "sold_out")
        assert problem["sku"] == "giulia"
        assert problem["held_by_others"] == 1
        assert problem["next_release_at"] is None or problem["next_release_at"].endswith("Z")
    (await shop.reserve(sale, "c-1", {"items": [{"sku": "giulia", "quantity": 3}] * 3})).must(201)


async def test_lines_of_one_sku_beyond_the_limit_of_the_sale(shop: Shop) -> None:
    sale = new_sale_id()
    (await shop.define(sale, limit_per_customer=3)).must(201)
    (await shop.reserve(sale, "first")).must(201)
    async with untouched(shop, sale):
        problem = (await shop.reserve(sale, "c-1", {"items": [LINE] * 4})).refused(409, "limit_reached")
        assert problem["reservations"] == []
    (await shop.reserve(sale, "c-1", {"items": [LINE] * 3})).must(201)


async def test_lines_of_one_sku_beyond_the_limit_of_the_item(shop: Shop) -> None:
    sale = new_sale_id()
    items = [
        {"sku": "giulia", "price": 1, "stock": 10, "limit_per_customer": 2},
        {"sku": "stelvio", "price": 1, "stock": 10},
    ]
    (await shop.define(sale, items=items)).must(201)
    mine = (await shop.reserve(sale, "c-1")).must(201)["id"]
    stelvio = {"sku": "stelvio", "quantity": 4}
    async with untouched(shop, sale):
        problem = (await shop.reserve(sale, "c-1", {"items": [LINE, stelvio, LINE]})).refused(
            409, "limit_reached"
        )
        assert problem["reservations"] == [mine]
    (await shop.reserve(sale, "c-1", {"items": [LINE, stelvio]})).must(201)


async def test_a_reservation_is_all_or_nothing(shop: Shop) -> None:
    sale = new_sale_id()
    items = [{"sku": "giulia", "price": 1, "stock": 10}, {"sku": "levante", "price": 1, "stock": 0}]
    (await shop.define(sale, items=items)).must(201)
    (await shop.reserve(sale, "first")).must(201)
    async with untouched(shop, sale):
        both = {"items": [LINE, {"sku": "levante", "quantity": 1}]}
        assert (await shop.reserve(sale, "c-1", both)).refused(409, "sold_out")["sku"] == "levante"


async def test_more_money_than_a_json_reader_can_count(shop: Shop) -> None:
    sale = new_sale_id()
    items = [{"sku": "giulia", "price": 1_000_000_000_000, "stock": 1_000_000_000}]
    (await shop.define(sale, items=items)).must(201)
    (await shop.reserve(sale, "first")).must(201)
    async with untouched(shop, sale):
        (await shop.reserve(sale, "c-1", lines(quantity=9008))).invalid("items")
    held = (await shop.reserve(sale, "c-1", lines(quantity=9007))).must(201)
    assert held["amount"] == 9007 * 10**12


async def test_a_body_of_64_kib_is_fine(shop: Shop, sale: str) -> None:
    (await shop.reserve(sale, "c-1", data=padded(MAX_BODY_BYTES))).must(201)


async def test_a_longer_body_is_refused(shop: Shop, sale: str) -> None:
    async with untouched(shop, sale):
        for size in (MAX_BODY_BYTES + 1, 20 * MAX_BODY_BYTES):
            answer = await shop.reserve(sale, "c-1", data=io.BytesIO(padded(size)))
            answer.refused(413, "too_large")


@pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, 20 * MAX_BODY_BYTES])
async def test_a_longer_body_is_refused_that_does_not_say_its_length(
    shop: Shop, sale: str, size: int
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        body = padded(size)
        for start in range(0, size, 5000):
            yield body[start : start + 5000]
            await asyncio.sleep(0)

    async with untouched(shop, sale):
        (await shop.reserve(sale, "c-1", data=chunks())).refused(413, "too_large")


async def test_a_chunked_body_is_fine(shop: Shop, sale: str) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for byte in json.dumps(lines()).encode():
            yield bytes([byte])

    (await shop.reserve(sale, "c-1", data=chunks())).must(201)


@pytest.mark.parametrize("kind", WRONG_MEDIA_TYPES)
async def test_wrong_media_type(shop: Shop, sale: str, kind: str) -> None:
    async with untouched(shop, sale):
        answer = await shop.reserve(sale, "c-1", data=padded(100), content_type=kind)
        answer.refused(415, "unsupported_media_type")


@pytest.mark.parametrize("kind", RIGHT_MEDIA_TYPES)
async def test_right_media_type(shop: Shop, sale: str, kind: str | None) -> None:
    (await shop.reserve(sale, "c-1", data=padded(100), content_type=kind)).must(201)


@pytest.mark.parametrize("customer", ODD_CUSTOMERS, ids=label)
async def test_odd_customers_are_customers(shop: Shop, sale: str, customer: str) -> None:
    held = (await shop.reserve(sale, customer, key="k")).must(201)
    assert held["customer"] == customer
    assert [each["id"] for each in await shop.mine(sale, customer)] == [held["id"]]
    assert (await shop.reserve(sale, customer, key="k")).must(200)["id"] == held["id"]
    await shop.audit(sale)
    assert (await shop.cancel(held["id"], customer)).must(200)["status"] == "cancelled"
    await shop.audit(sale)


async def test_odd_customers_do_not_run_together(shop: Shop, sale: str) -> None:
    everybody = ["a", "A", "a ", "a\0", "ä", "a\u0308", "a\ufe0f"]
    ids = {(await shop.reserve(sale, customer)).must(201)["id"] for customer in everybody}
    assert len(ids) == len(everybody)
    for customer in everybody:
        (mine,) = await shop.mine(sale, customer)
        assert mine["customer"] == customer
    await shop.audit(sale)
