"""A sale that waits for its recovery: nothing of it changes, and the background work of the other sales goes on."""

import asyncio
import time

import pytest
from structlog.testing import capture_logs

from flashsale.api import app
from flashsale.engine import events
from flashsale.engine.catalog import Catalog
from flashsale.engine.events import Received
from flashsale.engine.settlement import Settlement
from flashsale.engine.till import Till
from flashsale.keys import SaleKeys
from flashsale.model.reservation import Reservation, State
from flashsale.providers.protocol import Event, PaymentState, ProviderPayment
from flashsale.settings import load_settings
from flashsale.store.guarding import GuardStore
from flashsale.store.payments import PaymentStore
from flashsale.store.sales import SaleStore
from flashsale.workers.payments import PaymentWorker
from flashsale.workers.sweeper import Sweeper
from tests.support.shop import Shop
from tests.support_http.client import Shop as HttpShop
from tests.support_http.client import new_sale_id
from tests.support_http.server import PATIENT, app_on

PATIENCE_S = 60


async def mark(store: GuardStore, sale: str) -> None:
    await store.store.redis.hset(SaleKeys.of(sale).sale, "recovering", "1000")


async def unmark(store: GuardStore, sale: str) -> None:
    await store.store.redis.hdel(SaleKeys.of(sale).sale, "recovering")


async def test_the_sweeper_passes_it_over_and_says_so_once(
    shop: Shop, sales: SaleStore, guard_store: GuardStore
) -> None:
    shop.clock.now_ms = time.time_ns() // 1_000_000 - 60_000
    other = Shop(shop.store, sales, shop.clock, "zagato")
    for each in (shop, other):
        await each.open({"car": 1}, opens_ms=shop.now_ms, hold_seconds=10)
        await each.hold("ann")
    await mark(guard_store, shop.sale)
    before = await shop.snapshot()
    sweeper = Sweeper(sales, interval_s=1)
    with capture_logs() as said:
        assert await sweeper.sweep() == 1
        sweeper._quiet.clear()
        assert await sweeper.sweep() == 0
    assert [each["sale"] for each in said if each["event"] == "sweeper.recovering"] == [shop.sale]
    assert (await other.state()).holds == 0
    assert await shop.snapshot() == before
    await unmark(guard_store, shop.sale)
    sweeper._quiet.clear()
    assert await sweeper.sweep() == 1


def paid(shop: Shop, held: Reservation) -> bytes:
    """What the provider tells of a payment."""
    due = shop.due(held)
    payment = ProviderPayment(
        id=held.token,
        state=PaymentState.PAID,
        amount=due.amount,
        currency=due.currency,
        shop="flashsale",
        reservation=f"{shop.sale}.0.{held.token}",
        attempt=1,
        method="card",
    )
    return events.pack(Received("sim", Event(held.token, payment)))


async def test_the_payment_worker_leaves_it_alone_until_it_is_back(
    shop: Shop, sales: SaleStore, guard_store: GuardStore
) -> None:
    shop.clock.now_ms = time.time_ns() // 1_000_000
    other = Shop(shop.store, sales, shop.clock, "zagato")
    payments = PaymentStore(shop.store, timeout_s=PATIENCE_S)
    holds = []
    for each in (shop, other):
        await each.open({"car": 1}, opens_ms=shop.now_ms, hold_seconds=3600)
        holds.append(await each.hold("ann"))
        await each.pay(holds[-1])
    await mark(guard_store, shop.sale)
    for each, held in zip((shop, other), holds, strict=True):
        await payments.add_event(each.sale, paid(each, held))
    before = await shop.snapshot()
    till = Till.of(load_settings({}), payments, sales, Catalog(sales), {})
    worker, stop = PaymentWorker(till, Settlement(till), tries=5, claim_ms=100), asyncio.Event()
    working = asyncio.create_task(worker.run(stop))

    async def confirmed(which: Shop, held: Reservation) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                (found,) = (await which.look(tokens=[held.token])).reservations
                if found is not None and found.state is State.CONFIRMED:
                    return
                await asyncio.sleep(0.01)

    await confirmed(other, holds[1])
    assert await shop.snapshot() == before
    await unmark(guard_store, shop.sale)
    await confirmed(shop, holds[0])
    stop.set()
    await working
    await payments.close()


@pytest.mark.breaks_the_books("the store has lost a sale")
async def test_what_clients_are_told(valkey: str, guard_store: GuardStore) -> None:
    sale, other, lost = new_sale_id(), new_sale_id(), new_sale_id()
    async with app_on(valkey, PATIENT) as url, HttpShop(url) as shop:
        for each in (sale, other, lost):
            (await shop.define(each, stock=3)).must(201)
        held = (await shop.reserve(sale, "c-1")).must(201)["id"]
        await mark(guard_store, sale)
        await guard_store.store.redis.delete(*SaleKeys.of(lost).all())
        await mark(guard_store, lost)
        for refused in (
            await shop.reserve(sale, "c-2"),
            await shop.reserve(sale, "c-2", key="k"),
            await shop.cancel(held, "c-1"),
            await shop.steer(sale, "pause"),
            await shop.restock(sale, 1),
            await shop.reserve(lost, "c-2"),
            await shop.define(lost, stock=3),
            await shop.ask("GET", f"/v1/sales/{lost}"),
        ):
            problem = refused.refused(503, "recovering")
            assert (
                problem["detail"] == "The sale is being brought back from the archive. Nothing was changed."
            )
            assert refused.headers["Retry-After"] == "5"
        assert (await shop.ask("GET", f"/v1/sales/{sale}")).must(200)["state"] == "paused"
        assert (await shop.read(held, "c-1")).must(200)["status"] == "held"
        listed = {
            each["id"]: each["state"] for each in (await shop.ask("GET", "/v1/sales")).must(200)["sales"]
        }
        assert (listed[sale], listed[other], lost in listed) == ("paused", "open", False)
        (await shop.reserve(other, "c-2")).must(201)
        (await shop.ask("GET", "/readyz")).must(200)
        await unmark(guard_store, sale)
        (await shop.reserve(sale, "c-2")).must(201)


async def test_while_nobody_has_compared_everything_is_refused(
    valkey: str, guard_store: GuardStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "GUARD_WAIT_S", 0.1)
    await guard_store.store.redis.hset("fs:guard", "run_id", "0" * 40)
    async with app_on(valkey, PATIENT) as url, HttpShop(url) as shop:
        for refused in (
            await shop.ask("GET", "/readyz"),
            await shop.ask("GET", "/v1/sales"),
            await shop.reserve("giulia", "c-1"),
            await shop.define("giulia"),
        ):
            problem = refused.refused(503, "recovering")
            assert "yet to be compared with the archive" in problem["detail"]
        (await shop.ask("GET", "/healthz")).must(200)
