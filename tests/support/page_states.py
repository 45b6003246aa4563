"""Every state of the shop's page, and how a shopper gets there: for the checks of accessibility and for the pictures.

tab = await reach("held", scene)         # names as in `data-state`, and `offline`
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from playwright.async_api import Route, expect

from tests.support.browser import PATIENCE_MS, Device, Tab
from tests.support.shopping import back, choose, click, give_up, pay, take
from tests.support.stage import Stage
from tests.support_http.client import instant

VIEW: Final = re.compile(r"/v1/sales/[^/]+$")
LIVE: Final = re.compile(r"/v1/sales/[^/]+/live")
RESERVE: Final = re.compile(r"/v1/sales/[^/]+/reservations$")


@dataclass(frozen=True)
class Scene:
    """What a state is made with. `members_url` is a server of the same shop that asks the brand's own login."""

    stage: Stage
    device: Device
    members_url: str

    async def opened(self, stock: int = 120) -> Tab:
        """The page of a sale that is open."""
        await self.stage.open(stock=stock)
        return await self.page("open")

    async def page(self, state: str) -> Tab:
        """The page of the sale, once it is in this state."""
        tab = await self.device.open(self.stage.url)
        await tab.until(state)
        return tab

    async def held(self) -> Tab:
        """The page of somebody who holds a unit."""
        tab = await self.opened()
        await take(tab)
        return tab


async def _never(route: Route) -> None:
    """An answer that does not come."""


async def _loading(scene: Scene) -> Tab:
    await scene.stage.open()
    await scene.device.context.route(VIEW, _never)
    await scene.device.context.route(LIVE, _never)
    tab = await scene.page("loading")  # which it is from its first byte
    await expect(tab.page.locator('[data-action="language"] option')).not_to_have_count(
        0, timeout=PATIENCE_MS
    )
    return tab


async def _unknown(scene: Scene) -> Tab:
    return await scene.page("unknown")


async def _scheduled(scene: Scene) -> Tab:
    await scene.stage.define(stock=350, opens_in=26 * 3600 + 754, closes_at=instant(28 * 3600))
    return await scene.page("scheduled")


async def _opening(scene: Scene) -> Tab:
    """The clock says that it has opened, and the server has not said so yet: its news are lost on the way.

    The page hears of the sale once, and that it opens two seconds later: it may take as long as it likes to get there.
    """
    scene.device.expects_loss()
    await scene.stage.define(stock=350, opens_in=3600)
    heard = asyncio.Event()

    async def once(route: Route) -> None:
        if heard.is_set():
            return  # and no answer comes any more
        heard.set()
        answer = await route.fetch()
        await route.fulfill(response=answer, json={**await answer.json(), "opens_at": instant(2)})

    await scene.device.context.route(LIVE, lambda route: route.abort())
    await scene.device.context.route(VIEW, once)
    return await scene.page("opening")


async def _open(scene: Scene) -> Tab:
    return await scene.opened()


async def _reserving(scene: Scene) -> Tab:
    tab = await scene.opened()
    await scene.device.context.route(RESERVE, _never)
    await tab.press("buy")
    await tab.until("reserving")
    return tab


async def _sold_out(scene: Scene) -> Tab:
    await scene.stage.open(stock=3, hold_seconds=287)
    await scene.stage.held_by_others(3)
    return await scene.page("sold_out")


async def _limit(scene: Scene) -> Tab:
    tab = await scene.opened()
    await take(tab)
    await pay(tab)
    await tab.press("again")
    await tab.until("limit")
    return tab


async def _paused(scene: Scene) -> Tab:
    await scene.stage.open(stock=120)
    (await scene.stage.shop.steer(scene.stage.sale, "pause")).must(200)
    return await scene.page("paused")


async def _closed(scene: Scene) -> Tab:
    await scene.stage.open(stock=120)
    (await scene.stage.shop.steer(scene.stage.sale, "close")).must(200)
    return await scene.page("closed")


async def _held(scene: Scene) -> Tab:
    return await scene.held()


async def _paying(scene: Scene) -> Tab:
    tab = await scene.held()
    await choose(tab)
    await tab.page.goto(scene.stage.url)
    await tab.until("paying")
    return tab


async def _declined(scene: Scene) -> Tab:
    tab = await scene.held()
    await choose(tab)
    await click(tab, "decline")
    await back(tab)
    await tab.until("declined")
    return tab


async def _expired(scene: Scene) -> Tab:
    await scene.stage.open(stock=120, hold_seconds=2)
    tab = await scene.page("open")
    await tab.press("buy")
    await tab.until("expired")
    return tab


async def _confirmed(scene: Scene) -> Tab:
    tab = await scene.held()
    await pay(tab)
    await tab.shows("[data-code]")
    return tab


async def _cancelled(scene: Scene) -> Tab:
    tab = await scene.held()
    await give_up(tab)
    await tab.until("cancelled")
    return tab


async def _refunded(scene: Scene) -> Tab:
    tab = await scene.held()
    await pay(tab)
    (bought,) = await scene.stage.of(scene.device)
    await scene.stage.refund(bought["id"])
    await tab.page.reload()
    await tab.until("refunded")
    return tab


async def _offline(scene: Scene) -> Tab:
    tab = await scene.opened()
    scene.device.expects_loss()
    await scene.device.context.set_offline(True)
    await expect(tab.page.locator("body[data-offline]")).to_be_attached(timeout=PATIENCE_MS)
    return tab


async def _login(scene: Scene) -> Tab:
    await scene.stage.open()
    scene.device.expects(r"401 \(Unauthorized\)")
    tab = await scene.device.open(f"{scene.members_url}/s/{scene.stage.sale}")
    await tab.until("login")
    return tab


async def _error(scene: Scene) -> Tab:
    """The server answers what no page can make anything of."""
    await scene.stage.open()
    scene.device.expects("500")

    async def broken(route: Route) -> None:
        await route.fulfill(status=500, body="<h1>500</h1>", content_type="text/html")

    await scene.device.context.route(VIEW, broken)
    await scene.device.context.route(LIVE, broken)
    return await scene.page("error")


STATES: Final[dict[str, Callable[[Scene], Awaitable[Tab]]]] = {
    "loading": _loading,
    "unknown": _unknown,
    "scheduled": _scheduled,
    "opening": _opening,
    "open": _open,
    "reserving": _reserving,
    "sold_out": _sold_out,
    "limit": _limit,
    "paused": _paused,
    "closed": _closed,
    "held": _held,
    "paying": _paying,
    "declined": _declined,
    "expired": _expired,
    "confirmed": _confirmed,
    "cancelled": _cancelled,
    "refunded": _refunded,
    "offline": _offline,
    "login": _login,
    "error": _error,
}
"""In the order of the plan of the page; each is reached with a sale of its own, not defined before, and a fresh device."""


async def reach(state: str, scene: Scene) -> Tab:
    """The page, in this state."""
    return await STATES[state](scene)
