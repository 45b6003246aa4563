"""The whole way with Stripe: server and worker as programs, Stripe's own client, and localstripe as the Stripe server.

What localstripe does not do is said in tests/support/stripe.py: it tells of no consent, so that reconciliation has to find
the consents that wait for a capture.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.stripe import PUBLISHABLE_KEY
from tests.support.stripe_shop import StripeShop, stripe_shop
from tests.support_http.client import ROOT_KEY, Shop, new_sale_id, token
from tests.support_http.client import eventually as soon

PRICE = 9_900
METHODS = ["card", "alipay"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StripeShop]:
    with stripe_shop(tmp_path_factory.mktemp("stripe")) as shop:
        yield shop


@dataclass
class Customers:
    """What customers of one sale do, and what support does."""

    setting: StripeShop
    shop: Shop
    sale: str = field(default_factory=new_sale_id)

    async def open(self) -> None:
        items = [{"sku": "giulia", "price": PRICE, "stock": 5}]
        changes = {"items": items, "currency": "EUR", "payment": {"methods": METHODS}}
        (await self.shop.define(self.sale, **changes)).must(201)
        await self.setting.stripe.send_webhooks_to(f"{self.shop.url}/v1/payments/stripe/events")

    async def asked(self, customer: str, method: str) -> tuple[str, str]:
        """A hold whose customer is asked to pay: reservation and PaymentIntent."""
        held = str((await self.shop.reserve(self.sale, customer)).must(201)["id"])
        path = f"/v1/reservations/{held}/payment"
        (await self.shop.ask("POST", path, bearer=token(customer), json={"method": method})).must(202)
        payment = (await self.until(held, "held", "requires_action"))["payment"]
        assert (payment["provider"], payment["method"], payment["amount"]) == ("stripe", method, PRICE)
        action = payment["action"]
        assert (action["type"], action["publishable_key"]) == ("client_secret", PUBLISHABLE_KEY)
        assert action["client_secret"].startswith(payment["reference"])
        return held, str(payment["reference"])

    async def until(self, reservation: str, status: str, payment: str) -> Any:
        """The reservation once it, and its payment, have these statuses."""

        async def look() -> Any:
            path = f"/v1/reservations/{reservation}"
            found = (await self.shop.ask("GET", path, bearer=ROOT_KEY)).must(200)
            return found if (found["status"], found["payment"]["status"]) == (status, payment) else None

        return await soon(look, f"the reservation is {status}, its payment {payment}")

    async def refund(self, reservation: str) -> None:
        body = {"restock": True, "reason": "scratched"}
        path = f"/v1/reservations/{reservation}/refund"
        (await self.shop.ask("POST", path, bearer=ROOT_KEY, json=body)).must(200)

    async def reconcile(self) -> Any:
        body = {"sale": self.sale}
        answer = await self.shop.ask("POST", "/v1/payments/reconcile", bearer=ROOT_KEY, json=body)
        report = answer.must(200)
        assert report["ok"], report["open"]
        return report


@pytest.fixture
async def customers(running: StripeShop) -> AsyncIterator[Customers]:
    await running.stripe.empty()
    async with Shop(running.server.url) as shop:
        customers = Customers(running, shop)
        await customers.open()
        yield customers
        await shop.audit(customers.sale)


async def test_a_card_is_captured_when_the_consent_is_found(customers: Customers) -> None:
    stripe = customers.setting.stripe
    held, intent = await customers.asked("ann", "card")
    assert (await stripe.pay(intent))["status"] == "requires_capture"
    report = await customers.reconcile()
    assert report["applied"] == 1
    found = await customers.until(held, "confirmed", "paid")
    assert found["payment"]["reference"] == intent
    assert (await stripe.intent(intent))["status"] == "succeeded"
    report = await customers.reconcile()
    assert (report["charges"], report["applied"]) == (1, 0)


async def test_alipay_is_confirmed_by_the_webhook_and_given_back_once(customers: Customers) -> None:
    stripe = customers.setting.stripe
    held, intent = await customers.asked("ann", "alipay")
    assert (await stripe.pay(intent))["status"] == "succeeded"
    await customers.until(held, "confirmed", "paid")
    await customers.refund(held)
    await customers.refund(held)
    await customers.until(held, "refunded", "refunded")
    (refund,) = await stripe.refunds(intent)
    assert (refund["amount"], refund["status"]) == (PRICE, "succeeded")
    report = await customers.reconcile()
    assert (report["charges"], report["settled"]) == (1, 0)


async def test_a_hold_that_is_given_up_cancels_the_payment_at_stripe(customers: Customers) -> None:
    stripe = customers.setting.stripe
    held, intent = await customers.asked("ann", "card")
    (await customers.shop.cancel(held, "ann")).must(200)
    await customers.until(held, "cancelled", "cancelled")

    async def cancelled() -> bool:
        return str((await stripe.intent(intent))["status"]) == "canceled"

    await soon(cancelled, "Stripe knows")
    assert (await customers.reconcile())["charges"] == 0


async def test_another_method_takes_the_place_of_the_first(customers: Customers) -> None:
    stripe = customers.setting.stripe
    held, first = await customers.asked("ann", "card")
    path = f"/v1/reservations/{held}/payment"
    body = {"method": "alipay"}
    (await customers.shop.ask("POST", path, bearer=token("ann"), json=body)).must(202)

    async def second() -> str:
        payment = (await customers.shop.read(held, "ann")).must(200)["payment"]
        asked = payment["status"] == "requires_action" and payment["attempt"] == 2
        return str(payment["reference"]) if asked else ""

    intent = await soon(second, "the customer is asked again")
    assert (await stripe.pay(intent))["status"] == "succeeded"
    await customers.until(held, "confirmed", "paid")

    async def cancelled() -> bool:
        return str((await stripe.intent(first))["status"]) == "canceled"

    await soon(cancelled, "the first is given up")
    assert (await customers.reconcile())["charges"] == 1
