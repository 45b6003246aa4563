"""Parts of the shop page by themselves, in the browser: what they work out is what the server does, to the minor unit."""

import asyncio
import json
import random
import re
from typing import Any, Final

import pytest
from playwright.async_api import Route, expect

from flashsale.model.currency import DECIMALS
from flashsale.model.sale import MAX_AMOUNT
from flashsale.model.schedule import schedule
from tests.pages.conftest import OpenDevice, Visit
from tests.support.browser import PATIENCE_MS, Tab
from tests.support.shopping import take, within
from tests.support.stage import PagesHouse, Stage
from tests.support_http.client import instant

pytestmark = pytest.mark.asyncio(loop_scope="session")

RESERVE: Final = re.compile(r"/v1/sales/[^/]+/reservations$")
ONE: Final = re.compile(r"/v1/reservations/[^/]+(/payment)?$")
STRIPE_JS: Final = "https://js.stripe.com/clover/stripe.js"
STRIPE: Final = """window.asked = [];
window.Stripe = (key, options) => ({
  elements: (of) => { window.asked.push([key, options.locale, of.clientSecret]); return {
    create: (kind) => ({ mount: (place) => { place.textContent = `the ${kind} element`; } }),
  }; },
  confirmPayment: async ({ confirmParams, redirect }) => {
    window.asked.push([confirmParams.return_url, redirect]);
    return window.rich ? {} : { error: { message: "Your card has no money." } };
  },
});"""


async def test_the_schedule_is_the_servers(stage: Stage, devices: OpenDevice) -> None:
    chance = random.Random(7)
    amounts = [1, 2, 99, 100, 33_000_000, MAX_AMOUNT, MAX_AMOUNT - 1] + [
        chance.randrange(1, 10 ** chance.randrange(1, 16)) for _ in range(400)
    ]
    cases = [(amount, chance.randint(1, 100), chance.choice((0, 1, 7, 36, 120))) for amount in amounts]
    tab = await (await devices()).open(stage.url)
    found = await within(
        tab,
        "shop/state.js",
        """({ scheduleOf }, cases) => cases.map(([amount, percent, rates]) =>
             scheduleOf(amount, { deposit_percent: percent, instalments: rates }))""",
        cases,
    )
    for case, made in zip(cases, found, strict=True):
        right = schedule(*case)
        assert (made["deposit"], made["balance"], tuple(made["instalments"])) == (
            right.deposit,
            right.balance,
            right.instalments,
        ), case


async def test_every_currency_has_its_decimals(stage: Stage, devices: OpenDevice) -> None:
    tab = await (await devices()).open(stage.url)
    function = "({ decimalsOf }, codes) => Object.fromEntries(codes.map((code) => [code, decimalsOf(code)]))"
    assert await within(tab, "common/format.js", function, sorted(DECIMALS)) == DECIMALS
    shown = await within(
        tab,
        "common/format.js",
        """({ Format }, cases) => cases.map(([locale, amount, currency]) => new Format(locale).money(amount, currency))""",
        [
            ["en", MAX_AMOUNT, "EUR"],
            ["en", 1234567, "JPY"],
            ["en", 1500, "KWD"],
            ["de", 5, "EUR"],
            ["en", 1000, "IQD"],
        ],
    )
    assert [re.sub(r"[^\d.,]", "", text) for text in shown] == [
        "90,071,992,547,409.91",
        "1,234,567",
        "1.500",
        "0,05",
        "1.000",
    ]


QUICK: Final = """() => {
  const asked = performance.getEntriesByType("resource").filter(({ name }) => /\\/v1\\/sales\\/[^/]+$/.test(name));
  const quick = asked.some(({ duration }) => duration < 500);
  if (!quick) window.dispatchEvent(new Event("online"));
  return quick;
}"""
CLOCK: Final = """({ ServerClock }) => {
  let [now, wall] = [1000, 1_700_000_000_000];
  const seen = [];
  let jumps = 0;
  const clock = new ServerClock({ now: () => now, wall: () => wall, onjump: () => { jumps += 1; } });
  const pass = (ms, asleep = 0) => { now += ms; wall += ms + asleep; };
  let ahead = -600_000; // the server's clock by ours
  const server = () => wall + ahead;
  const ask = (up, down) => {
    const sent = now;
    pass(up);
    const said = server();
    pass(down);
    clock.sample(said, sent, now);
  };
  const note = (what) => seen.push([what, Math.abs(clock.now() - server()), clock.uncertainty, jumps]);
  ask(400, 100); note("slow");
  ask(20, 40); note("quick");
  ask(3000, 100); note("slow again");
  pass(1000, 3_600_000); note("slept");
  ask(20, 40); note("asked again");
  ahead += 10_000; ask(20, 40); note("the server's clock was set");
  clock.before(server() + 3, now); note("too early");
  clock.atLeast(server() - 1); note("a frame");
  return seen;
}"""


async def test_the_clock_is_as_good_as_it_says(stage: Stage, devices: OpenDevice) -> None:
    tab = await (await devices()).open(stage.url)
    seen = {what: rest for what, *rest in await within(tab, "common/clock.js", CLOCK)}
    for what, (wrong, uncertainty, _) in seen.items():
        assert wrong <= uncertainty + 1, (what, seen)
    assert seen["quick"][1] <= 31
    assert seen["slow again"][1] <= 32, "a slow answer has spoilt what a quick one had told"
    assert seen["slept"][2] == 1, "nobody noticed that the device slept"
    assert seen["slept"][0] <= 31
    assert seen["the server's clock was set"][0] <= 31
    assert seen["too early"][1] <= seen["asked again"][1]


async def test_a_hold_comes_first_and_what_was_read_last(stage: Stage, devices: OpenDevice) -> None:
    tab = await (await devices()).open(stage.url)
    soon, long_ago = instant(-60), instant(-5 * 86400)

    def one(
        id_: str, status: str, place: int, payment: str | None = None, until: str = soon
    ) -> dict[str, Any]:
        return {
            "id": id_, "status": status, "place": place, "held_until": until,
            "payment": {"status": payment} if payment else None,
        }  # fmt: skip

    function = "({ mostRelevant }, [list, read]) => mostRelevant(list, new Set(read), Date.now())?.id ?? null"
    cases: list[tuple[list[dict[str, Any]], list[str], str | None]] = [
        ([], [], None),
        ([one("a", "confirmed", 1), one("b", "held", 2)], [], "b"),
        ([one("a", "confirmed", 1), one("b", "confirmed", 2)], [], "b"),
        ([one("a", "confirmed", 1), one("b", "expired", 2)], [], "a"),
        ([one("a", "expired", 1)], [], "a"),
        ([one("a", "expired", 1)], ["a"], None),
        ([one("a", "expired", 1, until=long_ago)], [], None),
        ([one("a", "expired", 1, "refunding", long_ago), one("b", "expired", 2)], [], "a"),
        ([one("a", "cancelled", 1, "cancelled")], [], "a"),
        ([one("a", "refunded", 1, "refunded", long_ago)], [], "a"),
    ]
    for reservations, read, right in cases:
        assert await within(tab, "shop/state.js", function, [reservations, read]) == right, reservations


async def knows_the_time(tab: Tab) -> None:
    """Has the page ask for the sale until it was answered quickly: from a slow answer nobody knows the time well."""
    await tab.page.wait_for_function(QUICK, polling=200, timeout=PATIENCE_MS)


async def test_a_press_that_comes_too_early_is_kept_until_it_opens(visit: Visit) -> None:
    """The server says not yet, twice; the page keeps the press, waits as long as it was told, and has a unit."""
    tab = await visit()
    await tab.until("open")
    await knows_the_time(tab)
    opens_at, early = "", 0
    pressed_again = asyncio.Event()

    async def too_early(route: Route) -> None:
        nonlocal opens_at, early
        early += 1
        if early > 2:
            await pressed_again.wait()
            await route.continue_()
            return
        opens_at = opens_at or instant(2)
        problem = {
            "type": "/docs#not_open", "title": "Not open yet", "status": 409, "code": "not_open", "detail": "Later.",
            "opens_at": opens_at,
        }  # fmt: skip
        headers = {"Retry-After": "1", "Content-Type": "application/problem+json"}
        await route.fulfill(status=409, headers=headers, body=json.dumps(problem))

    await tab.device.context.route(RESERVE, too_early)
    await tab.press("buy")
    await tab.until("opening")
    await tab.action("buy").dispatch_event("click")
    pressed_again.set()
    await tab.until("held")
    sent = tab.device.reserves()
    assert len({each.key for each in sent}) == 1
    assert len(sent) == 3, "it was asked more often than there was reason to"
    assert sent[1].at - sent[0].at >= 1


async def test_an_item_and_a_number_of_it_are_chosen(stage: Stage, visit: Visit) -> None:
    items = [
        {"sku": "first", "title": "First", "price": 999, "stock": 0},
        {"sku": "second", "title": "Second", "price": 1500, "stock": 9, "limit_per_customer": 3},
        {"sku": "third", "title": "Third", "price": 70_000, "stock": 9},
    ]
    tab = await visit(items=items, currency="JPY", limit_per_customer=5, device={"language": "de"})
    await tab.until("open")
    chosen = tab.page.locator('input[name="sku"]:checked')
    await expect(chosen).to_have_value("second", timeout=PATIENCE_MS)
    quantity = tab.page.locator('input[name="quantity"]')
    await expect(quantity).to_have_attribute("max", "3")
    await tab.page.locator('input[name="sku"][value="third"]').check()
    await expect(quantity).to_have_attribute("max", "5")
    await quantity.fill("77")
    await quantity.press("Tab")
    await expect(quantity).to_have_value("5", timeout=PATIENCE_MS)
    await tab.says("350.000")
    await tab.press("buy")
    await tab.until("held")
    (mine,) = await stage.of(tab.device)
    assert mine["items"] == [{"sku": "third", "quantity": 5}]
    await tab.says(re.compile(r"5 . Third"))


async def test_an_item_that_is_gone_says_so_and_others_can_be_had(stage: Stage, devices: OpenDevice) -> None:
    items = [
        {"sku": name, "title": name, "price": 100, "stock": stock} for name, stock in (("one", 0), ("two", 5))
    ]
    await stage.open(items=items)
    tab = await (await devices()).open(stage.url)
    await tab.until("open")
    await tab.page.locator('input[name="sku"][value="one"]').check()
    await tab.until("sold_out")
    await tab.page.locator('input[name="sku"][value="two"]').check()
    await tab.until("open")


async def test_who_waits_for_the_provider_is_told_how_long(visit: Visit) -> None:
    tab = await visit(device={"language": "en"})
    await take(tab)

    async def queued(route: Route) -> None:
        answer = await route.fetch()
        body = await answer.json()
        body["payment"] = {
            "status": "queued", "method": "card", "attempt": 1, "amount": 3_300_000, "currency": "CNY", "provider": None,
            "reference": None, "action": None, "error": None, "wait_seconds": 95,
        }  # fmt: skip
        await route.fulfill(response=answer, json=body)

    await tab.device.context.route(ONE, queued)
    await tab.until("paying")
    await expect(tab.page.locator("[data-wait]")).to_contain_text(
        re.compile(r"1 minute.*35 sec"), timeout=PATIENCE_MS
    )


async def asked_by_stripe(route: Route) -> None:
    """Answers as for a hold whose payment Stripe has to hear about."""
    if route.request.method == "POST":
        asked = await route.fetch(method="GET", url=route.request.url.removesuffix("/payment"))
    else:
        asked = await route.fetch()
    body = await asked.json()
    action = {"type": "client_secret", "client_secret": "pi_1_secret_2", "publishable_key": "pk_test_x"}
    body["payment"] = {
        "status": "requires_action", "method": "card", "attempt": 1, "amount": 3_300_000, "currency": "CNY",
        "provider": "stripe", "reference": "pi_1", "action": action, "error": None, "wait_seconds": None,
    }  # fmt: skip
    await route.fulfill(status=200, json=body)


async def test_stripes_own_form_is_shown_where_the_shop_has_turned_it_on(
    stage: Stage, devices: OpenDevice, house: PagesHouse
) -> None:
    """
    Stripe's script is asked for when somebody pays, not before; it gets the payment's secret, which no address has.
    What it has taken cannot be paid again, whatever else is drawn anew.
    """
    env = {"FLASHSALE_STRIPE_ELEMENTS": "1", "FLASHSALE_STRIPE_PUBLISHABLE_KEY": "pk_test_x"}
    server = house.beside(env)
    try:
        await stage.open()
        device = await devices()
        device.expects(r"asked elsewhere: https://js\.stripe\.com/")
        await device.context.route(
            STRIPE_JS, lambda route: route.fulfill(body=STRIPE, content_type="text/javascript")
        )
        tab = await device.open(f"{server.url}/s/{stage.sale}")
        await take(tab)
        assert device.faults == []

        await device.context.route(ONE, asked_by_stripe)
        await tab.press("pay")
        await tab.until("paying")
        await tab.says("the payment element")
        await tab.press("continue")
        await tab.says("Your card has no money.")
        assert await tab.page.evaluate("window.asked") == [
            ["pk_test_x", "en", "pi_1_secret_2"],
            [f"{server.url}/s/{stage.sale}", "if_required"],
        ]
        assert "secret" not in tab.page.url
        await tab.shows('[data-action="other"]')
        await tab.page.evaluate("window.rich = true")
        await tab.press("continue")
        await tab.says("You may leave this page open")
        await expect(tab.action("continue")).to_have_count(0)
        await expect(tab.action("other")).to_have_count(0)
        await tab.page.locator('select[data-action="language"]').select_option("de")
        await tab.says("Lassen Sie die Seite offen")
        await expect(tab.action("continue")).to_have_count(0)
        assert len(await tab.page.evaluate("window.asked")) == 3
        address = f"{server.url}/s/{stage.sale}?payment_intent=pi_1&payment_intent_client_secret=s&x=1"
        await tab.page.goto(address)
        await tab.until("paying")
        assert tab.page.url == f"{server.url}/s/{stage.sale}?x=1"
        await tab.page.close()  # it would go on to ask the server
    finally:
        server.stop()


async def test_without_stripe_turned_on_the_page_says_so(visit: Visit) -> None:
    tab = await visit()
    await take(tab)

    async def stripes(route: Route) -> None:
        answer = await route.fetch()
        body = await answer.json()
        body["payment"] = {
            "status": "requires_action", "method": "card", "attempt": 1, "amount": 3_300_000, "currency": "CNY",
            "provider": "stripe", "reference": "pi_1", "action": {"type": "client_secret", "client_secret": "s"},
            "error": None, "wait_seconds": None,
        }  # fmt: skip
        await route.fulfill(response=answer, json=body)

    await tab.device.context.route(ONE, stripes)
    await tab.until("paying")
    await tab.says("not set up on this page")
    await tab.press("other")
    await tab.until("held")


async def test_a_clock_that_is_days_ahead_does_not_make_another_guest(
    stage: Stage, devices: OpenDevice
) -> None:
    """The guest's token is good by the server's clock; whoever got another one would lose the hold."""
    await stage.open()
    ahead = "const now = Date.now.bind(Date); Date.now = () => now() + 3 * 86_400_000;"
    device = await devices(scripts=[ahead])
    tab = await device.open(stage.url)
    await take(tab)
    for _ in range(2):
        await tab.page.reload()
        await tab.until("held")
    assert len(device.requests("POST", "/v1/guests")) == 1
