"""The adapter of the simulator where something else answers: elsewhere, too much, half of it, or nothing at all."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from flashsale.providers import simulator
from flashsale.providers.protocol import ProviderError
from flashsale.providers.simulator import Simulator

SECRET = "a-secret-of-a-test"
UNKNOWN = b'{"error":{"code":"unknown_payment","message":"There is no such payment."}}'

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def asking(answering: Answering) -> AsyncIterator[Simulator]:
    """An adapter, and a server that answers it like this."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answering)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    adapter = Simulator(f"http://127.0.0.1:{runner.addresses[0][1]}/base", SECRET)
    try:
        yield adapter
    finally:
        await adapter.close()
        await runner.cleanup()


async def never() -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def is_worth_another_try(adapter: Simulator) -> bool:
    with pytest.raises(ProviderError) as error:
        await adapter.cancel("pay_1")
    assert SECRET not in str(error.value)
    return error.value.retry


async def test_a_secret_is_not_taken_elsewhere() -> None:
    paths: list[str] = []

    async def answering(request: web.Request) -> web.StreamResponse:
        paths.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with asking(answering) as adapter:
        assert await is_worth_another_try(adapter)
    assert paths == ["/base/v1/payments/pay_1/cancel"]


async def test_an_answer_without_end_is_not_read_to_it() -> None:
    async def answering(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65_536)

    async with asking(answering) as adapter:
        assert await is_worth_another_try(adapter)


async def test_half_an_answer_is_none() -> None:
    async def answering(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"{")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with asking(answering) as adapter:
        assert await is_worth_another_try(adapter)


async def test_nobody_is_waited_for_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answering(_: web.Request) -> web.StreamResponse:
        return await never()

    monkeypatch.setattr(simulator, "TIMEOUT_SECONDS", 0.05)
    async with asking(answering) as adapter:
        assert await is_worth_another_try(adapter)


async def test_calls_share_few_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    connections: set[object] = set()

    async def answering(request: web.Request) -> web.StreamResponse:
        connections.add(request.transport)
        await asyncio.sleep(0)
        return web.Response(status=404, body=UNKNOWN)

    monkeypatch.setattr(simulator, "CONNECTIONS", 3)
    async with asking(answering) as adapter:
        assert await asyncio.gather(*(adapter.find(f"pay_{number}") for number in range(50))) == [None] * 50
    assert len(connections) == 3


async def test_a_call_that_is_given_up_does_not_leave_its_answer_to_the_next() -> None:
    asked = asyncio.Event()

    async def answering(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/capture"):
            asked.set()
            return await never()
        return web.Response(status=404, body=UNKNOWN)

    async with asking(answering) as adapter:
        first = asyncio.create_task(adapter.capture("pay_1"))
        await asyncio.wait_for(asked.wait(), 60)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await adapter.find("pay_1") is None


@pytest.mark.parametrize("payment_id", ["..", "../faults", "a?b=c", "a#b", "é", ""])
async def test_an_id_is_never_a_way_to_somewhere_else(payment_id: str) -> None:
    paths: list[str] = []

    async def answering(request: web.Request) -> web.StreamResponse:
        paths.append(request.raw_path)
        return web.Response(status=404, body=UNKNOWN)

    async with asking(answering) as adapter:
        assert await adapter.find(payment_id) is None
    assert paths[0].startswith("/base/v1/payments/")
    assert paths[0].count("/") == 4
    assert "?" not in paths[0]
