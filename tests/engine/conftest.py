"""Workers and feeds of a shop: each with the desks, memory and connection that a process of its own would have."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from flashsale.engine import attempts, story
from flashsale.engine.batcher import Queue
from flashsale.engine.catalog import Catalog
from flashsale.engine.curve import Curves
from flashsale.engine.feed import Feed
from flashsale.engine.reservations import Reservations
from flashsale.store.client import Store
from flashsale.store.orders import OrderStore
from flashsale.store.sales import SaleStore
from tests.engine.feeds import FeedOf
from tests.engine.worker import Worker
from tests.support.sales import SALE, definition
from tests.support.server import PATIENCE_MS, PATIENCE_S

Put = Callable[..., Awaitable[None]]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told as far as it goes within some seconds is told whole, unless a test says otherwise."""
    monkeypatch.setattr(story, "MOST_S", PATIENCE_S)
    monkeypatch.setattr(attempts, "MOST_S", PATIENCE_S)
    defaults = Curves.of.__kwdefaults__ or {}
    monkeypatch.setattr(Curves.of, "__kwdefaults__", {**defaults, "wait_s": PATIENCE_S})


@pytest.fixture
async def worker(sale_store: SaleStore) -> AsyncIterator[Worker]:
    worker = make_worker(sale_store)
    yield worker
    await worker.reservations.close()


@pytest.fixture
async def other_worker(valkey: str) -> AsyncIterator[Worker]:
    """A second process, as far as the store can tell."""
    store = Store.connect(valkey, timeout_ms=PATIENCE_MS)
    sale_store = SaleStore(store, timeout_s=PATIENCE_S)
    worker = make_worker(sale_store)
    yield worker
    await worker.reservations.close()
    await sale_store.close()
    await store.close()


def make_worker(sale_store: SaleStore) -> Worker:
    worker = Worker(sale_store, Catalog(sale_store))
    queue = Queue(limit=10_000, deadline_s=30.0, batch_limit=128, in_flight_limit=1)

    def from_memory() -> None:
        worker.from_memory += 1

    worker.reservations = Reservations(sale_store, worker.catalog, queue, on_memory=from_memory)
    return worker


@pytest.fixture
def put(sale_store: SaleStore) -> Put:
    """`await put({"car": 3}, sale="giulia", opens_in=-1, **terms)`: a sale in the server's own time."""

    async def put(stock: dict[str, int], sale: str = SALE, opens_in: float = -1.0, **terms: Any) -> None:
        opens_ms = round((time.time() + opens_in) * 1000)
        await sale_store.open_sale(sale, definition(stock, opens_ms=opens_ms, **terms))

    return put


@pytest.fixture
async def feed_of(store: Store, sale_store: SaleStore) -> AsyncIterator[FeedOf]:
    """Makes feeds."""
    made: list[tuple[Feed, OrderStore]] = []

    def make(**options: Any) -> Feed:
        orders = OrderStore(store, timeout_s=PATIENCE_S)
        made.append((Feed(sale_store, orders, **options), orders))
        return made[-1][0]

    yield make
    for feed, orders in made:
        await feed.close()
        await orders.close()
