"""Wrappers of the scripts about webhooks."""

from typing import Final

import msgspec
from redis.asyncio import Redis

from flashsale.keys import WebhookKeys
from flashsale.model.outcomes import Advance
from flashsale.model.webhooks import Attempt, Retry
from flashsale.scripts.calls import run

MOST_ATTEMPTS: Final = 1000
"""Tries of a webhook that are kept, or somewhat more."""

_encode = msgspec.json.Encoder().encode


async def lease(redis: "Redis", names: WebhookKeys, owner: str, *, ttl_ms: int, take: bool) -> bool:
    """Takes or renews the lease for `ttl_ms` from now, or gives it back (0). Whether the owner has, or had, it."""
    return bool(await run(redis, "lease", (names.lease,), ttl_ms, owner, int(take)))


async def advance(
    redis: "Redis",
    names: WebhookKeys,
    owner: str,
    sale: str,
    *,
    before: int,
    after: int,
    retry: Retry | None,
    attempt: Attempt | None,
) -> Advance:
    """Records a try, and moves the position of a sale from `before` to `after`."""
    told = [b"" if each is None else _encode(each) for each in (retry, attempt)]
    return Advance(await run(redis, "advance", names.all(), before, after, owner, sale, *told, MOST_ATTEMPTS))
