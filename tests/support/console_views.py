"""Every view of the console, and how somebody who looks after a sale gets there.

tab = await reach_view("sale", scene)
"""

from collections.abc import Awaitable, Callable
from typing import Final

from playwright.async_api import Page

from tests.support.browser import Tab
from tests.support.page_states import Scene
from tests.support_http.client import ROOT_KEY


async def log_in(tab: Tab, key: str = ROOT_KEY) -> None:
    """Gives the key, and waits for the list of sales."""
    await tab.view("login")
    await tab.page.locator('input[type="password"]').fill(key)
    await tab.press("login")
    await tab.view("sales")


async def go(tab: Tab, where: str, view: str) -> None:
    """Follows a route inside the console, without a load: the key is in memory only."""
    await tab.page.evaluate("(where) => { location.hash = where; }", where)
    await tab.view(view)


async def fill_in(page: Page, sale: str) -> None:
    """Everything that a new sale needs, in the form for one."""
    await page.locator("#f-id").fill(sale)
    await page.locator("#f-title").fill("Milano at night")
    await page.locator("#f-opens_at").fill("2030-01-02T03:04:05")
    await page.locator("#item1-sku").fill("night")
    await page.locator("#item1-price").fill("1234.50")
    await page.locator("#item1-stock").fill("7")


async def busy_sale(scene: Scene) -> None:
    """A sale in which something has happened: bought, held, given up, and refused."""
    stage = scene.stage
    await stage.open(stock=12, hold_seconds=900)
    for number in range(5):
        customer = f"c-{number}"
        held = await stage.hold(customer)
        await stage.click_through(held, customer)
    given_up = await stage.hold("undecided")
    (await stage.shop.cancel(given_up, "undecided")).must(200)
    await stage.held_by_others(7)
    for _ in range(3):
        (await stage.shop.reserve(stage.sale, "late")).refused(409, "sold_out")


async def _login(scene: Scene) -> Tab:
    tab = await scene.device.open(scene.stage.console)
    await tab.view("login")
    return tab


async def _sales(scene: Scene) -> Tab:
    await busy_sale(scene)
    tab = await _login(scene)
    await log_in(tab)
    await tab.says(scene.stage.sale)
    return tab


async def _new(scene: Scene) -> Tab:
    tab = await _login(scene)
    await log_in(tab)
    await tab.press("new")
    await tab.view("edit")
    return tab


async def _edit(scene: Scene) -> Tab:
    await scene.stage.define(opens_in=7200)
    tab = await _login(scene)
    await log_in(tab)
    await go(tab, f"#/sales/{scene.stage.sale}/edit", "edit")
    return tab


async def _sale(scene: Scene) -> Tab:
    await busy_sale(scene)
    tab = await _login(scene)
    await log_in(tab)
    await go(tab, f"#/sales/{scene.stage.sale}", "sale")
    await tab.shows("canvas")
    return tab


async def _confirming(scene: Scene) -> Tab:
    """Asked whether the sale is really to be closed."""
    tab = await _sale(scene)
    await tab.press("close")
    await tab.shows('[data-action="confirm"]')
    return tab


async def _audit(scene: Scene) -> Tab:
    tab = await _sale(scene)
    await tab.press("audit")
    await tab.page.wait_for_load_state("networkidle")
    return tab


async def _story(scene: Scene) -> Tab:
    tab = await _sale(scene)
    await go(tab, f"#/sales/{scene.stage.sale}/story", "story")
    field = tab.page.locator('main input[type="search"], main input[type="text"], main input:not([type])')
    await field.filter(visible=True).first.fill("c-2")
    await tab.press("lookup")
    await tab.says("c-2")
    return tab


VIEWS: Final[dict[str, Callable[[Scene], Awaitable[Tab]]]] = {
    "login": _login,
    "sales": _sales,
    "new": _new,
    "edit": _edit,
    "sale": _sale,
    "confirming": _confirming,
    "audit": _audit,
    "story": _story,
}


async def reach_view(view: str, scene: Scene) -> Tab:
    """The console, showing this."""
    return await VIEWS[view](scene)
