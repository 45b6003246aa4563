"""A damaged store must not stop the server: a script that never ends would, as nothing can end a script that has written."""

import pytest
from redis.exceptions import ResponseError

from flashsale.model.outcomes import Confirm, Pay, Resolve
from flashsale.model.payment import PaymentStatus
from flashsale.store.client import StoreUnavailableError
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


@pytest.mark.breaks_the_books("a payment record is damaged")
@pytest.mark.parametrize(
    "record", [b"", b"?", b"\1\1\1", b"\1" * 15, b"\1" * 12 + b"\xff" * 40, b"\6" + b"\0" * 500]
)
@pytest.mark.parametrize("verb", ["pay", "attempt", "confirm", "settle", "cancel"])
async def test_a_damaged_payment_is_an_error_or_an_answer_and_never_a_standstill(
    shop: Shop, record: bytes, verb: str
) -> None:
    await shop.open({"car": 2})
    held, other = await shop.hold("ann"), await shop.hold("bob")
    await shop.pay(other)
    await shop.store.redis.hset(shop.keys.attempts, held.token, record)
    before = await shop.snapshot()
    try:
        if verb == "pay":
            await shop.pay(held)
        elif verb == "attempt":
            await shop.attempt(held.token, PaymentStatus.FAILED)
        elif verb == "confirm":
            await shop.confirm(shop.charge(held))
        elif verb == "settle":
            await shop.settle(held.token)
        else:
            await shop.cancel(held.token)
    except (ResponseError, StoreUnavailableError, ValueError) as error:
        if not isinstance(error, ValueError):  # that is the answer which cannot be read
            assert await shop.snapshot() == before
    assert (await shop.pay(other)).outcome is Pay.UNDER_WAY
    assert await shop.confirmed(shop.charge(other, "sim:2")) == [Confirm.CONFIRMED]
