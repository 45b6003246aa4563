"""The turns of several sales at one provider."""

import asyncio
import time

from flashsale.engine.catalog import Catalog
from flashsale.engine.settlement import Settlement
from flashsale.engine.till import Till
from flashsale.process.ports import ReservedPort
from flashsale.providers.simulator import Simulator
from flashsale.settings import load_settings
from flashsale.store.payments import PaymentStore
from flashsale.workers.payments import PaymentWorker
from tests.support.shop import Shop

RATE = 20
PATIENCE_S = 120


async def test_a_sale_with_many_payments_leaves_others_their_turns(shop: Shop) -> None:
    shop.clock.now_ms = time.time_ns() // 1_000_000  # a worker goes by the store's own time
    other = Shop(shop.store, shop.sale_store, shop.clock, "zagato")  # the last by name
    for each, count in ((shop, 200), (other, 20)):
        await each.open({"car": count}, opens_ms=shop.now_ms, hold_seconds=3600)
        for number in range(count):
            await each.pay(await each.hold(f"c{number}"), rate=RATE)
    with ReservedPort() as nobody:
        provider = Simulator(f"http://127.0.0.1:{nobody.port}", "secret", rate=RATE)
        settings = load_settings({"FLASHSALE_PAYMENT_PROVIDER": "simulator"})
        payments = PaymentStore(shop.store, timeout_s=PATIENCE_S)
        catalog = Catalog(shop.sale_store)
        till = Till.of(settings, payments, shop.sale_store, catalog, {provider.name: provider})
        worker, stop = PaymentWorker(till, Settlement(till), tries=10, claim_ms=30_000), asyncio.Event()
        working = asyncio.create_task(worker.run(stop))
        async with asyncio.timeout(PATIENCE_S):
            while await other.waiting():  # noqa: ASYNC110 (what happens here happens on a server)
                await asyncio.sleep(0.005)
        left = len(await shop.waiting())
        stop.set()
        await working
        await provider.close()
        await payments.close()
    assert left > 140, f"{200 - left} payments of the first sale went while 20 of the other did"
