"""Every strange message has a decided fate: the table of docs/payments.md, row by row.

Each test goes the whole way: HTTP server, payment worker, simulator and store are processes of their own, and webhooks
come over HTTP with the provider's signature. At its end the journal, the comparison with the provider and the
provider's own books must agree: each charge is one order, or was given back once.
"""

import time
from typing import Any

from tests.support.house import Till, click
from tests.support_http.client import eventually

PRICE = 33_000_000


async def test_paid(till: Till) -> None:
    await till.open()
    for customer, method in (("ann", "card"), ("bob", "alipay")):
        held = await till.hold(customer)
        await click(await till.ask(held, customer, method))
        await till.until(held, "confirmed", "paid")
    await till.settled()
    await till.verdict(orders=2)


# --- paid twice ---


async def test_the_same_message_twice(till: Till) -> None:
    await till.faults(duplicate_percent=100)
    await till.open()
    held = await till.hold("ann")
    await click(await till.ask(held, "ann", "alipay"))
    await till.until(held, "confirmed", "paid")
    (paid,) = await till.ledger()
    (await till.tell(paid, "paid")).must(202)
    await till.settled()
    assert (await till.read(held))["payment"]["reference"] == paid["id"]
    await till.verdict(orders=1)


async def test_two_charges_for_one_reservation(till: Till) -> None:
    await till.open()
    held = await till.hold("ann")
    await click(await till.ask(held, "ann", "alipay"))
    await till.until(held, "confirmed", "paid")
    await click(await till.opened_elsewhere(held, attempt=2))
    await till.settled()
    found = await till.read(held)
    assert (found["status"], found["payment"]["status"]) == ("confirmed", "paid")
    assert await till.charged() == [(PRICE, 0), (PRICE, PRICE)]
    await till.verdict(orders=1, refunds=1)


# --- paid after the hold has ended ---


async def test_after_expiry_with_stock_left(till: Till) -> None:
    await till.open(stock=1)
    held = await till.hold("ann")
    page = await till.ask(held, "ann", "alipay")
    await till.time_passes()
    assert (await till.read(held))["status"] == "expired"
    await click(page)
    await till.until(held, "confirmed", "paid")
    await till.settled()
    (fact,) = [one for one in await till.sales.facts(till.sale) if one.type == "reservation.confirmed"]
    assert fact.confirmed().late
    assert (await till.read(held))["late"] is True
    (await till.shop.reserve(till.sale, "bob")).refused(409, "sold_out")
    await till.verdict(orders=1)


async def test_a_consent_after_expiry_with_stock_left(till: Till) -> None:
    await till.open(stock=1)
    held = await till.hold("ann")
    page = await till.ask(held, "ann", "card")
    await till.time_passes()
    await click(page)
    await till.until(held, "confirmed", "paid")
    await till.settled()
    await till.verdict(orders=1)


async def test_after_expiry_without_stock(till: Till) -> None:
    await till.open(stock=1)
    held = await till.hold("ann")
    page = await till.ask(held, "ann", "alipay")
    await till.time_passes()
    await till.hold("bob")
    await click(page)
    await till.until(held, "expired", "refunded")
    await till.settled()
    assert await till.charged() == [(PRICE, PRICE)]
    await till.verdict(refunds=1)


async def test_a_consent_after_expiry_without_stock(till: Till) -> None:
    await till.open(stock=1)
    held = await till.hold("ann")
    page = await till.ask(held, "ann", "card")
    await till.time_passes()
    await till.hold("bob")
    await click(page)
    await till.settled()
    assert [each["status"] for each in await till.ledger()] == ["cancelled"]
    await till.until(held, "expired", "cancelled")
    await till.verdict()


async def test_after_the_limit_is_used_up_by_another_hold(till: Till) -> None:
    await till.open(limit_per_customer=1)
    held = await till.hold("ann")
    page = await till.ask(held, "ann", "alipay")
    await till.time_passes()
    other = await till.hold("ann")
    await click(page)
    await till.until(held, "expired", "refunded")
    await till.settled()
    assert (await till.read(other))["status"] == "held"
    await till.verdict(refunds=1)


# --- paid after it was given up ---


async def test_after_cancel(till: Till) -> None:
    await till.open()
    held = await till.hold("ann")
    page = await till.ask(held, "ann", "alipay")
    till.house.pause_worker()
    (await till.shop.cancel(held, "ann")).must(200)
    await click(page)
    till.house.resume_worker()
    await till.until(held, "cancelled", "refunded")
    await till.settled()
    assert await till.charged() == [(PRICE, PRICE)]
    await till.verdict(refunds=1)


async def test_after_cancel_at_the_provider_too(till: Till) -> None:
    await till.open()
    held = await till.hold("ann")
    await till.ask(held, "ann", "card")
    (await till.shop.cancel(held, "ann")).must(200)
    await till.settled()
    await till.until(held, "cancelled", "cancelled")
    assert [each["status"] for each in await till.ledger()] == ["cancelled"]
    await till.verdict()


async def test_after_refund(till: Till) -> None:
    await till.open()
    held = await till.hold("ann")
    await click(await till.ask(held, "ann", "alipay"))
    await till.until(held, "confirmed", "paid")
    (paid,) = await till.ledger()
    await till.refund(held)
    await till.until(held, "refunded", "refunded")
    (await till.tell(paid, "paid")).must(202)  # the first charge, told again: nothing comes back to life
    await till.settled()
    await till.verdict(refunds=1)
    await click(await till.opened_elsewhere(held, attempt=2))  # and another charge
    await till.settled()
    await till.until(held, "refunded", "refunded")
    assert await till.charged() == [(PRICE, PRICE), (PRICE, PRICE)]
    await till.verdict(refunds=2)


# --- another sum ---


async def test_too_little(till: Till) -> None:
    await paid_otherwise(till, amount=PRICE - 1)


async def test_too_much(till: Till) -> None:
    await paid_otherwise(till, amount=PRICE + 1)


async def test_another_currency(till: Till) -> None:
    await paid_otherwise(till, currency="JPY")


async def paid_otherwise(till: Till, **money: Any) -> None:
    """Automatic: all of it is given back. With consent first: nothing is taken. The hold stays, and can be paid."""
    await till.open()
    held = await till.hold("ann")
    await click(await till.ask(held, "ann", "alipay"), **money)
    await till.until(held, "held", "refunded")
    await till.settled()
    ((amount, refunded),) = await till.charged()
    assert amount == refunded == money.get("amount", PRICE)
    await till.verdict(refunds=1)
    await click(await till.ask(held, "ann", "card"), **money)
    await till.settled()
    assert [each["status"] for each in await till.ledger()] == ["paid", "cancelled"]
    await click(await till.ask(held, "ann", "paypal"))
    await till.until(held, "confirmed", "paid")
    await till.settled()
    await till.verdict(orders=1, refunds=1)


# --- out of order ---


async def test_success_then_failure(till: Till) -> None:
    await till.open()
    held = await till.hold("ann")
    await click(await till.ask(held, "ann", "alipay"))
    await till.until(held, "confirmed", "paid")
    (paid,) = await till.ledger()
    (await till.tell(paid, "failed", status="failed", error="declined")).must(202)
    (await till.tell(paid, "failed", status="failed", error="refused", final=True)).must(202)
    (await till.tell(paid, "cancelled", status="cancelled")).must(202)
    await till.settled()
    await till.until(held, "confirmed", "paid")
    await till.verdict(orders=1)


async def test_failure_then_success(till: Till) -> None:
    await till.open()
    for customer, method in (("ann", "card"), ("bob", "alipay")):
        held = await till.hold(customer)
        page = await till.ask(held, customer, method)
        await click(page, "decline")
        failed = await till.until(held, "held", "failed")
        assert failed["payment"]["error"]
        await click(page)
        await till.until(held, "confirmed", "paid")
    await till.settled()
    await till.verdict(orders=2)


async def test_failure_for_good(till: Till) -> None:
    await till.open(stock=1)
    held = await till.hold("ann")
    await click(await till.ask(held, "ann", "card"), "refuse")
    await till.until(held, "cancelled", "cancelled")
    await till.settled()
    await till.hold("bob")
    await till.verdict()


# --- about nothing of ours ---


async def test_an_unknown_reservation(till: Till) -> None:
    await till.open()
    await till.hold("ann")
    nobody = f"{till.sale}.0.{'A' * 16}"
    await click(await till.opened_elsewhere(nobody))
    await eventually(till.charged, "it is charged")
    await till.settled()
    assert await till.charged() == [(PRICE, PRICE)]
    await till.verdict(refunds=1)


async def test_a_reservation_that_nobody_wanted_to_pay(till: Till) -> None:
    await till.open()
    held = await till.hold("ann")
    await click(await till.opened_elsewhere(held))
    await till.until(held, "held", "refunded")
    await till.settled()
    await till.verdict(refunds=1)


async def test_an_unknown_sale(till: Till) -> None:
    await till.open()
    before = await till.reconcile(everything=True)
    for nobody in (f"no-such-sale.0.{'A' * 16}", "not an id at all", "", f"{till.sale}.7.{'A' * 16}"):
        url = await till.opened_elsewhere(nobody, customer=till.sale)
        await click(url)
    await till.settled()
    ours = [each for each in till.house.simulator.payments() if each["metadata"]["customer"] == till.sale]
    assert [each["refunded"] for each in ours] == [PRICE] * 4
    after = await till.reconcile(everything=True)
    assert after["ok"], after["open"]
    assert after["charges"] == before["charges"] + 4
    await till.verdict()


async def test_a_payment_of_another_shop(till: Till) -> None:
    await till.open()
    held = await till.hold("ann")
    before = await till.reconcile(everything=True)
    await click(await till.opened_elsewhere(held, shop="another-shop"))
    await till.settled()
    assert (await till.read(held))["payment"] is None
    assert await till.charged() == [(PRICE, 0)]
    after = await till.reconcile(everything=True)
    assert after["ok"]
    assert after["foreign"] == before["foreign"] + 1
    assert after["charges"] == before["charges"]
    assert (await till.shop.audit(till.sale))["money"] == []


# --- not from the provider ---


async def test_forged_old_or_replayed(till: Till) -> None:
    await till.open()
    held = await till.hold("ann")
    await till.ask(held, "ann", "alipay")
    (asked,) = await till.ledger()
    paid = {**asked, "status": "paid"}
    now_s = round(time.time())
    (await till.tell(paid, "paid", secret="another secret")).refused(400, "bad_signature")
    (await till.tell(paid, "paid", header="")).refused(400, "bad_signature")
    (await till.tell(paid, "paid", header=f"t={now_s},v1={'0' * 64}")).refused(400, "bad_signature")
    (await till.tell(paid, "paid", at_s=now_s - 3600)).refused(400, "bad_signature")
    (await till.tell(paid, "paid", at_s=now_s + 3600)).refused(400, "bad_signature")
    await till.settled()
    await till.until(held, "held", "requires_action")
    await till.verdict()
    await click(str(asked["url"]) if "url" in asked else await till.page(held, "alipay"))
    await till.until(held, "confirmed", "paid")
    (paid,) = await till.ledger()
    for _ in range(3):  # rightly signed, and told before
        (await till.tell(paid, "paid")).must(202)
    await till.settled()
    await till.verdict(orders=1)
