"""A damaged store must not stop the server: a script that never ends would, as nothing can end a script that has written."""

import pytest

from flashsale.model.outcomes import Resolve
from tests.support.shop import Shop

STRANGER = b"s" * 16 + b"\0\0\0\1"


@pytest.mark.breaks_the_books("a customer's entries are damaged")
@pytest.mark.parametrize("entries", [None, b"", b"?", STRANGER, STRANGER * 3])
@pytest.mark.parametrize("verb", ["cancel", "expire", "reserve"])
async def test_a_hold_that_its_customer_does_not_know_ends_all_the_same(
    shop: Shop, entries: bytes | None, verb: str
) -> None:
    await shop.open({"car": 1}, hold_seconds=10)
    held = await shop.hold("ann")
    if entries is None:
        await shop.store.redis.hdel(shop.keys.customers, "ann")
    else:
        await shop.store.redis.hset(shop.keys.customers, "ann", entries)
    if verb == "cancel":
        assert (await shop.cancel(held.token)).outcome is Resolve.DONE
    else:
        shop.clock.advance(10)
    if verb == "expire":
        assert (await shop.expire()).expired == 1
    await shop.hold("bob")
    report = await shop.audit()
    assert not report.ok or entries in (None, b"")
