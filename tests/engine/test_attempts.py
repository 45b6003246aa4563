"""Notes of refused tries: bounded in the worker and in the store, and in nobody's way."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from flashsale import keys
from flashsale.engine import attempts
from flashsale.engine.attempts import Notes, attempts_of
from flashsale.engine.batcher import Batcher, BusyError
from flashsale.model.attempts import BUSY, UNAVAILABLE, pack
from flashsale.model.outcomes import Reserve
from flashsale.store import attempts as stored
from flashsale.store.attempts import AttemptStore
from flashsale.store.client import Store, StoreUnavailableError
from tests.engine.conftest import Put
from tests.engine.worker import Worker
from tests.support.batches import Post, ask, queue, turns
from tests.support.sales import SALE, claim
from tests.support.server import PATIENCE_S

SOLD_OUT = Reserve.SOLD_OUT

pytestmark = pytest.mark.breaks_the_books("there are notes, and no sale")


class Away(AttemptStore):
    """A store that takes so many batches, and then none."""

    takes = 0

    async def add(self, sale: str, batches: Any) -> None:
        if self.takes <= 0:
            raise StoreUnavailableError("away", applied=False)
        self.takes -= 1
        await super().add(sale, batches)


@pytest.fixture
async def noted(store: Store, valkey: str) -> AsyncIterator[AttemptStore]:
    noted = AttemptStore(store, timeout_s=PATIENCE_S)
    yield noted
    await noted.close()


@pytest.fixture
async def away(store: Store, valkey: str) -> AsyncIterator[Away]:
    away = Away(store, timeout_s=PATIENCE_S)
    yield away
    await away.close()


async def counts(noted: AttemptStore, customer: str) -> dict[str, int]:
    return {each.name: each.count for each in (await attempts_of(noted, SALE, customer)).attempts}


async def test_notes_are_written_once_and_add_up(noted: AttemptStore) -> None:
    notes = Notes(noted)
    for number in range(1000):
        notes.note(SALE, f"c-{number % 10}", SOLD_OUT)
        notes.note("another", "c-1", Reserve.PAUSED)
    notes.note(SALE, "c-1", BUSY)
    notes.note(SALE, "c-1", Reserve.UNKNOWN_ITEM)  # nobody complains of that
    assert await counts(noted, "c-1") == {}
    await notes.write()
    await notes.write()
    assert await counts(noted, "c-1") == {"sold_out": 100, "busy": 1}
    assert (await attempts_of(noted, "another", "c-1")).attempts[0].count == 1000
    assert not (await attempts_of(noted, SALE, "c-1")).dropped


async def test_a_flood_of_one_takes_one_note_and_a_flood_of_many_no_more_than_there_is_room_for(
    noted: AttemptStore,
) -> None:
    notes = Notes(noted, most=500)
    for _ in range(10_000):
        notes.note(SALE, "eager", SOLD_OUT)
    for number in range(2_000):
        notes.note(SALE, f"c-{number}", SOLD_OUT)
    await notes.write()
    told = await attempts_of(noted, SALE, "eager")
    assert (told.attempts[0].count, told.dropped) == (10_000, 1_501)
    assert await counts(noted, "c-498") == {"sold_out": 1}
    assert await counts(noted, "c-499") == {}
    notes.note(SALE, "c-499", SOLD_OUT)  # there is room again
    await notes.write()
    assert await counts(noted, "c-499") == {"sold_out": 1}


async def test_while_the_store_is_away_notes_are_kept_as_far_as_there_is_room(away: Away) -> None:
    notes = Notes(away, most=600)
    for number in range(500):
        notes.note(SALE, f"c-{number}", SOLD_OUT)
    away.takes = 1  # of two batches
    await notes.write()
    for number in range(500):
        notes.note(SALE, f"c-{number}", SOLD_OUT)
        notes.note(SALE, f"late-{number}", SOLD_OUT)
    await notes.write()
    away.takes = 1_000
    await notes.write()
    found = [await attempts_of(away, SALE, f"c-{number}") for number in range(500)]
    assert {told.attempts[0].count for told in found} == {1, 2}
    kept = sum(told.attempts[0].count for told in found)
    late = sum([len(await counts(away, f"late-{number}")) for number in range(500)])
    assert kept + late + found[0].dropped == 1_500


async def test_each_try_is_noted_at_its_own_instant_also_within_one_turn(
    noted: AttemptStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Notes(noted)
    clock = iter([1_000.0, 1_000.4, 1_000.9])
    monkeypatch.setattr("flashsale.engine.attempts.time.time", lambda: next(clock, 1_001.0))
    for _ in range(3):
        notes.note(SALE, "ann", SOLD_OUT)
    await notes.write()
    (tries,) = (await attempts_of(noted, SALE, "ann")).attempts
    assert (tries.last_ms - tries.first_ms, tries.count) == (900, 3)


@pytest.mark.parametrize("error", [asyncio.CancelledError, ValueError])
async def test_what_stops_the_writing_loses_no_more_than_what_was_under_way(
    away: Away, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    notes = Notes(away)
    for number in range(300):
        notes.note(SALE, f"c-{number}", SOLD_OUT)
        notes.note("another", "ann", SOLD_OUT)

    async def stopped(_sale: str, _batches: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(away, "add", stopped)
        with pytest.raises(error):
            await notes.write()
    away.takes = 1_000
    await notes.close()
    assert (await attempts_of(away, "another", "ann")).attempts[0].count == 300
    found = [await attempts_of(away, SALE, f"c-{number}") for number in range(300)]
    kept = sum(told.attempts[0].count for told in found if told.attempts)
    lost = attempts.IN_BATCH if error is ValueError else 0  # counted: they might never be written
    assert (kept, found[0].dropped) == (300 - lost, lost)


async def test_notes_are_read_no_longer_than_somebody_waits(
    noted: AttemptStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(100):
        await noted.add(SALE, [pack(1, 0, [("ann", SOLD_OUT, 1, 1, 1)])])
    assert (await attempts_of(noted, SALE, "ann")).complete
    monkeypatch.setattr(attempts, "MOST_S", 0.0)
    told = await attempts_of(noted, SALE, "ann")
    assert (sum(each.count for each in told.attempts), told.complete) == (64, False)


async def test_the_stream_is_cut_where_it_takes_too_much(
    noted: AttemptStore, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "CUT_EVERY", 1)
    monkeypatch.setattr(stored, "MOST_BYTES", 200_000)
    notes = Notes(noted)
    redis: Any = store.redis
    for wave in range(20):
        for number in range(2_000):
            notes.note(SALE, f"customer-{wave}-{number}", SOLD_OUT)
        await notes.write()
        assert await redis.memory_usage(keys.refused(SALE)) < 400_000
    assert await counts(noted, "customer-19-1999") == {"sold_out": 1}
    told = await attempts_of(noted, SALE, "customer-0-0")
    assert (told.attempts, told.cut) == ((), True)
    assert 0 < await redis.pttl(keys.refused(SALE)) <= stored.KEPT_MS


async def test_a_damaged_batch_hides_no_other(noted: AttemptStore, store: Store) -> None:
    notes = Notes(noted)
    notes.note(SALE, "ann", SOLD_OUT)
    await notes.write()
    redis: Any = store.redis
    await redis.xadd(keys.refused(SALE), {"notes": b"\xc1ann"})
    await redis.xadd(keys.refused(SALE), {"other": b"ann"})
    assert await counts(noted, "ann") == {"sold_out": 1}


async def test_refusals_of_every_kind_reach_the_notes(
    worker: Worker, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str, int]] = []
    worker.reservations.tell_refusals(lambda *noted: seen.append((noted[0], noted[1], int(noted[2]))))
    await put({"car": 1})
    reserve = worker.reservations.reserve
    await reserve(SALE, "first", (("car", 1),))
    asked = 0
    while asked < 50 or not 0 < worker.from_memory < asked:
        await reserve(SALE, "late", (("car", 1),))
        asked += 1
        await asyncio.sleep(0.001)  # so that some are answered from memory, some by the store
    assert seen == [(SALE, "late", SOLD_OUT)] * asked
    monkeypatch.setattr(worker.reservations._queue, "limit", 0)  # as if it were full
    with pytest.raises(BusyError):
        await reserve(SALE, "crowd", (("car", 1),), "key")
    assert seen[-1] == (SALE, "crowd", BUSY)


async def test_claims_that_the_store_has_not_answered_are_noted() -> None:
    seen: list[tuple[str, int]] = []
    post = Post()
    batcher = Batcher(
        post.send,
        queue(),
        observe=lambda _batch, _at: None,
        refused=lambda *told: seen.append((told[0], int(told[1]))),
    )
    asked = [ask(batcher, claim(name)) for name in ("ann", "bob")]
    await turns()
    post.replies[0].set_exception(StoreUnavailableError("away", applied=None))
    for each in asked:
        with pytest.raises(StoreUnavailableError):
            await each
    assert seen == [("ann", UNAVAILABLE), ("bob", UNAVAILABLE)]
