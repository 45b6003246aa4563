"""What a batcher is tried with: stores whose answers come when the test says so."""

import asyncio
from collections.abc import Callable, Sequence

from flashsale.engine.batcher import Batcher, Decided, Queue, Waiter
from flashsale.model.outcomes import Reserve
from flashsale.scripts.reserve import Batch, Claim, Decision, Refused

VERSION = 7


def answer(claims: Sequence[Claim], outcome: Reserve = Reserve.SOLD_OUT) -> Batch:
    decisions: list[Decision] = [Refused(outcome, sku=each.customer) for each in claims]
    return Batch(0, VERSION, 0, 0, True, {}, decisions)


class Post:
    """Takes batches, and answers each when it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.replies: list[asyncio.Future[Batch]] = []
        self.sent: list[Sequence[Claim]] = []
        self.observed: list[tuple[Batch, float]] = []

    def send(
        self,
        claims: Sequence[Claim],
        decided: Callable[[Batch], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        reply: asyncio.Future[Batch] = asyncio.get_running_loop().create_future()
        self.batches.append([each.customer for each in claims])
        self.sent.append(claims)
        self.replies.append(reply)

        def told(reply: "asyncio.Future[Batch]") -> None:
            error = reply.exception()
            if error is None:
                decided(reply.result())
            else:
                failed(error)

        reply.add_done_callback(told)

    def answer(self, number: int) -> None:
        self.replies[number].set_result(answer(self.sent[number]))

    def batcher(self, queue: Queue) -> Batcher:
        return Batcher(
            self.send, queue, observe=lambda batch, sent_at: self.observed.append((batch, sent_at))
        )


class Mail:
    """Takes batches; their replies are told when somebody looks."""

    def __init__(self, reply: Callable[[Sequence[Claim]], Batch] = answer) -> None:
        self.batches: list[int] = []
        self.unread: list[Callable[[], None]] = []
        self._reply = reply

    def send(
        self,
        claims: Sequence[Claim],
        decided: Callable[[Batch], None],
        _failed: Callable[[BaseException], None],
    ) -> None:
        self.batches.append(len(claims))
        self.unread.append(lambda: decided(self._reply(claims)))

    def look(self) -> None:
        while self.unread:
            self.unread.pop(0)()

    def batcher(self, queue: Queue) -> Batcher:
        return Batcher(self.send, queue, observe=lambda _batch, _sent_at: None, look=self.look)


def queue(
    *, limit: int = 1000, deadline_s: float = 60.0, batch_limit: int = 128, in_flight_limit: int = 1
) -> Queue:
    return Queue(limit, deadline_s, batch_limit, in_flight_limit)


def ask(batcher: Batcher, claim: Claim) -> "asyncio.Future[Decided]":
    """Puts a claim on its way, and gives what will become of it."""
    waiter = Waiter()
    batcher.submit(claim, waiter)
    return waiter.future


async def turns(count: int = 5) -> None:
    """Lets the event loop do what is ready; no timer can come due in between."""
    for _ in range(count):
        await asyncio.sleep(0)


def customer(decided: Decided) -> str:
    decision, version = decided
    assert isinstance(decision, Refused)
    assert version == VERSION
    return decision.sku
