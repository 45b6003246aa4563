"""Reserving, reading and cancelling, as one worker does it on the real store."""

import asyncio

import pytest

from flashsale.api.bodies import reservation_lines
from flashsale.engine.reservations import MOST_REFRESH_PAUSE_S
from flashsale.model.faults import InvalidError
from flashsale.model.ids import ReservationId
from flashsale.model.outcomes import Reserve, Resolve
from flashsale.model.reservation import State
from flashsale.scripts.reserve import Held, Refused, Replayed
from flashsale.store.client import StoreUnavailableError
from tests.engine.conftest import Put
from tests.engine.worker import Worker
from tests.support.sales import SALE


async def held(worker: Worker, customer: str, key: str | None = None) -> ReservationId:
    decision = await worker.ask(customer, key=key)
    assert isinstance(decision, Held)
    return ReservationId(SALE, 0, decision.reservation.token)


async def test_reserve_read_cancel(worker: Worker, put: Put) -> None:
    await put({"car": 1})
    mine = await held(worker, "ann")
    found = await worker.reservations.get(mine)
    assert found is not None
    assert (found.reservation.customer, found.reservation.state) == ("ann", State.HELD)
    assert found.offer.amount(found.reservation.lines) == 100
    assert await worker.outcome("bob") is Reserve.SOLD_OUT
    resolved = await worker.reservations.cancel(mine, reason="customer")
    assert resolved.outcome is Resolve.DONE
    assert await worker.outcome("bob") is Reserve.HELD


async def test_what_is_not_there_is_none(worker: Worker, put: Put) -> None:
    await put({"car": 1})
    mine = await held(worker, "ann")
    assert await worker.reservations.get(ReservationId(SALE, 0, "x" * 16)) is None
    assert await worker.reservations.get(ReservationId(SALE, 1, mine.token)) is None
    assert await worker.reservations.get(ReservationId("no-such", 0, mine.token)) is None
    assert await worker.reservations.of_customer("no-such", "ann") is None
    assert await worker.reservations.of_customer(SALE, "bob") == []
    offer, decision = await worker.reservations.reserve("no-such", "ann", (("car", 1),))
    assert offer is None
    assert isinstance(decision, Refused)
    assert decision.outcome is Reserve.UNKNOWN_SALE


async def test_a_customers_reservations_come_oldest_first(worker: Worker, put: Put) -> None:
    await put({"car": 9})
    tokens = [(await held(worker, "ann")).token for _ in range(3)]
    await held(worker, "bob")
    found = await worker.reservations.of_customer(SALE, "ann")
    assert found is not None
    assert [each.reservation.token for each in found] == tokens


async def test_two_lines_of_one_sku_are_one_before_anything_is_checked(worker: Worker, put: Put) -> None:
    await put({"car": 1, "bus": 5}, item_limits={"bus": 1})
    twice = {"items": [{"sku": "car", "quantity": 1}, {"sku": "car", "quantity": 1}]}
    assert await worker.outcome("ann", *reservation_lines(twice)) is Reserve.SOLD_OUT
    buses = {"items": [{"sku": "bus", "quantity": 1}, {"sku": "bus", "quantity": 1}]}
    assert await worker.outcome("ann", *reservation_lines(buses)) is Reserve.LIMIT_REACHED


async def test_a_key_is_the_customers_own_and_the_sales_own(worker: Worker, put: Put) -> None:
    await put({"car": 9})
    await put({"car": 9}, sale="other")
    mine = await held(worker, "ann", key="k")
    again = await worker.ask("ann", key="k")
    assert isinstance(again, Replayed)
    assert again.reservation.token == mine.token
    assert await worker.outcome("bob", key="k") is Reserve.HELD
    assert await worker.outcome("ann", key="k", sale="other") is Reserve.HELD
    assert await worker.outcome("ann", ("car", 2), key="k") is Reserve.IDEMPOTENCY_MISMATCH


async def test_what_cannot_be_paid_in_exact_numbers_is_refused_before_it_is_sent(
    worker: Worker, put: Put
) -> None:
    await put({"car": 9, "bus": 9}, price=10**12)
    for lines in ((("car", 9_008),), (("car", 5_000), ("bus", 5_000))):
        with pytest.raises(InvalidError):
            await worker.ask("ann", *lines)
    assert await worker.outcome("ann", ("car", 9_007)) is Reserve.SOLD_OUT


async def test_the_memory_answers_as_the_store_would(worker: Worker, put: Put) -> None:
    await put({"car": 2}, limit=1)
    assert await worker.outcome("ann") is Reserve.HELD
    assert await worker.outcome("bob") is Reserve.HELD
    await worker.remember_sold_out()
    from_store = await worker.ask("cem", key="asks the store")
    answer, before, number = from_store, worker.from_memory, 0
    while worker.from_memory == before:
        number += 1
        answer = await worker.ask(f"late {number}")
    assert isinstance(from_store, Refused)
    assert isinstance(answer, Refused)
    shown = ("outcome", "sku", "held_by_others", "next_release_ms")
    assert [getattr(answer, name) for name in shown] == [getattr(from_store, name) for name in shown]


async def test_whoever_has_something_and_whoever_has_a_key_always_asks_the_store(
    worker: Worker, put: Put
) -> None:
    await put({"car": 1}, limit=1)
    mine = await held(worker, "ann", key="k")
    for _ in range(20):
        await worker.remember_sold_out()
        before = worker.from_memory
        assert await worker.outcome("ann") is Reserve.LIMIT_REACHED
        assert await worker.outcome("ann", key="k") is Reserve.REPLAYED
        assert await worker.outcome("bob", key="k") is Reserve.SOLD_OUT
        assert await worker.outcome("bob", ("car", 1), ("bus", 1)) is Reserve.UNKNOWN_ITEM
        assert worker.from_memory == before
    await worker.reservations.cancel(mine, reason="")
    assert await worker.outcome("bob", key="k") is Reserve.HELD


async def test_units_that_this_worker_gave_back_can_be_had_at_once(worker: Worker, put: Put) -> None:
    await put({"car": 1})
    for number in range(20):
        mine = await held(worker, f"buyer {number}")
        await worker.remember_sold_out()
        await worker.reservations.cancel(mine, reason="")
    await held(worker, "ann")
    await worker.remember_sold_out()
    await worker.store.restock(SALE, sku="car", units=1, reason="")
    worker.reservations.changed(SALE)
    assert await worker.outcome("bob") is Reserve.HELD


async def test_after_a_store_that_stalled_the_memory_answers_again_soon(
    worker: Worker, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has something is read seldom, as that may cost little; but a stall is no cost."""
    await put({"car": 1})
    await held(worker, "ann")
    desk = worker.reservations._desks[SALE]
    started_s = desk.batcher.now()
    while not desk.refresh_at:  # until it was read once
        await worker.outcome("newcomer")
    now_s = started_s + 3600.0
    monkeypatch.setattr(desk.batcher, "now", lambda: now_s)

    async def stalled(_sale: str) -> None:
        nonlocal now_s
        now_s += 10.0
        raise StoreUnavailableError("the store did not answer in time", applied=None)

    monkeypatch.setattr(worker.store, "holders", stalled)
    await worker.reservations._refresh_holders(SALE, desk)
    assert desk.refresh_at == now_s + MOST_REFRESH_PAUSE_S


async def test_units_that_another_worker_gave_back_are_found_by_the_probe(
    worker: Worker, other_worker: Worker, put: Put
) -> None:
    await put({"car": 1})
    mine = await held(other_worker, "ann")
    await worker.remember_sold_out()
    await other_worker.reservations.cancel(mine, reason="")
    number = 0
    while await worker.outcome(f"late {number}") is Reserve.SOLD_OUT:
        number += 1
        await asyncio.sleep(0.001)


async def test_a_unit_can_be_had_when_its_hold_ends_though_the_memory_is_fresh(
    worker: Worker, put: Put
) -> None:
    # A hold may be over before the memory has answered anybody: then a longer one is tried.
    for hold_seconds in (1, 10, 60):
        sale = f"holds-of-{hold_seconds}-s"
        await put({"car": 1}, sale=sale, hold_seconds=hold_seconds)
        decision = await worker.ask("ann", sale=sale)
        assert isinstance(decision, Held)
        refused_until = 0
        while not isinstance(answer := await worker.ask(f"late {refused_until}", sale=sale), Held):
            refused_until += 1
            await asyncio.sleep(0.002)
        assert answer.reservation.held_ms >= decision.reservation.held_until_ms
        if worker.from_memory:
            break
    assert worker.from_memory > 0


async def test_200_clients_of_two_workers_want_the_last_unit(
    worker: Worker, other_worker: Worker, put: Put
) -> None:
    for number in range(50):
        sale = f"round-{number}"
        await put({"car": 1}, sale=sale, limit=1)
        clients = [(worker, other_worker)[n % 2].outcome(f"customer {n}", sale=sale) for n in range(200)]
        outcomes = await asyncio.gather(*clients)
        assert outcomes.count(Reserve.HELD) == 1
        assert outcomes.count(Reserve.SOLD_OUT) == 199


async def test_a_crowd_in_batches_gets_each_place_once(
    worker: Worker, other_worker: Worker, put: Put
) -> None:
    await put({"car": 300}, limit=1)
    clients = [(worker, other_worker)[n % 2].ask(f"customer {n % 400}") for n in range(1000)]
    decisions = await asyncio.gather(*clients)
    places = sorted(each.reservation.place for each in decisions if isinstance(each, Held))
    assert places == list(range(1, 301))
    assert len({each.reservation.customer for each in decisions if isinstance(each, Held)}) == 300
