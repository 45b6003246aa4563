"""The courier of one webhook: delivers its events, each sale's in order, as long as this worker has the webhook's lease.

The sales of a webhook do not wait for one another, but no more than `SALES_AT_ONCE` of them are served at the same time. An
event that fails keeps those behind it in its sale waiting, and is tried again as flashsale/webhooks/schedule.py
says.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from flashsale import metrics
from flashsale.engine.outgoing import Outbox, Outgoing, OutOfReachError
from flashsale.model.outcomes import Advance
from flashsale.model.webhooks import Attempt, Progress, Reason, Retry, Webhook
from flashsale.store.client import StoreUnavailableError
from flashsale.store.webhooks import Head, WebhookStore
from flashsale.webhooks.schedule import LEAST_TRIES, pause_s
from flashsale.webhooks.sender import Receipt, Sender

SALES_AT_ONCE: Final = 8
GONE: Final = 410
REFRESH_S: Final = 1.0
"""How often the positions are read, to heed a replay."""
AWAY_S: Final = 0.5
IDLE_S: Final = 0.02
"""Until it is looked again at a sale from which nothing could be sent: its last orders are not published yet, say."""
UNREADABLE_RETRY_MS: Final = 60_000
_DAY_MS: Final = 86_400_000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Desk:
    """What all couriers of a worker share. `days` is how long a webhook may fail before it is switched off."""

    store: WebhookStore
    outbox: Outbox
    sender: Sender
    owner: str
    days: float
    lease_ms: int
    clock_ms: Callable[[], int] = lambda: round(time.time() * 1000)
    chance: Callable[[], float] = random.random


class Courier:
    """Delivers one webhook. Whoever made it keeps `webhook` and `heads` up to date, and says so by `wake`."""

    def __init__(self, desk: Desk, webhook_id: str, webhook: Webhook, heads: Mapping[str, Head]) -> None:
        self.webhook = webhook
        self.heads = heads
        self._desk = desk
        self._id = webhook_id
        self._progress = Progress({}, {})
        self._read_at = -REFRESH_S
        self._leased_until = 0.0
        self._ending = False
        self._away = False
        self._woken = asyncio.Event()
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._turns: dict[str, int] = {}
        """Sale -> when it was served last, counted in turns."""
        self._turn = 0

    def wake(self) -> None:
        """Something may be due."""
        self._woken.set()

    def end(self) -> None:
        """Finish what is under way, and no more."""
        self._ending = True
        self._woken.set()

    async def run(self) -> None:
        """Delivers until `end` is called or the lease is lost. The lease has been taken already, and is given back."""
        self._leased_until = asyncio.get_running_loop().time() + self._desk.lease_ms / 1000
        renewing = asyncio.create_task(self._keep_lease())
        try:
            while not self._ending:
                self._woken.clear()
                wait_s = await self._round()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(
                        wait_s
                    ):  # `wait_for` of Python 3.11 may miss that it is cancelled
                        await self._woken.wait()
            if self._busy:
                await asyncio.wait(self._busy.values())
        finally:
            tasks = [renewing, *self._busy.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(StoreUnavailableError):
                await self._desk.store.give_back(self._id, self._desk.owner)

    async def _keep_lease(self) -> None:
        """Renews the lease; once it is lost, what is under way may not go on to the next event."""
        loop, lease_s = asyncio.get_running_loop(), self._desk.lease_ms / 1000
        while True:
            await asyncio.sleep(lease_s / 3)
            asked_at = loop.time()
            try:
                ours = await self._desk.store.lease(
                    self._id, self._desk.owner, ttl_ms=self._desk.lease_ms, take=False
                )
            except StoreUnavailableError:
                ours = loop.time() < self._leased_until
            else:
                self._leased_until = asked_at + lease_s if ours else 0.0
            if not ours:
                log.info("webhooks.lease_lost", webhook=self._id)
                self.end()
                return

    def _may_send(self) -> bool:
        """Whether another event may be sent: not if somebody else may be sending it."""
        return (
            not self._ending and self.webhook.is_on and asyncio.get_running_loop().time() < self._leased_until
        )

    # --- which sales are served ---

    async def _round(self) -> float:
        """Begins to serve what is due; seconds until something may be due that nobody tells of."""
        now = asyncio.get_running_loop().time()
        if now - self._read_at >= REFRESH_S:
            try:
                self._progress = await self._desk.store.progress(self._id)
            except StoreUnavailableError:
                return AWAY_S
            self._read_at = now
        for sale in sorted(self._due(), key=lambda each: self._turns.get(each, 0)):
            if len(self._busy) >= SALES_AT_ONCE:
                break
            self._turn += 1
            self._turns[sale] = self._turn
            self._busy[sale] = asyncio.create_task(self._serve(sale))
        return min(REFRESH_S, self._next_retry_s())

    def _due(self) -> list[str]:
        """Sales in which something can be delivered now."""
        now_ms = self._desk.clock_ms()
        only = self.webhook.sale
        found = []
        for sale, head in self.heads.items():
            if sale in self._busy or (only is not None and sale != only):
                continue
            retry = self._progress.retries.get(sale)
            waits = retry is not None and retry.next_ms > now_ms
            if not waits and head.of(self.webhook) > self._progress.positions.get(sale, 0):
                found.append(sale)
        return found

    def _next_retry_s(self) -> float:
        now_ms = self._desk.clock_ms()
        waits = [each.next_ms - now_ms for each in self._progress.retries.values() if each.next_ms > now_ms]
        return min(waits, default=round(REFRESH_S * 1000)) / 1000

    # --- one sale ---

    async def _serve(self, sale: str) -> None:
        """Delivers some events of a sale, until one fails."""
        try:
            before, retry = await self._desk.store.standing(self._id, sale)
            self._note(sale, before, retry)
            if retry is None or retry.next_ms <= self._desk.clock_ms():
                await self._deliver_page(sale, before, retry)
            self._away = False
            if self._progress.positions.get(sale) == before:
                await asyncio.sleep(IDLE_S)
        except StoreUnavailableError as error:
            if not self._away:
                self._away = True
                log.warning("webhooks.store_unavailable", webhook=self._id, reason=error.reason)
            await asyncio.sleep(AWAY_S)
        except OutOfReachError as error:
            await self._cannot_read(sale, str(error))
        except Exception:
            # A fault of ours must not end the courier, nor go round without a pause.
            log.exception("webhooks.fault", webhook=self._id, sale=sale)
            await asyncio.sleep(AWAY_S)
        finally:
            del self._busy[sale]
            self._woken.set()

    async def _deliver_page(self, sale: str, position: int, retry: Retry | None) -> None:
        page = await self._desk.outbox.page(self.webhook, sale, position)
        for event in page.events:
            if not self._may_send() or not await self._deliver(sale, position, event, retry):
                return
            position, retry = event.number, None
        if page.through > position and self._may_send():
            await self._record(sale, position, page.through, None, None)

    async def _deliver(self, sale: str, position: int, event: Outgoing, retry: Retry | None) -> bool:
        """Tries one event once. Whether the next one may follow."""
        now_ms = self._desk.clock_ms()
        same = retry is not None and retry.number == event.number
        tries, since_ms = (retry.tries + 1, retry.since_ms) if retry is not None and same else (1, now_ms)
        receipt = await self._desk.sender.send(
            self.webhook.url, self.webhook.secrets_at(now_ms), event.id, event.body
        )
        metrics.WEBHOOK_DELIVERIES.labels("delivered" if receipt.is_good else "failed").inc()
        if receipt.is_good:
            attempt = _attempt(sale, event, receipt, tries)
            return await self._record(sale, position, event.number, None, attempt)
        pause_ms = round(pause_s(tries, receipt.retry_after_s, self._desk.chance) * 1000)
        again = Retry(event.number, tries, since_ms, self._desk.clock_ms() + pause_ms, receipt.error or "")
        off = self._reason_to_stop(receipt, again)
        attempt = _attempt(sale, event, receipt, tries, None if off else again.next_ms)
        log.info(
            "webhooks.failed",
            webhook=self._id,
            event_id=event.id,
            tries=tries,
            reason=receipt.error,
            pause_ms=pause_ms,
        )
        if await self._record(sale, position, position, again, attempt) and off is not None:
            await self._switch_off(off)
        return False

    def _reason_to_stop(self, receipt: Receipt, retry: Retry) -> Reason | None:
        if receipt.status == GONE:
            return "gone"
        failing_ms = self._desk.clock_ms() - retry.since_ms
        if retry.tries >= LEAST_TRIES and failing_ms >= self._desk.days * _DAY_MS:
            return "failing"
        return None

    async def _switch_off(self, reason: Reason) -> None:
        now_ms = self._desk.clock_ms()
        self.webhook = self.webhook.switched_off(reason, now_ms)
        await self._desk.store.change(
            self._id, lambda each: each.switched_off(reason, now_ms) if each.is_on else each
        )
        metrics.WEBHOOKS_SWITCHED_OFF.labels(reason).inc()
        log.error("webhooks.switched_off", webhook=self._id, reason=reason)

    async def _cannot_read(self, sale: str, error: str) -> None:
        """Nothing may go past what cannot be read: it is looked at again later."""
        log.error("webhooks.out_of_reach", webhook=self._id, sale=sale, reason=error)
        with contextlib.suppress(StoreUnavailableError):
            position, retry = await self._desk.store.standing(self._id, sale)
            now_ms = self._desk.clock_ms()
            since_ms = retry.since_ms if retry is not None else now_ms
            tries = retry.tries + 1 if retry is not None else 1
            again = Retry(0, tries, since_ms, now_ms + UNREADABLE_RETRY_MS, error[:500])
            await self._record(sale, position, position, again, None)

    # --- what is written down ---

    async def _record(
        self, sale: str, before: int, after: int, retry: Retry | None, attempt: Attempt | None
    ) -> bool:
        """Writes down what became of a try, again and again while the store is away. Whether this sale may go on.

        What has arrived is thus sent a second time only when the store stays away for longer than the lease lasts.
        """
        while True:
            try:
                outcome = await self._desk.store.advance(
                    self._id,
                    self._desk.owner,
                    sale,
                    before=before,
                    after=after,
                    retry=retry,
                    attempt=attempt,
                )
            except StoreUnavailableError:
                if asyncio.get_running_loop().time() >= self._leased_until:
                    raise
                await asyncio.sleep(AWAY_S)
                continue
            if outcome is Advance.DONE:
                self._note(sale, after, retry)
                return True
            log.info("webhooks.not_recorded", webhook=self._id, sale=sale, outcome=outcome.name)
            if outcome is Advance.NOT_OURS:
                self.end()
            self._read_at = -REFRESH_S
            return False

    def _note(self, sale: str, position: int, retry: Retry | None) -> None:
        self._progress.positions[sale] = position
        if retry is None:
            self._progress.retries.pop(sale, None)
        else:
            self._progress.retries[sale] = retry


def _attempt(sale: str, event: Outgoing, receipt: Receipt, tries: int, next_ms: int | None = None) -> Attempt:
    return Attempt(
        sale=sale,
        number=event.number,
        event=event.id,
        type=event.type,
        at_ms=receipt.at_ms,
        duration_ms=receipt.duration_ms,
        tries=tries,
        status=receipt.status,
        error=receipt.error,
        next_ms=next_ms,
    )
