"""Idempotency-Key: the same request again is the same reservation, and nothing else is."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.support_http.client import Shop, eventually, label, lines, new_sale_id, untouched
from tests.support_http.server import app_on


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"], ids=label)
async def test_keys_that_cannot_be(shop: Shop, sale: str, key: str) -> None:
    async with untouched(shop, sale):
        (await shop.reserve(sale, "c-1", key=key)).invalid("Idempotency-Key")
        (await shop.restock(sale, 1, key=key)).invalid("Idempotency-Key")


@pytest.mark.parametrize("key", ["k", "x" * 255, "{}*", "a b", "🚗ü", '"quoted"'], ids=label)
async def test_again(shop: Shop, sale: str, key: str) -> None:
    answer = await shop.reserve(sale, "c-1", key=key)
    held = answer.must(201)
    assert answer.headers["Location"] == f"/v1/reservations/{held['id']}"
    async with untouched(shop, sale):
        again = await shop.reserve(sale, "c-1", key=key)
        assert again.must(200) == held
        assert again.headers["Location"] == answer.headers["Location"]
        # The same said in two lines, and in another order of fields.
        two = {"items": [{"quantity": 1, "sku": "giulia"}]}
        assert (await shop.reserve(sale, "c-1", two, key=key)).must(200) == held


async def test_another_payload_under_the_same_key(shop: Shop, sale: str) -> None:
    (await shop.reserve(sale, "c-1", key="k")).must(201)
    async with untouched(shop, sale):
        for other in (
            lines(quantity=2),
            lines("stelvio"),
            {"items": [*lines()["items"], *lines("x")["items"]]},
        ):
            (await shop.reserve(sale, "c-1", other, key="k")).refused(422, "idempotency_mismatch")


async def test_customers_keys_and_sales_are_apart(shop: Shop, sale: str) -> None:
    other_sale = new_sale_id()
    (await shop.define(other_sale)).must(201)
    asked = [
        (sale, "c-1", "k"), (sale, "c-2", "k"), (sale, "c-1", "K"), (sale, "c-1k", ""), (sale, "c-", "1k"),
        (other_sale, "c-1", "k"),
    ]  # fmt: skip
    ids = {(await shop.reserve(where, who, key=key or None)).must(201)["id"] for where, who, key in asked}
    assert len(ids) == len(asked)
    await shop.audit(sale)
    await shop.audit(other_sale)


async def test_a_replay_shows_the_reservation_as_it_is_now(shop: Shop, sale: str) -> None:
    held = (await shop.reserve(sale, "c-1", key="k")).must(201)
    (await shop.cancel(held["id"], "c-1")).must(200)
    async with untouched(shop, sale):
        assert (await shop.reserve(sale, "c-1", key="k")).must(200) == {**held, "status": "cancelled"}
    assert (await shop.reserve(sale, "c-1", key="k2")).must(201)["id"] != held["id"]


async def test_a_replay_is_answered_whatever_the_sale_does_since(shop: Shop) -> None:
    sale = new_sale_id()
    (await shop.define(sale, stock=1, limit_per_customer=1)).must(201)
    held = (await shop.reserve(sale, "c-1", key="k")).must(201)
    for verb in ("pause", "close"):
        (await shop.steer(sale, verb)).must(200)
        async with untouched(shop, sale):
            assert (await shop.reserve(sale, "c-1", key="k")).must(200) == held
            (await shop.reserve(sale, "c-1", lines(quantity=2), key="k")).refused(422, "idempotency_mismatch")


async def test_a_replay_after_the_hold_has_ended(shop: Shop) -> None:
    sale = new_sale_id()
    (await shop.define(sale, stock=1, hold_seconds=1)).must(201)
    held = (await shop.reserve(sale, "c-1", key="k")).must(201)

    async def over() -> bool:
        return bool((await shop.reserve(sale, "c-1", key="k")).must(200)["status"] == "expired")

    await eventually(over, "the hold ends")
    assert (await shop.read(held["id"], "c-1")).must(200)["status"] == "expired"
    (await shop.reserve(sale, "c-2", key="k")).must(201)
    assert (await shop.cancel(held["id"], "c-1")).refused(409, "already_expired")
    await shop.audit(sale)


async def test_cancelling_again(shop: Shop, sale: str) -> None:
    held = (await shop.reserve(sale, "c-1")).must(201)
    first, second = await asyncio.gather(shop.cancel(held["id"], "c-1"), shop.cancel(held["id"], "c-1"))
    assert first.must(200) == second.must(200) == {**held, "status": "cancelled"}
    async with untouched(shop, sale):
        assert (await shop.cancel(held["id"], "c-1")).must(200) == first.json
        assert (await shop.read(held["id"], "c-1")).must(200) == first.json


@pytest.mark.parametrize("seed", range(5))
async def test_double_clicks(shop: Shop, sale: str, seed: int) -> None:
    answers = await asyncio.gather(*(shop.reserve(sale, "c-1", key=f"click-{seed}") for _ in range(20)))
    assert len({answer.must(200, 201)["id"] for answer in answers}) == 1
    assert sorted(answer.status for answer in answers) == [200] * 19 + [201]
    assert len(await shop.mine(sale, "c-1")) == 1
    await shop.audit(sale)


async def test_double_clicks_that_reach_two_servers(valkey: str) -> None:
    sale = new_sale_id()
    async with app_on(valkey) as here, app_on(valkey) as there, AsyncExitStack() as stack:
        shops = [await stack.enter_async_context(Shop(url)) for url in (here, there) * 10]
        (await shops[0].define(sale, stock=5, limit_per_customer=1)).must(201)
        for customer in range(10):
            answers = await asyncio.gather(
                *(shop.reserve(sale, f"c-{customer}", key="click") for shop in shops)
            )
            if customer >= 5:
                assert {answer.refused(409, "sold_out")["sku"] for answer in answers} == {"giulia"}
                continue
            assert len({answer.must(200, 201)["id"] for answer in answers}) == 1
            assert sorted(answer.status for answer in answers) == [200] * 19 + [201]
        assert (await shops[0].audit(sale))["reservations"] == {"held": 5}
