"""Sending to somebody who has left."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from flashsale.api.orders.outlet import OUTLETS, CutOffError, Outlet, Outlets
from flashsale.api.state import DRAIN, Drain
from tests.support_http.client import PATIENCE_S


@pytest.mark.parametrize("length", [None, 1000])
async def test_who_has_left_before_the_answer_begins_is_cut_off_and_not_counted(length: int | None) -> None:
    outcome: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()  # as when the caller goes away; the server is told in a moment
        outlet = Outlet(request, {}, length=length)
        try:
            async with outlet:
                await outlet.send([b"x" * 1000])
        except (CutOffError, ConnectionError) as error:
            outcome.set_result(error)
        else:
            outcome.set_result("sent")
        return outlet.response

    app = web.Application()
    app[OUTLETS], app[DRAIN] = Outlets(), Drain()
    app.router.add_get("/", answer)
    async with TestServer(app) as server:
        _, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        error = await asyncio.wait_for(outcome, PATIENCE_S)
        writer.close()
    assert isinstance(error, CutOffError)
    assert app[OUTLETS].bytes == 0
