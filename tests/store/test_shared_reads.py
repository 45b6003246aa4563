"""What many ask at the same time about a sale is asked of the store once."""

import asyncio

from redis.asyncio import Redis

from flashsale.store.client import Store
from flashsale.store.sales import SaleStore
from tests.support.sales import SALE, Clock, claim
from tests.support.shop import Shop


async def script_calls(redis: Redis) -> int:
    """Scripts that the server has run so far."""
    stats = await redis.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))


async def test_a_crowd_that_comes_to_a_page_costs_few_calls(store: Store, sale_store: SaleStore) -> None:
    shop = Shop(store, sale_store, Clock())
    await shop.open({"car": 9}, limit=1)
    before = await script_calls(store.redis)
    looks = await asyncio.gather(*(sale_store.shared_look(SALE) for _ in range(200)))
    assert {look.sale.stock[0].available for look in looks if look.sale is not None} == {9}
    assert await script_calls(store.redis) - before <= 2


async def test_each_customer_is_told_of_their_own(store: Store, sale_store: SaleStore) -> None:
    shop = Shop(store, sale_store, Clock())
    await shop.open({"car": 9}, limit=2)
    claims = [claim(name) for name in ("ann", "bob", "ann")]
    await shop.reserve(*claims)
    before = await script_calls(store.redis)
    names = ["ann", "nobody", "bob"] * 20
    found = await asyncio.gather(*(sale_store.entries(SALE, name) for name in names))
    assert await script_calls(store.redis) - before <= 2
    tokens = [[entry.token for entry in entries] for entries in found]
    assert tokens == [[claims[0].token, claims[2].token], [], [claims[1].token]] * 20
