"""The check after every test finds what it is there for."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.support.books import faults_of
from tests.support.shop import Shop

FAULTS: dict[str, tuple[Callable[[Shop, Any], Awaitable[Any]], str]] = {
    "a key of no pattern": (
        lambda shop, redis: redis.set("other", 1),
        "'other' is not in the keyspace table",
    ),
    "an unknown part of a sale": (
        lambda shop, redis: redis.set("fs:{giulia.0}:lock", 1),
        "'fs:{giulia.0}:lock' is not in the keyspace table",
    ),
    "a sale id that cannot be": (
        lambda shop, redis: redis.hset("fs:{Giulia.0}:sale", "state", "open"),
        "'fs:{Giulia.0}:sale' is not in the keyspace table",
    ),
    "a key of another type": (lambda shop, redis: redis.set("fs:keys", 1), "'fs:keys' is a string"),
    "a sale that is not in the index": (
        lambda shop, redis: redis.hdel("fs:sales", "giulia"),
        "not in the index",
    ),
    "a unit too many": (lambda shop, redis: redis.hincrby(shop.keys.stock, "available:car", 1), "b'car' has"),
    "a finding of the audit": (lambda shop, redis: redis.delete(shop.keys.journal), "the journal ends"),
    "a sale without its definition": (
        lambda shop, redis: redis.delete(shop.keys.sale),
        "has keys but no definition",
    ),
}


@pytest.mark.breaks_the_books("that is what the check is shown")
@pytest.mark.parametrize("case", FAULTS)
async def test_each_fault_is_found(shop: Shop, valkey: str, case: str) -> None:
    damage, said = FAULTS[case]
    await shop.open({"car": 2})
    await shop.hold("ann")
    assert await faults_of(valkey) == []
    await damage(shop, shop.store.redis)
    assert any(said in fault for fault in await faults_of(valkey))


def test_an_empty_server_has_no_faults(valkey: str) -> None:
    assert asyncio.run(faults_of(valkey)) == []
