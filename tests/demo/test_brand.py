"""The brand's client in the demo: who is told that the shop is busy asks again, and any other refusal is one."""

import pytest
from aiohttp import web

from flashsale.client import ApiError
from flashsale.demo import brand
from flashsale.demo.brand import TRIES, Brand
from tests.demo.lying_server import LyingServer, problem, serving


class BusyServer(LyingServer):
    """Has no time for this many questions about its sales."""

    def __init__(self, busy: int) -> None:
        super().__init__()
        self.busy = busy
        self.asked = 0

    async def list(self, request: web.Request) -> web.Response:
        self.asked += 1
        return problem(503, "busy") if self.asked <= self.busy else await super().list(request)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits between two tries."""
    monkeypatch.setattr(brand, "PAUSE_SECONDS", 0.0)


async def test_a_busy_shop_is_asked_again() -> None:
    server = BusyServer(TRIES - 1)
    async with serving(server) as url, Brand(url, "key") as client:
        assert await client.sales() == []
    assert server.asked == TRIES


async def test_not_for_ever() -> None:
    server = BusyServer(1000)
    async with serving(server) as url, Brand(url, "key") as client:
        with pytest.raises(ApiError) as refusal:
            await client.sales()
    assert (refusal.value.status, server.asked) == (503, TRIES)


async def test_any_other_refusal_is_one() -> None:
    async with serving(LyingServer()) as url, Brand(url, "key") as client:
        with pytest.raises(ApiError) as refusal:
            await client.request("GET", "/v1/reservations/nobody")
    assert refusal.value.status == 404
