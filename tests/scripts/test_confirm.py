"""`confirm`: what becomes of a charge, in order of precedence, and what is written of it."""

from dataclasses import replace

import pytest

from flashsale.model.outcomes import Confirm, Pay, Resolve
from flashsale.model.payment import Charge, Fate, Money, PaymentRecord, PaymentStatus
from flashsale.model.reservation import Entry, Reservation, State
from flashsale.scripts.payments import GROUP, ChargeClaim, ChargeDecision
from flashsale.scripts.reserve import RECLAIM_LIMIT
from tests.support.sales import claim
from tests.support.shop import Shop

CNY_100 = Money(100, "CNY")
STRANGER = "x" * 16


@pytest.fixture
async def held(shop: Shop) -> Reservation:
    """ann's hold of one car of two, for ten seconds, with a payment that the provider knows as sim:1."""
    await shop.open({"car": 2}, hold_seconds=10, limit=1)
    held = await shop.hold("ann")
    await shop.pay(held, rate=0)
    await shop.attempt(held.token, PaymentStatus.REQUIRES_ACTION, "sim:1")
    await shop.done(*await shop.take_jobs())
    return held


async def payment(shop: Shop, held: Reservation) -> PaymentRecord:
    found = await shop.payment(held.token)
    assert found is not None
    return found


async def state(shop: Shop, held: Reservation) -> State:
    (found,) = (await shop.look(tokens=[held.token])).reservations
    assert found is not None
    return found.state


async def counters(shop: Shop) -> tuple[int, int, int]:
    item = await shop.stock()
    return item.available, item.held, item.sold


async def refused(shop: Shop, charge: ChargeClaim, outcome: Confirm) -> None:
    """Decides a charge, which is given back for this reason: by one fact and one job, and nothing else is changed."""
    before, facts = await counters(shop), len(await shop.facts())
    assert await shop.confirm(charge) == [ChargeDecision(outcome, Fate.REFUNDING)]
    assert await counters(shop) == before
    (fact,) = await shop.facts(after=facts)
    said = fact.charge_refused()
    assert (fact.type, fact.token) == ("charge.refused", charge.token)
    assert (said.reason, said.money, said.reference) == (outcome, charge.money, charge.reference)
    job = (await shop.jobs())[-1]
    assert (job.kind, job.token, job.refunded()) == ("refund", charge.token, (charge.money, charge.reference))
    record = await shop.payment(charge.token)
    assert record is not None
    assert record.charges[-1] == Charge(charge.reference, charge.money, Fate.REFUNDING)
    before_again = await shop.snapshot()
    assert await shop.confirm(charge) == [ChargeDecision(Confirm.REPLAYED, Fate.REFUNDING)]
    assert await shop.snapshot() == before_again


# --- what becomes an order ---


async def test_a_charge_in_time_makes_the_order(shop: Shop, held: Reservation) -> None:
    assert await shop.confirm(shop.charge(held)) == [ChargeDecision(Confirm.CONFIRMED, Fate.ORDER)]
    assert await counters(shop) == (1, 0, 1)
    look = await shop.look(customers=["ann"], tokens=[held.token])
    assert look.reservations == (replace(held, state=State.CONFIRMED),)
    assert look.ends_ms == (None,)
    assert look.entries == ((Entry(held.token, 1),),)  # it still counts against the limit
    assert look.payments == (
        PaymentRecord(
            PaymentStatus.PAID, 1, "card", CNY_100, "sim:1", (Charge("sim:1", CNY_100, Fate.ORDER),)
        ),
    )
    fact = (await shop.facts())[-1]
    paid = fact.confirmed()
    assert (fact.type, fact.token, paid.late, paid.method) == (
        "reservation.confirmed",
        held.token,
        False,
        "card",
    )
    assert (paid.sequence, paid.money, paid.reference) == (1, CNY_100, "sim:1")
    assert await shop.jobs() == []


async def test_what_was_paid_is_never_swept_nor_cancelled(shop: Shop, held: Reservation) -> None:
    await shop.confirm(shop.charge(held))
    shop.clock.advance(60)
    assert (await shop.expire()).expired == 0
    assert (await shop.cancel(held.token)).outcome is Resolve.ALREADY_CONFIRMED
    assert await counters(shop) == (1, 0, 1)


@pytest.mark.parametrize("reference", ["sim:1", "sim:other", "r" * 239, "r" * 240, "r" * 255])
async def test_any_reference_makes_the_order(shop: Shop, held: Reservation, reference: str) -> None:
    await shop.attempt(held.token, PaymentStatus.PROCESSING, reference)
    assert await shop.confirmed(shop.charge(held, reference)) == [Confirm.CONFIRMED]
    assert (await payment(shop, held)).charges == (Charge(reference, CNY_100, Fate.ORDER),)


@pytest.mark.parametrize("name", ["", "c" * 31, "c" * 32, "ç" * 200])
async def test_any_customer_can_pay(shop: Shop, name: str) -> None:
    await shop.open({"car": 2, "b" * 64: 2})
    one, both = await shop.hold(name), await shop.hold(name, ("car", 1), ("b" * 64, 2))
    for number, held in enumerate((one, both)):
        await shop.pay(held)
        await shop.attempt(held.token, PaymentStatus.PROCESSING, f"sim:{number}")
    charges = [shop.charge(one, "sim:0"), shop.charge(both, "sim:1")]
    assert await shop.confirmed(*charges) == [Confirm.CONFIRMED] * 2
    assert [(item.available, item.held, item.sold) for item in (await shop.state()).stock] == [
        (0, 0, 2),
        (0, 0, 2),
    ]


async def test_the_webhook_may_come_before_our_own_call_has_returned(shop: Shop) -> None:
    await shop.open({"car": 1})
    held = await shop.hold("ann")
    await shop.pay(held)
    assert await shop.confirmed(shop.charge(held)) == [Confirm.CONFIRMED]
    assert await shop.waiting() == []
    assert await shop.job_kinds() == ["wake"]  # nothing to void: the provider's payment is the one that paid
    before = await shop.snapshot()
    await shop.attempt(held.token, PaymentStatus.REQUIRES_ACTION, "sim:1")
    assert await shop.snapshot() == before


async def test_an_older_attempt_pays_and_the_present_one_is_given_up(shop: Shop, held: Reservation) -> None:
    await shop.pay(held, "alipay", rate=0)
    await shop.attempt(held.token, PaymentStatus.REQUIRES_ACTION, "sim:2", attempt=2)
    assert await shop.confirmed(shop.charge(held)) == [Confirm.CONFIRMED]
    job = (await shop.jobs())[-1]
    assert (job.kind, job.voided()) == ("void", (2, "sim:2"))
    record = await payment(shop, held)
    assert (record.attempt, record.method, record.reference) == (1, "card", "sim:1")
    # The other one was paid before it could be voided.
    await refused(shop, shop.charge(held, "sim:2", attempt=2, method="alipay"), Confirm.PAID_TWICE)
    assert (await payment(shop, held)).status is PaymentStatus.PAID


@pytest.mark.parametrize("swept", [False, True])
async def test_a_late_charge_takes_the_units_again(shop: Shop, held: Reservation, swept: bool) -> None:
    shop.clock.advance(10)
    if swept:
        await shop.expire()
    assert await shop.confirm(shop.charge(held)) == [ChargeDecision(Confirm.CONFIRMED_LATE, Fate.ORDER)]
    assert await counters(shop) == (1, 0, 1)
    assert await state(shop, held) is State.CONFIRMED
    assert (await shop.fact_types())[-2:] == ["reservation.expired", "reservation.confirmed"]
    assert (await shop.facts())[-1].confirmed().late
    assert await shop.entries("ann") == (Entry(held.token, 1),)
    assert (await shop.look(tokens=[held.token])).ends_ms == (None,)


async def test_a_late_charge_takes_overdue_holds_back(shop: Shop, held: Reservation) -> None:
    shop.clock.advance(5)
    other = await shop.hold("bob")
    shop.clock.advance(5)
    await shop.expire()
    await shop.hold("cem")
    shop.clock.advance(5)  # bob's is overdue, and nobody has swept it
    assert await shop.confirmed(shop.charge(held)) == [Confirm.CONFIRMED_LATE]
    assert await state(shop, other) is State.EXPIRED
    assert await counters(shop) == (0, 1, 1)


async def test_a_late_charge_counts_after_the_sale_too(shop: Shop, held: Reservation) -> None:
    await shop.set_state("close")
    shop.clock.advance(10)
    assert await shop.confirmed(shop.charge(held)) == [Confirm.CONFIRMED_LATE]


# --- what is given back ---


async def test_the_money_of_nobodys_reservation_is_given_back(shop: Shop, held: Reservation) -> None:
    charge = ChargeClaim(STRANGER, 3, "alipay", Money(5, "EUR"), "sim:9")
    await refused(shop, charge, Confirm.UNKNOWN_RESERVATION)
    record = await shop.payment(STRANGER)
    assert record is not None
    assert (record.status, record.attempt, record.method) == (PaymentStatus.REFUNDING, 0, "alipay")
    assert (await shop.look(tokens=[STRANGER])).reservations == (None,)


async def test_what_nobody_has_asked_for_is_given_back(shop: Shop, held: Reservation) -> None:
    other = await shop.hold("bob")
    await refused(shop, shop.charge(other, "sim:9"), Confirm.NOT_REQUESTED)
    await refused(shop, shop.charge(other, "sim:10"), Confirm.NOT_REQUESTED)
    # It can still be paid properly.
    paying = await shop.pay(other)
    assert paying.outcome is Pay.DONE
    assert paying.payment is not None
    assert paying.payment.attempt == 1
    assert await shop.confirmed(shop.charge(other, "sim:11")) == [Confirm.CONFIRMED]


@pytest.mark.parametrize(
    "money", [Money(99, "CNY"), Money(101, "CNY"), Money(0, "CNY"), Money(100, "EUR"), Money(100 << 8, "CNY")]
)
async def test_too_little_too_much_or_another_currency_is_given_back(
    shop: Shop, held: Reservation, money: Money
) -> None:
    await refused(shop, replace(shop.charge(held), money=money), Confirm.WRONG_AMOUNT)
    assert await state(shop, held) is State.HELD
    record = await payment(shop, held)
    assert record.status is PaymentStatus.REFUNDING
    assert (await shop.pay(held)).outcome is Pay.DONE  # the hold is still there, to be paid properly
    assert await shop.confirmed(shop.charge(held, "sim:2", attempt=2)) == [Confirm.CONFIRMED]


async def test_the_wrong_amount_of_an_older_attempt_leaves_the_present_one_alone(
    shop: Shop, held: Reservation
) -> None:
    await shop.pay(held, "alipay")
    wrong = replace(shop.charge(held), money=Money(1, "CNY"))
    assert await shop.confirmed(wrong) == [Confirm.WRONG_AMOUNT]
    assert (await payment(shop, held)).status is PaymentStatus.QUEUED
    assert await shop.waiting() == [held.token]


async def test_a_second_charge_is_given_back(shop: Shop, held: Reservation) -> None:
    await shop.confirm(shop.charge(held))
    await refused(shop, shop.charge(held, "sim:2"), Confirm.PAID_TWICE)
    record = await payment(shop, held)
    assert (record.status, record.reference) == (PaymentStatus.PAID, "sim:1")
    assert [charge.fate for charge in record.charges] == [Fate.ORDER, Fate.REFUNDING]


async def test_what_comes_after_the_hold_was_cancelled_is_given_back(shop: Shop, held: Reservation) -> None:
    await shop.cancel(held.token)
    await refused(shop, shop.charge(held), Confirm.CANCELLED)
    assert await state(shop, held) is State.CANCELLED
    assert (await payment(shop, held)).status is PaymentStatus.REFUNDING


async def test_what_comes_after_the_refund_is_given_back(shop: Shop, held: Reservation) -> None:
    await shop.confirm(shop.charge(held))
    await shop.refund(held.token)
    await shop.settle(held.token, "sim:1")
    assert (await payment(shop, held)).status is PaymentStatus.REFUNDED
    assert await shop.confirm(shop.charge(held)) == [ChargeDecision(Confirm.REPLAYED, Fate.REFUNDED)]
    await refused(shop, shop.charge(held, "sim:2"), Confirm.REFUNDED)
    assert await state(shop, held) is State.REFUNDED
    assert (await payment(shop, held)).status is PaymentStatus.REFUNDING


async def test_a_late_charge_of_a_customer_who_has_others_since_is_given_back(
    shop: Shop, held: Reservation
) -> None:
    shop.clock.advance(10)
    await shop.hold("ann")
    await refused(shop, shop.charge(held), Confirm.LIMIT_REACHED)
    assert await state(shop, held) is State.EXPIRED


async def test_the_limit_of_an_item_counts_for_a_late_charge(shop: Shop) -> None:
    await shop.open({"car": 9}, item_limits={"car": 2}, hold_seconds=10)
    held = await shop.hold("ann", ("car", 2))
    await shop.pay(held)
    shop.clock.advance(10)
    other = await shop.hold("ann")
    await refused(shop, shop.charge(held), Confirm.LIMIT_REACHED)
    # Not when the other hold is overdue too.
    await shop.pay(other)
    shop.clock.advance(10)
    assert await shop.confirmed(shop.charge(held, "sim:2")) == [Confirm.CONFIRMED_LATE]
    await refused(shop, shop.charge(other, "sim:3"), Confirm.LIMIT_REACHED)


async def test_a_late_charge_without_stock_is_given_back(shop: Shop, held: Reservation) -> None:
    shop.clock.advance(10)
    for name in ("bob", "cem"):
        await shop.hold(name)
    await refused(shop, shop.charge(held), Confirm.SOLD_OUT)
    assert await state(shop, held) is State.EXPIRED


async def test_a_late_charge_of_which_one_item_is_gone_takes_none(shop: Shop) -> None:
    await shop.open({"car": 1, "bus": 1}, hold_seconds=10)
    held = await shop.hold("ann", ("car", 1), ("bus", 1))
    await shop.pay(held)
    shop.clock.advance(10)
    await shop.hold("bob", ("bus", 1))
    await refused(shop, shop.charge(held), Confirm.SOLD_OUT)


# --- precedence, batches and the queue ---


async def test_the_first_reason_that_applies_is_given(shop: Shop, held: Reservation) -> None:
    wrong = replace(shop.charge(held, "sim:2"), money=Money(7, "EUR"))
    await shop.confirm(shop.charge(held))
    await refused(shop, wrong, Confirm.WRONG_AMOUNT)  # not PAID_TWICE
    await shop.refund(held.token)
    await refused(shop, replace(wrong, reference="sim:3"), Confirm.WRONG_AMOUNT)  # not REFUNDED
    other = await shop.hold("bob")
    await shop.cancel(other.token)
    await refused(shop, shop.charge(other, "sim:4"), Confirm.NOT_REQUESTED)  # not CANCELLED


async def test_a_late_charge_over_the_limit_says_so_before_it_is_sold_out(shop: Shop) -> None:
    await shop.open({"car": 1}, limit=1, hold_seconds=10)
    held = await shop.hold("ann")
    await shop.pay(held)
    shop.clock.advance(10)
    await shop.hold("ann")
    await refused(shop, shop.charge(held), Confirm.LIMIT_REACHED)


async def test_a_batch_is_decided_in_its_order(shop: Shop, held: Reservation) -> None:
    first, second = shop.charge(held), shop.charge(held, "sim:2")
    assert await shop.confirm(first, second, first, second) == [
        ChargeDecision(Confirm.CONFIRMED, Fate.ORDER),
        ChargeDecision(Confirm.PAID_TWICE, Fate.REFUNDING),
        ChargeDecision(Confirm.REPLAYED, Fate.ORDER),
        ChargeDecision(Confirm.REPLAYED, Fate.REFUNDING),
    ]
    assert len((await payment(shop, held)).charges) == 2
    assert await counters(shop) == (1, 0, 1)


async def test_late_charges_of_one_batch_share_what_is_left(shop: Shop) -> None:
    await shop.open({"car": 3}, hold_seconds=10)
    holds = [await shop.hold(name) for name in ("ann", "bob", "cem")]
    for held in holds:
        await shop.pay(held, rate=0)
    shop.clock.advance(10)
    await shop.hold("dan", ("car", 2))
    charges = [shop.charge(held, f"sim:{n}") for n, held in enumerate(holds)]
    assert await shop.confirmed(*charges) == [Confirm.CONFIRMED_LATE, Confirm.SOLD_OUT, Confirm.SOLD_OUT]
    assert await counters(shop) == (0, 2, 1)


async def test_the_jobs_that_brought_charges_are_done_with_their_fate(shop: Shop, held: Reservation) -> None:
    for payload in (b"1", b"2", b"3"):
        await shop.store.redis.xadd(shop.keys.payments, {"event": payload})
    first, second, third = await shop.take_jobs()
    await shop.confirm(
        replace(shop.charge(held), entry_id=first.entry_id),
        replace(shop.charge(held), entry_id=second.entry_id),
    )
    assert await shop.jobs() == [third]
    pending = await shop.store.redis.xpending(shop.keys.payments, GROUP)
    assert pending["pending"] == 1


async def test_with_more_overdue_holds_than_one_call_takes_back_nothing_is_decided(shop: Shop) -> None:
    """The charge stays in the queue, to be tried again."""
    await shop.open({"car": 1, "bus": RECLAIM_LIMIT}, hold_seconds=10)
    held = await shop.hold("ann", ("car", 1))
    await shop.pay(held, rate=0)
    shop.clock.advance(10)
    await shop.reserve(*[claim(f"c{n}", ("bus", 1)) for n in range(RECLAIM_LIMIT)])
    shop.clock.advance(1)
    await shop.hold("zoe", ("car", 1))
    shop.clock.advance(10)
    (job,) = await shop.jobs()
    charge = replace(shop.charge(held), entry_id=job.entry_id)
    assert await shop.confirm(charge) == [ChargeDecision(Confirm.RECLAIMING, None)]
    assert await shop.jobs() == [job]
    assert (await payment(shop, held)).charges == ()
    assert await shop.confirmed(charge) == [Confirm.CONFIRMED_LATE]
    assert await shop.jobs() == []
