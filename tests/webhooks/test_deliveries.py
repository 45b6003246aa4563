"""Deliveries from the journal to a real receiver: what comes, in which order, and what becomes of what fails."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import pytest
from aiohttp import web

from flashsale.engine.webhooks import View, Webhooks
from flashsale.model.events import EVENT_TYPES, ORDER_EVENTS
from flashsale.model.webhooks import ROTATION_MS, Attempt, Retry
from flashsale.store.client import Store
from flashsale.webhooks.signing import new_secret
from tests.support.shop import Shop
from tests.webhooks.inbox import (
    ORDERS,
    Hands,
    Inbox,
    Message,
    delivering,
    eventually,
    read,
    sell,
    sequences,
    verified,
)


async def state(webhooks: Webhooks, webhook_id: str) -> View:
    view = await webhooks.get(webhook_id)
    assert view is not None
    return view


async def test_orders_come_signed_in_order_and_nothing_else_does(
    valkey: str, shop: Shop, receiver: Inbox, webhooks: Webhooks
) -> None:
    await shop.open({"car": 10})
    webhook_id, webhook = await webhooks.create(f"{receiver.url}/a", ORDERS, None)
    await shop.hold("nobody pays", ("car", 1))
    await sell(shop, 2)
    paid = await shop.paid("eve", ("car", 1), reference="sim:eve")
    await shop.refund(paid.token, reason="scratched")
    async with delivering(valkey):
        await receiver.until(lambda: len(receiver.messages) == 4)
        await sell(shop, 1, start=5)
        await receiver.until(lambda: len(receiver.messages) == 5)
    assert sequences(receiver.messages) == [1, 2, 3, 4, 5]
    assert [each.event["data"]["status"] for each in receiver.messages] == [
        *["confirmed"] * 3,
        "refunded",
        "confirmed",
    ]
    for message in receiver.messages:
        assert message.headers["Content-Type"] == "application/cloudevents+json"
        assert message.headers["webhook-id"] == message.event["id"]
        assert verified(message, webhook.secret)
        assert not verified(message, new_secret())
        event = read(message)
        assert event.get_id() == message.headers["webhook-id"]
        assert event.get_type() in ORDER_EVENTS
        assert event.get_data()["sale"] == shop.sale
    attempts = await webhooks.attempts(webhook_id, sale=None, limit=10)
    assert attempts is not None
    assert [(each.number, each.tries, each.status, each.error) for each in attempts] == [
        (number, 1, 204, None) for number in (5, 4, 3, 2, 1)
    ]
    assert (await state(webhooks, webhook_id)).progress.positions == {shop.sale: 5}


async def test_a_webhook_begins_with_what_comes_next_and_a_new_sale_with_its_first(
    valkey: str, shop: Shop, receiver: Inbox, webhooks: Webhooks, another: Callable[[str], Awaitable[Shop]]
) -> None:
    await shop.open({"car": 10})
    await sell(shop, 3)
    webhook_id, _ = await webhooks.create(f"{receiver.url}/a", ORDERS, None)
    later = await another("later")
    await sell(later, 2)
    await sell(shop, 1, start=3)
    async with delivering(valkey):
        await receiver.until(lambda: len(receiver.messages) == 3)
        assert sequences([each for each in receiver.messages if each.sale == shop.sale]) == [4]
        assert sequences([each for each in receiver.messages if each.sale == "later"]) == [1, 2]
        assert await webhooks.replay(webhook_id, shop.sale, 1) is not None
        await receiver.until(lambda: len(receiver.messages) == 6)
    again = [each for each in receiver.messages if each.sale == shop.sale]
    assert sequences(again) == [4, 2, 3, 4]
    assert again[0].body == again[3].body
    with pytest.raises(ValueError, match="has reached 4"):
        await webhooks.replay(webhook_id, shop.sale, 5)
    with pytest.raises(LookupError):
        await webhooks.replay(webhook_id, "unheard-of", 0)
    assert await webhooks.replay("wh_0000000000000000", shop.sale, 0) is None


async def test_other_types_come_from_the_journal_in_its_order(
    valkey: str, shop: Shop, receiver: Inbox, webhooks: Webhooks
) -> None:
    webhook_id, _ = await webhooks.create(f"{receiver.url}/all", list(EVENT_TYPES), None)
    await webhooks.create(f"{receiver.url}/some", ["sale.opened", "reservation.confirmed"], None)
    await webhooks.create(f"{receiver.url}/other", ORDERS, "another-sale")
    await shop.open({"car": 3})
    await sell(shop, 2)
    await shop.restock("car", 4)
    await shop.set_state("close")
    facts = await shop.fact_types()
    async with delivering(valkey):
        await receiver.until(
            lambda: len(receiver.at("/all")) == len(facts) and len(receiver.at("/some")) == 3
        )
    told = [each.event for each in receiver.at("/all")]
    assert [event["type"] for event in told] == [f"io.flashsale.{kind}.v1" for kind in facts]
    assert [int(event["factseq"]) for event in told] == list(range(1, len(facts) + 1))
    assert [each.event["type"].split(".")[-2] for each in receiver.at("/some")] == [
        "opened",
        "confirmed",
        "confirmed",
    ]
    assert not receiver.at("/other")
    for message in receiver.at("/all"):
        assert read(message).get_source() == f"urn:flashsale:test:{shop.sale}"
    view = await state(webhooks, webhook_id)
    assert view.progress.positions[shop.sale] == view.heads[shop.sale].seq == len(facts)


async def test_what_fails_is_tried_again_and_keeps_those_behind_it_waiting(
    valkey: str, shop: Shop, receiver: Inbox, webhooks: Webhooks, another: Callable[[str], Awaitable[Shop]]
) -> None:
    await shop.open({"car": 50})
    other = await another("other")
    webhook_id, _ = await webhooks.create(f"{receiver.url}/a", ORDERS, None)
    hands, failing = Hands(), {3: [500, 404, 302]}

    async def answers(message: Message, _request: web.Request) -> web.StreamResponse:
        left = failing.get(message.sequence, []) if message.sale == shop.sale else []
        status = left.pop(0) if left else 200
        return web.Response(status=status, headers={"Location": f"{receiver.url}/elsewhere"})

    receiver.answers = answers
    await sell(shop, 5)
    async with delivering(valkey, hands=hands):
        for tries, pause_s in enumerate((5, 30, 120), start=1):
            retry = await failed(webhooks, webhook_id, shop.sale, tries)
            assert (retry.number, retry.tries) == (3, tries)
            assert pause_s - 2 < (retry.next_ms - hands()) / 1000 <= pause_s
            if tries == 1:  # the other sale does not wait for this one
                await sell(other, 3)
                await receiver.until(lambda: len([m for m in receiver.messages if m.sale == "other"]) == 3)
            assert sequences([m for m in receiver.messages if m.sale == shop.sale]) == [1, 2, *[3] * tries]
            hands.forward(pause_s)
        await receiver.until(lambda: receiver.messages[-1].sequence == 5)
    assert sequences([m for m in receiver.messages if m.sale == shop.sale]) == [1, 2, 3, 3, 3, 3, 4, 5]
    assert not receiver.at("/elsewhere")
    attempts = await webhooks.attempts(webhook_id, sale=shop.sale, limit=100)
    assert attempts is not None
    assert [(each.number, each.tries, each.status) for each in reversed(attempts)][2:6] == [
        (3, 1, 500),
        (3, 2, 404),
        (3, 3, 302),
        (3, 4, 200),
    ]
    assert not (await state(webhooks, webhook_id)).progress.retries


async def failed(webhooks: Webhooks, webhook_id: str, sale: str, tries: int) -> Retry:
    """What is to be tried again, once it has failed so often."""

    async def look() -> Retry | None:
        retry = (await state(webhooks, webhook_id)).progress.retries.get(sale)
        return retry if retry is not None and retry.tries == tries else None

    return cast("Retry", await eventually(look, f"it failed {tries} times"))


async def test_both_secrets_sign_for_a_day_after_a_rotation(
    valkey: str, shop: Shop, receiver: Inbox, webhooks: Webhooks
) -> None:
    await shop.open({"car": 50})
    webhook_id, first = await webhooks.create(f"{receiver.url}/a", ORDERS, None)
    second = await webhooks.rotate(webhook_id)
    assert second is not None
    hands = Hands()
    async with delivering(valkey, hands=hands):
        await sell(shop, 1)
        await receiver.until(lambda: len(receiver.messages) == 1)
        hands.forward(ROTATION_MS / 1000 + 60)
        await sell(shop, 1, start=1)
        await receiver.until(lambda: len(receiver.messages) == 2)
    both, new = receiver.messages
    assert len(both.headers["webhook-signature"].split()) == 2
    assert verified(both, first.secret, second.secret)
    assert len(new.headers["webhook-signature"].split()) == 1
    assert verified(new, second.secret)
    assert not verified(new, first.secret)


@pytest.mark.parametrize("status", [429, 503, 500])
async def test_a_receiver_says_when_it_wants_to_be_asked_again(
    valkey: str, shop: Shop, receiver: Inbox, webhooks: Webhooks, status: int
) -> None:
    await shop.open({"car": 50})
    webhook_id, _ = await webhooks.create(f"{receiver.url}/a", ORDERS, None)
    hands, left = Hands(), [status]

    async def answers(_message: Message, _request: web.Request) -> web.StreamResponse:
        return web.Response(status=left.pop(), headers={"Retry-After": "900"}) if left else web.Response()

    receiver.answers = answers
    await sell(shop, 1)
    async with delivering(valkey, hands=hands):
        retry = await failed(webhooks, webhook_id, shop.sale, 1)
        assert 890 < (retry.next_ms - hands()) / 1000 <= 900
        hands.forward(901)
        await receiver.until(lambda: len(receiver.messages) == 2)


async def test_a_receiver_that_is_gone_is_asked_no_more_until_it_is_switched_on(
    valkey: str, shop: Shop, receiver: Inbox, webhooks: Webhooks
) -> None:
    await shop.open({"car": 50})
    webhook_id, _ = await webhooks.create(f"{receiver.url}/a", ORDERS, None)
    receiver.statuses["/a"] = 410
    hands = Hands()
    async with delivering(valkey, hands=hands):
        await sell(shop, 2)
        await eventually(lambda: is_off(webhooks, webhook_id, "gone"), "it is off")
        receiver.statuses.clear()
        hands.forward(86_400)
        await sell(shop, 1, start=2)
        assert len(receiver.messages) == 1
        view = await webhooks.enable(webhook_id)
        assert view is not None
        assert view.webhook.is_on
        await receiver.until(lambda: len(receiver.messages) == 4)
    assert sequences(receiver.messages) == [1, 1, 2, 3]


async def is_off(webhooks: Webhooks, webhook_id: str, reason: str) -> bool:
    webhook = (await state(webhooks, webhook_id)).webhook
    return not webhook.is_on and webhook.reason == reason


async def test_a_webhook_that_fails_for_days_is_switched_off_and_skips_nothing(
    valkey: str, shop: Shop, receiver: Inbox, webhooks: Webhooks
) -> None:
    await shop.open({"car": 50})
    webhook_id, _ = await webhooks.create(f"{receiver.url}/a", ORDERS, None)
    receiver.statuses["/a"] = 500
    hands = Hands()
    pauses: list[float] = []
    await sell(shop, 3)
    async with delivering(valkey, hands=hands):
        while (next_ms := (await tried(webhooks, webhook_id, len(pauses) + 1)).next_ms) is not None:
            pauses.append((next_ms - hands()) / 1000)
            hands.forward(pauses[-1])
        await eventually(lambda: is_off(webhooks, webhook_id, "failing"), "it is off")
        tries = len(pauses) + 1
        assert sequences(receiver.messages) == [1] * tries
        assert [round(each) for each in pauses[:10]] == [
            5,
            30,
            120,
            600,
            1800,
            3600,
            7200,
            14_400,
            *[21_600] * 2,
        ]
        assert 5 * 86_400 - 1 <= sum(pauses) < 5.3 * 86_400
        receiver.statuses.clear()
        assert await webhooks.replay(webhook_id, shop.sale, 0) is not None
        await receiver.until(lambda: len(receiver.messages) == tries + 3)
    assert sequences(receiver.messages)[tries:] == [1, 2, 3]
    assert (await state(webhooks, webhook_id)).webhook.is_on


async def tried(webhooks: Webhooks, webhook_id: str, tries: int) -> Attempt:
    """The last try, once it is this one."""

    async def look() -> Attempt | None:
        attempts = await webhooks.attempts(webhook_id, sale=None, limit=1)
        return attempts[0] if attempts and attempts[0].tries == tries else None

    return cast("Attempt", await eventually(look, f"it is tried {tries} times"))


async def test_a_webhook_that_is_removed_leaves_nothing_behind(
    valkey: str, shop: Shop, receiver: Inbox, webhooks: Webhooks, store: Store
) -> None:
    await shop.open({"car": 50})
    webhook_id, _ = await webhooks.create(f"{receiver.url}/a", ORDERS, None)
    came, going = asyncio.Event(), asyncio.Event()

    async def answers(_message: Message, _request: web.Request) -> web.StreamResponse:
        came.set()
        await going.wait()
        return web.Response()

    receiver.answers = answers
    await sell(shop, 3)
    async with delivering(valkey):
        await came.wait()
        assert await webhooks.remove(webhook_id)
        assert not await webhooks.remove(webhook_id)
        going.set()
    assert await webhooks.get(webhook_id) is None
    assert await webhooks.attempts(webhook_id, sale=None, limit=1) is None
    assert await webhooks.rotate(webhook_id) is None
    assert await webhooks.enable(webhook_id) is None
    assert [key async for key in store.redis.scan_iter("fs:*webhook*")] == []
    assert sequences(receiver.messages) == [1]
