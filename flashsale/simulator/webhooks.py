"""Webhooks of the simulator: what is sent when, and again until somebody takes it.

Events of one payment go one after the other, in the order in which they happened, unless a fault or a failed delivery says
otherwise. What waits is bounded: beyond that, webhooks are given up, and only the list of payments tells of them.
"""

import asyncio
import itertools
import random
import time
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import aiohttp
import structlog

from flashsale.providers.signature import HEADER, signature
from flashsale.simulator.faults import Faults
from flashsale.simulator.records import Happening

LANES: Final = 32
MAX_WAITING: Final = 200_000
TIMEOUT_SECONDS: Final = 10.0
MAX_TRIES: Final = 240
FIRST_PAUSE_SECONDS: Final = 0.1
MAX_PAUSE_SECONDS: Final = 15.0  # with the tries above, a receiver may be away for an hour

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Delivery:
    """An event on its way, and how many copies of it are still to go."""

    event: Happening
    copies: int
    tries: int = 0


@dataclass(slots=True)
class _Lane:
    """What is sent one after the other. The task lasts as long as there is something to do."""

    queue: deque[_Delivery] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None


class Webhooks:
    """Sends events to one address. It is made where it runs, in the loop, and closed there.

    `faults` tells the faults of the moment; `on_done` hears of each event that needs no more sending, and never raises.
    """

    def __init__(
        self, url: str | None, secret: bytes, faults: Callable[[], Faults], on_done: Callable[[str], None]
    ) -> None:
        self._url = url
        self._secret = secret
        self._faults = faults
        self._on_done = on_done
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=LANES),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._lanes = [_Lane() for _ in range(LANES)]
        self._held: dict[str, Happening] = {}
        """Payment -> the event that waits to be overtaken by a later one."""
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._numbers = itertools.count()
        self._waiting = 0
        self._given_up = 0
        self._jitter = random.Random(0)  # noqa: S311 - spreads repetitions, decides nothing

    async def close(self) -> None:
        """Ends; what was not delivered stays undelivered."""
        for timer in self._timers.values():
            timer.cancel()
        tasks = [lane.task for lane in self._lanes if lane.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._session.close()

    def add(self, event: Happening) -> None:
        """Sends an event, now or later or never, as the faults have it."""
        faults = self._faults()
        if self._url is None or faults.is_lost(event):
            self._on_done(event.id)
            return
        if self._waiting >= MAX_WAITING:
            if self._given_up % 1000 == 0:
                log.warning("webhook.given_up", reason="too many wait", waiting=self._waiting)
            self._given_up += 1
            return
        self._waiting += 1
        if faults.is_late(event):
            self._later(faults.delay_seconds, lambda: self._arrange(event))
        else:
            self._arrange(event)

    def _arrange(self, event: Happening) -> None:
        """Sends an event after, or before, another of its payment."""
        faults = self._faults()
        overtaken = self._held.pop(event.payment, None)
        if overtaken is None and faults.is_overtaken(event):
            self._held[event.payment] = event
            self._later(faults.reorder_seconds, lambda: self._release(event))
            return
        self._put(_Delivery(event, 2 if faults.is_doubled(event) else 1))
        if overtaken is not None:
            self._put(_Delivery(overtaken, 2 if faults.is_doubled(overtaken) else 1))

    def _release(self, event: Happening) -> None:
        """Nothing has overtaken the event: it goes all the same."""
        if self._held.get(event.payment) is event:
            del self._held[event.payment]
            self._put(_Delivery(event, 2 if self._faults().is_doubled(event) else 1))

    def _put(self, delivery: _Delivery) -> None:
        lane = self._lanes[zlib.crc32(delivery.event.payment.encode()) % LANES]
        lane.queue.append(delivery)
        if lane.task is None:
            lane.task = asyncio.create_task(self._work_off(lane))

    async def _work_off(self, lane: _Lane) -> None:
        """Delivers what a lane has, one after the other."""
        while lane.queue:
            await self._deliver(lane.queue.popleft())
        lane.task = None

    async def _deliver(self, delivery: _Delivery) -> None:
        while delivery.copies:
            reason = await self._send(delivery.event)
            if reason:
                self._try_again(delivery, reason)
                return
            delivery.copies -= 1
        self._waiting -= 1
        self._on_done(delivery.event.id)

    async def _send(self, event: Happening) -> str:
        """Empty when the receiver took it, otherwise why not."""
        headers = {
            "Content-Type": "application/json",
            HEADER: signature(self._secret, int(time.time()), event.body),
        }
        try:
            # The body of the answer is not read, however long: only the status says anything.
            async with self._session.post(
                self._url or "", data=event.body, headers=headers, allow_redirects=False
            ) as response:
                return "" if 200 <= response.status < 300 else f"status {response.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return type(error).__name__  # its text may name the address, which may hold a secret

    def _try_again(self, delivery: _Delivery, reason: str) -> None:
        delivery.tries += 1
        if delivery.tries >= MAX_TRIES:
            self._waiting -= 1
            log.warning("webhook.given_up", reason=reason, tries=delivery.tries, event_id=delivery.event.id)
            return
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(delivery.tries - 1, 16), MAX_PAUSE_SECONDS)
        log.debug("webhook.refused", reason=reason, event_id=delivery.event.id, again_in_seconds=pause)
        self._later(pause * self._jitter.uniform(0.5, 1.0), lambda: self._put(delivery))

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        number = next(self._numbers)

        def run() -> None:
            del self._timers[number]
            what()

        self._timers[number] = asyncio.get_running_loop().call_later(seconds, run)
