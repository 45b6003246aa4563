"""The same calls for whoever cannot wait: sent before `start` returns, told by `look` within the same turn of the loop."""

import asyncio
import hashlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from flashsale.model.outcomes import Reserve
from flashsale.process.embedded import EmbeddedValkey
from flashsale.scripts.loader import Script, load
from flashsale.scripts.reserve import Batch, Held, Refused
from flashsale.store.client import Store, StoreUnavailableError
from flashsale.store.lane import Lane
from flashsale.store.sales import SaleStore
from tests.support.sales import claim
from tests.support.server import PATIENCE_MS
from tests.support.shop import Shop
from tests.support_http.client import eventually

_SOURCE = "return ARGV[1]"
ECHO = Script("echo", _SOURCE, hashlib.sha1(_SOURCE.encode(), usedforsecurity=False).hexdigest())
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}


class Heard:
    """What one call was told."""

    def __init__(self) -> None:
        self.batch: Batch | None = None
        self.error: BaseException | None = None
        self.came = asyncio.Event()

    def decided(self, batch: Batch) -> None:
        assert not self.came.is_set(), "told twice"
        self.batch = batch
        self.came.set()

    def failed(self, error: BaseException) -> None:
        assert not self.came.is_set(), "told twice"
        self.error = error
        self.came.set()

    async def held(self) -> list[str]:
        """The customers who got a hold."""
        await self.came.wait()
        assert self.batch is not None, self.error
        return [each.claim.customer for each in self.batch.decisions if isinstance(each, Held)]

    async def unknown(self) -> StoreUnavailableError:
        await self.came.wait()
        assert isinstance(self.error, StoreUnavailableError)
        return self.error


def start(shop: Shop, lane: Lane, *customers: str) -> Heard:
    heard = Heard()
    claims = [claim(each) for each in customers]
    shop.sale_store.start_reserve(lane, shop.sale, claims, heard.decided, heard.failed)
    return heard


@pytest.fixture
async def lane(shop: Shop) -> Lane:
    """On a sale that is open by the server's own clock; the connection is not open yet."""
    shop.clock.now_ms = int(time.time() * 1000)
    await shop.open({"car": 5}, limit=1, opens_ms=shop.now_ms - 60_000)
    return shop.sale_store.lane()


async def test_the_first_call_opens_the_connection(shop: Shop, lane: Lane) -> None:
    assert await start(shop, lane, "ann", "bob").held() == ["ann", "bob"]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_connection_that_is_kept_open_answers_the_first_call_within_its_turn(
    valkey: str, loop: str
) -> None:
    """At T0 the first claims are there together with all the others: whoever needs a task then comes after the last."""

    async def first_call() -> None:
        store = Store.connect(valkey, timeout_ms=PATIENCE_MS)
        sale_store = SaleStore(store, timeout_s=PATIENCE_MS / 1000)
        lane = sale_store.lane()
        await store.redis.script_flush()
        keeping = asyncio.create_task(lane.keep_open(load("reserve")))
        await eventually(lambda: scripts_known(store), "the script is known")
        heard = Heard()
        sale_store.start_reserve(lane, "giulia", [claim("ann")], heard.decided, heard.failed)
        give_up_at = time.monotonic() + PATIENCE_MS / 1000
        while not heard.came.is_set():  # the event loop has no turn meanwhile
            assert time.monotonic() < give_up_at
            lane.look()
        assert heard.error is None
        keeping.cancel()
        await sale_store.close()
        await store.close()

    async def scripts_known(store: Store) -> bool:
        return bool((await store.redis.script_exists(load("reserve").sha))[0])

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(first_call())


async def test_a_connection_that_is_lost_is_opened_before_somebody_asks(shop: Shop, lane: Lane) -> None:
    keeping = asyncio.create_task(lane.keep_open(load("reserve")))

    async def another_than(gone: object) -> Any:
        return lane._transport is not gone and lane._transport

    try:
        first = await eventually(lambda: another_than(None), "it is open")
        first.abort()
        await eventually(lambda: another_than(first), "it is open again")
    finally:
        keeping.cancel()
    assert await start(shop, lane, "ann").held() == ["ann"]


async def ends(work: Coroutine[Any, Any, Any], turns: int) -> bool:
    """Whether a task that never ends by itself ends when it is cancelled after so many turns of the loop."""
    task = asyncio.create_task(work)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=PATIENCE_MS / 1000)
    while not task.done():  # so that the loop can be closed
        task.cancel()
        await asyncio.wait({task}, timeout=0.01)
    return bool(done)


@pytest.mark.parametrize("loop", LOOPS)
def test_whoever_is_cancelled_ends_whatever_the_client_was_about(valkey: str, loop: str) -> None:
    """Also while redis-py sends, which uses `asyncio.wait_for`: of Python 3.11 that forgets it now and then."""

    async def cancelled_early_and_late() -> None:
        async def asks_forever(store: Store) -> None:
            while True:
                await store.call(store.redis.ping())

        for turns in range(40):
            store = Store.connect(valkey, timeout_ms=PATIENCE_MS)
            lane = Lane(store.redis, timeout_s=PATIENCE_MS / 1000)
            assert await ends(lane.keep_open(load("reserve")), turns), turns
            assert await ends(asks_forever(store), turns), turns
            await lane.close()
            await store.close()

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(cancelled_early_and_late())


async def test_calls_are_told_in_their_order(shop: Shop, lane: Lane) -> None:
    await start(shop, lane, "first").held()
    calls = [start(shop, lane, f"c{n}") for n in range(6)]
    assert [await each.held() for each in calls] == [["c0"], ["c1"], ["c2"], ["c3"], [], []]
    last = calls[-1].batch
    assert last is not None
    (refused,) = last.decisions
    assert isinstance(refused, Refused)
    assert refused.outcome is Reserve.SOLD_OUT


async def test_a_server_that_has_lost_its_scripts_is_told_them(shop: Shop, lane: Lane) -> None:
    await start(shop, lane, "ann").held()
    await shop.store.redis.script_flush()
    assert await start(shop, lane, "bob").held() == ["bob"]
    assert await start(shop, lane, "cem").held() == ["cem"]


async def test_what_the_server_refuses_is_said(shop: Shop, lane: Lane) -> None:
    await start(shop, lane, "ann").held()
    await shop.store.redis.rename(shop.keys.sale, "aside")
    await shop.store.redis.set(shop.keys.sale, "not a hash")
    assert (await start(shop, lane, "bob").unknown()).reason == "the store refused the command"
    await shop.store.redis.rename("aside", shop.keys.sale)
    assert await start(shop, lane, "bob").held() == ["bob"]


async def test_a_lost_connection_is_told_and_the_next_call_opens_another(shop: Shop, lane: Lane) -> None:
    await start(shop, lane, "ann").held()
    await shop.store.redis.client_pause(300, all=True)
    heard = start(shop, lane, "bob")
    assert lane._transport is not None
    lane._transport.abort()
    assert (await heard.unknown()).applied is None
    assert await start(shop, lane, "cem").held() == ["cem"]


async def test_silence_is_told(own_server: EmbeddedValkey) -> None:
    store = Store.connect(own_server.url, timeout_ms=PATIENCE_MS)
    sale_store = SaleStore(store, timeout_s=PATIENCE_MS / 1000)
    lane = sale_store.lane()
    try:
        assert await lane.command("PING") == b"PONG"
        os.kill(own_server.pid, signal.SIGSTOP)
        heard = Heard()
        lane._timeout_s = 0.2
        sale_store.start_reserve(lane, "giulia", [claim("ann")], heard.decided, heard.failed)
        assert (await heard.unknown()).applied is None
        lane._timeout_s = PATIENCE_MS / 1000  # it may take its time to wake up
        os.kill(own_server.pid, signal.SIGCONT)
        heard = Heard()
        sale_store.start_reserve(lane, "giulia", [claim("ann")], heard.decided, heard.failed)
        await heard.came.wait()
        assert heard.batch is not None
    finally:
        await sale_store.close()
        await store.close()


@asynccontextmanager
async def asked_lane(url: str) -> AsyncIterator[Lane]:
    """A lane whose connection is open; its server knows the script."""
    store = Store.connect(url, timeout_ms=PATIENCE_MS)
    lane = Lane(store.redis, timeout_s=PATIENCE_MS / 1000)
    try:
        await lane.call(ECHO, [], [b"zero"])
        yield lane
    finally:
        await lane.close()
        await store.close()


@pytest.fixture(params=LOOPS)
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
        yield runner


def test_a_look_tells_within_the_turn(valkey: str, runner: asyncio.Runner) -> None:
    """Whatever else the loop has to do: nothing is awaited between the question and its answer."""

    async def ask() -> None:
        async with asked_lane(valkey) as lane:
            for word in (b"one", b"x" * 600_000, b"three"):
                told: list[Any] = []
                lane.start(ECHO, [], [word], told.append, told.append)
                deadline = time.monotonic() + 20
                while not told:
                    assert time.monotonic() < deadline
                    lane.look()
                assert told == [word]
            # And by itself, without one.
            came: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            lane.start(ECHO, [], [b"four"], came.set_result, came.set_exception)
            assert await came == b"four"

    runner.run(ask())


def test_a_look_that_finds_the_connection_gone_leaves_it_to_the_loop(
    valkey: str, runner: asyncio.Runner
) -> None:
    async def ask() -> None:
        async with asked_lane(valkey) as lane:
            failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
            # So that there is no reply before the end, however long this process stalls.
            await lane.command("CLIENT", "PAUSE", "30000", "WRITE")
            lane.start(ECHO, [], [b"one"], failed.set_result, failed.set_result)
            with socket.socket(fileno=os.dup(lane._descriptor)) as same:
                same.shutdown(socket.SHUT_RDWR)
            for _ in range(3):
                lane.look()
            assert isinstance(await failed, StoreUnavailableError)
            lane.look()
            assert await lane.command("CLIENT", "UNPAUSE") == b"OK"

    runner.run(ask())
