"""Natural batching: while one script call is under way, claims gather; when it returns, the next call takes them all.

There is no timer to wait for: a lone claim goes out at once. The busier the store, the larger the batches, the cheaper each
claim. Nothing queues without bound, neither in number (`Queue.limit`) nor in time (`Queue.deadline_s`).

At T0 thousands of requests are there at once, and one turn of the event loop hears all of them. So a large batch does not
wait for the end of the turn, and replies are looked for in between: the first are told that they have a unit while the last
are still being heard.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from flashsale.model.attempts import BUSY, UNAVAILABLE
from flashsale.model.outcomes import Reserve
from flashsale.scripts.reserve import Batch, Claim, Decision, Refused
from flashsale.store.client import StoreUnavailableError
from flashsale.store.lag import MOST_TIMES, more_time

Decided = tuple[Decision, int]
"""A decision, and the version of the sale's definition it was made under."""

Send = Callable[[Sequence[Claim], Callable[[Batch], None], Callable[[BaseException], None]], None]
"""Sends a batch, and has one of the two told what became of it; neither before it has returned."""

Refusing = Callable[[str, int], None]
"""Is told of a refusal: the customer, and the outcome's number. On the way of every answer: it may take no time."""

LARGE: Final = 128
"""Claims that are worth a batch of their own before the turn is over."""
CLAIMS_BETWEEN_LOOKS: Final = 32
"""While a batch is under way."""


class BusyError(Exception):
    """The claim was not sent: too many are waiting, or it waited too long."""


@dataclass(slots=True)
class Queue:
    """Limits shared by all batchers of a worker, and the number of claims waiting in them."""

    limit: int
    deadline_s: float
    batch_limit: int
    in_flight_limit: int
    waiting: int = field(default=0, init=False)


class Asker(Protocol):
    """Who is told what became of a claim: once, by one of the two, neither of which may raise."""

    def decided(self, decision: Decision, version: int) -> None:
        """It was decided, under this version of the sale's definition."""

    def failed(self, error: BaseException) -> None:
        """It was not (BusyError), or nobody knows (StoreUnavailableError)."""


class Waiter:
    """An asker that waits."""

    __slots__ = ("future",)

    def __init__(self) -> None:
        self.future: asyncio.Future[Decided] = asyncio.get_running_loop().create_future()

    def decided(self, decision: Decision, version: int) -> None:
        """As `Asker`."""
        if not self.future.done():
            self.future.set_result((decision, version))

    def failed(self, error: BaseException) -> None:
        """As `Asker`."""
        if not self.future.done():
            self.future.set_exception(error)


@dataclass(slots=True, eq=False)
class _Pending:
    claim: Claim
    asker: Asker | None
    """None once it was told."""
    deadline: float
    times: int = MOST_TIMES
    """How often it may yet be given more time, because the process was too busy to look."""


class Batcher:
    """The claims of one shard of one sale on their way to `send`, which decides a batch in one call."""

    def __init__(
        self,
        send: Send,
        queue: Queue,
        *,
        observe: Callable[[Batch, float], None],
        look: Callable[[], None] = lambda: None,
        refused: Refusing = lambda _customer, _outcome: None,
    ) -> None:
        """`observe` is told of each batch, and when it was sent; `look` has replies told that have come meanwhile.

        `refused` is told who is refused: the outcome's number, `BUSY` for a claim that has waited too long, or
        `UNAVAILABLE` for one that the store has not answered.
        """
        self._send = send
        self._observe = observe
        self._look = look
        self._refused = refused
        self._queue = queue
        self._loop = asyncio.get_running_loop()
        self._pending: deque[_Pending] = deque()
        self._sent: dict[int, Sequence[_Pending]] = {}
        """Batches of which nothing has come back, by their identity."""
        self._scheduled = False
        self._unlooked = 0
        self._timer: asyncio.TimerHandle | None = None

    def now(self) -> float:
        """Seconds of the monotonic clock, which `observe` is told too. The event loop's own stands still during a turn."""
        return time.monotonic()

    def submit(self, claim: Claim, asker: Asker) -> None:
        """Puts a claim on its way.

        Raises:
            BusyError: too many claims are waiting; nothing was sent.
        """
        if self._queue.waiting >= self._queue.limit:
            raise BusyError
        if self._sent:
            self._unlooked += 1
            if self._unlooked >= CLAIMS_BETWEEN_LOOKS:
                self._unlooked = 0
                self._look()
        self._queue.waiting += 1
        self._pending.append(_Pending(claim, asker, self._loop.time() + self._queue.deadline_s))
        if len(self._sent) < self._queue.in_flight_limit:
            if len(self._pending) >= LARGE:
                self._start()
            elif not self._scheduled:
                # At the end of this turn of the event loop, so that claims that arrived together go together.
                self._scheduled = True
                self._loop.call_soon(self._end_turn)
        if self._timer is None:
            self._look_at(self._loop.time() + self._queue.deadline_s)

    def _look_at(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()  # whoever was told meanwhile has asked again
        self._timer = self._loop.call_at(due, self._check_deadlines, due)

    def _end_turn(self) -> None:
        self._scheduled = False
        self._start()

    def _start(self) -> None:
        while self._pending and len(self._sent) < self._queue.in_flight_limit:
            size = min(len(self._pending), self._queue.batch_limit)
            batch = [self._pending.popleft() for _ in range(size)]
            self._queue.waiting -= size
            self._sent[id(batch)] = batch
            try:
                self._send(
                    [pending.claim for pending in batch],
                    partial(self._decided, batch, self.now()),
                    partial(self._failed, batch),
                )
            except Exception as error:  # noqa: BLE001 - told to those who asked; the next batch must not wait for this one
                self._failed(batch, error)

    def _decided(self, batch: Sequence[_Pending], sent_at: float, result: Batch) -> None:
        del self._sent[id(batch)]
        try:
            self._tell(batch, sent_at, result)
        except BaseException as error:
            self._fail_all(batch, error)
            raise

    def _tell(self, batch: Sequence[_Pending], sent_at: float, result: Batch) -> None:
        again = [
            pending
            for pending, decision in zip(batch, result.decisions, strict=True)
            if type(decision) is Refused and decision.outcome is Reserve.RECLAIMING
        ]
        self._pending.extendleft(reversed(again))
        self._queue.waiting += len(again)
        self._start()  # the next batch need not wait until all of this one have been told
        self._observe(result, sent_at)
        unanswered = set(map(id, again))
        for pending, decision in zip(batch, result.decisions, strict=True):
            if (asker := pending.asker) is not None and (not again or id(pending) not in unanswered):
                pending.asker = None
                if type(decision) is Refused:
                    self._refused(pending.claim.customer, decision.outcome)
                asker.decided(decision, result.version)

    def _failed(self, batch: Sequence[_Pending], error: BaseException) -> None:
        del self._sent[id(batch)]
        self._fail_all(batch, error)

    def _fail_all(self, batch: Sequence[_Pending], error: BaseException) -> None:
        for pending in batch:
            self._fail(pending, error)
        self._start()

    def _fail(self, pending: _Pending, error: BaseException) -> None:
        if (asker := pending.asker) is not None:
            pending.asker = None
            if isinstance(error, StoreUnavailableError):
                self._refused(pending.claim.customer, UNAVAILABLE)
            elif isinstance(error, BusyError):
                self._refused(pending.claim.customer, BUSY)
            asker.failed(error)

    def _check_deadlines(self, due: float) -> None:
        """Answers what has waited too long: unsent claims were not made, of sent ones nobody knows."""
        self._timer = None
        now = self._loop.time()
        more_s = more_time(self._loop, due, self._queue.deadline_s)
        if more_s:
            self._allow(now - due + more_s)
        while self._pending and self._pending[0].deadline <= now:
            self._queue.waiting -= 1
            self._fail(self._pending.popleft(), BusyError())
        for batch in list(self._sent.values()):  # whoever is told may ask again at once
            for pending in batch:
                if pending.deadline <= now:
                    self._fail(
                        pending, StoreUnavailableError("the store did not answer in time", applied=None)
                    )
        deadlines = [p.deadline for batch in self._sent.values() for p in batch if p.asker is not None]
        if self._pending:
            deadlines.append(self._pending[0].deadline)  # the earliest of them: they are in order
        if deadlines:
            self._look_at(max(min(deadlines), now))

    def _allow(self, more_s: float) -> None:
        """Gives everybody who waits more time: what has arrived while the process was busy is yet to be read."""
        for batch in (self._pending, *self._sent.values()):
            for pending in batch:
                if pending.times:
                    pending.times -= 1
                    pending.deadline += more_s
