"""The payment worker itself: what it does with jobs that fail, in which order it takes them, and what it finds by itself."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from flashsale.engine.pacing import FAULTS, Breaker
from flashsale.keys import SaleKeys
from flashsale.model.instants import from_datetime
from flashsale.model.payment import METHODS
from flashsale.providers.protocol import ProviderError
from flashsale.providers.simulator import Simulator
from flashsale.scripts.payments import GROUP
from flashsale.store.client import Store, StoreUnavailableError
from flashsale.store.payments import PaymentStore
from flashsale.workers.payments import RETRY_MOST_MS, RETRY_MS, delay_ms
from tests.crash.pay_worker import PayWorker
from tests.process.programs import Program, eventually
from tests.support.house import House, Till, click
from tests.support.server import PATIENCE_MS, PATIENCE_S
from tests.support_http.client import ROOT_KEY, Shop
from tests.support_http.client import eventually as soon
from tests.support_http.proxy import proxy_to
from tests.support_http.server import app_on


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A shop without a worker."""
    with House(tmp_path_factory.mktemp("house"), work=False) as house:
        yield house


@pytest.fixture
async def till(house: House) -> AsyncIterator[Till]:
    """A sale that is not open yet, the only one, at a simulator without faults."""
    async with Till(house) as till:
        await till.store.redis.flushall()
        yield till
        await till.faults(outage_percent=0, latency_ms=0)


class Workers:
    """Workers of a house, which end with the test."""

    def __init__(self, house: House, folder: Path) -> None:
        self._house = house
        self._folder = folder
        self._started: list[PayWorker] = []

    def start(self, **env: object) -> PayWorker:
        """One with these settings, named without their `FLASHSALE_`."""
        own = {f"FLASHSALE_{name.upper()}": str(value) for name, value in env.items()}
        whole = {**self._house.env, "FLASHSALE_REDIS_URL": self._house.valkey.url, **own}
        worker = PayWorker(self._folder, {"FLASHSALE_LOG_FORMAT": "json", **whole})
        self._started.append(worker)
        return worker

    def end(self) -> None:
        for worker in self._started:
            worker.end()


@pytest.fixture
def workers(house: House, tmp_path: Path) -> Iterator[Workers]:
    workers = Workers(house, tmp_path)
    yield workers
    workers.end()


async def command(house: House, folder: Path, *arguments: str) -> str:
    """What `flashsale payments ...` says, which must work."""
    whole = ["-m", "flashsale", "payments", *arguments, "--url", house.url]
    program = Program(whole, folder, {"FLASHSALE_API_KEY": ROOT_KEY})
    code = await asyncio.to_thread(program.wait)
    assert code == 0, program.err()
    return program.out()


def held_until_ms(reservation: Any) -> int:
    return from_datetime(datetime.fromisoformat(reservation["held_until"]))


def events_of(worker: PayWorker, name: str) -> list[dict[str, Any]]:
    """What the worker has logged under this name."""
    lines = [json.loads(line) for line in worker.log().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == name]


def test_the_wait_doubles_up_to_a_limit_and_is_spread() -> None:
    for tries in range(40):
        most = min(RETRY_MS * 2**tries, RETRY_MOST_MS)
        assert delay_ms(tries, lambda: 0.0) == most / 2
        assert most / 2 <= delay_ms(tries) <= most
        assert delay_ms(tries, lambda: 1.0) == most


async def test_a_payment_that_cannot_begin_is_given_up_and_another_method_works(
    till: Till, workers: Workers, tmp_path: Path
) -> None:
    await till.faults(outage_percent=100)
    await till.open()
    held = await till.hold("ann")
    (await till.start(held, "ann", "card")).must(202)
    worker = workers.start(payment_tries=3)
    failed = await till.until(held, "held", "failed")
    assert "another method" in failed["payment"]["error"]
    (job,) = await soon(till.dead, "the job is put aside")
    assert (job["kind"], job["tries"], job["reservation"]) == ("start", 3, held)
    first, second = events_of(worker, "payments.put_off")
    assert RETRY_MS / 2 <= first["wait_ms"] <= RETRY_MS <= second["wait_ms"] <= 2 * RETRY_MS

    listed = json.loads(await command(till.house, tmp_path, "dead", "list", till.sale, "--json"))
    assert listed["jobs"] == [job]
    await till.faults(outage_percent=0)
    await command(till.house, tmp_path, "dead", "retry", till.sale, job["id"])
    await till.settled()  # it is too late for that one: the customer has been told
    assert not await till.ledger()
    await click(await till.ask(held, "ann", "alipay"))
    await till.until(held, "confirmed", "paid")
    await till.settled()
    await till.verdict(orders=1)


async def test_a_refund_that_was_given_up_is_open_until_it_is_tried_again(
    till: Till, workers: Workers, tmp_path: Path
) -> None:
    await till.open()
    workers.start(payment_tries=2)
    held = await till.hold("ann")
    await click(await till.ask(held, "ann", "card"))
    await till.until(held, "confirmed", "paid")
    await till.settled()
    await till.faults(outage_percent=100)
    await till.refund(held)
    (job,) = await soon(till.dead, "the job is put aside")
    await till.faults(outage_percent=0)
    report = await till.reconcile()
    assert not report["ok"]
    assert report["open"][0]["reference"] == job["reference"]
    await command(till.house, tmp_path, "dead", "retry", till.sale, "--all")
    await till.until(held, "refunded", "refunded")
    await till.settled()
    await till.verdict(refunds=1)


async def test_a_provider_that_is_away_is_not_asked_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    provider, breaker = Simulator("http://127.0.0.1:1", "secret"), Breaker()
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 100.0)
    for _ in range(FAULTS - 1):
        breaker.failed(provider)
        breaker.check(provider)
    breaker.failed(provider)
    with pytest.raises(ProviderError) as away:
        breaker.check(provider)
    assert away.value.retry
    breaker.heard(provider)
    breaker.check(provider)


async def test_after_a_pause_one_call_finds_out(monkeypatch: pytest.MonkeyPatch) -> None:
    provider, breaker = Simulator("http://127.0.0.1:1", "secret"), Breaker()
    now_s = 100.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now_s)
    for _ in range(FAULTS):
        breaker.failed(provider)
    now_s = 102.0
    breaker.check(provider)
    with pytest.raises(ProviderError):
        breaker.check(provider)  # until the first has come back


async def test_payments_go_to_the_provider_in_the_order_of_places(till: Till, workers: Workers) -> None:
    rate, count = 5, 8
    env = {**till.house.env, "FLASHSALE_SIMULATOR_RATE": str(rate)}
    async with app_on(till.house.valkey.url, env) as url, Till(till.house, Shop(url)) as paced:
        extension = {"methods": list(METHODS), "hold_extension_seconds": 60}
        await paced.open(stock=count, hold_seconds=600, payment=extension)
        helds = [await paced.hold(f"c-{n}") for n in range(count)]
        before = [held_until_ms(await paced.read(held)) for held in helds]
        order = list(range(count))
        random.Random(7).shuffle(order)
        for n in order:
            (await paced.start(helds[n], f"c-{n}", "card")).must(202)
        for n, held in enumerate(helds):
            found = await paced.read(held)
            assert found["payment"]["wait_seconds"] == -(-n // rate), "as many as have a lower place go first"
            went_before = sum(other < n for other in order[: order.index(n)])
            more_ms = 60_000 + went_before * 1000 // rate
            assert held_until_ms(found) == before[n] + more_ms, "the hold allows for the wait"
        await till.faults(
            latency_ms=60_000
        )  # so that what was taken to the provider can be seen in the stream
        workers.start(simulator_rate=rate)
        keys, seen = SaleKeys.of(paced.sale), list[str]()

        async def begun() -> list[str]:
            # Each is remembered: a call that was given up meanwhile is put off, and comes again behind the others.
            entries: Any = await paced.store.redis.xrange(keys.payments)
            tokens = [fields[b"start"].decode() for _, fields in entries if b"start" in fields]
            seen.extend(token for token in tokens if token not in seen)
            return seen if len(seen) == count else []

        tokens = await soon(begun, "all have had their turn")
        assert tokens == [held.rpartition(".")[2] for held in helds]


async def test_new_sales_are_found_and_a_store_that_lost_everything_is_joined_again(
    till: Till, workers: Workers
) -> None:
    workers.start()
    for _ in range(2):
        async with Till(till.house) as other:
            await other.open()
            held = await other.hold("ann")
            await click(await other.ask(held, "ann", "alipay"))
            await other.until(held, "confirmed", "paid")
            await other.settled()
        await till.store.redis.flushall()


async def test_one_worker_has_many_sales(till: Till, workers: Workers) -> None:
    workers.start()
    tills = [Till(till.house) for _ in range(20)]
    try:

        async def buy(till: Till, method: str) -> None:
            await till.open()
            held = await till.hold("ann")
            await click(await till.ask(held, "ann", method))
            await till.until(held, "confirmed", "paid")

        await asyncio.gather(*[buy(each, ("card", "alipay")[n % 2]) for n, each in enumerate(tills)])
        for each in tills:
            await each.settled()
            await each.verdict(orders=1)
    finally:
        for each in tills:
            await each.__aexit__(None, None, None)


async def test_too_many_payments_and_messages_are_turned_away(till: Till, workers: Workers) -> None:
    env = {**till.house.env, "FLASHSALE_PAYMENT_QUEUE_LIMIT": "2"}
    async with app_on(till.house.valkey.url, env) as url, Till(till.house, Shop(url)) as busy:
        await busy.open()
        helds = {customer: await busy.hold(customer) for customer in ("ann", "bob", "eve")}
        for customer in ("ann", "bob"):
            (await busy.start(helds[customer], customer, "card")).must(202)
        (await busy.start(helds["eve"], "eve", "card")).refused(503, "busy")
        assert (await busy.read(helds["eve"]))["payment"] is None
        await busy.opened_elsewhere(helds["ann"])
        (payment,) = await busy.ledger()

        async def turned_away() -> bool:
            answer = await busy.tell(payment, "opened")
            if answer.status == 503:
                answer.refused(503, "busy")
            return answer.status == 503

        await soon(turned_away, "what is told is turned away as well, when there is far too much of it")
        workers.start()
        await busy.settled()
        (await busy.start(helds["eve"], "eve", "card")).must(202)
        assert (await busy.tell(payment, "opened")).status in {202, 503}  # as of the last look at the queue
        await busy.settled()


async def test_a_worker_that_leaves_is_forgotten(till: Till, workers: Workers) -> None:
    await till.open()
    worker = workers.start()
    held = await till.hold("ann")
    await till.ask(held, "ann", "card")
    await till.settled()
    names = SaleKeys.of(till.sale)
    assert len(await till.store.redis.xinfo_consumers(names.payments, GROUP)) == 1
    worker.process.terminate()
    await asyncio.to_thread(eventually, lambda: worker.exitcode == 0, "it leaves")
    assert not await till.store.redis.xinfo_consumers(names.payments, GROUP)


async def test_a_job_that_was_done_is_gone_though_its_worker_died_meanwhile(till: Till) -> None:
    await till.open()
    await till.payments.join(till.sale)
    names = SaleKeys.of(till.sale)
    await till.store.redis.xadd(names.payments, {"wake": b""})
    found = await till.payments.read([till.sale], "one", count=10, block_ms=1)
    assert found is not None
    ((_, (job,)),) = found
    async with proxy_to(till.house.valkey.url) as proxy:
        store = Store.connect(proxy.url, timeout_ms=PATIENCE_MS)
        payments = PaymentStore(store, timeout_s=PATIENCE_S)
        proxy.lose_command("XACK")
        with pytest.raises(StoreUnavailableError):
            await payments.done(till.sale, [job.entry_id])
        await payments.close()
        await store.close()
    assert not await till.payments.claim(till.sale, "two", idle_ms=0, count=10)
    assert await till.payments.length(till.sale) == 0
    assert (await till.store.redis.xpending(names.payments, GROUP))["pending"] == 0
