"""WCAG 2.2 AA: axe finds nothing in any state, light and dark; and what axe cannot see: keys, focus, calm, and few words."""

from typing import Final

import pytest

from tests.pages.conftest import OpenDevice, Visit
from tests.support.browser import DESK, PATIENCE_MS, PHONE, Tab
from tests.support.page_states import STATES, Scene, reach
from tests.support.shopping import at_provider, take
from tests.support.stage import Stage
from tests.support.wcag import violations
from tests.support_http.server import Server

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

SHORT: Final = frozenset({"open", "held"})
"""The states that are looked at in every run of the tests; the others in the long ones."""
CHANGES: Final = """() => {
  window.announced = [];
  for (const region of document.querySelectorAll("[aria-live], [role=status], [role=alert]")) {
    const tell = () => window.announced.push(region.textContent.trim());
    new MutationObserver(tell).observe(region, {childList: true, characterData: true, subtree: true});
  }
}"""
"""Keeps what a screen reader would say."""
TOLD: Final = "() => new Set(window.announced.filter(Boolean)).size >= 2"
"""It was told that the sale is open, and that a unit is held."""


def states() -> list[object]:
    return [
        pytest.param(state, marks=() if state in SHORT else pytest.mark.long, id=state)
        for state in STATES
        if state != "login"
    ]


@pytest.mark.parametrize("state", states())
async def test_axe_finds_nothing_on_the_shop(stage: Stage, devices: OpenDevice, state: str) -> None:
    device = await devices()
    tab = await reach(state, Scene(stage, device, ""))
    found = await violations(tab)
    assert not found, f"{state}:\n" + "\n".join(found)
    if state == "offline":
        await device.context.set_offline(False)


@pytest.mark.long
async def test_axe_finds_nothing_where_strangers_log_in(
    stage: Stage, devices: OpenDevice, members: Server
) -> None:
    device = await devices(cookies=True)
    tab = await reach("login", Scene(stage, device, members.url))
    assert not await violations(tab)


@pytest.mark.long
async def test_axe_is_awake(stage: Stage, devices: OpenDevice) -> None:
    """It finds a text that is too pale and a button without a name, if there are any."""
    await stage.open()
    tab = await (await devices()).open(stage.url)
    await tab.until("open")
    spoil = """() => {
      document.querySelector("h1").style.setProperty("color", "#bbb");
      document.querySelector("main").append(document.createElement("button"));
    }"""
    await tab.page.evaluate(spoil)
    found = "\n".join(await violations(tab))
    assert "color-contrast" in found
    assert "button-name" in found


async def tab_to(tab: Tab, selector: str) -> None:
    """Presses the Tab key until this has the focus."""
    for _ in range(60):
        if await tab.page.evaluate("(wanted) => document.activeElement?.matches(wanted)", selector):
            return
        await tab.page.keyboard.press("Tab")
    focus = await tab.page.evaluate("() => document.activeElement?.outerHTML.slice(0, 200)")
    raise AssertionError(f"the Tab key never comes to {selector}; it is at {focus}")


async def has_focus(tab: Tab) -> None:
    """The focus is somewhere in what is shown: it was not lost with what has gone."""
    where = await tab.page.evaluate("() => document.activeElement?.tagName")
    assert where not in {None, "BODY", "HTML"}, f"{await tab.state()}: the focus is lost"


async def test_the_keyboard_is_enough(visit: Visit) -> None:
    tab = await visit(device={"size": DESK})
    await tab.until("open")
    await tab_to(tab, '[data-action="buy"]')
    outline = (
        "() => { const s = getComputedStyle(document.activeElement); return s.outlineStyle + s.boxShadow; }"
    )
    assert await tab.page.evaluate(outline) != "nonenone", "the focus cannot be seen"
    await tab.page.keyboard.press("Enter")
    await tab.until("held")
    await has_focus(tab)
    await tab_to(tab, 'input[name="method"]')
    await tab.page.keyboard.press("ArrowDown")
    await tab.page.keyboard.press("ArrowUp")
    await tab_to(tab, '[data-action="pay"]')
    await tab.page.keyboard.press("Enter")
    await at_provider(tab)
    await tab_to(tab, "button.pay")
    async with tab.page.expect_navigation():
        await tab.page.keyboard.press("Enter")
    await tab_to(tab, 'a[href*="/s/"]')
    await tab.page.keyboard.press("Enter")
    await tab.until("confirmed")


@pytest.mark.long
async def test_the_focus_is_not_lost_when_the_sale_changes(visit: Visit) -> None:
    """Somebody waits with the focus on the button; what is shown instead takes it."""
    tab = await visit(stock=1)
    await take(tab)
    await has_focus(tab)
    await tab.press("cancel")
    await has_focus(tab)
    await tab.press("confirm")
    await tab.until("cancelled")
    await has_focus(tab)


@pytest.mark.long
async def test_a_screen_reader_hears_what_matters_and_no_ticking(stage: Stage, devices: OpenDevice) -> None:
    """From the countdown to the hold it is told a few things, and not each second."""
    await stage.define(stock=3, opens_in=3600)
    device = await devices()
    tab = await device.open(stage.url)
    await tab.until("scheduled")
    await tab.page.evaluate(CHANGES)
    await stage.define(stock=3, opens_in=6)
    await tab.until("open")
    await tab.press("buy")
    await tab.until("held")
    await tab.page.wait_for_function(TOLD, timeout=PATIENCE_MS)
    said = [each for each in await tab.page.evaluate("() => window.announced") if each]
    assert len(said) <= 8, f"it talks too much: {said}"


@pytest.mark.long
@pytest.mark.parametrize("state", ["scheduled", "open", "reserving", "held", "sold_out"])
async def test_nothing_moves_for_those_who_asked_for_calm(
    stage: Stage, devices: OpenDevice, state: str
) -> None:
    device = await devices(reduced_motion="reduce")
    tab = await reach(state, Scene(stage, device, ""))
    moving = """() => document.getAnimations()
      .filter((each) => each.playState === "running" && Number(each.effect.getComputedTiming().activeDuration) > 50)
      .map((each) => each.animationName ?? each.transitionProperty)"""
    assert await tab.page.evaluate(moving) == []


@pytest.mark.long
@pytest.mark.parametrize("state", sorted(STATES))
async def test_targets_are_large_and_nothing_sticks_out(
    stage: Stage, devices: OpenDevice, members: Server, state: str
) -> None:
    """Fingers need 44 px; a screen of 320 px, which is a page at 400 %, is not scrolled to the side."""
    device = await devices(cookies=True, size=PHONE)
    tab = await reach(state, Scene(stage, device, members.url))
    small = """() => [...document.querySelectorAll("button, select, a[data-action]")]
      .filter((each) => each.checkVisibility())
      .map((each) => [each.outerHTML.slice(0, 90), each.getBoundingClientRect()])
      .filter(([, box]) => box.height < 43.5 || box.width < 43.5)
      .map(([text, box]) => `${text}: ${box.width} x ${box.height}`)"""
    assert await tab.page.evaluate(small) == []
    for width in (390, 320):
        await tab.page.set_viewport_size({"width": width, "height": 844})
        over = await tab.page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
        assert over <= 0, f"{width} px: {over} px too wide"
    if state == "offline":
        await device.context.set_offline(False)
