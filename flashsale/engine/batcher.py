"""Natural batching: while one script call is under way, claims gather; when it returns, the next call takes them all.

There is no timer to wait for: a lone claim goes out at once. The busier the store, the larger the batches, the cheaper each
claim. Nothing queues without bound, neither in number (`Queue.limit`) nor in time (`Queue.deadline_s`).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from flashsale.model.outcomes import Reserve
from flashsale.scripts.reserve import Batch, Claim, Decision, Refused
from flashsale.store.client import StoreUnavailableError

Decided = tuple[Decision, int]
"""A decision, and the version of the sale's definition it was made under."""

Send = Callable[[Sequence[Claim]], Awaitable[Batch]]


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


@dataclass(slots=True, eq=False)
class _Pending:
    claim: Claim
    future: "asyncio.Future[Decided]"
    deadline: float


class Batcher:
    """The claims of one shard of one sale on their way to `send`, which decides a batch in one call."""

    def __init__(self, send: Send, queue: Queue, *, observe: Callable[[Batch, float], None]) -> None:
        self._send = send
        self._observe = observe
        self._queue = queue
        self._loop = asyncio.get_running_loop()
        self._pending: deque[_Pending] = deque()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._sent: dict[asyncio.Task[None], Sequence[_Pending]] = {}
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None

    def now(self) -> float:
        """The event loop's time in seconds, which `observe` is told too."""
        return self._loop.time()

    def submit(self, claim: Claim) -> "asyncio.Future[Decided]":
        """Puts a claim on its way. The future fails with BusyError or StoreUnavailableError.

        Raises:
            BusyError: too many claims are waiting; nothing was sent.
        """
        if self._queue.waiting >= self._queue.limit:
            raise BusyError
        future: asyncio.Future[Decided] = self._loop.create_future()
        self._queue.waiting += 1
        self._pending.append(_Pending(claim, future, self._loop.time() + self._queue.deadline_s))
        if not self._scheduled and len(self._in_flight) < self._queue.in_flight_limit:
            # At the end of this turn of the event loop, so that claims that arrived together go together.
            self._scheduled = True
            self._loop.call_soon(self._start)
        if self._timer is None:
            self._timer = self._loop.call_later(self._queue.deadline_s, self._check_deadlines)
        return future

    def _start(self) -> None:
        self._scheduled = False
        while self._pending and len(self._in_flight) < self._queue.in_flight_limit:
            size = min(len(self._pending), self._queue.batch_limit)
            batch = [self._pending.popleft() for _ in range(size)]
            self._queue.waiting -= size
            task = self._loop.create_task(self._run(batch))
            self._in_flight.add(task)
            self._sent[task] = batch
            task.add_done_callback(self._done)

    async def _run(self, batch: Sequence[_Pending]) -> None:
        sent_at = self._loop.time()
        try:
            result = await self._send([pending.claim for pending in batch])
        except StoreUnavailableError as error:
            for pending in batch:
                _fail(pending, error)
            return
        self._observe(result, sent_at)
        again: list[_Pending] = []
        for pending, decision in zip(batch, result.decisions, strict=True):
            if type(decision) is Refused and decision.outcome is Reserve.RECLAIMING:
                again.append(pending)
            elif not pending.future.done():
                pending.future.set_result((decision, result.version))
        self._pending.extendleft(reversed(again))
        self._queue.waiting += len(again)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._in_flight.discard(task)
        batch = self._sent.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            for pending in batch:
                _fail(pending, error)
        self._start()

    def _check_deadlines(self) -> None:
        """Answers what has waited too long: unsent claims were not made, of sent ones nobody knows."""
        self._timer = None
        now = self._loop.time()
        while self._pending and self._pending[0].deadline <= now:
            self._queue.waiting -= 1
            _fail(self._pending.popleft(), BusyError())
        for batch in self._sent.values():
            for pending in batch:
                if pending.deadline <= now:
                    _fail(pending, StoreUnavailableError("the store did not answer in time", applied=None))
        deadlines = [p.deadline for batch in self._sent.values() for p in batch if not p.future.done()]
        if self._pending:
            deadlines.append(self._pending[0].deadline)  # the earliest of them: they are in order
        if deadlines:
            self._timer = self._loop.call_at(min(deadlines), self._check_deadlines)


def _fail(pending: _Pending, error: BaseException) -> None:
    if not pending.future.done():
        pending.future.set_exception(error)
