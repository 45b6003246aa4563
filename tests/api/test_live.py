"""GET /v1/sales/{sale}/live: one frame for all who watch, what a reconnect is told, and who is refused or sent away."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from flashsale import keys
from flashsale.api import live
from flashsale.engine.sales import Sales
from flashsale.store.client import Store, StoreUnavailableError
from tests.support_http.client import (
    PATIENCE_S,
    ROOT_KEY,
    Shop,
    definition,
    eventually,
    instant,
    lines,
    new_sale_id,
)
from tests.support_http.server import Server, app_on
from tests.support_http.watching import Event, watching


@pytest.fixture
async def watched(near: Shop) -> str:
    sale = new_sale_id()
    (await near.define(sale, **definition(10, limit_per_customer=None))).must(201)
    return sale


async def test_the_first_event_is_the_view_of_now(url: str, near: Shop, watched: str) -> None:
    async with watching(url, watched) as stream:
        first = await stream.next()
        view = await near.view(watched)
    assert {**first.view, "server_time": None} == {**view, "server_time": None}
    assert 2000 <= int(first["retry"]) <= 6000
    assert b"content-type: text/event-stream\r\n" in stream.head.lower()
    assert b"cache-control: no-store\r\n" in stream.head.lower()


async def test_the_wait_before_a_reconnect_differs(url: str, watched: str) -> None:
    waits = set()
    for _ in range(5):
        async with watching(url, watched) as stream:
            waits.add((await stream.next())["retry"])
    assert len(waits) > 1, "all of a crowd would come back at the same instant"


async def test_all_are_sent_the_same_bytes(url: str, near: Shop, watched: str) -> None:
    async with watching(url, watched) as one, watching(url, watched) as other:
        for stream in (one, other):
            await stream.next()
        (await near.reserve(watched, "c-1", lines(quantity=3))).must(201)
        assert await one.chunk() == await other.chunk()


async def test_one_look_at_the_store_for_all(
    url: str, near: Shop, watched: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    whole = Sales.view

    async def counted(sales: Sales, sale: str) -> Any:
        nonlocal looks
        looks += 1
        return await whole(sales, sale)

    async with watching(url, watched) as one, watching(url, watched) as other:
        monkeypatch.setattr(Sales, "view", counted)
        loop = asyncio.get_running_loop()
        started = loop.time()
        for left in (9, 8, 7):
            (await near.reserve(watched, f"c-{left}")).must(201)
            for stream in (one, other):
                await stream.until(left)
        most = (loop.time() - started) / live.INTERVAL_S + 1
    assert 3 <= looks <= most


async def test_nobody_watches_nobody_asks(url: str, watched: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "INTERVAL_S", 0.01)
    looked = asyncio.Event()
    whole = Sales.view

    async def noted(sales: Sales, sale: str) -> Any:
        looked.set()
        return await whole(sales, sale)

    monkeypatch.setattr(Sales, "view", noted)
    async with watching(url, watched) as stream:
        await stream.next()
        looked.clear()
        await looked.wait()
    async with asyncio.timeout(PATIENCE_S):
        while looked.is_set():  # until nobody has asked for the time of twenty looks
            looked.clear()
            await asyncio.sleep(0.2)


async def test_who_has_the_latest_is_not_sent_it_again(url: str, near: Shop, watched: str) -> None:
    async with watching(url, watched) as stream:
        first = await stream.next()
    async with watching(url, watched, headers={"Last-Event-ID": first["id"]}) as stream:
        again = await stream.next()
        assert "data" not in again
        assert int(again["retry"])
        (await near.reserve(watched, "c-1")).must(201)
        news = await stream.next()
        assert (news.left, news["id"] != first["id"]) == (9, True)
    for old in (first["id"], "", "nothing", "9" * 40):
        async with watching(url, watched, headers={"Last-Event-ID": old}) as stream:
            assert (await stream.next())["id"] == news["id"]


async def test_two_servers_give_the_same_thing_the_same_id(url: str, valkey: str, watched: str) -> None:
    async with app_on(valkey) as other:
        async with watching(url, watched) as stream:
            first = await stream.next()
        async with watching(other, watched, headers={"Last-Event-ID": first["id"]}) as stream:
            assert "data" not in await stream.next()


async def test_what_the_clock_changes_has_an_id_of_its_own(url: str, near: Shop) -> None:
    """No fact tells that a sale has opened before somebody reserves."""
    for seconds in (2, 8, 30):  # a busy machine may come too late to see it closed
        sale = new_sale_id()
        (await near.define(sale, opens_at=instant(seconds))).must(201)
        async with watching(url, sale) as stream:
            before = await stream.next()
            if before.view["state"] == "open":
                continue
            after = await stream.until(10)
        assert (before.view["state"], after.view["state"]) == ("scheduled", "open")
        assert before["id"] != after["id"]
        return
    pytest.fail("every sale was open before it was looked at")


async def test_a_sale_that_is_defined_anew_is_shown_anew(url: str, near: Shop) -> None:
    sale = new_sale_id()
    (await near.define(sale, **definition(opens_at=instant(3600)))).must(201)
    async with watching(url, sale) as stream:
        before = await stream.next()
        (await near.define(sale, **definition(opens_at=instant(3600), title="Another"))).must(200)
        after = await stream.next()
    assert after.view["title"] == "Another"
    assert before["id"] != after["id"]


async def test_a_sale_that_is_no_more_ends_the_streams(url: str, watched: str, store: Store) -> None:
    async with watching(url, watched) as stream:
        await stream.next()
        async with store.guard() as redis:
            await redis.hdel(keys.SALES, watched)
            await redis.delete(*[key async for key in redis.scan_iter(match=f"fs:{{{watched}.*")])
        with pytest.raises(EOFError):
            await stream.next()
        # The connection is as good as before, and is told what is the matter.
        await stream.begin(f"/v1/sales/{watched}/live", method="GET", version="1.1", headers={})
        assert stream.status == 404


async def test_a_failing_store_only_delays(
    url: str, near: Shop, watched: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = asyncio.Event()

    async def fails(_: Sales, sale: str) -> Any:
        failed.set()
        raise StoreUnavailableError(f"the store of {sale} is away", applied=False)

    async with watching(url, watched) as stream:
        await stream.next()
        with monkeypatch.context() as patch:
            patch.setattr(Sales, "view", fails)
            await failed.wait()
        (await near.reserve(watched, "c-1")).must(201)
        assert (await stream.next()).left == 9


async def test_a_fault_of_ours_ends_the_streams_and_not_the_server(
    url: str, watched: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watching(url, watched) as stream:
        await stream.next()
        with monkeypatch.context() as patch:
            patch.setattr(Sales, "view", None)
            with pytest.raises(EOFError):
                await stream.next()
    async with watching(url, watched) as stream:
        assert (await stream.next()).left == 10


async def test_an_old_client_is_sent_plain_bytes(url: str, near: Shop, watched: str) -> None:
    async with watching(url, watched, version="1.0") as stream:
        assert b"chunked" not in stream.head.lower()
        await stream.next()
        (await near.reserve(watched, "c-1")).must(201)
        assert (await stream.next()).left == 9


async def test_head_is_the_head_alone(url: str, watched: str) -> None:
    async with watching(url, watched, method="HEAD") as stream:
        assert stream.status == 200
        assert b"text/event-stream" in stream.head
        await stream.begin("/healthz", method="GET", version="1.1", headers={})
        assert stream.status == 200


async def test_silence_is_filled_with_comments(
    url: str, watched: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.0)
    async with watching(url, watched) as stream:
        await stream.next()
        assert [await stream.next() for _ in range(3)] == [{"": "still here"}] * 3


async def test_who_watches_is_counted(url: str, near: Shop, watched: str) -> None:
    async def counted(number: int) -> bool:
        text = (await near.ask("GET", "/metrics")).body.decode()
        return f"\nflashsale_live_watchers {number}.0\n" in text

    async with watching(url, watched) as one, watching(url, watched) as other:
        (await one.next(), await other.next())
        await eventually(lambda: counted(2), "both are counted")
    await eventually(lambda: counted(0), "both have gone")


async def test_a_full_worker_says_when_to_come_back(
    url: str, near: Shop, watched: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MOST_WATCHERS", 1)
    async with watching(url, watched) as stream:
        await stream.next()
        answer = await near.ask("GET", f"/v1/sales/{watched}/live")
        answer.refused(503, "busy")
        assert 5 <= int(answer.headers["Retry-After"]) <= 15

    async def let_in() -> bool:
        return (await near.ask("HEAD", f"/v1/sales/{watched}/live")).status == 200

    await eventually(let_in, "it is noticed that the first has gone")


async def test_a_server_that_leaves_ends_the_streams(tmp_path: Path, valkey: str) -> None:
    server = Server(tmp_path, ["--redis-url", valkey])
    try:
        sale = new_sale_id()
        async with Shop(server.url) as shop, asyncio.timeout(PATIENCE_S):
            (await shop.define(sale, **definition())).must(201)
            async with aclosing(frames_of(server.url, sale)) as frames:
                await anext(frames)
                os.kill(server.program.process.pid, signal.SIGTERM)
                assert [frame async for frame in frames] == []
        assert await asyncio.to_thread(server.program.process.wait, PATIENCE_S) == 0
        assert not re.search("cuts_off|error", server.program.err())
    finally:
        server.stop()


async def frames_of(url: str, sale: str) -> AsyncGenerator[Event]:
    """The events of a stream until the server ends it as HTTP asks for."""
    async with watching(url, sale, headers={"Authorization": f"Bearer {ROOT_KEY}"}) as stream:
        try:
            while True:
                yield await stream.next()
        except EOFError:
            return
