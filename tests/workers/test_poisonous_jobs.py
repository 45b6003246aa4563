"""Jobs that can never be done, because somebody has damaged what is stored: each ends among the dead, and harms no other."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from flashsale.engine import events
from flashsale.engine.catalog import Catalog
from flashsale.engine.events import Received
from flashsale.engine.settlement import Settlement
from flashsale.engine.till import Till
from flashsale.model.reservation import Reservation, State
from flashsale.providers.protocol import Event, PaymentState, ProviderPayment
from flashsale.settings import load_settings
from flashsale.store.payments import PaymentStore
from flashsale.store.sales import SaleStore
from flashsale.workers.payments import PaymentWorker
from tests.support.shop import Shop

pytestmark = pytest.mark.breaks_the_books("payment records are damaged")
TRIES = 2
PATIENCE_S = 120


class Worker:
    """A payment worker in this process, for a shop without any provider: payments are begun in vain."""

    def __init__(self, till: Till) -> None:
        self.till = till
        self.settlement = Settlement(till)
        self._stop = asyncio.Event()
        worker = PaymentWorker(till, self.settlement, tries=TRIES, claim_ms=100)
        self._task = asyncio.create_task(worker.run(self._stop))

    async def until(self, true: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not await true():
                assert not self._task.done(), "the worker has ended"
                await asyncio.sleep(0.005)

    async def end(self) -> None:
        self._stop.set()
        await self._task


@pytest.fixture
async def worker(shop: Shop, sale_store: SaleStore) -> AsyncIterator[Worker]:
    shop.clock.now_ms = time.time_ns() // 1_000_000  # a worker goes by the store's own time
    await shop.open({"car": 100}, opens_ms=shop.now_ms, hold_seconds=3600)
    settings = load_settings({})
    payments = PaymentStore(shop.store, timeout_s=PATIENCE_S)
    worker = Worker(Till.of(settings, payments, sale_store, Catalog(sale_store), {}))
    yield worker
    await worker.end()
    await payments.close()


def told(shop: Shop, held: Reservation, number: int) -> bytes:
    """The job of a webhook that says that this hold is paid for."""
    due = shop.due(held)
    payment = ProviderPayment(
        id=str(number),
        state=PaymentState.PAID,
        amount=due.amount,
        currency=due.currency,
        shop="flashsale",
        reservation=f"{shop.sale}.0.{held.token}",
        attempt=1,
        method="card",
    )
    return events.pack(Received("sim", Event(f"evt-{number}", payment)))


async def dead(shop: Shop, worker: Worker) -> list[str]:
    return [each.job.kind for each in await worker.till.payments.dead(shop.sale)]


async def test_one_charge_that_cannot_be_decided_keeps_no_other_from_its_fate(
    shop: Shop, worker: Worker
) -> None:
    holds = [await shop.hold(f"c{number}") for number in range(20)]
    for held in holds:
        await shop.pay(held, rate=0)
    await shop.store.redis.hset(shop.keys.attempts, holds[7].token, b"?")
    pipe = shop.store.redis.pipeline()
    for number, held in enumerate(holds):
        pipe.xadd(shop.keys.payments, {"event": told(shop, held, number)})
    await pipe.execute()

    async def over() -> bool:
        return (await dead(shop, worker)).count("event") == 1 and not await shop.jobs()

    await worker.until(over)
    await shop.store.redis.hdel(shop.keys.attempts, holds[7].token)  # so that the others can be read
    found = (await shop.look(tokens=[held.token for held in holds])).reservations
    states = [each.state for each in found if each is not None]
    assert states == [*[State.CONFIRMED] * 7, State.HELD, *[State.CONFIRMED] * 12]


async def test_a_payment_that_cannot_be_read_is_given_up(shop: Shop, worker: Worker) -> None:
    held = await shop.hold("ann")
    await shop.store.redis.hset(shop.keys.attempts, held.token, b"?")
    await shop.store.redis.xadd(shop.keys.payments, {"start": held.token})

    async def over() -> bool:
        return await dead(shop, worker) == ["start"] and not await shop.jobs()

    await worker.until(over)


@pytest.mark.parametrize(
    "fields",
    [
        {b"\xff\xfe": b"x"},
        {b"x" * 300: b"x"},
        {b"start": b"\xff" * 16},
        {b"void": b""},
        {b"refund": b""},
        {b"event": b"\xff"},
        {b"event": b"", b"start": b""},
        {b"nothing": b"x", b"tries": b"many"},
        {b"nothing": b"x", b"tries": b"99999"},
        {b"tries": b"1"},
    ],
)
async def test_what_is_no_job_is_put_aside(shop: Shop, worker: Worker, fields: dict[bytes, bytes]) -> None:
    await shop.store.redis.xadd(shop.keys.payments, fields)  # type: ignore[arg-type] # its stub wants one type

    async def over() -> bool:
        return len(await dead(shop, worker)) == 1 and not await shop.jobs()

    await worker.until(over)
