"""Webhooks, sales and workers side by side: none waits for another, and nothing is delivered twice."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from flashsale.engine.webhooks import Webhooks
from flashsale.workers.deliveries import BLOCK_MS
from tests.support.shop import Shop
from tests.webhooks.inbox import ORDERS, Inbox, Message, delivering, sell, sequences


async def test_a_slow_receiver_delays_no_other_webhook(
    valkey: str, shop: Shop, receiver: Inbox, webhooks: Webhooks
) -> None:
    await shop.open({"car": 50})
    stuck, going = asyncio.Event(), asyncio.Event()

    async def answers(message: Message, _request: web.Request) -> web.StreamResponse:
        if message.path == "/slow":
            stuck.set()
            await going.wait()
        return web.Response()

    receiver.answers = answers
    await webhooks.create(f"{receiver.url}/slow", ORDERS, None)
    await webhooks.create(f"{receiver.url}/quick", ORDERS, None)
    async with delivering(valkey, timeout_s=60):
        await sell(shop, 1)
        await stuck.wait()
        await sell(shop, 20, start=1)
        await receiver.until(lambda: len(receiver.at("/quick")) == 21)
        assert len(receiver.at("/slow")) == 1
        going.set()
        await receiver.until(lambda: len(receiver.at("/slow")) == 21)
    assert sequences(receiver.at("/slow")) == sequences(receiver.at("/quick")) == list(range(1, 22))


async def test_the_sales_of_a_webhook_go_side_by_side_but_not_all_at_once(
    valkey: str, receiver: Inbox, webhooks: Webhooks, another: Callable[[str], Awaitable[Shop]]
) -> None:
    shops = [await another(f"sale-{number}") for number in range(12)]
    await webhooks.create(f"{receiver.url}/a", ORDERS, None)
    under_way, most, going = 0, 0, asyncio.Event()

    async def answers(_message: Message, _request: web.Request) -> web.StreamResponse:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await going.wait()
        under_way -= 1
        return web.Response()

    receiver.answers = answers
    for each in shops:
        await sell(each, 2)
    async with delivering(valkey, timeout_s=60):
        await receiver.until(lambda: under_way == 8)
        going.set()
        await receiver.until(lambda: len(receiver.messages) == 24)
    assert most == 8
    for each in shops:
        assert sequences([m for m in receiver.messages if m.sale == each.sale]) == [1, 2]


async def test_two_workers_share_the_webhooks_and_deliver_nothing_twice(
    valkey: str, shop: Shop, receiver: Inbox, webhooks: Webhooks
) -> None:
    await shop.open({"car": 100})
    for number in range(4):
        await webhooks.create(f"{receiver.url}/{number}", ORDERS, None)
    async with delivering(valkey), delivering(valkey):
        await sell(shop, 30)
        await receiver.until(lambda: len(receiver.messages) == 120)
    for number in range(4):
        assert sequences(receiver.at(f"/{number}")) == list(range(1, 31))


async def test_another_worker_goes_on_when_one_ends(
    valkey: str, shop: Shop, receiver: Inbox, webhooks: Webhooks
) -> None:
    await shop.open({"car": 100})
    await webhooks.create(f"{receiver.url}/a", ORDERS, None)
    async with delivering(valkey):
        await sell(shop, 3)
        await receiver.until(lambda: len(receiver.messages) == 3)
    async with delivering(valkey):
        await sell(shop, 3, start=3)
        await receiver.until(lambda: len(receiver.messages) == 6)
    assert sequences(receiver.messages) == [1, 2, 3, 4, 5, 6]


async def test_an_order_is_told_at_once(valkey: str, shop: Shop, receiver: Inbox, webhooks: Webhooks) -> None:
    """Not when somebody looks for it the next time: the fastest of many takes less than half of that."""
    await shop.open({"car": 100})
    await webhooks.create(f"{receiver.url}/a", ORDERS, None)
    took: list[float] = []
    async with delivering(valkey):
        await sell(shop, 1)
        await receiver.until(lambda: len(receiver.messages) == 1)
        while len(took) < 60 and not (took and min(took) < BLOCK_MS / 2000):
            number = len(took) + 1
            await sell(shop, 1, start=number)
            began = time.monotonic()
            await receiver.until(lambda: receiver.messages[-1].sequence == len(took) + 2)
            took.append(time.monotonic() - began)
    assert min(took) < BLOCK_MS / 2000, took
