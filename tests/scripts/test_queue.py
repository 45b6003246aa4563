"""`dispatch`, `defer` and `revive`: how payment jobs come into the stream, wait, and are put aside."""

from typing import Any

import pytest

from flashsale.model.jobs import DeadJob, Job
from flashsale.scripts.payments import GROUP, dead_job
from tests.support.sales import OPENS_MS
from tests.support.shop import Shop


@pytest.fixture
async def tokens(shop: Shop) -> list[str]:
    """Five payments that wait for their turn, of places 1 to 5; they were asked for in another order."""
    await shop.open({"car": 9})
    holds = [await shop.hold(f"c{number}") for number in range(5)]
    for number in (3, 0, 4, 2, 1):
        await shop.pay(holds[number])
    await shop.done(*await shop.jobs())  # the wake
    return [hold.token for hold in holds]


async def dead(shop: Shop) -> list[DeadJob]:
    stored: Any = await shop.store.redis.hgetall(shop.keys.dead)
    return [dead_job(entry.decode(), packed) for entry, packed in stored.items()]


async def add(shop: Shop, kind: str = "event", payload: bytes = b"\x01\xff") -> Job:
    """A job that a worker has taken."""
    await shop.store.redis.xadd(shop.keys.payments, {kind: payload})
    return (await shop.take_jobs())[-1]


async def pending(shop: Shop) -> int:
    return int((await shop.store.redis.xpending(shop.keys.payments, GROUP))["pending"])


# --- dispatch ---


async def test_turns_come_in_the_order_of_places(shop: Shop, tokens: list[str]) -> None:
    done = await shop.dispatch(2)
    assert (done.started, done.retried, done.turns_left, done.next_due_ms) == (2, 0, 3, 0)
    assert [(job.kind, job.token, job.tries) for job in await shop.jobs()] == [
        ("start", tokens[0], 0),
        ("start", tokens[1], 0),
    ]
    assert await shop.waiting() == tokens[2:]
    assert (await shop.dispatch(10)).started == 3
    assert [job.token for job in await shop.jobs()] == tokens
    assert (await shop.dispatch(10)).started == 0


async def test_a_lower_place_that_comes_later_still_goes_first(shop: Shop) -> None:
    await shop.open({"car": 9})
    ann, bob, cem = [await shop.hold(name) for name in ("ann", "bob", "cem")]
    await shop.pay(cem)
    await shop.pay(bob)
    assert (await shop.dispatch(1)).turns_left == 1
    await shop.pay(ann)
    await shop.dispatch(2)
    starts = [job.token for job in await shop.jobs() if job.kind == "start"]
    assert starts == [bob.token, ann.token, cem.token]


async def test_no_turns_when_nobody_may_call(shop: Shop, tokens: list[str]) -> None:
    before = await shop.snapshot()
    assert (await shop.dispatch(0)).turns_left == 5
    assert await shop.snapshot() == before


async def test_a_payment_that_went_to_the_provider_waits_no_more(shop: Shop, tokens: list[str]) -> None:
    await shop.dispatch(1)
    assert (await shop.look(tokens=tokens[:2])).ahead == (None, 0)


async def test_an_empty_queue_has_nothing_to_dispatch(shop: Shop) -> None:
    done = await shop.dispatch()
    assert (done.started, done.retried, done.turns_left, done.next_due_ms) == (0, 0, 0, 0)
    assert await shop.store.redis.dbsize() == 0


# --- defer ---


async def test_a_job_is_put_off_and_comes_back_when_it_is_due(shop: Shop) -> None:
    await shop.open({"car": 1})
    job = await add(shop)
    assert await shop.defer(job, 2.5)
    assert await shop.jobs() == []
    assert await pending(shop) == 0
    shop.clock.advance(2.499)
    assert (await shop.dispatch()).next_due_ms == OPENS_MS + 2500
    shop.clock.advance(0.001)
    done = await shop.dispatch()
    assert (done.retried, done.next_due_ms) == (1, 0)
    (again,) = await shop.take_jobs()
    assert (again.kind, again.payload, again.tries) == ("event", b"\x01\xff", 1)
    assert again.entry_id != job.entry_id
    await shop.defer(again, 0)
    await shop.dispatch()
    assert (await shop.jobs())[0].tries == 2


async def test_what_is_due_first_comes_first_and_no_more_than_asked_for(shop: Shop) -> None:
    await shop.open({"car": 1})
    for number in (3, 1, 2):
        await shop.defer(await add(shop, payload=bytes([number])), number)
    shop.clock.advance(10)
    done = await shop.dispatch(retries=2)
    assert (done.retried, done.next_due_ms) == (2, OPENS_MS + 3000)
    assert [job.payload for job in await shop.jobs()] == [b"\x01", b"\x02"]
    assert (await shop.dispatch(retries=2)).retried == 1


async def test_a_job_that_another_worker_has_done_is_not_put_off(shop: Shop) -> None:
    await shop.open({"car": 1})
    job = await add(shop)
    await shop.done(job)
    before = await shop.snapshot()
    assert not await shop.defer(job, 1)
    assert not await shop.defer(job, None)
    assert await shop.snapshot() == before


# --- dead jobs ---


async def test_a_job_is_put_aside_with_its_reason(shop: Shop) -> None:
    await shop.open({"car": 1})
    job = await add(shop)
    shop.clock.advance(1)
    assert await shop.defer(job, None, "the provider says: nö")
    assert await shop.jobs() == []
    assert await pending(shop) == 0
    expected = Job(job.entry_id, "event", b"\x01\xff", 1)
    assert await dead(shop) == [DeadJob(expected, "the provider says: nö", shop.now_ms)]
    assert (await shop.dispatch()).retried == 0


@pytest.mark.parametrize("kind", ["event", "no such kind", "k" * 255])
@pytest.mark.parametrize("payload", [b"", b"\0", b"p" * 70_000])
async def test_any_job_survives_being_put_off_and_aside(shop: Shop, kind: str, payload: bytes) -> None:
    await shop.open({"car": 1})
    await shop.defer(await add(shop, kind, payload), 0)
    await shop.dispatch()
    (job,) = await shop.take_jobs()
    assert (job.kind, job.payload, job.tries) == (kind, payload, 1)
    await shop.defer(job, None, "")
    assert await shop.revive(job.entry_id) == 1
    (job,) = await shop.jobs()
    assert (job.kind, job.payload, job.tries) == (kind, payload, 0)


async def test_dead_jobs_live_again_by_name(shop: Shop) -> None:
    await shop.open({"car": 1})
    jobs = [await add(shop, payload=bytes([number])) for number in range(3)]
    for job in jobs:
        await shop.defer(job, None)
    assert await shop.revive(jobs[2].entry_id, "0-7", jobs[0].entry_id) == 2
    assert [(job.payload, job.tries) for job in await shop.jobs()] == [(b"\x02", 0), (b"\x00", 0)]
    assert [each.job.entry_id for each in await dead(shop)] == [jobs[1].entry_id]
    assert await shop.revive(jobs[0].entry_id) == 0


async def test_tries_are_counted_to_the_end(shop: Shop) -> None:
    await shop.open({"car": 1})
    job = await add(shop)
    for tries in range(1, 20):
        await shop.defer(job, 0)
        await shop.dispatch()
        (job,) = await shop.take_jobs()
        assert job.tries == tries
