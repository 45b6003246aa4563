"""A store that goes away while webhooks are delivered, and comes back; and one from which something is missing."""

import asyncio
import signal
from pathlib import Path

import psutil
import pytest

from flashsale.archive import Archive
from flashsale.engine.cloudevents import EventMaker
from flashsale.engine.older import OldBooks
from flashsale.engine.outgoing import Outbox, OutOfReachError
from flashsale.engine.webhooks import Webhooks
from flashsale.keys import SaleKeys
from flashsale.model.events import EVENT_TYPES, ORDER_EVENTS
from flashsale.model.webhooks import Webhook
from flashsale.process.embedded import EmbeddedValkey
from flashsale.store.client import Store
from flashsale.store.orders import OrderStore
from flashsale.store.sales import SaleStore
from flashsale.store.webhooks import WebhookStore
from flashsale.webhooks.addresses import Guard
from tests.support.archived import archived, fill
from tests.support.sales import Clock
from tests.support.server import PATIENCE_MS, PATIENCE_S, binary
from tests.support.shop import Shop
from tests.webhooks.inbox import Inbox, delivering, eventually
from tests.webhooks.test_kill import in_order

ORDERS = sorted(ORDER_EVENTS)


async def test_deliveries_go_on_when_the_store_is_back(tmp_path: Path, receiver: Inbox) -> None:
    with EmbeddedValkey(tmp_path / "store", binary=binary()) as server:
        store = Store.connect(server.url, timeout_ms=PATIENCE_MS)
        sales = SaleStore(store, timeout_s=PATIENCE_S)
        webhooks = Webhooks(WebhookStore(store), sales, Guard(private_networks=True))
        shop = Shop(store, sales, Clock())
        await shop.open({"car": 100})
        await webhooks.create(f"{receiver.url}/a", ORDERS, None)
        async with delivering(server.url, store_timeout_ms=2000, lease_ms=1000):
            for number in range(40):
                await shop.paid(f"c-{number}", ("car", 1), reference=f"sim:{number}")
                if number == 20:
                    await receiver.until(lambda: len(receiver.messages) > 5)
                    stopped = psutil.Process(server.pid)
                    stopped.send_signal(signal.SIGSTOP)  # it is there, and answers nobody
                    await asyncio.sleep(3)
                    stopped.send_signal(signal.SIGCONT)
            await receiver.until(lambda: receiver.messages and receiver.messages[-1].sequence == 40)
        await sales.close()
        await store.close()
    assert in_order([each.sequence for each in receiver.messages])
    assert len(receiver.messages) < 45


@pytest.mark.breaks_the_books("what was published is thrown away, as it is when it is old")
async def test_what_is_missing_is_not_skipped(
    valkey: str, shop: Shop, receiver: Inbox, webhooks: Webhooks, store: Store
) -> None:
    await shop.open({"car": 10})
    webhook_id, webhook = await webhooks.create(f"{receiver.url}/a", ORDERS, None)
    async with delivering(valkey):
        for number in range(4):
            await shop.paid(f"c-{number}", ("car", 1), reference=f"sim:{number}")
        await receiver.until(lambda: len(receiver.messages) == 4)
        await store.redis.xtrim(SaleKeys.of(shop.sale).orders, minid="3-0", approximate=False)
        await webhooks.replay(webhook_id, shop.sale, 0)

        async def trouble() -> str:
            view = await webhooks.get(webhook_id)
            retry = view.progress.retries.get(shop.sale) if view else None
            return retry.error if retry else ""

        assert "no longer in the store" in await eventually(trouble, "it says that something is missing")
        assert len(receiver.messages) == 4
        view = await webhooks.replay(webhook_id, shop.sale, 2)
        assert view is not None
        await receiver.until(lambda: len(receiver.messages) == 6)
    assert [each.sequence for each in receiver.messages] == [1, 2, 3, 4, 3, 4]
    await _page_of_facts_has_no_gap(shop, store, webhook)


@pytest.mark.breaks_the_books("what is in the archive is thrown away, as it is when it is old")
async def test_what_is_no_longer_in_the_store_comes_from_the_archive(
    valkey: str, shop: Shop, receiver: Inbox, webhooks: Webhooks, store: Store, tmp_path: Path
) -> None:
    of_orders, _ = await webhooks.create(f"{receiver.url}/orders", ORDERS, None)
    of_all, _ = await webhooks.create(f"{receiver.url}/all", list(EVENT_TYPES), None)
    await shop.open({"car": 10})
    for number in range(4):
        await shop.paid(f"c-{number}", ("car", 1), reference=f"sim:{number}")
    facts = await shop.facts()
    url = f"sqlite:///{tmp_path / 'archive.db'}"
    archive = Archive.open(url)
    fill(archive, archived(facts, shop.sale))
    older = OldBooks(url)
    async with delivering(valkey, older=older):
        await receiver.until(lambda: len(receiver.messages) == 4 + len(facts))
        names = SaleKeys.of(shop.sale)
        await store.redis.xtrim(names.orders, minid="3-0", approximate=False)
        await store.redis.xtrim(names.journal, minid=f"{len(facts) - 1}-0", approximate=False)
        for webhook_id in (of_orders, of_all):
            await webhooks.replay(webhook_id, shop.sale, 0)
        await receiver.until(lambda: len(receiver.messages) == 2 * (4 + len(facts)))
    await older.close()
    archive.close()
    for path in ("/orders", "/all"):
        bodies = [each.body for each in receiver.at(path)]
        half = len(bodies) // 2
        assert bodies[:half] == bodies[half:]


async def _page_of_facts_has_no_gap(shop: Shop, store: Store, webhook: Webhook) -> None:
    orders = OrderStore(store)
    outbox = Outbox(orders, shop.sale_store, EventMaker(shop.sale_store, "test"))
    everything = Webhook(
        url=webhook.url,
        types=("io.flashsale.sale.opened.v1",),
        sale=None,
        created_at_ms=0,
        secret=webhook.secret,
    )
    assert len((await outbox.page(everything, shop.sale, 0)).events) == 1
    await store.redis.xtrim(SaleKeys.of(shop.sale).journal, minid="3-0", approximate=False)
    with pytest.raises(OutOfReachError, match="what follows number 0"):
        await outbox.page(everything, shop.sale, 0)
    away = Outbox(
        orders, shop.sale_store, EventMaker(shop.sale_store, "test"), OldBooks("sqlite:////dev/null/no")
    )
    with pytest.raises(OutOfReachError, match="the archive cannot be read"):
        await away.page(everything, shop.sale, 0)
    page = await outbox.page(everything, shop.sale, 2)
    assert (page.events, page.through) == ([], len(await shop.facts(after=2)) + 2)
    await orders.close()
