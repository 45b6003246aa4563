"""Delivers webhooks: a courier for each webhook whose lease this worker gets. Any number of workers may run side by side."""

import asyncio
import contextlib
import os
import random
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import structlog

from flashsale.engine.cloudevents import EventMaker
from flashsale.engine.older import OldBooks
from flashsale.engine.outgoing import Outbox
from flashsale.model.webhooks import Webhook
from flashsale.settings import Settings
from flashsale.store.client import Store, StoreUnavailableError
from flashsale.store.fence import Fence
from flashsale.store.orders import OrderStore
from flashsale.store.sales import SaleStore
from flashsale.store.webhooks import Head, WebhookStore
from flashsale.webhooks.addresses import Guard
from flashsale.webhooks.sender import Sender
from flashsale.workers.courier import Courier, Desk

LEASE_MS: Final = 10_000
"""After so long at most another worker goes on with the webhooks of one that has died."""
LOOK_S: Final = 0.5
"""How often new webhooks, and changed ones, are looked for."""
POLL_S: Final = 0.05
"""How often it is looked for new facts, while a webhook is told of other things than orders."""
BLOCK_MS: Final = 200
"""How long is waited for new orders, which are told at once; so often it is looked for them all the same."""
GATHER_S: Final = 0.002
"""Orders that come within this are told together."""
POLL_S_A_SALE: Final = 0.0002
AWAY_S: Final = 0.5
END_S: Final = 1.0
"""How long what is under way may take at the end."""

log = structlog.get_logger(__name__)


async def run_deliveries(settings: Settings, redis_url: str, stop: asyncio.Event) -> None:
    """Delivers the webhooks of a store until `stop` is set; a failing store is tried again."""
    fence = Fence.of(settings.archive_url)
    store = Store.connect(redis_url, timeout_ms=settings.redis_timeout_ms, fence=fence)
    timeout_s = settings.redis_timeout_ms / 1000
    sales, orders = SaleStore(store, timeout_s=timeout_s), OrderStore(store, timeout_s=timeout_s)
    older = OldBooks(settings.archive_url) if settings.archive_url is not None else None
    outbox = Outbox(orders, sales, EventMaker(sales, settings.shop), older)
    guard = Guard(private_networks=settings.webhook_private_networks)
    sender = Sender(guard, timeout_s=settings.webhook_timeout_ms / 1000)
    try:
        await Deliverer(WebhookStore(store), sales, outbox, sender, days=settings.webhook_days).run(stop)
    finally:
        await sender.close()
        if older is not None:
            await older.close()
        await orders.close()
        await sales.close()
        await store.close()


class Deliverer:
    """Delivers the webhooks of one store. `run` ends when its event is set.

    `days`: how long a webhook may fail before it is switched off. `clock_ms` is the wall clock.
    """

    def __init__(
        self,
        store: WebhookStore,
        sales: SaleStore,
        outbox: Outbox,
        sender: Sender,
        *,
        days: float,
        lease_ms: int = LEASE_MS,
        clock_ms: Callable[[], int] = lambda: round(time.time() * 1000),
        chance: Callable[[], float] = random.random,
    ) -> None:
        owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(6)}"
        self._store = store
        self._sales = sales
        self._desk = Desk(store, outbox, sender, owner, days, lease_ms, clock_ms, chance)
        self._couriers: dict[str, tuple[Courier, asyncio.Task[None]]] = {}
        self._sale_ids: list[str] = []
        self._heads: dict[str, Head] = {}
        self._published: dict[str, int] = {}
        """Sale -> the last order that was seen published."""
        self._looked_at = -LOOK_S
        self._polled_at = -LOOK_S

    async def run(self, stop: asyncio.Event) -> None:
        """Delivers until `stop` is set; a failing store is tried again."""
        away = False
        try:
            while not stop.is_set():
                try:
                    pause_s = await self._step()
                    if away:
                        away = False
                        log.info("webhooks.back")
                except StoreUnavailableError as error:
                    pause_s = AWAY_S
                    if not away:
                        away = True
                        log.warning("webhooks.store_unavailable", reason=error.reason)
                except Exception:
                    # A fault of ours must not end the worker, nor the couriers that are well.
                    pause_s = AWAY_S
                    log.exception("webhooks.fault")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause_s)
        finally:
            await self._end()

    async def _step(self) -> float:
        """One look at what there is; seconds until the next one."""
        now = asyncio.get_running_loop().time()
        if now - self._looked_at >= LOOK_S:
            await self._look()
            self._looked_at = now
        if not self._couriers:
            return LOOK_S
        if not self._sale_ids:
            return POLL_S
        only_orders = all(courier.webhook.of_orders for courier, _ in self._couriers.values())
        if not only_orders or now - self._polled_at >= BLOCK_MS / 1000:
            heads = await self._store.heads(self._sale_ids)
            self._polled_at = now
            if heads != self._heads:
                self._heads = heads
                self._wake()
        if not self._heads:
            return POLL_S
        if not only_orders:
            return POLL_S + POLL_S_A_SALE * len(self._sale_ids)
        await self._wait_for_orders()
        return GATHER_S

    async def _wait_for_orders(self) -> None:
        """Waits for orders to be published, for a while, and tells the couriers of them."""
        after = {sale: self._published.get(sale, head.orders) for sale, head in self._heads.items()}
        news = await self._desk.outbox.news(after, block_ms=BLOCK_MS)
        self._published = {**after, **news}
        if news:
            self._heads = self._heads | {
                sale: replace(self._heads[sale], orders=max(self._heads[sale].orders, sequence))
                for sale, sequence in news.items()
            }
            self._wake()

    def _wake(self) -> None:
        """Tells the couriers how far the sales are."""
        for courier, _ in self._couriers.values():
            courier.heads = self._heads
            courier.wake()

    async def _look(self) -> None:
        """Finds webhooks that nobody delivers, and tells couriers what has changed."""
        webhooks = await self._store.all()
        for webhook_id, (courier, task) in list(self._couriers.items()):
            webhook = webhooks.get(webhook_id)
            if task.done():
                del self._couriers[webhook_id]
                if not task.cancelled() and (error := task.exception()) is not None:
                    log.error("webhooks.fault", webhook=webhook_id, exc_info=error)
            elif webhook is None or not webhook.is_on:
                courier.end()
            else:
                courier.webhook = webhook
        for webhook_id, webhook in webhooks.items():
            if webhook.is_on and webhook_id not in self._couriers:
                await self._begin(webhook_id, webhook)
        if self._couriers:
            self._sale_ids = await self._sales.sale_ids()

    async def _begin(self, webhook_id: str, webhook: Webhook) -> None:
        desk = self._desk
        if not await self._store.lease(webhook_id, desk.owner, ttl_ms=desk.lease_ms, take=True):
            return
        if await self._store.get(webhook_id) is None:  # removed a moment ago
            await self._store.give_back(webhook_id, desk.owner)
            return
        courier = Courier(desk, webhook_id, webhook, self._heads)
        self._couriers[webhook_id] = courier, asyncio.create_task(courier.run())

    async def _end(self) -> None:
        """Lets what is under way come to an end, for a moment, and gives the leases back."""
        tasks = [task for _, task in self._couriers.values()]
        for courier, _ in self._couriers.values():
            courier.end()
        if tasks:
            await asyncio.wait(tasks, timeout=END_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
