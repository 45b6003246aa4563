"""A brand that knows its customers: the page gets tokens from the brand's own login, and keeps them in memory."""

from typing import Final
from urllib.parse import quote

import pytest
from playwright.async_api import expect

from tests.pages.conftest import OpenDevice
from tests.support.browser import PATIENCE_MS, Device, Tab
from tests.support.page_login import Login
from tests.support.shopping import PRESS, at_provider, take, within
from tests.support.stage import Stage
from tests.support.wcag import violations
from tests.support_http.client import eventually
from tests.support_http.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def strangers(devices: OpenDevice, login: Login) -> Device:
    """The device of somebody whom the brand's login does not know, now or later."""
    device = await devices(cookies=True)
    device.expects(rf"401 \(Unauthorized\) \({login.url}/token\)")
    return device


async def leads_to_login(tab: Tab, login: Login) -> None:
    """The page offers the way to the brand's login, and from there back to itself."""
    await expect(tab.action("login")).to_have_attribute(
        "href", f"{login.url}/login?return_to={quote(tab.page.url, safe='')}"
    )


async def log_in(tab: Tab) -> None:
    """Goes there, and comes back as ann."""
    await tab.press("login")
    await tab.page.get_by_label("Name").fill("ann")
    await tab.page.get_by_role("button", name="Log in").click()


@pytest.mark.long
async def test_a_stranger_is_sent_to_log_in_and_comes_back(
    stage: Stage, devices: OpenDevice, members: Server, login: Login
) -> None:
    await stage.open()
    device = await strangers(devices, login)
    tab = await device.open(f"{members.url}/s/{stage.sale}")
    await tab.until("login")
    await leads_to_login(tab, login)
    await log_in(tab)
    await take(tab)
    (mine,) = await stage.shop.mine(stage.sale, "ann")
    assert mine["status"] == "held"
    kept = await tab.page.evaluate("() => JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert "eyJ" not in kept, "a token of the brand's customer is kept in the storage"
    assert "eyJ" not in tab.page.url


@pytest.mark.long
async def test_a_token_that_has_expired_is_fetched_again(
    stage: Stage, devices: OpenDevice, members: Server, login: Login
) -> None:
    """Tokens here are over before they are used; the page asks for a fresh one, and buys."""
    await stage.open()
    device = await devices(cookies=True)
    await device.context.add_cookies([login.cookie("ann")])  # type: ignore[list-item]  # the shape is checked there
    login.lasts_s = -10
    tab = await device.open(f"{members.url}/s/{stage.sale}")
    await tab.until("open", "login", "error")
    login.lasts_s = 3600
    if await tab.state() == "open":
        await tab.press("buy")
    else:
        await tab.page.reload()
        await tab.until("open")
        await tab.press("buy")
    await tab.until("held")
    assert login.asked >= 2


@pytest.mark.long
async def test_whoever_logs_out_meanwhile_is_told(
    stage: Stage, devices: OpenDevice, members: Server, login: Login
) -> None:
    await stage.open()
    device = await strangers(devices, login)
    await device.context.add_cookies([login.cookie("ann")])  # type: ignore[list-item]  # the shape is checked there
    login.lasts_s = 2
    tab = await device.open(f"{members.url}/s/{stage.sale}")
    await tab.until("open")
    await device.context.clear_cookies()
    await tab.page.wait_for_timeout(3000)
    await tab.page.evaluate(PRESS)  # the page may have noticed by itself that the login is over
    await tab.until("login", "held")
    await expect(tab.page.locator("body")).to_be_visible(timeout=PATIENCE_MS)


@pytest.mark.long
async def test_who_has_a_hold_can_log_in_where_nothing_is_left(
    stage: Stage, devices: OpenDevice, members: Server, login: Login
) -> None:
    await stage.open(stock=1)
    await stage.hold("ann")
    device = await strangers(devices, login)
    tab = await device.open(f"{members.url}/s/{stage.sale}")
    await tab.until("sold_out")
    await tab.says("Log in to see what you have reserved")
    assert not await violations(tab)
    await log_in(tab)
    await tab.until("held")
    await expect(tab.action("login")).to_have_count(0)


@pytest.mark.long
async def test_whose_login_ends_while_they_hold_is_told_and_goes_on(
    stage: Stage, devices: OpenDevice, members: Server, login: Login
) -> None:
    """The page notices by itself that the login is over, and also that it is there again."""
    await stage.open()
    device = await strangers(devices, login)
    cookie = login.cookie("ann")
    await device.context.add_cookies([cookie])  # type: ignore[list-item]  # the shape is checked there
    login.lasts_s = 15  # which is enough for a press, however slow the machine is
    tab = await device.open(f"{members.url}/s/{stage.sale}")
    await take(tab)
    await device.context.clear_cookies()
    await tab.says("You are no longer logged in")
    await leads_to_login(tab, login)
    assert not await violations(tab)
    await tab.press("pay")
    await tab.until("held")
    before = login.asked

    async def asked_again() -> bool:
        return login.asked >= before + 2

    await eventually(asked_again, "the page asks again whether there is a login")
    await tab.shows('[data-action="login"]')
    login.lasts_s = 3600
    await device.context.add_cookies([cookie])  # type: ignore[list-item]  # the shape is checked there
    await expect(tab.action("login")).to_have_count(0, timeout=PATIENCE_MS)
    await tab.press("pay")
    await at_provider(tab)


TOKENS: Final = """async ({ Shopper }) => {
  let [now, life, asked] = [1_000_000_000_000, 900_000, 0];
  const fetch = window.fetch;
  window.fetch = async (url, options) => {
    if (url !== "/tokens") return fetch(url, options);
    asked += 1;
    return Response.json({ token: `x.${btoa(JSON.stringify({ exp: (now + life) / 1000, asked }))}.x` });
  };
  const seen = {};
  const shopper = () => new Shopper({ api: "", guests: false, token_url: "/tokens", login_url: null }, () => now, () => {});
  const ask = async (name, session, pass = 0) => {
    now += pass;
    const before = asked;
    await session.get();
    seen[name] = asked - before;
  };
  let { session } = shopper();
  await ask("the first", session);
  await ask("soon after", session, 800_000);
  await ask("within the spare time", session, 50_000);
  await ask("soon after that", session, 1000);
  life = 30_000;
  ({ session } = shopper());
  await ask("a brief one", session);
  await ask("while it lasts", session, 29_000);
  await ask("when it is over", session, 2000);
  life = 900_000;
  const early = shopper();
  await ask("long before", early.session);
  const opensAt = now + 850_000;
  now = opensAt - 60_000;
  const before = asked;
  await early.warm("/v1/sales/x/reservations", opensAt);
  seen["before the opening"] = asked - before;
  await ask("at the opening", early.session, 60_000);
  window.fetch = fetch;
  return seen;
}"""


async def test_a_token_is_renewed_before_it_ends_and_not_by_the_whole_crowd_at_the_opening(
    stage: Stage, devices: OpenDevice
) -> None:
    tab = await (await devices()).open(stage.url)
    assert await within(tab, "shop/shopper.js", TOKENS) == {
        "the first": 1,
        "soon after": 0,
        "within the spare time": 1,
        "soon after that": 0,
        "a brief one": 1,
        "while it lasts": 0,
        "when it is over": 1,
        "long before": 1,
        "before the opening": 1,
        "at the opening": 0,
    }
