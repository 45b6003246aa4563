"""What anyone may see of a sale: its states by the clock and by the brand, its numbers, and all of it live."""

import asyncio
import signal
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support_http.client import Shop, definition, eventually, instant, lines, new_sale_id
from tests.support_http.server import Server


async def test_a_sale_opens_and_closes_by_the_clock(shop: Shop) -> None:
    sale = new_sale_id()
    opens_at = instant(5)
    body = (await shop.define(sale, opens_at=opens_at, closes_at=instant(7))).must(201)
    assert body["state"] == "scheduled"
    assert datetime.fromisoformat(body["opens_at"]) <= datetime.fromisoformat(opens_at)
    early = await shop.reserve(sale, "c-1")
    if early.status == 409:  # a slow machine may be late already
        problem = early.refused(409, "not_open")
        assert problem["opens_at"] == body["opens_at"]
        assert 1 <= int(early.headers["Retry-After"]) <= 5

    async def in_state(state: str) -> bool:
        view = await shop.view(sale)
        by_clock = "scheduled"
        if view["server_time"] >= view["opens_at"]:
            by_clock = "open"
        if view["server_time"] >= view["closes_at"]:
            by_clock = "closed"
        assert view["state"] == by_clock
        return by_clock in {state, "closed"}  # which a machine that stalls sees first

    await eventually(lambda: in_state("open"), "it opens")
    await eventually(lambda: in_state("closed"), "it closes")
    (await shop.reserve(sale, "c-2")).refused(410, "closed")
    (await shop.restock(sale, 1)).refused(410, "closed")
    await shop.audit(sale)


async def test_it_says_when_to_come_back(shop: Shop) -> None:
    for seconds, least, most in ((30, 1, 30), (1800, 1700, 1800), (30 * 24 * 3600, 3600, 3600)):
        sale = new_sale_id()
        (await shop.define(sale, opens_at=instant(seconds))).must(201)
        answer = await shop.reserve(sale, "c-1")
        answer.refused(409, "not_open")
        assert least <= int(answer.headers["Retry-After"]) <= most


async def test_the_states_a_brand_makes(shop: Shop, sale: str) -> None:
    async def state() -> Any:
        return (await shop.view(sale))["state"]

    assert await state() == "open"
    held = (await shop.reserve(sale, "c-1", lines(quantity=9))).must(201)["id"]
    assert await state() == "sold_out"
    (await shop.restock(sale, 1)).must(200)
    assert await state() == "open"
    (await shop.reserve(sale, "c-2")).must(201)
    (await shop.steer(sale, "pause")).must(200)
    assert await state() == "paused"
    (await shop.cancel(held, "c-1")).must(200)
    (await shop.steer(sale, "resume")).must(200)
    assert await state() == "open"
    (await shop.steer(sale, "close")).must(200)
    assert await state() == "closed"
    await shop.audit(sale)


async def test_the_whole_view(shop: Shop) -> None:
    sale = new_sale_id()
    items = [
        {"sku": "a", "title": "The A", "price": 100, "stock": 5, "limit_per_customer": 2},
        {"sku": "b", "price": 1, "stock": 0},
    ]
    payment = {"methods": ["alipay"], "deposit_percent": 10, "instalments": 36, "hold_extension_seconds": 60}
    body = definition(
        items=items, payment=payment, limit_per_customer=3, hold_seconds=60, closes_at=instant(3600)
    )
    (await shop.define(sale, **body)).must(201)
    held = (await shop.reserve(sale, "c-1", lines("a", 2))).must(201)
    assert (held["amount"], held["amount_due"], held["currency"]) == (200, 20, "CNY")
    view = await shop.view(sale)
    assert view["items"] == [
        {
            "sku": "a",
            "title": "The A",
            "price": 100,
            "stock": 5,
            "available": 3,
            "held": 2,
            "limit_per_customer": 2,
        },
        {
            "sku": "b",
            "title": "b",
            "price": 1,
            "stock": 0,
            "available": 0,
            "held": 0,
            "limit_per_customer": None,
        },
    ]
    assert view["payment"] == payment
    assert view["next_release_at"] == held["held_until"]
    assert (view["id"], view["limit_per_customer"], view["hold_seconds"]) == (sale, 3, 60)
    listed = (await shop.ask("GET", "/v1/sales")).must(200)["sales"]
    assert [{**each, "server_time": None} for each in listed] == [{**view, "server_time": None}]
    stats = await shop.counters(sale)
    assert stats["items"] == [
        {"sku": "a", "stock": 5, "available": 3, "held": 2, "sold": 0},
        {"sku": "b", "stock": 0, "available": 0, "held": 0, "sold": 0},
    ]
    assert (stats["place"], stats["live_holds"], stats["customers"], stats["reservations"]) == (1, 1, 1, 1)
    assert stats["next_release_at"] == held["held_until"]


async def test_mine_are_all_of_mine_oldest_first(shop: Shop, sale: str) -> None:
    ids = [(await shop.reserve(sale, "c-1")).must(201)["id"] for _ in range(3)]
    (await shop.cancel(ids[1], "c-1")).must(200)
    (await shop.reserve(sale, "c-2")).must(201)
    mine = await shop.mine(sale, "c-1")
    assert [(each["id"], each["status"]) for each in mine] == list(
        zip(ids, ["held", "cancelled", "held"], strict=True)
    )
    assert await shop.mine(sale, "nobody") == []


async def next_frame(frames: AsyncIterator[Any]) -> Any:
    async with asyncio.timeout(60):
        return await anext(frames)


async def test_live(shop: Shop, sale: str) -> None:
    frames, other = shop.frames(sale), shop.frames(sale)
    view = await shop.view(sale)
    for stream in (frames, other):  # a frame at once, without any change
        assert {**await next_frame(stream), "server_time": None} == {**view, "server_time": None}
    (await shop.reserve(sale, "c-1", lines(quantity=9))).must(201)
    for stream in (frames, other):
        frame = await next_frame(stream)
        assert (frame["state"], frame["items"][0]["available"]) == ("sold_out", 0)
    (await shop.restock(sale, 2)).must(200)
    assert (await next_frame(frames))["items"][0]["available"] == 2
    (await shop.steer(sale, "pause")).must(200)
    frame = await next_frame(frames)
    while frame["state"] != "paused":
        frame = await next_frame(frames)
    for stream in (frames, other):
        await stream.aclose()
    late = shop.frames(sale)
    assert (await next_frame(late))["state"] == "paused"
    await late.aclose()


async def test_live_ends_when_the_server_leaves(valkey: str, servers: list[Server], tmp_path: Path) -> None:
    servers.append(Server(tmp_path, ["--redis-url", valkey]))
    async with Shop(servers[0].url) as shop:
        sale = new_sale_id()
        (await shop.define(sale)).must(201)
        watching = [shop.frames(sale) for _ in range(5)]
        for stream in watching:
            await next_frame(stream)
        servers[0].program.send(signal.SIGTERM)
        for stream in watching:
            assert [frame async for frame in stream] == []  # it ends in order, with no error
    assert servers[0].program.wait() == 0
