"""What clients are told when the store is away, full or read-only, and that it all works again by itself."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from flashsale.process.embedded import EmbeddedValkey
from tests.support.server import binary, plain
from tests.support_http.client import Shop, eventually, new_sale_id, token, untouched
from tests.support_http.server import Server, app_on


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A store of the test's own that keeps its data."""
    with EmbeddedValkey(tmp_path / "durable", binary=binary()) as store:
        yield store


@pytest.fixture
async def frail(own_server: EmbeddedValkey) -> AsyncIterator[Shop]:
    """A shop on a store of the test's own."""
    async with app_on(own_server.url) as url, Shop(url) as shop:
        yield shop


def kill(store: EmbeddedValkey) -> None:
    os.kill(store.pid, signal.SIGKILL)
    while store.is_running():
        os.sched_yield()


async def everything_is_unavailable(shop: Shop, sale: str) -> None:
    """Each request that needs the store says so; the process itself is well."""
    (await shop.ask("GET", "/healthz")).must(200)
    assert (await shop.ask("GET", "/metrics")).status == 200
    (await shop.ask("GET", "/readyz")).refused(503, "unavailable")
    (await shop.reserve(sale, "c-9")).refused(503, "unavailable")
    (await shop.reserve(sale, "c-9", key="k")).refused(503, "unavailable")
    (await shop.define(sale)).refused(503, "unavailable")
    (await shop.steer(sale, "pause")).refused(503, "unavailable")
    (await shop.restock(sale, 1)).refused(503, "unavailable")
    (await shop.read(f"{sale}.0.AAAAAAAAAAAAAAAA", "c-9")).refused(503, "unavailable")
    for path in ("/v1/sales", f"/v1/sales/{sale}", f"/v1/sales/{sale}/live"):
        (await shop.ask("GET", path)).refused(503, "unavailable")
    mine = await shop.ask("GET", f"/v1/sales/{sale}/reservations/mine", bearer=token("c-9"))
    mine.refused(503, "unavailable")
    # What is wrong with the request itself, or the caller, is known all the same.
    (await shop.reserve(sale, "c-9", data=b"{")).refused(400, "malformed")
    (await shop.reserve(sale, "c-9", bearer="x")).refused(401, "unauthenticated")


async def test_a_store_that_is_not_there_at_the_start(
    durable: EmbeddedValkey, servers: list[Server], tmp_path: Path
) -> None:
    kill(durable)
    servers.append(Server(tmp_path, ["--redis-url", durable.url]))
    sale = new_sale_id()
    async with Shop(servers[0].url) as shop:
        await everything_is_unavailable(shop, sale)
        durable.restart()
        await eventually(shop.ready, "it is ready")
        (await shop.define(sale)).must(201)
        (await shop.reserve(sale, "c-1")).must(201)
        await shop.audit(sale)


async def test_a_store_that_goes_and_comes_back(
    durable: EmbeddedValkey, servers: list[Server], tmp_path: Path
) -> None:
    servers.append(Server(tmp_path, ["--redis-url", durable.url]))
    workers = servers[0].workers()
    sale = new_sale_id()
    async with Shop(servers[0].url) as shop:
        (await shop.define(sale)).must(201)
        held = (await shop.reserve(sale, "c-1", key="k")).must(201)
        for _ in range(2):
            kill(durable)
            await everything_is_unavailable(shop, sale)
            durable.restart()
            await eventually(shop.ready, "it is ready again")
            assert (await shop.read(held["id"], "c-1")).must(200) == held
            assert (await shop.reserve(sale, "c-1", key="k")).must(200) == held
        (await shop.reserve(sale, "c-2")).must(201)
        assert (await shop.audit(sale))["last_place"] == 2
    assert servers[0].workers() == workers


async def test_full_memory(frail: Shop, own_server: EmbeddedValkey) -> None:
    sale = new_sale_id()
    (await frail.define(sale)).must(201)
    held = (await frail.reserve(sale, "c-1", key="k")).must(201)
    with plain(own_server.url) as store:
        store.config_set("maxmemory", "1mb")
        store.config_set("maxmemory", "1")
        async with untouched(frail, sale):
            for refused in (
                await frail.reserve(sale, "c-2"),
                await frail.reserve(sale, "c-2", key="k"),
                await frail.restock(sale, 1),
                await frail.define(new_sale_id()),
            ):
                assert "full" in refused.refused(503, "unavailable")["detail"]
            assert "Nothing was changed" in (await frail.reserve(sale, "c-2")).json["detail"]
        # What frees memory, or stops a sale, works.
        assert (await frail.cancel(held["id"], "c-1")).must(200)["status"] == "cancelled"
        assert (await frail.steer(sale, "pause")).must(200)["state"] == "paused"
        assert (await frail.view(sale))["items"][0]["available"] == 10
        store.config_set("maxmemory", "0")
    (await frail.steer(sale, "resume")).must(200)
    (await frail.reserve(sale, "c-2")).must(201)
    await frail.audit(sale)


async def test_a_replica_that_only_reads(frail: Shop, own_server: EmbeddedValkey) -> None:
    sale = new_sale_id()
    (await frail.define(sale)).must(201)
    held = (await frail.reserve(sale, "c-1")).must(201)
    with plain(own_server.url) as store:
        store.execute_command("REPLICAOF", "127.0.0.1", "1")
        async with untouched(frail, sale):
            for refused in (
                await frail.reserve(sale, "c-2"),
                await frail.cancel(held["id"], "c-1"),
                await frail.restock(sale, 1),
                await frail.steer(sale, "close"),
                await frail.define(new_sale_id()),
            ):
                detail = refused.refused(503, "unavailable")["detail"]
                assert "read-only" in detail
                assert "Nothing was changed" in detail
        store.execute_command("REPLICAOF", "NO", "ONE")
    (await frail.reserve(sale, "c-2")).must(201)
    await frail.audit(sale)


async def test_scripts_that_the_store_forgot(frail: Shop, own_server: EmbeddedValkey) -> None:
    sale = new_sale_id()
    (await frail.define(sale, stock=50)).must(201)
    with plain(own_server.url) as store:
        for number in range(3):
            store.script_flush()
            held = (await frail.reserve(sale, f"c-{number}")).must(201)
            store.script_flush()
            answers = await asyncio.gather(*(frail.reserve(sale, f"d-{number}-{n}") for n in range(5)))
            assert [answer.status for answer in answers] == [201] * 5
            store.script_flush()
            (await frail.cancel(held["id"], f"c-{number}")).must(200)
            store.script_flush()
            (await frail.restock(sale, 1)).must(200)
            store.script_flush()
            (await frail.steer(sale, "pause" if number % 2 else "resume")).must(200)
            await frail.steer(sale, "resume")
    assert await frail.ready()
    assert (await frail.audit(sale))["last_place"] == 18


async def test_a_store_that_lost_everything(frail: Shop, own_server: EmbeddedValkey) -> None:
    """The server knows nothing better than the store does, whatever it remembers."""
    sale = new_sale_id()
    (await frail.define(sale, stock=1)).must(201)
    (await frail.reserve(sale, "c-1")).must(201)
    with plain(own_server.url) as store:
        store.flushall()
    (await frail.reserve(sale, "c-2", key="k")).refused(404, "unknown_sale")
    (await frail.ask("GET", f"/v1/sales/{sale}")).refused(404, "unknown_sale")
    (await frail.define(sale, stock=2)).must(201)
    assert (await frail.reserve(sale, "c-1", key="k")).must(201)["place"] == 1
    await frail.audit(sale)
