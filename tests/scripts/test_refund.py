"""`refund` and `settle`: each outcome in order of precedence, and what it writes."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from flashsale.model.facts import Refunded
from flashsale.model.outcomes import Confirm, Refund, Reserve, Settle
from flashsale.model.payment import Charge, Fate, Money, PaymentStatus
from flashsale.model.reservation import Entry, Reservation, State
from flashsale.scripts.payments import GROUP
from tests.support.shop import Shop

CNY_300 = Money(300, "CNY")
STRANGER = "x" * 16


@pytest.fixture
async def order(shop: Shop) -> Reservation:
    """ann's order of a car and two buses, paid by sim:1."""
    await shop.open({"car": 2, "bus": 2}, hold_seconds=10, limit=3)
    return await shop.paid("ann", ("car", 1), ("bus", 2))


async def counters(shop: Shop) -> list[tuple[int, int, int]]:
    return [(item.available, item.held, item.sold) for item in (await shop.state()).stock]


async def test_an_order_is_undone_and_its_units_go_back_on_sale(shop: Shop, order: Reservation) -> None:
    answer = await shop.refund(order.token, reason="wrong colour")
    assert (answer.outcome, answer.now_ms) == (Refund.DONE, shop.now_ms)
    assert answer.reservation == replace(order, state=State.REFUNDED)
    assert answer.payment is not None
    assert answer.payment.status is PaymentStatus.REFUNDING
    assert answer.payment.charges == (Charge("sim:1", CNY_300, Fate.REFUNDING),)
    assert await counters(shop) == [(2, 0, 0), (2, 0, 0)]
    look = await shop.look(customers=["ann"], tokens=[order.token])
    assert (look.reservations, look.payments) == ((answer.reservation,), (answer.payment,))
    assert look.entries == ((Entry(order.token, 0),),)
    fact = (await shop.facts())[-1]
    assert (fact.type, fact.token, fact.refunded()) == (
        "reservation.refunded",
        order.token,
        Refunded(2, True, "card", CNY_300, "sim:1", "wrong colour"),
    )
    job = (await shop.jobs())[-1]
    assert (job.kind, job.token, job.refunded()) == ("refund", order.token, (CNY_300, "sim:1"))
    again = await shop.hold("ann", ("car", 1), ("bus", 2))
    assert again.place == 2


async def test_units_that_are_gone_stay_sold_and_free_the_limit_all_the_same(
    shop: Shop, order: Reservation
) -> None:
    await shop.refund(order.token, restock=False)
    assert await counters(shop) == [(1, 0, 1), (0, 0, 2)]
    assert await shop.entries("ann") == (Entry(order.token, 0),)
    undone = (await shop.facts())[-1].refunded()
    assert (undone.restocked, undone.reason) == (False, "broken")
    await shop.hold("ann", ("car", 1))
    assert await shop.refused("bob", ("bus", 1)) is Reserve.SOLD_OUT


async def test_an_order_is_undone_once(shop: Shop, order: Reservation) -> None:
    first = await shop.refund(order.token)
    before = await shop.snapshot()
    again = await shop.refund(order.token, restock=False)
    assert again.outcome is Refund.ALREADY_REFUNDED
    assert (again.reservation, again.payment) == (first.reservation, first.payment)
    assert await shop.snapshot() == before


OTHERS: dict[str, Callable[[Shop, Reservation], Awaitable[object]]] = {
    "held": lambda shop, held: shop.pay(held),
    "cancelled": lambda shop, held: shop.cancel(held.token),
    "overdue": lambda shop, _: later(shop),
    "expired": lambda shop, _: swept(shop),
}


async def later(shop: Shop) -> None:
    shop.clock.advance(10)


async def swept(shop: Shop) -> None:
    shop.clock.advance(10)
    await shop.expire()


@pytest.mark.parametrize("case", OTHERS)
async def test_what_is_no_order_cannot_be_undone(shop: Shop, order: Reservation, case: str) -> None:
    held = await shop.hold("bob")
    await OTHERS[case](shop, held)
    before = await shop.snapshot()
    answer = await shop.refund(held.token)
    assert (answer.outcome, answer.reservation is None) == (Refund.NOT_CONFIRMED, False)
    assert answer.payment == await shop.payment(held.token)
    assert await shop.snapshot() == before


async def test_an_unknown_order_cannot_be_undone(shop: Shop, order: Reservation) -> None:
    before = await shop.snapshot()
    answer = await shop.refund(STRANGER)
    assert (answer.outcome, answer.reservation, answer.payment) == (Refund.UNKNOWN_RESERVATION, None, None)
    assert await shop.snapshot() == before


async def test_only_the_charge_of_the_order_is_given_back_again(shop: Shop, order: Reservation) -> None:
    """A second charge is on its way back already, or there."""
    await shop.confirm(shop.charge(order, "sim:2"), shop.charge(order, "sim:3"))
    await shop.settle(order.token, "sim:2")
    jobs = await shop.jobs()
    await shop.refund(order.token)
    (job,) = (await shop.jobs())[len(jobs) :]
    assert job.refunded() == (CNY_300, "sim:1")
    payment = await shop.payment(order.token)
    assert payment is not None
    assert [charge.fate for charge in payment.charges] == [Fate.REFUNDING, Fate.REFUNDED, Fate.REFUNDING]


async def test_refunds_outlive_the_sale(shop: Shop, order: Reservation) -> None:
    await shop.set_state("close")
    assert (await shop.refund(order.token)).outcome is Refund.DONE
    assert await shop.settle(order.token) is Settle.DONE


# --- settle ---


async def test_a_charge_was_given_back(shop: Shop, order: Reservation) -> None:
    await shop.refund(order.token)
    shop.clock.advance(1)
    job = (await shop.take_jobs())[-1]
    assert await shop.settle(order.token, refund_id="re_7", entry_id=job.entry_id) is Settle.DONE
    payment = await shop.payment(order.token)
    assert payment is not None
    assert payment.status is PaymentStatus.REFUNDED
    assert payment.charges == (Charge("sim:1", CNY_300, Fate.REFUNDED),)
    fact = (await shop.facts())[-1]
    assert (fact.type, fact.token, fact.at_ms) == ("charge.refunded", order.token, shop.now_ms)
    assert fact.charge_refunded() == ("sim:1", "re_7")
    assert await shop.job_kinds() == ["wake"]
    assert (await shop.store.redis.xpending(shop.keys.payments, GROUP))["pending"] == 1


async def test_it_is_given_back_once_and_the_job_is_done_all_the_same(shop: Shop, order: Reservation) -> None:
    await shop.refund(order.token)
    await shop.settle(order.token)
    before = await shop.snapshot()
    job = (await shop.jobs())[-1]
    assert await shop.settle(order.token, refund_id="re_8", entry_id=job.entry_id) is Settle.ALREADY_SETTLED
    after = await shop.snapshot()
    assert after["payments"] == before["payments"][:-1]
    assert {**after, "payments": None} == {**before, "payments": None}


async def test_an_order_is_not_given_back_unasked(shop: Shop, order: Reservation) -> None:
    before = await shop.snapshot()
    assert await shop.settle(order.token) is Settle.IS_ORDER
    assert await shop.snapshot() == before


@pytest.mark.parametrize("token", ["its own", STRANGER])
async def test_an_unknown_charge_is_unknown(shop: Shop, order: Reservation, token: str) -> None:
    before = await shop.snapshot()
    found = await shop.settle(order.token if token == "its own" else token, "sim:9")
    assert found is Settle.UNKNOWN_CHARGE
    assert await shop.snapshot() == before


async def test_the_payment_is_back_when_all_charges_are(shop: Shop, order: Reservation) -> None:
    await shop.confirm(shop.charge(order, "sim:2"))
    await shop.refund(order.token)
    found = []
    for reference in ("sim:2", "sim:1"):
        await shop.settle(order.token, reference)
        payment = await shop.payment(order.token)
        assert payment is not None
        found.append(payment.status)
    assert found == [PaymentStatus.REFUNDING, PaymentStatus.REFUNDED]


async def test_giving_a_second_charge_back_leaves_the_order_paid(shop: Shop, order: Reservation) -> None:
    await shop.confirm(shop.charge(order, "sim:2"))
    assert await shop.settle(order.token, "sim:2") is Settle.DONE
    payment = await shop.payment(order.token)
    assert payment is not None
    assert payment.status is PaymentStatus.PAID


async def test_a_hold_can_be_paid_after_its_wrong_charge_was_given_back(shop: Shop) -> None:
    await shop.open({"car": 1})
    held = await shop.hold("ann")
    await shop.pay(held)
    await shop.confirm(replace(shop.charge(held), money=Money(1, "EUR")))
    await shop.settle(held.token)
    payment = await shop.payment(held.token)
    assert payment is not None
    assert payment.status is PaymentStatus.REFUNDED
    await shop.pay(held)
    assert await shop.confirmed(shop.charge(held, "sim:2", attempt=2)) == [Confirm.CONFIRMED]
    report = await shop.audit()
    assert (report.money.orders.amount, [each.currency for each in report.other_money]) == (100, ["EUR"])
    assert report.other_money[0].refunds.amount == 1


async def test_charges_of_nobodys_reservation_are_given_back(shop: Shop, order: Reservation) -> None:
    stranger = replace(order, token=STRANGER)
    await shop.confirm(shop.charge(stranger, "sim:8"))
    assert await shop.settle(STRANGER, "sim:8") is Settle.DONE
    payment = await shop.payment(STRANGER)
    assert payment is not None
    assert payment.status is PaymentStatus.REFUNDED
