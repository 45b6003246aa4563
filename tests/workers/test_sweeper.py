"""The sweeper on the real store: every hold ends once, whoever sweeps, and a store that is away is waited for."""

import asyncio
import os
import signal
import time
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from flashsale.process.embedded import EmbeddedValkey
from flashsale.settings import load_settings
from flashsale.store.client import Store, StoreUnavailableError
from flashsale.store.sales import SaleStore
from flashsale.workers import run_workers
from flashsale.workers import sweeper as module
from flashsale.workers.sweeper import BATCH, Sweeper
from tests.support.sales import Clock, claim
from tests.support.server import PATIENCE_MS, PATIENCE_S
from tests.support.shop import Shop


def past_ms(seconds: float = 60.0) -> int:
    return round((time.time() - seconds) * 1000)


async def overdue(shop: Shop, count: int, hold_seconds: int = 10) -> None:
    """A sale with so many holds that ended long ago by the server's own time."""
    shop.clock.now_ms = past_ms()
    await shop.open({"car": count}, opens_ms=shop.now_ms, hold_seconds=hold_seconds)
    for start in range(0, count, 500):
        await shop.reserve(*[claim(f"c{n}") for n in range(start, min(start + 500, count))])


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 (what happens here happens on a server)
        await asyncio.sleep(0.005)


async def swept(shop: Shop) -> None:
    while (await shop.state()).holds:  # noqa: ASYNC110 (the same)
        await asyncio.sleep(0.005)


async def test_one_round_ends_all_that_is_overdue(shop: Shop) -> None:
    count = 2 * BATCH + 10
    await overdue(shop, count)
    assert await Sweeper(shop.sale_store, interval_s=1).sweep() == count
    assert (await shop.stock()).available == count
    assert await Sweeper(shop.sale_store, interval_s=1).sweep() == 0


async def test_several_side_by_side_end_each_hold_once(shop: Shop, valkey: str) -> None:
    count = 5 * BATCH
    await overdue(shop, count)
    stores = [Store.connect(valkey, timeout_ms=PATIENCE_MS) for _ in range(4)]
    sweepers = [Sweeper(SaleStore(store, timeout_s=PATIENCE_S), interval_s=1) for store in stores]
    ended = await asyncio.gather(*[sweeper.sweep() for sweeper in sweepers])
    for store in stores:
        await store.close()
    assert sum(ended) == count
    assert await shop.fact_types(after=count + 2) == ["reservation.expired"] * count
    assert (await shop.state()).holds == 0


async def test_what_is_not_overdue_is_left(shop: Shop) -> None:
    await overdue(shop, 3, hold_seconds=3600)
    assert await Sweeper(shop.sale_store, interval_s=1).sweep() == 0
    assert (await shop.state()).holds == 3


async def test_the_clock_opens_and_closes_sales(shop: Shop) -> None:
    shop.clock.now_ms = past_ms(60)
    await shop.open({"car": 1}, opens_ms=past_ms(40), closes_ms=past_ms(20))
    await Sweeper(shop.sale_store, interval_s=1).sweep()
    assert (await shop.fact_types())[1:] == ["sale.opened", "sale.closed"]
    assert (await shop.state()).state == "closed"


async def test_a_sale_in_the_index_only_is_no_trouble(shop: Shop) -> None:
    await shop.store.redis.hset("fs:sales", "never-defined", "1")
    await overdue(shop, 3)
    assert await Sweeper(shop.sale_store, interval_s=1).sweep() == 3


async def test_closed_sales_without_holds_are_seldom_visited(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_QUIET_S", 3600.0)
    await overdue(shop, 3)
    await shop.set_state("close")
    sweeper = Sweeper(shop.sale_store, interval_s=1)
    assert await sweeper.sweep() == 3
    before = (await shop.store.redis.info("commandstats"))["cmdstat_zrange"]["calls"]
    await sweeper.sweep()
    assert (await shop.store.redis.info("commandstats"))["cmdstat_zrange"]["calls"] == before


async def test_a_closed_sale_is_swept_while_it_has_holds(shop: Shop) -> None:
    await overdue(shop, 1, hold_seconds=3600)
    await shop.set_state("close")
    sweeper = Sweeper(shop.sale_store, interval_s=1)
    assert await sweeper.sweep() == 0
    shop.clock.now_ms = past_ms(30)
    (token,) = [fact.token for fact in await shop.facts() if fact.type == "reservation.held"]
    await shop.store.redis.zadd(shop.keys.holds, {token: past_ms(20)})
    assert await sweeper.sweep() == 1
    # The hold was moved behind the books' back; they are put right by taking the sale away.
    await shop.store.redis.flushall()


@pytest.mark.breaks_the_books("one sale is damaged so that no script can work on it")
async def test_a_damaged_sale_does_not_keep_the_others_from_being_swept(shop: Shop) -> None:
    await shop.store.redis.set("fs:{a-damaged-sale.0}:sale", "not a hash")
    await shop.store.redis.hset("fs:sales", "a-damaged-sale", "1")
    await overdue(shop, 3)
    sweeper = Sweeper(shop.sale_store, interval_s=1)
    for _ in range(2):
        with pytest.raises(StoreUnavailableError):
            await sweeper.sweep()
    assert (await shop.state()).holds == 0


async def test_it_goes_on_until_it_is_stopped(shop: Shop) -> None:
    await overdue(shop, 3)
    stop = asyncio.Event()
    running = asyncio.create_task(Sweeper(shop.sale_store, interval_s=0.01).run(stop))
    await swept(shop)
    stop.set()
    await running


async def test_the_worker_waits_for_a_store_that_is_away_and_goes_on(own_server: EmbeddedValkey) -> None:
    settings = load_settings(
        {},
        {"redis_url": own_server.url, "sweep_interval_ms": 10, "redis_timeout_ms": PATIENCE_MS},
        purpose="work",
    )
    stop = asyncio.Event()
    with capture_logs() as logs:
        working = asyncio.create_task(run_workers(settings, stop))
        os.kill(own_server.pid, signal.SIGKILL)
        await until(lambda: any(line["event"] == "sweeper.store_unavailable" for line in logs))
        own_server.restart()
        await until(lambda: any(line["event"] == "sweeper.back" for line in logs))
        store = Store.connect(own_server.url, timeout_ms=PATIENCE_MS)
        sale_store = SaleStore(store, timeout_s=PATIENCE_S)
        shop = Shop(store, sale_store, Clock())
        await overdue(shop, 3)
        await swept(shop)
        await sale_store.close()
        await store.close()
        stop.set()
        await working
    assert [line["event"] for line in logs].count("sweeper.store_unavailable") == 1
    assert all(own_server.url not in str(line) for line in logs)
