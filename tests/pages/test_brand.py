"""A brand's style sheet: that of docs/pages.md, as a reader would copy it, and as readable as ours."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.packaging.checkout import text_of
from tests.pages.conftest import OpenDevice
from tests.support.stage import BRAND, PagesHouse, Stage
from tests.support.wcag import violations
from tests.support_http.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")

COLOUR = "(each) => getComputedStyle(each).backgroundColor"


@pytest.fixture
def branded(house: PagesHouse, tmp_path: Path) -> Iterator[Server]:
    """A server of the same shop with the style sheet of the documents."""
    (sheet,) = re.findall(r"```css\n(.*?)```", text_of(Path("docs/pages.md")), re.DOTALL)
    css = tmp_path / "milano.css"
    css.write_text(sheet)
    server = house.beside({"FLASHSALE_PAGES_BRAND_CSS": str(css)})
    yield server
    server.stop()


async def test_a_brand_has_its_own_colours(stage: Stage, devices: OpenDevice, branded: Server) -> None:
    await stage.open()
    tab = await (await devices()).open(f"{branded.url}/s/{stage.sale}")
    await tab.until("open")
    await tab.says(BRAND)
    await expect(tab.action("buy")).to_have_css("background-color", "rgb(139, 0, 0)")
    assert await tab.page.locator("body").evaluate(COLOUR) == "rgb(250, 247, 242)"
    found = await violations(tab)
    assert not found, "\n".join(found)
    assert await tab.page.locator("body").evaluate(COLOUR) == "rgb(20, 17, 14)", (
        "the last look was at the dark one"
    )


async def test_without_one_it_has_ours(stage: Stage, devices: OpenDevice) -> None:
    await stage.open()
    tab = await (await devices()).open(stage.url)
    await tab.until("open")
    assert await tab.page.locator("body").evaluate(COLOUR) == "rgb(243, 245, 249)"
