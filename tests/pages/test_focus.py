"""Where the focus is when the shop page draws a screen anew: where it was, as far as that is still there."""

import json
import re

import pytest
from playwright.async_api import Route, expect

from tests.pages.conftest import Visit
from tests.support.browser import PATIENCE_MS, Tab
from tests.support.shopping import take
from tests.support_http.client import instant

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

ONE = re.compile(r"/v1/reservations/[^/]+$")
GONE = """() => {
  const input = Object.assign(document.createElement("input"), { name: "gone" });
  document.querySelector("main > *").append(input);
  input.focus();
}"""


async def drawn_anew(tab: Tab, ends_in: float) -> None:
    """The hold ends at another time, and the screen is another one."""
    ends = instant(ends_in)
    await tab.page.evaluate("document.querySelector('main > *').dataset.before = ''")

    async def longer(route: Route) -> None:
        answer = await route.fetch()
        found = json.loads(await answer.body())
        await route.fulfill(response=answer, json={**found, "held_until": ends})

    await tab.device.context.route(ONE, longer)
    await expect(tab.page.locator("[data-before]")).to_have_count(0, timeout=PATIENCE_MS)


async def test_a_button_keeps_the_focus(visit: Visit) -> None:
    tab = await visit(hold_seconds=600)
    await take(tab)
    await tab.action("cancel").focus()
    await drawn_anew(tab, 900)
    await expect(tab.action("cancel")).to_be_focused()
    assert await tab.state() == "held"


async def test_the_chosen_way_to_pay_stays_and_keeps_the_focus(visit: Visit) -> None:
    tab = await visit(hold_seconds=600)
    await take(tab)
    chosen = tab.page.locator('input[name="method"][value="paypal"]')
    await chosen.check(force=True)
    await chosen.focus()
    await drawn_anew(tab, 900)
    await expect(chosen).to_be_focused()
    await expect(chosen).to_be_checked()


async def test_what_is_not_there_any_more_leaves_it_to_the_heading(visit: Visit) -> None:
    tab = await visit(hold_seconds=600)
    await take(tab)
    await tab.page.evaluate(GONE)
    await drawn_anew(tab, 900)
    await expect(tab.page.locator("main h1")).to_be_focused()
