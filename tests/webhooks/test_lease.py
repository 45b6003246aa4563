"""The lease and the positions of a webhook: only whoever holds the lease moves them, and only from where they are."""

import asyncio

import pytest
from redis.asyncio import Redis

from flashsale.keys import WebhookKeys
from flashsale.model.outcomes import Advance
from flashsale.model.webhooks import Attempt, Retry, Webhook
from flashsale.scripts.webhooks import MOST_ATTEMPTS
from flashsale.store.webhooks import MAX_WEBHOOKS, TooManyWebhooksError, WebhookStore
from tests.webhooks.inbox import eventually

ID = "wh_0123456789abcdef"
RETRY = Retry(number=3, tries=2, since_ms=1, next_ms=5, error="answered 500")
WEBHOOK = Webhook(url="https://example.com", types=("t",), sale=None, created_at_ms=1, secret="whsec_")


def attempt(number: int, sale: str = "giulia") -> Attempt:
    return Attempt(sale, number, f"{sale}.0.{number}", "t", 1, 2, 1, 200, None)


async def test_one_owner_at_a_time(webhook_store: WebhookStore, redis: "Redis") -> None:
    assert not await webhook_store.lease(ID, "ann", ttl_ms=60_000, take=False)
    assert await webhook_store.lease(ID, "ann", ttl_ms=60_000, take=True)
    assert not await webhook_store.lease(ID, "bob", ttl_ms=60_000, take=True)
    await webhook_store.give_back(ID, "bob")
    assert await webhook_store.lease(ID, "ann", ttl_ms=90_000, take=False)
    assert 60_000 < await redis.pttl(WebhookKeys.of(ID).lease) <= 90_000
    await webhook_store.give_back(ID, "ann")
    assert await webhook_store.lease(ID, "bob", ttl_ms=1, take=True)
    await eventually(lambda: webhook_store.lease(ID, "ann", ttl_ms=60_000, take=True), "it is free again")


async def test_only_the_owner_moves_a_position_and_only_from_where_it_is(webhook_store: WebhookStore) -> None:
    async def advance(owner: str, before: int, after: int, retry: Retry | None = None) -> Advance:
        return await webhook_store.advance(
            ID, owner, "giulia", before=before, after=after, retry=retry, attempt=attempt(after)
        )

    assert await advance("ann", 0, 1) is Advance.NOT_OURS
    await webhook_store.lease(ID, "ann", ttl_ms=60_000, take=True)
    assert await advance("ann", 0, 1) is Advance.DONE
    assert await advance("bob", 1, 2) is Advance.NOT_OURS
    assert await advance("ann", 0, 1) is Advance.MOVED
    assert await advance("ann", 1, 1, RETRY) is Advance.DONE
    assert await webhook_store.standing(ID, "giulia") == (1, RETRY)
    await webhook_store.move(ID, "giulia", 7)
    assert await webhook_store.standing(ID, "giulia") == (7, None)
    assert await advance("ann", 1, 2) is Advance.MOVED
    assert [each.number for each in await webhook_store.attempts(ID, sale=None, limit=10)] == [1, 1]


async def test_tries_are_kept_up_to_a_number_and_found_by_sale(
    webhook_store: WebhookStore, redis: "Redis"
) -> None:
    await webhook_store.lease(ID, "ann", ttl_ms=60_000, take=True)
    for number in range(1, 2 * MOST_ATTEMPTS):
        sale = "rare" if number == MOST_ATTEMPTS + 200 else "giulia"
        before = number - 1 if sale == "giulia" and number != MOST_ATTEMPTS + 201 else 0
        await webhook_store.move(ID, sale, before)
        await webhook_store.advance(
            ID, "ann", sale, before=before, after=number, attempt=attempt(number, sale)
        )
    assert MOST_ATTEMPTS <= await redis.xlen(WebhookKeys.of(ID).deliveries) < MOST_ATTEMPTS + 150
    (found,) = await webhook_store.attempts(ID, sale="rare", limit=10)
    assert found.number == MOST_ATTEMPTS + 200
    newest = await webhook_store.attempts(ID, sale=None, limit=700)
    assert [each.number for each in newest] == list(range(2 * MOST_ATTEMPTS - 1, 2 * MOST_ATTEMPTS - 701, -1))


async def test_changes_at_the_same_time_are_all_made(webhook_store: WebhookStore) -> None:
    await webhook_store.add(ID, WEBHOOK, {})
    made = await asyncio.gather(
        *(webhook_store.change(ID, lambda each: each.rotated(each.secret + "x", 1)) for _ in range(20))
    )
    assert sorted(len(each.secret) for each in made if each) == list(range(7, 27))
    assert await webhook_store.change("wh_0000000000000000", Webhook.switched_on) is None
    assert await webhook_store.remove(ID)


async def test_there_is_a_most_of_webhooks(webhook_store: WebhookStore) -> None:
    for number in range(MAX_WEBHOOKS):
        await webhook_store.add(f"wh_{number:016x}", WEBHOOK, {"giulia": 1})
    with pytest.raises(TooManyWebhooksError):
        await webhook_store.add(ID, WEBHOOK, {"giulia": 1})
    assert len(await webhook_store.all()) == MAX_WEBHOOKS
    assert await webhook_store.remove(f"wh_{0:016x}")
    await webhook_store.add(ID, WEBHOOK, {"giulia": 1})
