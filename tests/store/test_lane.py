"""The fast way to the scripts: its answers, and what it says when none comes."""

import asyncio
import gc
import os
import select
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import uvloop

from flashsale.model.outcomes import Reserve, Resolve, SetState
from flashsale.process.embedded import EmbeddedValkey
from flashsale.scripts.loader import load
from flashsale.scripts.reserve import Decision, Held, Replayed
from flashsale.store.client import Store, StoreUnavailableError
from flashsale.store.lane import Lane
from flashsale.store.sales import SaleStore
from tests.support.sales import Clock, claim
from tests.support.server import PATIENCE_MS, PATIENCE_S, plain
from tests.support.shop import Shop
from tests.support_http.proxy import Proxy, proxy_to

Connect = Callable[..., Awaitable[Shop]]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """`await connect(url)`: a shop of its own on any server."""
    opened: list[tuple[Store, SaleStore]] = []

    async def connect(url: str, timeout_s: float = PATIENCE_S) -> Shop:
        store = Store.connect(url, timeout_ms=round(timeout_s * 1000))
        sale_store = SaleStore(store, timeout_s=timeout_s)
        opened.append((store, sale_store))
        return Shop(store, sale_store, Clock())

    yield connect
    for store, sale_store in opened:
        await sale_store.close()
        await store.close()


@pytest.fixture
async def proxied(valkey: str, connect: Connect) -> AsyncIterator[tuple[Shop, Proxy]]:
    """A shop whose replies can be lost; the scripts are known to its server."""
    async with proxy_to(valkey) as proxy:
        shop = await connect(proxy.url)
        await shop.store.ping()
        await shop.open({"car": 9}, limit=1)
        yield shop, proxy


async def trouble(work: Awaitable[Any]) -> StoreUnavailableError:
    with pytest.raises(StoreUnavailableError) as caught:
        await work
    return caught.value


async def test_a_reply_lost_after_the_write_is_not_known_and_the_same_key_finds_out(
    proxied: tuple[Shop, Proxy],
) -> None:
    shop, proxy = proxied
    await shop.hold("first")
    proxy.lose_reply(load("reserve").sha)
    lost = await trouble(shop.reserve(claim("ann", key="k"), claim("bob", key="k")))
    assert lost.applied is None
    assert proxy.lost.is_set()
    again = await shop.reserve(claim("ann", key="k"), claim("bob", key="k"), claim("cem", key="k"))
    assert [type(decision) for decision in again] == [Replayed, Replayed, Held]
    assert [place_of(decision) for decision in again] == [2, 3, 4]
    state = await shop.state()
    assert (state.place, state.reservations, state.holds) == (4, 4, 4)


async def test_a_call_lost_before_the_write_is_not_known_either(proxied: tuple[Shop, Proxy]) -> None:
    shop, proxy = proxied
    await shop.hold("first")
    before = await shop.snapshot()
    proxy.lose_command(load("reserve").sha)
    lost = await trouble(shop.reserve(claim("ann", key="k")))
    assert lost.applied is None
    assert await shop.snapshot() == before
    (decision,) = await shop.reserve(claim("ann", key="k"))
    assert place_of(decision) == 2


@pytest.mark.parametrize("script", ["open_sale", "cancel", "restock"])
async def test_the_other_calls_say_the_same(proxied: tuple[Shop, Proxy], script: str) -> None:
    shop, proxy = proxied
    held = await shop.hold("ann")
    proxy.lose_reply(load(script).sha)
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "open_sale": lambda: shop.sale_store.open_sale("giulia", terms),
        "cancel": lambda: shop.cancel(held.token),
        "restock": lambda: shop.restock("car", 1, repeat_key="k"),
    }
    stored = await shop.sale_store.definition("giulia")
    assert stored is not None
    terms = stored.definition
    assert (await trouble(calls[script]())).applied is None
    await calls[script]()
    if script == "restock":
        assert (await shop.stock()).stock == 10  # the key made it one
    if script == "cancel":
        assert (await shop.cancel(held.token)).outcome is Resolve.ALREADY_CANCELLED


async def test_replies_find_their_calls(shop: Shop) -> None:
    await shop.open({"car": 500})
    lane = shop.sale_store.lane()

    async def ask(number: int) -> str:
        wanted = claim(f"customer {number}", ("car", 1 + number % 3))
        batch = await shop.sale_store.reserve(lane, shop.sale, [wanted], now_ms=shop.now_ms)
        (decision,) = batch.decisions
        assert isinstance(decision, Held)
        assert decision.reservation.units == 1 + number % 3
        return decision.reservation.customer

    customers = await asyncio.gather(*[ask(number) for number in range(100)])
    assert customers == [f"customer {number}" for number in range(100)]


async def test_all_calls_under_way_fail_together(own_server: EmbeddedValkey, connect: Connect) -> None:
    shop = await connect(own_server.url)
    await shop.open({"car": 500})
    await shop.hold("first")
    os.kill(own_server.pid, signal.SIGSTOP)
    calls = [asyncio.ensure_future(trouble(shop.reserve(claim(f"c{n}")))) for n in range(20)]
    await asyncio.sleep(0.01)
    os.kill(own_server.pid, signal.SIGKILL)
    lost = await asyncio.gather(*calls)
    assert {error.applied for error in lost} == {None}


async def test_calls_that_were_sent_together_fail_together_and_quietly(own_server: EmbeddedValkey) -> None:
    loop = asyncio.get_running_loop()
    said: list[object] = []
    loop.set_exception_handler(lambda _loop, context: said.append(context["message"]))
    store = Store.connect(own_server.url, timeout_ms=PATIENCE_MS)
    lane = Lane(store.redis, timeout_s=PATIENCE_S)
    await lane.command("PING")
    os.kill(own_server.pid, signal.SIGSTOP)
    calls = asyncio.ensure_future(lane.commands([("PING",)] * 3))
    await asyncio.sleep(0.01)
    os.kill(own_server.pid, signal.SIGKILL)
    await asyncio.wait([calls])
    assert isinstance(calls.exception(), StoreUnavailableError)
    await lane.close()
    await store.close()
    del calls
    gc.collect()
    await asyncio.sleep(0)
    assert said == []


async def test_a_store_that_hangs_is_given_up_and_its_late_answer_reaches_nobody(
    own_server: EmbeddedValkey, connect: Connect
) -> None:
    shop, other = await connect(own_server.url), await connect(own_server.url)
    await other.open({"car": 9})
    await other.hold("first")
    await shop.hold("second")
    shop._lane._timeout_s = 0.1  # from now on: until here a machine that stalls is no store that hangs
    os.kill(own_server.pid, signal.SIGSTOP)
    try:
        lost = await trouble(shop.reserve(claim("ann", key="k")))
    finally:
        os.kill(own_server.pid, signal.SIGCONT)
    assert (lost.applied, lost.reason) == (None, "the store did not answer in time")
    # Whether the call came through in the end only the store can tell.
    (decision,) = await other.reserve(claim("ann", key="k"))
    assert place_of(decision) == 3
    (bob,) = await other.reserve(claim("bob"))
    assert isinstance(bob, Held)
    assert bob.reservation.customer == "bob"
    assert (await other.audit()).ok


async def test_a_store_that_goes_and_comes_back_is_found_again(
    own_server: EmbeddedValkey, connect: Connect
) -> None:
    shop = await connect(own_server.url)
    await shop.open({"car": 9})
    await shop.hold("ann")
    os.kill(own_server.pid, signal.SIGKILL)
    await trouble(shop.reserve(claim("bob")))  # perhaps on the connection that is about to end
    gone = await trouble(shop.reserve(claim("bob")))
    assert (gone.applied, gone.reason) == (False, "the store cannot be reached")
    assert (await trouble(shop.look())).reason == "the store cannot be reached"
    own_server.restart()
    await shop.open({"car": 9})  # this server keeps nothing
    assert (await shop.hold("bob")).place == 1


async def test_full_memory_refuses_what_takes_more_and_nothing_else(
    own_server: EmbeddedValkey, connect: Connect
) -> None:
    shop = await connect(own_server.url)
    await shop.open({"car": 9}, hold_seconds=10)
    ann, _bob = await shop.hold("ann"), await shop.hold("bob")
    before = await shop.snapshot()
    await shop.store.redis.config_set("maxmemory", 1)
    for refused in (
        shop.reserve(claim("cem")),
        shop.extend(ann.token, 10),
        shop.restock("car", 1),
    ):
        full = await trouble(refused)
        assert (full.applied, full.reason) == (False, "the store's memory is full")
    assert await shop.snapshot() == before
    assert (await shop.cancel(ann.token)).outcome is Resolve.DONE
    assert await shop.set_state("pause") is SetState.DONE
    shop.clock.advance(10)
    assert (await shop.expire()).expired == 1
    assert (await shop.stock()).available == 9
    await shop.store.redis.config_set("maxmemory", 0)
    await shop.set_state("resume")
    await shop.hold("cem")
    assert (await shop.audit()).ok


async def test_a_replica_is_read_and_not_written(own_server: EmbeddedValkey, connect: Connect) -> None:
    shop = await connect(own_server.url)
    await shop.open({"car": 9})
    held = await shop.hold("ann")
    before = await shop.snapshot()
    await shop.store.redis.execute_command("REPLICAOF", "127.0.0.1", "1")
    for refused in (
        shop.reserve(claim("bob")),
        shop.cancel(held.token),
        shop.expire(),
        shop.set_state("close"),
    ):
        only_reads = await trouble(refused)
        assert (only_reads.applied, only_reads.reason) == (False, "the store is a read-only replica")
    assert (await shop.state()).holds == 1
    await shop.store.redis.execute_command("REPLICAOF", "NO", "ONE")
    assert await shop.snapshot() == before
    await shop.hold("bob")


async def test_wrong_passwords_are_said_without_saying_them(
    own_server: EmbeddedValkey, connect: Connect
) -> None:
    address = f"127.0.0.1:{own_server.port}"
    for login in (":not-the-password@", "nobody:not-the-password@", ""):
        shop = await connect(f"redis://{login}{address}/0")
        for call in (shop.reserve(claim("ann")), shop.look()):
            refused = await trouble(call)
            assert refused.applied is False
            assert refused.reason == "the store refuses our user or password"
            assert "not-the-password" not in repr(refused)


async def test_a_user_with_the_rights_of_the_documents_is_enough(
    own_server: EmbeddedValkey, connect: Connect
) -> None:
    with plain(own_server.url) as client:
        client.execute_command(
            "ACL", "SETUSER", "shop", "on", ">p", "~fs:*", "+@all", "-@admin", "-@dangerous"
        )
        client.execute_command("ACL", "SETUSER", "stranger", "on", ">p", "~other:*", "+@all")
    shop = await connect(f"redis://shop:p@127.0.0.1:{own_server.port}/0")
    await shop.store.ping()
    await shop.open({"car": 9})
    held = await shop.hold("ann")
    assert (await shop.cancel(held.token)).outcome is Resolve.DONE
    assert (await shop.audit()).ok
    stranger = await connect(f"redis://stranger:p@127.0.0.1:{own_server.port}/0")
    for call in (stranger.reserve(claim("ann")), stranger.look()):
        refused = await trouble(call)
        assert (refused.applied, refused.reason) == (False, "the store does not allow our user this command")


async def test_an_empty_lane_may_be_closed_and_used_again(shop: Shop) -> None:
    lane = shop.sale_store.lane()
    await lane.close()
    await shop.open({"car": 9})
    for place in (1, 2):
        batch = await shop.sale_store.reserve(lane, shop.sale, [claim("ann")], now_ms=shop.now_ms)
        assert place_of(batch.decisions[0]) == place
        await lane.close()


async def test_an_unknown_error_of_the_server_is_ours_to_say(shop: Shop) -> None:
    await shop.store.redis.set(shop.keys.sale, "not a hash")
    wrong = await trouble(shop.reserve(claim("ann")))
    assert (wrong.applied, wrong.reason) == (None, "the store refused the command")
    await shop.store.redis.delete(shop.keys.sale)
    assert await shop.refused("ann") is Reserve.UNKNOWN_SALE


def place_of(decision: Decision) -> int:
    assert isinstance(decision, Held | Replayed)
    return decision.reservation.place


def test_a_reply_that_came_while_the_process_was_busy_is_taken_and_the_connection_kept(valkey: str) -> None:
    async def call() -> tuple[Any, Any, Any]:
        store = Store.connect(valkey, timeout_ms=PATIENCE_MS)
        lane = Lane(store.redis, timeout_s=PATIENCE_S)
        try:
            before = await lane.command("CLIENT", "ID")
            lane._timeout_s = 0.2
            asking = asyncio.ensure_future(lane.command("ECHO", "here"))
            await asyncio.sleep(0)
            lane._timeout_s = PATIENCE_S
            time.sleep(0.5)  # noqa: ASYNC251 (a busy process is what this is about)
            assert select.select([lane._descriptor], [], [], PATIENCE_S)[0], "the reply has come meanwhile"
            return await asking, before, await lane.command("CLIENT", "ID")
        finally:
            await lane.close()
            await store.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        reply, before, after = runner.run(call())
    assert reply == b"here"
    assert before == after
