"""The whole way of a shopper, on a phone: from the countdown to the code that is scanned at the hand-over."""

import re

import pytest
from playwright.async_api import expect

from tests.pages.conftest import OpenDevice, Visit
from tests.support.browser import PATIENCE_MS, Tab
from tests.support.shopping import choose, click, code, pay, place
from tests.support.stage import BRAND, NAME, TITLE, Stage

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

DEPOSIT = {"en": "33,000.00", "de": "33.000,00", "zh": "33,000.00"}
RATE = {"en": "8,250.00", "de": "8.250,00", "zh": "8,250.00"}
"""A tenth of 330,000 yuan at once, the rest in 36 rates, as people write them who read the page in this language."""


def languages() -> list[object]:
    """Each of them; all but one take long together."""
    return [pytest.param("en"), *(pytest.param(each, marks=pytest.mark.long) for each in ("de", "zh"))]


async def fits(tab: Tab) -> None:
    """Nothing sticks out to the side of the screen."""
    wide = await tab.page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, f"{await tab.state()} is {wide} px wider than the screen"


@pytest.mark.parametrize("language", languages())
async def test_from_the_countdown_to_the_code(stage: Stage, devices: OpenDevice, language: str) -> None:
    await stage.define(stock=3, opens_in=3600)
    device = await devices(language=language)
    tab = await device.open(stage.url)
    await tab.until("scheduled")
    await tab.shows("[data-countdown]")
    await expect(tab.page.locator("html")).to_have_attribute("lang", re.compile(f"^{language}"))
    await tab.says(TITLE)
    await tab.says(BRAND)
    await fits(tab)

    await stage.define(stock=3, opens_in=3)
    await tab.until("open")
    assert tab.loads == 1, "the page was loaded again when the sale opened"
    await fits(tab)
    await tab.press("buy")
    await tab.until("held")
    assert re.search(r"\d", await (await tab.shows("[data-hold-timer]")).inner_text())
    await tab.says(NAME)
    await tab.says(DEPOSIT[language])
    await tab.says(RATE[language])
    await fits(tab)

    await choose(tab, "card")
    await tab.says("33,000.00 CNY")
    await click(tab)
    await tab.page.locator('a[href*="/s/"]').first.click()
    await tab.until("confirmed")
    await fits(tab)
    assert await place(tab) == 1
    (bought,) = await stage.of(device)
    assert await code(tab) == bought["id"]
    await stage.settled()
    await stage.verdict(orders=1)
    assert len(device.reserves()) == 1


@pytest.mark.long
async def test_the_language_can_be_changed_on_the_page(visit: Visit) -> None:
    tab = await visit(device={"language": "en"})
    await tab.until("open")
    english = await tab.action("buy").inner_text()
    switch = tab.page.locator('[data-action="language"]').first
    for language in ("de", "zh", "en"):
        if await switch.evaluate("(each) => each.tagName") == "SELECT":
            await switch.select_option(language)
        else:
            await tab.page.locator(f'[data-action="language"][lang|="{language}"]').click()
        await expect(tab.page.locator("html")).to_have_attribute("lang", re.compile(f"^{language}"))
        changed = await tab.action("buy").inner_text()
        assert (changed == english) == (language == "en")
    assert tab.loads == 1


@pytest.mark.long
async def test_the_language_that_was_chosen_is_kept(visit: Visit) -> None:
    tab = await visit(device={"language": "en"})
    await tab.until("open")
    await tab.page.locator('select[data-action="language"]').select_option("zh")
    await expect(tab.page.locator("html")).to_have_attribute("lang", re.compile("^zh"))
    await tab.page.reload()
    await tab.until("open")
    await expect(tab.page.locator("html")).to_have_attribute("lang", re.compile("^zh"))


@pytest.mark.long
@pytest.mark.parametrize("method", ["bank_transfer", "alipay", "paypal", "klarna"])
async def test_every_other_method_leads_to_the_order(stage: Stage, visit: Visit, method: str) -> None:
    tab = await visit()
    await tab.until("open")
    await tab.press("buy")
    await tab.until("held")
    await pay(tab, method)
    assert await place(tab) == 1
    await stage.settled()
    await stage.verdict(orders=1)


@pytest.mark.long
async def test_the_clock_of_the_phone_does_not_matter(stage: Stage, devices: OpenDevice) -> None:
    """It is ten minutes ahead: the page counts down by the server's clock, and asks only when the sale is open."""
    await stage.define(stock=3, opens_in=3600)
    ahead = "const now = Date.now.bind(Date); Date.now = () => now() + 600_000;"
    device = await devices(scripts=[ahead])
    tab = await device.open(stage.url)
    await tab.until("scheduled")
    await expect(tab.action("buy")).to_be_disabled(timeout=PATIENCE_MS)
    await stage.define(stock=3, opens_in=3)
    await tab.until("open")
    await tab.press("buy")
    await tab.until("held")
    assert [each.status for each in device.reserves()] == [201]
    left = await tab.page.locator("[data-hold-timer]").inner_text()
    assert re.match(r"^0?[45]:\d\d$", left), f"{left} of five minutes are left"
