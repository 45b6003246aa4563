"""What a shopper does on the page: presses, pays at the provider, comes back, and shows the code at the hand-over."""

import io
import re
from typing import Any, Final

import zxingcpp
from PIL import Image
from playwright.async_api import expect

from tests.support.browser import PATIENCE_MS, Tab

BUTTONS: Final = {"succeed": "Pay", "decline": "Decline", "refuse": "Refuse for good"}
"""What the simulator's page calls its outcomes."""
PRESS: Final = """document.querySelector('[data-action="buy"]')?.click()"""
"""Where the page has moved on by itself meanwhile there is no button any more, and nothing to press."""


async def take(tab: Tab) -> None:
    """Presses the button, and has a unit."""
    await tab.until("open")
    await tab.press("buy")
    await tab.until("held")


async def choose(tab: Tab, method: str = "card", *, action: str = "pay") -> None:
    """Takes a method of payment and is led to the provider; `tab` shows the provider's page. `retry` after a decline."""
    await tab.page.locator(f'input[name="method"][value="{method}"]').check(force=True)
    await tab.press(action)
    await at_provider(tab)


async def give_up(tab: Tab) -> None:
    """Gives the hold back, and says that it is meant."""
    await tab.press("cancel")
    await tab.press("confirm")


async def at_provider(tab: Tab) -> None:
    """Waits until the provider's page is there."""
    await tab.page.wait_for_url(re.compile(r"/pay/pay_"), timeout=PATIENCE_MS)


async def click(tab: Tab, outcome: str = "succeed") -> None:
    """Presses a button of the provider's page, and waits for its answer."""
    async with tab.page.expect_navigation():
        await tab.page.get_by_role("button", name=BUTTONS[outcome], exact=True).click()


async def back(tab: Tab) -> None:
    """Follows the link of the provider's page back to the shop."""
    await tab.page.locator('a[href*="/s/"]').first.click()
    await tab.page.wait_for_url(re.compile(r"/s/"), timeout=PATIENCE_MS)


async def pay(tab: Tab, method: str = "card") -> None:
    """From a hold to the confirmed reservation."""
    await choose(tab, method)
    await click(tab)
    await back(tab)
    await tab.until("confirmed")


async def within(tab: Tab, path: str, function: str, given: Any = None) -> Any:
    """What a function of the page's module at `path` gives: `(module, given) => ...`."""
    call = f"""async ([path, given]) => {{
      const main = document.querySelector('script[type="module"]').src;
      return await ({function})(await import(new URL(`../${{path}}`, main).href), given);
    }}"""
    return await tab.page.evaluate(call, [path, given])


async def place(tab: Tab) -> int:
    """The place that the page shows: its digits alone, however the language groups them."""
    shown = await (await tab.shows("[data-place]")).inner_text()
    return int(re.sub(r"\D", "", shown))


async def code(tab: Tab) -> str:
    """What a scanner reads off the screen: the code in a picture of what is shown."""
    shown = await tab.shows("[data-code]")
    image = shown if await shown.evaluate("(each) => each.tagName") == "IMG" else shown.locator("img")
    await expect(image).to_be_visible(timeout=PATIENCE_MS)
    await image.evaluate("(each) => each.decode()")
    await image.scroll_into_view_if_needed()
    # The page as the screen has it: a code that something covers, or that is too pale, is not read.
    picture = Image.open(io.BytesIO(await tab.page.screenshot()))
    found = zxingcpp.read_barcodes(picture)
    assert len(found) == 1, f"{len(found)} codes on the screen"
    return str(found[0].text)
