"""Natural batching, against a store whose answers come when the test says so."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from flashsale.engine.batcher import (
    Batcher,
    BusyError,
    Decided,
)
from flashsale.model.outcomes import Reserve
from flashsale.scripts.reserve import Batch, Claim, Refused
from flashsale.store.client import StoreUnavailableError
from flashsale.store.lag import MOST_TIMES
from tests.support.batches import VERSION, Post, answer, ask, customer, queue, turns
from tests.support.sales import claim


async def test_a_lone_claim_goes_out_at_once() -> None:
    post = Post()
    future = ask(post.batcher(queue()), claim("ann"))
    await turns()
    assert post.batches == [["ann"]]
    post.answer(0)
    assert customer(await future) == "ann"


async def test_claims_that_arrive_together_go_together() -> None:
    post = Post()
    batcher = post.batcher(queue())
    futures = [ask(batcher, claim(name)) for name in "abc"]
    await turns()
    assert post.batches == [["a", "b", "c"]]
    post.answer(0)
    assert [customer(await future) for future in futures] == ["a", "b", "c"]


async def test_claims_gather_while_a_batch_is_under_way() -> None:
    post, counts = Post(), queue()
    batcher = post.batcher(counts)
    futures = [ask(batcher, claim("a"))]
    await turns()
    for name in "bcd":
        futures.append(ask(batcher, claim(name)))
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
    futures = [ask(batcher, claim(f"{n}")) for n in range(10)]
    for number in range(3):
        await turns()
        post.answer(number)
    assert [customer(await future) for future in futures] == [f"{n}" for n in range(10)]
    assert [len(batch) for batch in post.batches] == [4, 4, 2]


async def test_several_batches_may_be_under_way_when_settings_say_so() -> None:
    post = Post()
    batcher = post.batcher(queue(batch_limit=2, in_flight_limit=2))
    futures = [ask(batcher, claim(name)) for name in "abcdef"]
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
    futures = [ask(batcher, claim("sent"))]
    await turns()
    futures += [ask(batcher, claim(name)) for name in "abc"]
    for full in (batcher, other):  # the bound is that of the worker, not of one sale
        with pytest.raises(BusyError):
            ask(full, claim("late"))
    post.answer(0)
    await turns()
    futures.append(ask(batcher, claim("later")))
    post.answer(1)
    await turns()
    post.answer(2)
    assert [customer(await future) for future in futures] == ["sent", "a", "b", "c", "later"]
    assert counts.waiting == 0


async def test_a_claim_not_sent_in_time_is_refused_as_busy_and_never_sent() -> None:
    post, counts = Post(), queue(deadline_s=0.02)
    batcher = post.batcher(counts)
    sent = ask(batcher, claim("sent"))
    await turns()
    waiting = ask(batcher, claim("waiting"))
    with pytest.raises(BusyError):
        await waiting
    with pytest.raises(StoreUnavailableError) as lost:
        await sent
    assert lost.value.applied is None  # nobody knows
    assert counts.waiting == 0
    post.answer(0)
    await turns()
    assert post.batches == [["sent"]]


class OwnTime:
    """The event loop, whose time passes only when the test says so."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._now_s = 0.0
        self._timers: list[tuple[float, Callable[[], None]]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def time(self) -> float:
        return self._now_s

    def call_at(self, due_s: float, callback: Callable[..., None], *args: Any) -> object:
        self._timers.append((due_s, partial(callback, *args)))
        return object()

    async def passes(self, seconds: float) -> None:
        """So much time, in which every timer comes due on time."""
        end_s = self._now_s + seconds
        while due := [each for each in self._timers if each[0] <= end_s]:
            first = min(due, key=lambda each: each[0])
            self._timers.remove(first)
            self._now_s = max(self._now_s, first[0])
            first[1]()
            await turns()
        self._now_s = end_s


async def test_deadlines_come_in_the_order_of_the_claims() -> None:
    """Those already sent do not wait for those that came after them."""
    post, clock = Post(), OwnTime()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flashsale.engine.batcher.asyncio.get_running_loop", lambda: clock)
        batcher = post.batcher(queue(deadline_s=0.5))
    order: list[str] = []

    def submit(name: str) -> "asyncio.Future[Decided]":
        future = ask(batcher, claim(name))
        future.add_done_callback(lambda done: order.append(f"{name}: {type(done.exception()).__name__}"))
        return future

    futures = [submit("first")]
    await turns()
    for name in ("second", "third"):
        await clock.passes(0.02)
        futures.append(submit(name))
    post.answer(0)
    await turns()
    assert post.batches == [["first"], ["second", "third"]]
    await clock.passes(0.02)
    futures.append(submit("fourth"))
    await clock.passes(1)
    assert [future.done() for future in futures] == [True] * 4
    assert order == [
        "first: NoneType",
        "second: StoreUnavailableError",
        "third: StoreUnavailableError",
        "fourth: BusyError",
    ]


async def test_a_failed_call_is_told_to_each_of_its_callers_and_the_next_goes_on() -> None:
    post = Post()
    batcher = post.batcher(queue())
    futures = [ask(batcher, claim(name)) for name in "ab"]
    await turns()
    futures.append(ask(batcher, claim("c")))
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
    futures = [ask(batcher, claim(name)) for name in "ab"]
    await turns()
    post.replies[0].set_exception(ValueError("a bug"))
    for future in futures:
        with pytest.raises(ValueError, match="a bug"):
            await future
    again = ask(batcher, claim("c"))
    await turns()
    post.answer(1)
    assert customer(await again) == "c"


async def test_a_batch_that_cannot_even_be_sent_keeps_no_place_of_another() -> None:
    post = Post()

    def send(claims: Sequence[Claim], *told: Callable[..., None]) -> None:
        if claims[0].customer == "a":
            raise ValueError("a bug")
        post.send(claims, *told)

    batcher = Batcher(send, queue(), observe=lambda _batch, _sent_at: None)
    futures = [ask(batcher, claim("a"))]
    await turns()
    futures.append(ask(batcher, claim("b")))
    await turns()
    with pytest.raises(ValueError, match="a bug"):
        await futures[0]
    post.answer(0)
    assert customer(await futures[1]) == "b"


async def test_whoever_is_told_that_it_took_too_long_may_ask_again_and_one_timer_waits() -> None:
    """As a connection does on which the next request is waiting already."""
    timers: list[asyncio.TimerHandle] = []
    often = asyncio.Event()

    class Clock:
        """The event loop, with an eye on its timers."""

        def __getattr__(self, name: str) -> Any:
            return getattr(asyncio.get_running_loop(), name)

        def call_at(self, *args: Any) -> asyncio.TimerHandle:
            timers.append(asyncio.get_running_loop().call_at(*args))
            return timers[-1]

    class Asking:
        times = 0

        def decided(self, *_: object) -> None: ...

        def failed(self, _error: BaseException) -> None:
            self.times += 1
            if self.times >= 8:
                often.set()
            batcher.submit(claim(f"again-{self.times}"), self)

    asking = Asking()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flashsale.engine.batcher.asyncio.get_running_loop", Clock)
        batcher = Batcher(lambda *_: None, queue(deadline_s=0.01), observe=lambda _batch, _sent_at: None)
    batcher.submit(claim("first"), asking)
    await often.wait()
    now = asyncio.get_running_loop().time()
    assert sum(not timer.cancelled() and timer.when() > now for timer in timers) <= 1


async def test_a_caller_who_goes_away_disturbs_nobody() -> None:
    post, counts = Post(), queue()
    batcher = post.batcher(counts)
    futures = [ask(batcher, claim(name)) for name in "abc"]
    futures[1].cancel()
    await turns()
    futures[0].cancel()
    post.answer(0)
    assert customer(await futures[2]) == "c"
    assert counts.waiting == 0


async def test_claims_asked_to_ask_again_do_so_first_and_in_order() -> None:
    post, counts = Post(), queue()
    batcher = post.batcher(counts)
    futures = [ask(batcher, claim(name)) for name in "abcd"]
    await turns()
    futures.append(ask(batcher, claim("e")))
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
    def never(
        claims: Sequence[Claim], decided: Callable[[Batch], None], _failed: Callable[[BaseException], None]
    ) -> None:
        asyncio.get_running_loop().call_later(0.001, decided, answer(claims, Reserve.RECLAIMING))

    batcher = Batcher(never, queue(deadline_s=0.05), observe=lambda _batch, _sent_at: None)
    with pytest.raises((BusyError, StoreUnavailableError)):
        await ask(batcher, claim("a"))


async def test_whoever_observes_is_told_when_the_batch_was_sent() -> None:
    post = Post()
    batcher = post.batcher(queue())
    submitted_at = batcher.now()
    future = ask(batcher, claim("ann"))
    await turns()
    asked_at = batcher.now()
    post.answer(0)
    await future
    ((batch, sent_at),) = post.observed
    assert len(batch.decisions) == 1
    assert submitted_at <= sent_at <= asked_at


async def test_what_came_while_the_process_was_busy_is_no_silence() -> None:
    """The answer is there when the deadline is looked at, and is read after it: as when thousands came at once."""
    post = Post()
    batcher = post.batcher(queue(deadline_s=0.1))
    sent = ask(batcher, claim("ann"))
    await turns()
    waiting = ask(batcher, claim("bob"))
    loop = asyncio.get_running_loop()
    loop.call_later(0.15, post.answer, 0)  # behind the deadline, in the order of timers
    time.sleep(0.3)  # noqa: ASYNC251 (a busy process is what this is about)
    assert customer(await sent) == "ann"
    await turns()
    post.answer(1)
    assert customer(await waiting) == "bob"


async def test_being_busy_again_and_again_gives_no_more_time() -> None:
    post = Post()
    batcher = post.batcher(queue(deadline_s=0.1))
    claims = [ask(batcher, claim("ann"))]
    await turns()
    claims.append(ask(batcher, claim("bob")))
    for _ in range(MOST_TIMES + 1):
        time.sleep(0.3)  # noqa: ASYNC251 (a busy process is what this is about)
        await asyncio.sleep(0.01)
    await asyncio.wait(claims, timeout=60)
    assert isinstance(claims[0].exception(), StoreUnavailableError)
    assert isinstance(claims[1].exception(), BusyError)
