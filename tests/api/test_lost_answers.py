"""Answers of the store that never come: every client is told the truth, and the same request again is safe."""

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator

import pytest

from flashsale.process.embedded import EmbeddedValkey
from flashsale.scripts.loader import load
from tests.support_http.client import Answer, Shop, eventually, new_sale_id, untouched
from tests.support_http.proxy import Proxy, proxy_to
from tests.support_http.server import app_on

UNKNOWN = "Whether the request was carried out is not known"


@pytest.fixture
async def proxied(valkey: str) -> AsyncIterator[tuple[Shop, Proxy]]:
    """A shop that reaches its store by a way on which answers can be lost."""
    async with proxy_to(valkey) as proxy, app_on(proxy.url) as url, Shop(url) as shop:
        yield shop, proxy


async def test_the_connection_is_cut_after_the_write(proxied: tuple[Shop, Proxy]) -> None:
    shop, proxy = proxied
    sale = new_sale_id()
    (await shop.define(sale)).must(201)
    (await shop.reserve(sale, "first")).must(201)
    proxy.lose_reply(load("reserve").sha)
    problem = (await shop.reserve(sale, "c-1", key="k")).refused(503, "unavailable")
    assert proxy.lost.is_set()
    assert UNKNOWN in problem["detail"]
    async with untouched(shop, sale):  # the reservation is there, and asking again makes no second one
        held = (await shop.reserve(sale, "c-1", key="k")).must(200)
        assert (held["customer"], held["place"], held["status"]) == ("c-1", 2, "held")
        assert [each["id"] for each in await shop.mine(sale, "c-1")] == [held["id"]]
    assert (await shop.audit(sale))["reservations"] == {"held": 2}


async def test_the_connection_is_cut_before_the_write(proxied: tuple[Shop, Proxy]) -> None:
    shop, proxy = proxied
    sale = new_sale_id()
    (await shop.define(sale)).must(201)
    (await shop.reserve(sale, "first")).must(201)
    proxy.lose_command(load("reserve").sha)
    async with untouched(shop, sale):
        problem = (await shop.reserve(sale, "c-1", key="k")).refused(503, "unavailable")
        assert proxy.lost.is_set()
        assert UNKNOWN in problem["detail"]
    assert (await shop.reserve(sale, "c-1", key="k")).must(201)["place"] == 2


@pytest.mark.parametrize("seed", range(3))
async def test_a_whole_batch_is_lost(proxied: tuple[Shop, Proxy], seed: int) -> None:
    shop, proxy = proxied
    sale, customers = new_sale_id(), [f"c-{seed}-{number}" for number in range(40)]
    (await shop.define(sale, stock=100)).must(201)
    (await shop.reserve(sale, "first")).must(201)
    proxy.lose_reply(load("reserve").sha)
    first = await asyncio.gather(*(shop.reserve(sale, customer, key="k") for customer in customers))
    assert {answer.status for answer in first} <= {201, 503}
    assert 503 in {answer.status for answer in first}
    again = await asyncio.gather(*(shop.reserve(sale, customer, key="k") for customer in customers))
    for before, after in zip(first, again, strict=True):
        if before.status == 201:
            assert after.must(200) == before.json
        else:
            after.must(200, 201)
    places = sorted(answer.json["place"] for answer in again)
    assert places == list(range(2, 42))
    assert (await shop.audit(sale))["reservations"] == {"held": 41}


async def test_without_a_key_the_customer_can_still_find_it(proxied: tuple[Shop, Proxy]) -> None:
    shop, proxy = proxied
    sale = new_sale_id()
    (await shop.define(sale, limit_per_customer=1)).must(201)
    (await shop.reserve(sale, "first")).must(201)
    proxy.lose_reply(load("reserve").sha)
    assert UNKNOWN in (await shop.reserve(sale, "c-1")).refused(503, "unavailable")["detail"]
    (mine,) = await shop.mine(sale, "c-1")
    refused = (await shop.reserve(sale, "c-1")).refused(409, "limit_reached")
    assert refused["reservations"] == [mine["id"]]


async def test_the_answers_to_other_requests_are_lost(proxied: tuple[Shop, Proxy]) -> None:
    shop, proxy = proxied
    sale = new_sale_id()
    (await shop.define(sale)).must(201)
    held = (await shop.reserve(sale, "c-1")).must(201)["id"]
    proxy.lose_reply(load("cancel").sha)
    assert UNKNOWN in (await shop.cancel(held, "c-1")).refused(503, "unavailable")["detail"]
    assert (await shop.cancel(held, "c-1")).must(200)["status"] == "cancelled"
    proxy.lose_reply(load("restock").sha)
    assert UNKNOWN in (await shop.restock(sale, 5, key="k")).refused(503, "unavailable")["detail"]
    assert (await shop.restock(sale, 5, key="k")).must(200)["items"][0]["stock"] == 15
    proxy.lose_reply(load("set_state").sha)
    assert UNKNOWN in (await shop.steer(sale, "pause")).refused(503, "unavailable")["detail"]
    assert (await shop.steer(sale, "pause")).must(200)["state"] == "paused"
    proxy.lose_reply(load("open_sale").sha)
    other = new_sale_id()
    (await shop.define(other)).refused(503, "unavailable")
    assert (await shop.view(other))["state"] == "open"
    assert (await shop.audit(sale))["reservations"] == {"cancelled": 1}


async def place_of(shop: Shop, sale: str, customer: str) -> int:
    """The place of a customer who asks again until there is one."""

    async def look() -> int:
        answer = await shop.reserve(sale, customer, key="k")
        return int(answer.json["place"]) if answer.status in {200, 201} else 0

    return await eventually(look, "it is held")


async def test_a_store_that_hangs(own_server: EmbeddedValkey) -> None:
    env = {"FLASHSALE_REQUEST_DEADLINE_MS": "3000", "FLASHSALE_REDIS_TIMEOUT_MS": "3000"}
    sale, customers = new_sale_id(), [f"c-{number}" for number in range(50)]
    async with app_on(own_server.url, env) as url, Shop(url) as shop:
        (await shop.define(sale, stock=100)).must(201)
        (await shop.reserve(sale, "first")).must(201)
        os.kill(own_server.pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(30):
                first = await asyncio.gather(
                    *(shop.reserve(sale, customer, key="k") for customer in customers)
                )
                (await shop.ask("GET", "/readyz")).refused(503, "unavailable")
                (await shop.ask("GET", f"/v1/sales/{sale}")).refused(503, "unavailable")
        finally:
            os.kill(own_server.pid, signal.SIGCONT)
        for answer in first:
            assert answer.status == 503
            if answer.refused(503, answer.code)["code"] == "unavailable":
                assert UNKNOWN in answer.json["detail"] or "Nothing was changed" in answer.json["detail"]
            else:
                assert answer.code == "busy"
        assert any(UNKNOWN in answer.json["detail"] for answer in first)  # those that were sent
        await eventually(shop.ready, "it is ready again")

        places = [await place_of(shop, sale, customer) for customer in customers]
        assert sorted(places) == list(range(2, 52))
        assert (await shop.audit(sale))["reservations"] == {"held": 51}


async def test_a_full_queue(own_server: EmbeddedValkey) -> None:
    env = {
        "FLASHSALE_QUEUE_LIMIT": "5",
        "FLASHSALE_BATCH_LIMIT": "1",
        "FLASHSALE_BATCHES_IN_FLIGHT": "1",
        "FLASHSALE_REQUEST_DEADLINE_MS": "600000",
        "FLASHSALE_REDIS_TIMEOUT_MS": "600000",
    }
    sale = new_sale_id()
    async with app_on(own_server.url, env) as url, Shop(url) as shop:
        (await shop.define(sale, stock=100)).must(201)
        (await shop.reserve(sale, "first")).must(201)
        numbers = itertools.count()
        os.kill(own_server.pid, signal.SIGSTOP)
        try:
            waiting: list[asyncio.Task[Answer]] = []

            async def full() -> bool:
                # One is sent and five wait; whoever comes at the same instant may find the queue full already.
                waiting[:] = [task for task in waiting if not task.done()]
                while len(waiting) < 6:
                    waiting.append(asyncio.create_task(shop.reserve(sale, f"c-{next(numbers)}")))
                metrics = (await shop.ask("GET", "/metrics")).body.decode()
                return "\nflashsale_queue_length 5.0\n" in metrics

            await eventually(full, "five are waiting")
            for number in range(10):  # answered although the store answers nothing
                problem = (await shop.reserve(sale, f"d-{number}")).refused(503, "busy")
                assert "Nothing was reserved" in problem["detail"]
            assert not any(task.done() for task in waiting)
        finally:
            os.kill(own_server.pid, signal.SIGCONT)
        answers = await asyncio.gather(*waiting)
        assert [answer.status for answer in answers] == [201] * 6
        for number in range(10):
            (await shop.reserve(sale, f"d-{number}")).must(201)
        assert (await shop.audit(sale))["reservations"] == {"held": 17}
