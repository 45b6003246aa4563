"""Webhooks and rehearsals: nothing of a rehearsal is sent to anybody, whatever they ask for."""

import pytest

from flashsale.engine.cloudevents import EventMaker
from flashsale.engine.outgoing import Outbox
from flashsale.engine.webhooks import UnknownSaleError, Webhooks
from flashsale.model.events import EVENT_TYPES
from flashsale.store.client import Store
from flashsale.store.orders import OrderStore
from flashsale.store.sales import SaleStore
from flashsale.store.webhooks import WebhookStore
from tests.support.sales import OPENS_MS, definition
from tests.support.selling import Seller, publish_all
from tests.webhooks.inbox import ORDERS, Inbox, delivering

PRETENDED = "giulia-rehearsal"


@pytest.fixture
async def pretended(store: Store, sale_store: SaleStore) -> Seller:
    seller = Seller(store, sale_store, PRETENDED)
    await seller.begin(rehearsal=True)
    return seller


async def test_neither_orders_nor_facts_of_a_rehearsal_are_sent(
    valkey: str,
    store: Store,
    sale_store: SaleStore,
    receiver: Inbox,
    webhooks: Webhooks,
    pretended: Seller,
) -> None:
    await webhooks.create(f"{receiver.url}/orders", ORDERS, None)
    await webhooks.create(f"{receiver.url}/facts", list(EVENT_TYPES), None)
    named, _ = await webhooks.create(f"{receiver.url}/named", ORDERS, PRETENDED)
    real = Seller(store, sale_store, "giulia")
    async with delivering(valkey):
        await pretended.sell(5)
        await publish_all(pretended)
        await real.begin()
        await real.sell(5)
        await receiver.until(lambda: len(receiver.at("/orders")) == real.told)
        facts = (await real.state()).seq
        await receiver.until(lambda: len(receiver.at("/facts")) == facts)
        await pretended.sell(2)
        await real.sell(2)
        await receiver.until(lambda: len(receiver.at("/orders")) == real.told)
    assert {message.sale for message in receiver.messages} == {"giulia"}
    with pytest.raises(UnknownSaleError):
        await webhooks.replay(named, PRETENDED, 0)
    for view in await webhooks.all():
        assert PRETENDED not in view.heads


async def test_a_shop_with_nothing_but_rehearsals_has_nothing_to_send(
    valkey: str, receiver: Inbox, webhooks: Webhooks, store: Store, sale_store: SaleStore, pretended: Seller
) -> None:
    await webhooks.create(f"{receiver.url}/orders", ORDERS, None)
    async with delivering(valkey):
        await pretended.sell(3)
        later = Seller(store, sale_store, "giulia")
        await later.begin()
        await later.sell(1, refunds=0)
        await receiver.until(lambda: receiver.messages)
    assert [message.sale for message in receiver.messages] == ["giulia"]


async def test_a_sale_that_became_a_rehearsal_when_its_facts_were_about_to_be_read(
    store: Store, sale_store: SaleStore, webhook_store: WebhookStore, webhooks: Webhooks, receiver: Inbox
) -> None:
    """The courier was told of an ordinary sale that has facts; meanwhile it is another one, and has opened."""
    webhook_id, _ = await webhooks.create(f"{receiver.url}/facts", list(EVENT_TYPES), None)
    seller = Seller(store, sale_store, "giulia")
    seller.clock.now_ms = OPENS_MS - 1000
    await seller.open({"car": 10})
    assert (await webhook_store.heads(["giulia"]))["giulia"].seq == 1
    await seller.define(definition({"car": 10}, rehearsal=True))
    seller.clock.now_ms = OPENS_MS
    await seller.sell(2, refunds=0)
    await publish_all(seller)
    orders = OrderStore(store)
    outbox = Outbox(orders, sale_store, EventMaker(sale_store, "test"))
    webhook = await webhook_store.get(webhook_id)
    assert webhook is not None
    page = await outbox.page(webhook, "giulia", 0)
    assert (page.events, page.through) == ([], 0)
    assert await webhook_store.heads(["giulia"]) == {}
    await orders.close()
