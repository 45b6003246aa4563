"""The payment worker: takes jobs out of the streams of all sales and has them done. Any number may run side by side.

A job that fails for a moment is put off, twice as long each time; one that fails too often is put aside as dead. What a
worker that died has left behind is claimed by another. No more jobs are taken than can be worked on (back-pressure).
"""

import asyncio
import os
import random
import secrets
import socket
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

from flashsale import metrics
from flashsale.engine.pacing import Pacers
from flashsale.engine.settlement import HopelessJobError, Settlement, claim_of, received_of
from flashsale.engine.till import Till
from flashsale.keys import STRAY
from flashsale.model.jobs import Job, JobKind
from flashsale.providers.protocol import PaymentState, ProviderError
from flashsale.scripts.payments import ChargeClaim
from flashsale.store.client import StoreRefusedError, StoreUnavailableError
from flashsale.store.payments import PaymentStore

READ_AT_ONCE: Final = 256
CONFIRM_AT_ONCE: Final = 64
"""Charges in one script call: about two milliseconds of the store's time."""
CONFIRMS_IN_FLIGHT: Final = 4
JOBS_IN_FLIGHT: Final = 128
BLOCK_MS: Final = 200
LOOK_S: Final = 0.25
"""How often new sales are looked for."""
TICK_S: Final = 0.02
"""How often what waits for its turn is looked at, while something does; and whether there is any sale to read."""
RETRY_MS: Final = 500
RETRY_MOST_MS: Final = 300_000
RETRIES_AT_ONCE: Final = 100
AWAY_S: Final = 0.5

log = structlog.get_logger(__name__)


def delay_ms(tries: int, chance: Callable[[], float] = random.random) -> int:
    """How long a job waits after so many failed tries: doubled each time, and somewhere between half of that and all."""
    most = min(RETRY_MOST_MS, RETRY_MS << min(tries, 20))
    return round(most * (0.5 + chance() / 2))


def _kind(job: Job) -> str:
    """The job's kind, for logs and metrics."""
    return job.kind if job.kind in set(JobKind) else "unknown"


class PaymentWorker:
    """One worker. `run` ends when its event is set, after the jobs in hand."""

    def __init__(
        self,
        till: Till,
        settlement: Settlement,
        *,
        tries: int,
        claim_ms: int,
    ) -> None:
        self._till = till
        self._store: PaymentStore = till.payments
        self._pacers: Pacers = till.pacers
        self._settlement = settlement
        self._tries = tries
        self._claim_ms = claim_ms
        self._name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._sales: list[str] = []
        self._recovering: set[str] = set()
        """Sales that wait for `flashsale recover`: nothing of theirs is done until then."""
        self._waiting: set[str] = set()
        """Sales in which something waits for its turn or to be tried again."""
        self._something_waits = asyncio.Event()
        self._rounds = 0
        """How often it was looked at what waits."""
        self._room = asyncio.Semaphore(JOBS_IN_FLIGHT)
        self._confirm_room = asyncio.Semaphore(CONFIRMS_IN_FLIGHT)
        self._in_hand: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set; a failing store is tried again."""
        loops = [
            asyncio.create_task(self._forever(stop, work))
            for work in (self._find_sales, self._take_new, self._take_left_behind, self._dispatch)
        ]
        try:
            await asyncio.gather(*loops)
        finally:
            for task in loops:
                task.cancel()
            await asyncio.gather(*loops, *self._in_hand, return_exceptions=True)
            await self._say_goodbye()

    async def _forever(self, stop: asyncio.Event, work: Callable[[], Coroutine[Any, Any, float]]) -> None:
        """Repeats `work`, which says how many seconds may pass until the next time."""
        away = False
        while not stop.is_set():
            try:
                pause_s = await work()
                if away:
                    away = False
                    log.info("payments.back", work=work.__name__)
            except StoreUnavailableError as error:
                pause_s = AWAY_S
                if not away:
                    away = True
                    log.warning("payments.store_unavailable", reason=error.reason, work=work.__name__)
            if pause_s > 0:
                try:
                    await asyncio.wait_for(stop.wait(), pause_s)
                except TimeoutError:
                    continue

    # --- where the jobs come from ---

    async def _find_sales(self) -> float:
        sales = await self._till.sales.sale_ids()
        if await self._store.exists(STRAY):
            sales.append(STRAY)
        sales = await self._without_recovering(sales)
        for sale in sales:
            if sale not in self._sales:
                await self._store.join(sale)
                self._waiting.add(sale)
        self._sales = sales
        if self._waiting:
            self._something_waits.set()
        return LOOK_S

    async def _without_recovering(self, sales: list[str]) -> list[str]:
        recovering = await self._till.sales.recovering(sales)
        for sale in sorted(recovering - self._recovering):
            log.warning("payments.recovering", sale=sale, reason="it waits for `flashsale recover`")
        self._recovering = recovering
        self._waiting -= recovering
        return [sale for sale in sales if sale not in recovering]

    async def _take_new(self) -> float:
        sales = self._sales
        if not sales:
            return TICK_S
        found = await self._store.read(sales, self._name, count=READ_AT_ONCE, block_ms=BLOCK_MS)
        if found is None:  # the store has lost its data: whatever is in it now, its groups are gone
            self._sales = []
            return LOOK_S
        for sale, jobs in found:
            await self._take(sale, jobs)
        return 0

    async def _take_left_behind(self) -> float:
        for sale in self._sales:
            while jobs := await self._store.claim(
                sale, self._name, idle_ms=self._claim_ms, count=READ_AT_ONCE
            ):
                log.info("payments.claimed", sale=sale, jobs=len(jobs))
                await self._take(sale, jobs)
                if len(jobs) < READ_AT_ONCE:
                    break
        return self._claim_ms / 4000

    async def _dispatch(self) -> float:
        """Lets go what waits: payments as the provider's rate permits, and jobs whose time has come."""
        if not self._waiting:
            self._something_waits.clear()
            try:
                async with asyncio.timeout(LOOK_S):  # `wait_for` of Python 3.11 may miss that it is cancelled
                    await self._something_waits.wait()
            except TimeoutError:
                self._waiting.update(self._sales)
            return 0
        sales = sorted(self._waiting)
        # Each sale is first in its turn, or the first of them would have all that the provider takes.
        self._rounds += 1
        first = self._rounds % len(sales)
        sales = sales[first:] + sales[:first]
        for sale, (turns, retries) in zip(sales, await self._store.waiting(sales), strict=True):
            if not turns and not retries:
                self._waiting.discard(sale)
                continue
            wanted = min(turns, JOBS_IN_FLIGHT)
            provider = self._till.providers.get(await self._till.provider_of(sale))
            starts = await self._pacers.turns(provider, wanted) if provider is not None else wanted
            if starts or retries:
                await self._store.dispatch(sale, starts=starts, retries=RETRIES_AT_ONCE)
        return TICK_S

    # --- what is done with them ---

    async def _take(self, sale: str, jobs: list[Job]) -> None:
        """Puts jobs to work, charges first; waits while too many are in hand."""
        claims: list[tuple[Job, ChargeClaim]] = []
        others: list[Job] = []
        for job in jobs:
            if job.kind == JobKind.WAKE:
                self._waiting.add(sale)
                self._something_waits.set()
            claim = self._claim(job)
            if claim is not None:
                claims.append((job, claim))
            else:
                others.append(job)
        for start in range(0, len(claims), CONFIRM_AT_ONCE):
            await self._confirm_room.acquire()
            self._begin(self._confirm(sale, claims[start : start + CONFIRM_AT_ONCE]), self._confirm_room)
        for job in others:
            await self._room.acquire()
            self._begin(self._do(sale, job), self._room)

    def _claim(self, job: Job) -> ChargeClaim | None:
        """The charge that a job brings, when it brings one that only has to be decided."""
        if job.kind != JobKind.EVENT:
            return None
        try:
            received = received_of(job)
            if received.event.payment.state is not PaymentState.PAID or received.event.refund_failed:
                return None
            return claim_of(received.provider, received.event.payment, job.entry_id)
        except HopelessJobError:
            return None  # put aside by the way of all jobs

    def _begin(self, work: Coroutine[Any, Any, None], room: asyncio.Semaphore) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._in_hand.add(task)

        def ended(done: "asyncio.Task[None]") -> None:
            room.release()
            self._in_hand.discard(done)
            if not done.cancelled() and (error := done.exception()) is not None:
                log.error("payments.fault", exc_info=error)

        task.add_done_callback(ended)

    async def _confirm(self, sale: str, claims: list[tuple[Job, ChargeClaim]]) -> None:
        try:
            await self._settlement.confirm(sale, [claim for _, claim in claims])
        except StoreRefusedError:
            # One of them is to blame: it is put off, and at last aside, and keeps no other from its fate.
            for job, _ in claims:
                await self._do(sale, job)
            return
        except StoreUnavailableError as error:
            # They stay with this worker, and are claimed when the store is back.
            log.warning("payments.not_confirmed", sale=sale, charges=len(claims), reason=error.reason)
            return
        metrics.PAYMENT_JOBS.labels(JobKind.EVENT, "done").inc(len(claims))

    async def _do(self, sale: str, job: Job) -> None:
        kind = _kind(job)
        try:
            await self._settlement.do(sale, job)
            metrics.PAYMENT_JOBS.labels(kind, "done").inc()
        except ProviderError as error:
            give_up = not error.retry or job.tries + 1 >= self._tries
            await self._put_off(sale, job, error.message, give_up=give_up)
        except HopelessJobError as error:
            await self._put_off(sale, job, str(error), give_up=True)
        except StoreRefusedError as error:
            await self._put_off(sale, job, error.reason, give_up=job.tries + 1 >= self._tries)
        except StoreUnavailableError as error:
            log.warning("payments.not_done", sale=sale, kind=kind, entry=job.entry_id, reason=error.reason)
        except Exception as error:
            # A fault of ours must not end the worker, nor may the job go round for ever.
            log.exception("payments.fault", sale=sale, kind=kind, entry=job.entry_id)
            give_up = job.tries + 1 >= self._tries
            await self._put_off(sale, job, f"fault in the worker: {type(error).__name__}", give_up=give_up)

    async def _put_off(self, sale: str, job: Job, error: str, *, give_up: bool) -> None:
        wait_ms = None if give_up else delay_ms(job.tries)
        try:
            if give_up:
                await self._say_given_up(sale, job)
            await self._store.defer(sale, job, delay_ms=wait_ms, error=error[:500])
        except StoreUnavailableError as fault:
            log.warning("payments.not_put_off", sale=sale, entry=job.entry_id, reason=fault.reason)
            return
        self._waiting.add(sale)
        self._something_waits.set()
        metrics.PAYMENT_JOBS.labels(_kind(job), "dead" if give_up else "put_off").inc()
        log.warning(
            "payments.dead" if give_up else "payments.put_off",
            sale=sale,
            kind=_kind(job),
            entry=job.entry_id,
            tries=job.tries + 1,
            wait_ms=wait_ms,
            reason=error,
        )

    async def _say_given_up(self, sale: str, job: Job) -> None:
        try:
            await self._settlement.given_up(sale, job)
        except (StoreRefusedError, ValueError):
            # The job is put aside all the same.
            log.exception("payments.fault", sale=sale, kind=_kind(job), entry=job.entry_id)

    async def _say_goodbye(self) -> None:
        try:
            for sale in self._sales:
                await self._store.leave(sale, self._name)
        except StoreUnavailableError as error:
            log.info("payments.left_in_a_hurry", reason=error.reason)
