"""kill -9 between every two effects of a payment: of the worker, of the store, of the provider. The end is the same.

First each journey is made undisturbed, by a worker that writes down its steps. Then it is made again for every one of
those steps, and something is killed there; a worker of the usual kind takes over, or what was killed is started again. All
books must then be what they are after the undisturbed journey: one charge and one order, or one charge and one refund.
"""

import asyncio
import inspect
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flashsale.engine import settlement
from tests.crash.journeys import JOURNEYS, PatientTill, click_surely
from tests.crash.pay_worker import PayWorker, Plan
from tests.support.house import House, Till
from tests.support_http.client import eventually

# Some of these make twenty journeys, each to the end.
pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

State = dict[str, Any]

TELLING = ("decline", "too late", "consent too late", "support refund", "second method")
"""Journeys that have every step there is between them: where a store or a provider ends, the journey makes no difference."""

AT_ONCE_MS = 100
"""So soon a job is taken for one that a dead worker has left behind."""
NEVER_MS = 3_600_000
"""However slow the machine is, no job is done twice: what is told of each step is told once."""

WINDOW_MS = 1000
"""So long a call takes where another worker is to take its job meanwhile: longer than a worker stalls as a rule."""

_told: dict[str, list[str]] = {}
"""Journey -> the steps of its worker when nothing disturbs it, in order."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A shop whose store keeps its data as shipped; the workers are brought by the tests."""
    with House(tmp_path_factory.mktemp("crash"), durable=True, work=False) as house:
        yield house


def worker_of(
    house: House, folder: Path, plan: Plan | None = None, *, claim_ms: int = AT_ONCE_MS
) -> PayWorker:
    env = {"FLASHSALE_REDIS_URL": house.valkey.url, "FLASHSALE_PAYMENT_CLAIM_MS": str(claim_ms)}
    return PayWorker(folder, {**house.env, **env}, plan)


@asynccontextmanager
async def kept_alive(house: House, first: PayWorker, folder: Path) -> AsyncIterator[PayWorker]:
    """A worker; whatever ends is started again, as a supervisor does."""
    workers = [first]

    async def mend() -> None:
        if not house.valkey.is_running():
            await asyncio.to_thread(house.valkey.restart)
        if house.simulator.program.process.poll() is not None:
            await asyncio.to_thread(house.simulator.start_again)

    over = asyncio.Event()

    async def watch() -> None:
        while not over.is_set():
            if workers[-1].exitcode is not None:
                workers.append(worker_of(house, folder))
            await mend()
            await asyncio.sleep(0.01)

    watching = asyncio.create_task(watch())
    try:
        yield workers[0]
    finally:
        over.set()  # not cancelled: whoever starts something again brings it to its end
        try:
            await watching
        finally:
            for worker in workers:
                await asyncio.to_thread(worker.end)
        await mend()  # the next journey finds a whole house, whatever became of this one


async def state_of(till: Till) -> State:
    """What a journey has come to."""
    report = await till.shop.audit(till.sale)
    return {
        "items": report["items"],
        "reservations": report["reservations"],
        "ledger": [(each["method"], each["status"], each["refunded"]) for each in await till.ledger()],
    }


@dataclass(frozen=True)
class Trip:
    """What a journey has come to, and what became of the worker that had the plan."""

    state: State
    steps: list[str]
    died: bool


async def last_effects(house: House, worker: PayWorker, plan: Plan | None) -> None:
    """Waits for the last steps: the store may have everything before the worker has said so, or before it is killed."""

    async def planned() -> bool:
        assert plan is not None
        if worker.steps().count(plan.step) < plan.nth:
            return False
        if not plan.pid:
            return worker.exitcode is not None
        return plan.pid not in {house.valkey.pid, house.simulator.program.pid}

    async def ended() -> bool:
        return worker.exitcode == 0

    if plan is None:
        worker.process.terminate()
        await eventually(ended, "the worker ends what it has in hand")
        return
    try:
        await eventually(planned, f"{plan.step} comes {plan.nth} times, and kills")
    except AssertionError as error:
        raise AssertionError(f"{error}: {worker.steps()}") from error


async def travel(
    house: House, name: str, folder: Path, plan: Plan | None = None, *, claim_ms: int = AT_ONCE_MS
) -> Trip:
    """One journey to its end, checked."""
    journey = JOURNEYS[name]
    async with PatientTill(house) as till:
        await eventually(till.forgets_the_rest, "the store is empty")  # workers look at every sale there is
        await till.open(stock=1)
        first = worker_of(house, folder, plan, claim_ms=claim_ms)
        async with kept_alive(house, first, folder) as worker:
            await journey.act(till)
            await till.settled()
            await till.verdict(orders=journey.orders, refunds=journey.refunds)
            await last_effects(house, worker, plan)
            return Trip(await state_of(till), worker.steps(), worker.exitcode is not None)


async def undisturbed(house: House, name: str, folder: Path) -> Trip:
    """A journey that nothing disturbs."""
    trip = await travel(house, name, folder, claim_ms=NEVER_MS)
    _told[name] = trip.steps
    return trip


@pytest.mark.parametrize("name", JOURNEYS)
async def test_the_worker_is_killed(house: House, name: str, tmp_path: Path) -> None:
    """At every single step."""
    expected = await undisturbed(house, name, tmp_path)
    for step, count in Counter(expected.steps).items():
        for nth in range(1, count + 1):
            trip = await travel(house, name, tmp_path, Plan(step, nth))
            assert trip.state == expected.state, (step, nth)
            assert trip.died


@pytest.mark.parametrize("name", TELLING)
async def test_the_store_is_killed(house: House, name: str, tmp_path: Path) -> None:
    """At every kind of step; the worker lives on."""
    expected = await undisturbed(house, name, tmp_path)
    for step in dict.fromkeys(expected.steps):
        before = house.valkey.pid
        trip = await travel(house, name, tmp_path, Plan(step, pid=before))
        assert trip.state == expected.state, step
        assert not trip.died
        assert house.valkey.pid != before


@pytest.mark.parametrize("name", TELLING)
async def test_the_provider_is_killed(house: House, name: str, tmp_path: Path) -> None:
    """Before and after every kind of call to it; the worker lives on."""
    expected = await undisturbed(house, name, tmp_path)
    for step in dict.fromkeys(each for each in expected.steps if each.endswith((".ask", ".asked"))):
        before = house.simulator.program.pid
        trip = await travel(house, name, tmp_path, Plan(step, pid=before))
        assert trip.state == expected.state, step
        assert not trip.died
        assert house.simulator.program.pid != before


async def test_no_step_is_forgotten(house: House, tmp_path: Path) -> None:
    """Every step that the source names comes in one of the journeys at least."""
    for name in JOURNEYS.keys() - _told.keys():
        await undisturbed(house, name, tmp_path)
    source = inspect.getsource(settlement)
    names = re.findall(r"_step\(\"([a-z.]+)\"\)", source)
    assert len(names) == len(re.findall(r"_step\(", source)), "every step has a name that can be read here"
    named = set(names)
    assert named == {step for steps in _told.values() for step in steps}
    assert named == {step for name in TELLING for step in _told[name]}


async def test_two_workers_have_the_same_jobs(house: House, tmp_path: Path) -> None:
    """Jobs are claimed from a worker that is alive and only slow: everything is done twice, and has happened once."""
    async with PatientTill(house) as till:
        await asyncio.to_thread(house.simulator.set_faults, latency_ms=WINDOW_MS)
        await till.open(stock=8)
        workers = [worker_of(house, tmp_path) for _ in range(2)]
        try:
            await eventually(lambda: till.has_workers(2), "both wait for jobs")

            async def order(customer: str, method: str) -> str:
                held = await till.hold(customer)
                await till.ask(held, customer, method)
                return held

            helds = await asyncio.gather(*[order(f"c-{n}", ("card", "alipay")[n % 2]) for n in range(8)])
            pages = [(await till.read(held))["payment"]["action"]["url"] for held in helds]
            await asyncio.gather(*[click_surely(page) for page in pages])
            for held in helds:
                await till.until(held, "confirmed", "paid")
            await asyncio.gather(*[till.refund(held) for held in helds[:3]])
            for held in helds[:3]:
                await till.until(held, "refunded", "refunded")
            await till.settled()
        finally:
            await asyncio.to_thread(house.simulator.set_faults, latency_ms=0)
            for worker in workers:
                await asyncio.to_thread(worker.end)
        await till.verdict(orders=5, refunds=3)
        assert len(await till.ledger()) == 8, "one payment for each attempt"
        starts = Counter(step for worker in workers for step in worker.steps())
        assert starts["start.ask"] > 8, "both have worked on the same jobs"
        assert starts["refund.ask"] > 3
        assert all(worker.steps() for worker in workers)
        await eventually(till.queue_is_empty, "the queue is empty")
