"""Strange answers have a decided fate as well: calls that are not answered, refunds that fail, a second method.

The other rows of the table of docs/payments.md; see test_fates.py.
"""

import asyncio

from tests.support.house import Till, click
from tests.support_http.client import eventually

PRICE = 33_000_000


# --- when calls are not answered ---


async def test_told_before_our_own_call_has_returned(till: Till) -> None:
    """The call was carried out, the customer has paid, and only then the worker hears of it."""
    for method in ("alipay", "card"):
        await till.faults(timeout_percent=100)
        if method == "alipay":
            await till.open()
        held = await till.hold(method)
        known = len(await all_of(till))
        (await till.start(held, method, method)).must(202)

        async def carried_out(known: int = known) -> bool:
            return len(await all_of(till)) > known

        await eventually(carried_out, "the provider has opened the payment")
        till.house.pause_worker()
        await till.faults(timeout_percent=0)
        await click(await till.opened_elsewhere(held, method, customer=method))
        till.house.resume_worker()
        await till.until(held, "confirmed", "paid")
    await till.settled()
    assert len(await till.ledger()) == 2, "one payment for each"
    await till.verdict(orders=2)


async def all_of(till: Till) -> list[object]:
    """What was opened, from the simulator's file: its list would not be answered either."""
    return [line for line in till.house.books.read_text().splitlines() if line.startswith('["opened"')]


async def test_the_provider_has_charged_and_not_answered(till: Till) -> None:
    await till.open()
    held = await till.hold("ann")
    page = await till.ask(held, "ann", "card")
    (payment_id,) = [str(each["id"]) for each in await till.ledger()]
    till.house.pause_worker()
    await click(page)
    await till.faults(timeout_percent=100, lose_percent=100)  # neither the answer nor its webhook arrives
    till.house.resume_worker()

    async def taken() -> bool:
        lines = till.house.books.read_text().splitlines()
        return any(line.startswith('["captured"') and payment_id in line for line in lines)

    await eventually(taken, "the money is taken")
    await till.faults(timeout_percent=0)
    await till.until(held, "confirmed", "paid")
    await till.settled()
    await till.verdict(orders=1)


async def test_the_provider_is_away(till: Till) -> None:
    await till.faults(outage_percent=100)
    await till.open()
    held = await till.hold("ann")
    (await till.start(held, "ann", "card")).must(202)

    async def put_off() -> bool:
        ((_, retries),) = await till.payments.waiting([till.sale])
        return retries > 0

    await eventually(put_off, "the job waits to be tried again")
    assert (await till.read(held))["payment"]["status"] == "queued"
    await till.faults(outage_percent=0)
    await click(await till.page(held, "card"))
    await till.until(held, "confirmed", "paid")
    await till.settled()
    await till.verdict(orders=1)


async def test_a_refund_that_fails_is_tried_again(till: Till) -> None:
    await till.faults(refund_fail_percent=100)
    await till.open()
    held = await till.hold("ann")
    await click(await till.ask(held, "ann", "alipay"))
    await till.until(held, "confirmed", "paid")
    await till.refund(held, restock=False)
    await till.until(held, "refunded", "refunded")
    await till.settled()
    assert (await till.shop.audit(till.sale))["items"][0]["sold"] == 1, "it was not to go back on sale"
    await till.verdict(refunds=1)


async def test_a_refund_whose_answer_is_lost(till: Till) -> None:
    await till.open()
    held = await till.hold("ann")
    await click(await till.ask(held, "ann", "card"))
    await till.until(held, "confirmed", "paid")
    await till.settled()
    await till.faults(timeout_percent=30, lose_percent=100)
    await till.refund(held)

    async def carried_out() -> bool:
        try:
            return await till.charged() == [(PRICE, PRICE)]
        except AssertionError:
            return False  # this question was not answered either

    # No longer: each try waits twice as long as the one before.
    await eventually(carried_out, "the provider has paid it back, and perhaps not said so")
    await till.faults(timeout_percent=0)
    await till.until(held, "refunded", "refunded")
    await till.settled()
    await till.verdict(refunds=1)


async def test_a_refund_that_bounces_is_made_again_on_request(till: Till) -> None:
    await till.faults(refund_bounce_percent=100)
    await till.open()
    held = await till.hold("ann")
    await click(await till.ask(held, "ann", "alipay"))
    await till.until(held, "confirmed", "paid")
    await till.refund(held)
    (job,) = await eventually(till.dead, "a person is asked to look at it")
    assert job["kind"] == "refund"
    await till.settled()
    report = await till.reconcile()
    assert not report["ok"]
    assert report["open_count"] == 1
    assert await till.retry_dead() == 1
    await till.settled()
    await till.until(held, "refunded", "refunded")
    assert await till.charged() == [(PRICE, PRICE)]
    await till.verdict(refunds=1)


async def test_a_refund_that_bounces_unheard_is_found(till: Till) -> None:
    await till.faults(refund_bounce_percent=100)
    await till.open()
    held = await till.hold("ann")
    await click(await till.ask(held, "ann", "alipay"))
    await till.until(held, "confirmed", "paid")
    await till.settled()
    await till.faults(lose_percent=100)
    await till.refund(held)
    await till.until(held, "refunded", "refunded")
    await till.settled()
    assert not await till.dead()
    for _ in range(2):  # found once, and named as long as it is open
        (charge,) = (await till.reconcile())["open"]
        assert "dead retry" in charge["action"]
        await till.settled()
        assert len(await till.dead()) == 1
    assert await till.retry_dead() == 1
    await till.settled()
    await till.verdict(refunds=1)


async def test_a_lost_message_is_found(till: Till) -> None:
    await till.faults(lose_percent=100)
    await till.open()
    for customer, method in (("ann", "alipay"), ("bob", "card")):
        held = await till.hold(customer)
        await click(await till.ask(held, customer, method))
        assert (await till.read(held))["status"] == "held"
        report = await till.reconcile()
        assert report["ok"]
        assert report["applied"] == 1
        await till.until(held, "confirmed", "paid")
    await till.settled()
    await till.verdict(orders=2)


async def test_a_payment_that_the_provider_has_cancelled_unheard(till: Till) -> None:
    await till.faults(lose_percent=100)
    await till.open()
    held = await till.hold("ann")
    await till.ask(held, "ann", "alipay")
    (payment,) = await till.ledger()
    await asyncio.to_thread(
        till.house.simulator.call, "POST", f"/v1/payments/{payment['id']}/cancel", {}, "by hand"
    )
    assert (await till.read(held))["payment"]["status"] == "requires_action"
    assert (await till.reconcile())["applied"] == 1
    await till.until(held, "held", "cancelled")
    await till.verdict()


# --- by a second method, while the first is pending ---


async def test_only_the_second_is_paid(till: Till) -> None:
    await till.open()
    held = await till.hold("ann")
    await till.ask(held, "ann", "card")
    await click(await till.ask(held, "ann", "alipay"))
    await till.until(held, "confirmed", "paid")
    await till.settled()
    assert [each["status"] for each in await till.ledger()] == ["cancelled", "paid"]
    await till.verdict(orders=1)


async def test_the_first_is_paid_after_all(till: Till) -> None:
    await till.open()
    held = await till.hold("ann")
    first = await till.ask(held, "ann", "bank_transfer")
    till.house.pause_worker()
    (await till.start(held, "ann", "alipay")).must(202)
    await click(first)
    till.house.resume_worker()
    found = await till.until(held, "confirmed", "paid")
    assert (found["payment"]["method"], found["payment"]["attempt"]) == ("bank_transfer", 1)
    await till.settled()
    assert [each["status"] for each in await till.ledger()] in (["paid"], ["paid", "cancelled"])
    await till.verdict(orders=1)


async def test_both_are_paid(till: Till) -> None:
    await till.open()
    held = await till.hold("ann")
    first = await till.ask(held, "ann", "bank_transfer")
    till.house.pause_worker()
    (await till.start(held, "ann", "alipay")).must(202)
    await click(first)
    await click(await till.opened_elsewhere(held, "alipay", attempt=2))
    till.house.resume_worker()
    await till.until(held, "confirmed", "paid")
    await till.settled()
    assert sorted(await till.charged()) == [(PRICE, 0), (PRICE, PRICE)]
    await till.verdict(orders=1, refunds=1)


async def test_the_books_are_compared_though_the_provider_stumbles(till: Till) -> None:
    await till.open()
    held = await till.hold("ann")
    await click(await till.ask(held, "ann", "alipay"))
    await till.until(held, "confirmed", "paid")
    await till.settled()
    await till.faults(outage_percent=20)
    for _ in range(20):
        assert (await till.reconcile())["ok"]
    await till.faults(outage_percent=0)
    await till.verdict(orders=1)
