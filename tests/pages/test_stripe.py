"""Stripe's Payment Element on the shop page: the page's own policy lets Stripe in, and the provider's word alone decides.

Server, worker, Stripe's client and localstripe are real; Stripe.js itself cannot be had offline, so a small script at its
address stands in for it, which does what it is documented to do with the client secret.
"""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Route

from tests.pages.conftest import OpenDevice
from tests.support.browser import PATIENCE_MS, Device, Tab
from tests.support.shopping import take
from tests.support.stripe import DECLINED_CARD, GOOD_CARD, PUBLISHABLE_KEY
from tests.support.stripe_shop import StripeShop, stripe_shop
from tests.support_http.client import Shop, new_sale_id

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.long]

STRIPE_JS = """
window.Stripe = (key) => ({
  elements: ({ clientSecret }) => ({
    clientSecret,
    create: (kind) => ({
      mount(place) {
        const frame = document.createElement("iframe");
        frame.src = "https://js.stripe.com/form.html";
        frame.title = kind;
        place.append(frame);
      },
    }),
  }),
  async confirmPayment({ elements, confirmParams, redirect }) {
    const message = await window.payAtStripe(key, elements.clientSecret, confirmParams.return_url, redirect);
    return message ? { error: { message } } : {};
  },
});
"""
FORM = '<!doctype html><html lang="en"><title>Form</title><p>Card number</p></html>'


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StripeShop]:
    folder = tmp_path_factory.mktemp("stripe")
    with stripe_shop(folder, {"FLASHSALE_GUESTS": "1"}, stripe_elements=True) as shop:
        yield shop


class Customer:
    """A shopper in front of the form; `card` is what they type into it."""

    def __init__(self, setting: StripeShop, device: Device, shop: Shop, sale: str) -> None:
        self.setting, self.device, self.shop, self.sale = setting, device, shop, sale
        self.card = GOOD_CARD
        self.confirmed: list[tuple[str, str, str, str]] = []

    async def open(self) -> Tab:
        """The page of the sale, with Stripe's addresses played."""
        self.device.expects(r"^asked elsewhere: https://js\.stripe\.com/")
        await self.device.context.route("https://js.stripe.com/**", self._answer)
        await self.device.context.expose_function("payAtStripe", self._pay)
        return await self.device.open(f"{self.setting.server.url}/s/{self.sale}")

    async def _answer(self, route: Route) -> None:
        if route.request.url.endswith(".js"):
            await route.fulfill(body=STRIPE_JS, content_type="text/javascript")
        else:
            await route.fulfill(body=FORM, content_type="text/html")

    async def _pay(self, key: str, secret: str, back: str, redirect: str) -> str | None:
        self.confirmed.append((key, secret, back, redirect))
        answer = await self.setting.stripe.pay(secret.partition("_secret_")[0], self.card)
        return str(answer["error"]["message"]) if "error" in answer else None

    def loaded_from_stripe(self) -> list[str]:
        return [fault for fault in self.device.faults if "js.stripe.com" in fault]


@pytest_asyncio.fixture(loop_scope="session")
async def customer(running: StripeShop, devices: OpenDevice) -> AsyncIterator[Customer]:
    await running.stripe.empty()
    async with Shop(running.server.url) as shop:
        sale = new_sale_id()
        items = [{"sku": "giulia", "price": 9_900, "stock": 2}]
        payment = {"methods": ["alipay", "card"]}
        (await shop.define(sale, items=items, currency="EUR", payment=payment)).must(201)
        await running.stripe.send_webhooks_to(f"{shop.url}/v1/payments/stripe/events")
        yield Customer(running, await devices(), shop, sale)
        await shop.audit(sale)


async def form_of(tab: Tab, method: str) -> None:
    """Chooses a way to pay, and waits for Stripe's form."""
    await tab.page.locator(f'input[name="method"][value="{method}"]').check(force=True)
    await tab.press("pay")
    frame = tab.page.frame_locator('iframe[src^="https://js.stripe.com/"]')
    await frame.get_by_text("Card number").wait_for(timeout=PATIENCE_MS)


async def test_a_shopper_pays_on_the_page(customer: Customer) -> None:
    tab = await customer.open()
    await take(tab)
    assert customer.loaded_from_stripe() == [], "nothing of Stripe's before there is something to pay"
    await form_of(tab, "alipay")
    assert customer.loaded_from_stripe()
    await tab.press("continue")
    await tab.until("confirmed")
    ((key, secret, back, redirect),) = customer.confirmed
    assert key == PUBLISHABLE_KEY
    assert back == f"{customer.setting.server.url}/s/{customer.sale}"
    assert redirect == "if_required"
    intent = await customer.setting.stripe.intent(secret.partition("_secret_")[0])
    assert (intent["status"], intent["amount"]) == ("succeeded", 9_900)
    assert secret not in tab.page.url


async def test_what_stripe_says_of_a_declined_card_is_shown(customer: Customer) -> None:
    customer.card = DECLINED_CARD
    tab = await customer.open()
    await take(tab)
    await form_of(tab, "card")
    await tab.press("continue")
    await tab.says("declined")
    assert await tab.state() in {"paying", "declined"}
    ((_, secret, _, _),) = customer.confirmed
    intent = await customer.setting.stripe.intent(secret.partition("_secret_")[0])
    assert intent["status"] != "succeeded"


async def test_another_host_is_not_let_in(customer: Customer) -> None:
    """The policy of the page names Stripe's hosts, and stops any other."""
    customer.device.expects("policy violated", "Content Security Policy", "violates the following")
    tab = await customer.open()
    await tab.until("open")
    await customer.device.context.route("https://elsewhere.example/**", customer._answer)
    customer.device.expects("^asked elsewhere: https://elsewhere")
    outcome = await tab.page.evaluate(
        """() => new Promise((resolve) => {
          const script = document.createElement("script");
          script.src = "https://elsewhere.example/x.js";
          script.onload = () => resolve("loaded");
          script.onerror = () => resolve("stopped");
          document.head.append(script);
        })"""
    )
    assert outcome == "stopped"
