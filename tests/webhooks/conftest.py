"""What the tests of webhooks share: a receiver, and webhooks on the store of the session."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from flashsale.engine.webhooks import Webhooks
from flashsale.store.client import Store
from flashsale.store.sales import SaleStore
from flashsale.store.webhooks import WebhookStore
from flashsale.webhooks.addresses import Guard
from tests.support.sales import Clock
from tests.support.shop import Shop
from tests.webhooks.inbox import Inbox, inbox


@pytest.fixture
async def receiver() -> AsyncIterator[Inbox]:
    async with inbox() as made:
        yield made


@pytest.fixture
def webhook_store(store: Store) -> WebhookStore:
    return WebhookStore(store)


@pytest.fixture
def webhooks(webhook_store: WebhookStore, sale_store: SaleStore) -> Webhooks:
    """Webhooks that may go to this machine."""
    return Webhooks(webhook_store, sale_store, Guard(private_networks=True))


@pytest.fixture
def another(store: Store, sale_store: SaleStore, clock: Clock) -> Callable[[str], Awaitable[Shop]]:
    """Opens another sale, of 50 cars."""

    async def open_it(sale: str) -> Shop:
        made = Shop(store, sale_store, clock, sale)
        await made.open({"car": 50})
        return made

    return open_it
