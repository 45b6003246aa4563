"""Natural batching, against a store whose answers come when the test says so."""

import asyncio
from collections.abc import Sequence

import pytest

from flashsale.engine.batcher import Batcher, BusyError, Decided, Queue
from flashsale.model.outcomes import Reserve
from flashsale.scripts.reserve import Batch, Claim, Decision, Refused
from flashsale.store.client import StoreUnavailableError
from tests.support.sales import claim

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

    async def send(self, claims: Sequence[Claim]) -> Batch:
        reply: asyncio.Future[Batch] = asyncio.get_running_loop().create_future()
        self.batches.append([each.customer for each in claims])
        self.sent.append(claims)
        self.replies.append(reply)
        return await reply

    def answer(self, number: int) -> None:
        self.replies[number].set_result(answer(self.sent[number]))

    def batcher(self, queue: Queue) -> Batcher:
        return Batcher(
            self.send, queue, observe=lambda batch, sent_at: self.observed.append((batch, sent_at))
        )


def queue(
    *, limit: int = 1000, deadline_s: float = 60.0, batch_limit: int = 128, in_flight_limit: int = 1
) -> Queue:
    return Queue(limit, deadline_s, batch_limit, in_flight_limit)


async def turns(count: int = 5) -> None:
    """Lets the event loop do what is ready; no timer can come due in between."""
    for _ in range(count):
        await asyncio.sleep(0)


def customer(decided: Decided) -> str:
    decision, version = decided
    assert isinstance(decision, Refused)
    assert version == VERSION
    return decision.sku


async def test_a_lone_claim_goes_out_at_once() -> None:
    post = Post()
    future = post.batcher(queue()).submit(claim("ann"))
    await turns()
    assert post.batches == [["ann"]]
    post.answer(0)
    assert customer(await future) == "ann"


async def test_claims_that_arrive_together_go_together() -> None:
    post = Post()
    batcher = post.batcher(queue())
    futures = [batcher.submit(claim(name)) for name in "abc"]
    await turns()
    assert post.batches == [["a", "b", "c"]]
    post.answer(0)
    assert [customer(await future) for future in futures] == ["a", "b", "c"]


async def test_claims_gather_while_a_batch_is_under_way() -> None:
    post, counts = Post(), queue()
    batcher = post.batcher(counts)
    futures = [batcher.submit(claim("a"))]
    await turns()
    for name in "bcd":
        futures.append(batcher.submit(claim(name)))
        await turns()
    assert post.batches == [["a"]]
    assert counts.waiting == 3
    post.answer(0)
    await turns()
    assert post.batches == [["a"], ["b", "c", "d"]]
    assert counts.waiting == 0
    post.answer(1)
    assert [customer(await future) for future in futures] == ["a", "b", "c", "d"]
    await turns()
    assert len(post.batches) == 2


async def test_a_batch_has_a_limit() -> None:
    post = Post()
    batcher = post.batcher(queue(batch_limit=4))
    futures = [batcher.submit(claim(f"{n}")) for n in range(10)]
    for number in range(3):
        await turns()
        post.answer(number)
    assert [customer(await future) for future in futures] == [f"{n}" for n in range(10)]
    assert [len(batch) for batch in post.batches] == [4, 4, 2]


async def test_several_batches_may_be_under_way_when_settings_say_so() -> None:
    post = Post()
    batcher = post.batcher(queue(batch_limit=2, in_flight_limit=2))
    futures = [batcher.submit(claim(name)) for name in "abcdef"]
    await turns()
    assert post.batches == [["a", "b"], ["c", "d"]]
    post.answer(1)
    await turns()
    assert post.batches[2:] == [["e", "f"]]
    post.answer(0)
    post.answer(2)
    assert [customer(await future) for future in futures] == [*"abcdef"]


async def test_a_full_queue_refuses_at_once_and_takes_more_when_it_is_not() -> None:
    post, counts = Post(), queue(limit=3)
    batcher, other = post.batcher(counts), post.batcher(counts)
    futures = [batcher.submit(claim("sent"))]
    await turns()
    futures += [batcher.submit(claim(name)) for name in "abc"]
    for full in (batcher, other):  # the bound is that of the worker, not of one sale
        with pytest.raises(BusyError):
            full.submit(claim("late"))
    post.answer(0)
    await turns()
    futures.append(batcher.submit(claim("later")))
    post.answer(1)
    await turns()
    post.answer(2)
    assert [customer(await future) for future in futures] == ["sent", "a", "b", "c", "later"]
    assert counts.waiting == 0


async def test_a_claim_not_sent_in_time_is_refused_as_busy_and_never_sent() -> None:
    post, counts = Post(), queue(deadline_s=0.02)
    batcher = post.batcher(counts)
    sent = batcher.submit(claim("sent"))
    await turns()
    waiting = batcher.submit(claim("waiting"))
    with pytest.raises(BusyError):
        await waiting
    with pytest.raises(StoreUnavailableError) as lost:
        await sent
    assert lost.value.applied is None  # nobody knows
    assert counts.waiting == 0
    post.answer(0)
    await turns()
    assert post.batches == [["sent"]]


async def test_deadlines_come_in_the_order_of_the_claims() -> None:
    """Those already sent do not wait for those that came after them."""
    post = Post()
    batcher = post.batcher(queue(deadline_s=0.5))
    order: list[str] = []

    def submit(name: str) -> "asyncio.Future[Decided]":
        future = batcher.submit(claim(name))
        future.add_done_callback(lambda done: order.append(f"{name}: {type(done.exception()).__name__}"))
        return future

    futures = [submit("first")]
    await turns()
    for name in ("second", "third"):
        await asyncio.sleep(0.02)
        futures.append(submit(name))
    post.answer(0)
    await turns()
    assert post.batches == [["first"], ["second", "third"]]
    await asyncio.sleep(0.02)
    futures.append(submit("fourth"))
    await asyncio.gather(*futures, return_exceptions=True)
    assert order == [
        "first: NoneType",
        "second: StoreUnavailableError",
        "third: StoreUnavailableError",
        "fourth: BusyError",
    ]


async def test_a_failed_call_is_told_to_each_of_its_callers_and_the_next_goes_on() -> None:
    post = Post()
    batcher = post.batcher(queue())
    futures = [batcher.submit(claim(name)) for name in "ab"]
    await turns()
    futures.append(batcher.submit(claim("c")))
    post.replies[0].set_exception(StoreUnavailableError("away", applied=False))
    for future in futures[:2]:
        with pytest.raises(StoreUnavailableError, match="away") as caught:
            await future
        assert caught.value.applied is False
    await turns()
    post.answer(1)
    assert customer(await futures[2]) == "c"


async def test_even_an_error_of_ours_reaches_the_callers() -> None:
    post = Post()
    batcher = post.batcher(queue())
    futures = [batcher.submit(claim(name)) for name in "ab"]
    await turns()
    post.replies[0].set_exception(ValueError("a bug"))
    for future in futures:
        with pytest.raises(ValueError, match="a bug"):
            await future
    again = batcher.submit(claim("c"))
    await turns()
    post.answer(1)
    assert customer(await again) == "c"


async def test_a_caller_who_goes_away_disturbs_nobody() -> None:
    post, counts = Post(), queue()
    batcher = post.batcher(counts)
    futures = [batcher.submit(claim(name)) for name in "abc"]
    futures[1].cancel()
    await turns()
    futures[0].cancel()
    post.answer(0)
    assert customer(await futures[2]) == "c"
    assert counts.waiting == 0


async def test_claims_asked_to_ask_again_do_so_first_and_in_order() -> None:
    post, counts = Post(), queue()
    batcher = post.batcher(counts)
    futures = [batcher.submit(claim(name)) for name in "abcd"]
    await turns()
    futures.append(batcher.submit(claim("e")))
    decisions = [Refused(Reserve.SOLD_OUT, sku=name) for name in "abcd"]
    decisions[0] = decisions[2] = Refused(Reserve.RECLAIMING)
    post.replies[0].set_result(Batch(0, VERSION, 0, 0, True, {}, [*decisions]))
    await turns()
    assert post.batches[1] == ["a", "c", "e"]
    assert [future.done() for future in futures] == [False, True, False, True, False]
    post.answer(1)
    assert [customer(await future) for future in futures] == ["a", "b", "c", "d", "e"]
    assert counts.waiting == 0


async def test_asking_again_has_the_deadline_of_the_first_time() -> None:
    async def never(claims: Sequence[Claim]) -> Batch:
        await asyncio.sleep(0.001)
        return answer(claims, Reserve.RECLAIMING)

    batcher = Batcher(never, queue(deadline_s=0.05), observe=lambda _batch, _sent_at: None)
    with pytest.raises((BusyError, StoreUnavailableError)):
        await batcher.submit(claim("a"))


async def test_whoever_observes_is_told_when_the_batch_was_sent() -> None:
    post = Post()
    batcher = post.batcher(queue())
    submitted_at = batcher.now()
    future = batcher.submit(claim("ann"))
    await turns()
    asked_at = batcher.now()
    post.answer(0)
    await future
    ((batch, sent_at),) = post.observed
    assert len(batch.decisions) == 1
    assert submitted_at <= sent_at <= asked_at
