"""`attempt`, and `cancel` with a payment under way: each outcome in order of precedence, and what it writes."""

import pytest

from flashsale.model.outcomes import Attempt, Confirm, Resolve
from flashsale.model.payment import Money, PaymentRecord, PaymentStatus
from flashsale.model.reservation import Reservation
from flashsale.scripts import payments
from tests.support.shop import Shop

CNY_100 = Money(100, "CNY")


@pytest.fixture
async def held(shop: Shop) -> Reservation:
    """ann's hold of one car of three, for ten seconds."""
    await shop.open({"car": 3}, hold_seconds=10)
    return await shop.hold("ann")


async def test_what_the_customer_has_to_do_is_recorded(shop: Shop, held: Reservation) -> None:
    await shop.pay(held)
    action = {"type": "redirect", "url": "https://bank.example/ü"}
    answered = await shop.attempt(
        held.token, PaymentStatus.REQUIRES_ACTION, "sim:1", details={"action": action}
    )
    assert (answered.outcome, answered.reservation) == (Attempt.DONE, held)
    record = await shop.payment(held.token)
    assert (
        record
        == answered.payment
        == PaymentRecord(PaymentStatus.REQUIRES_ACTION, 1, "card", CNY_100, "sim:1", (), {"action": action})
    )
    assert record is not None
    assert record.action == action
    assert await shop.waiting() == []


async def test_an_empty_reference_keeps_the_one_there_is(shop: Shop, held: Reservation) -> None:
    await shop.pay(held)
    await shop.attempt(held.token, PaymentStatus.PROCESSING, "sim:1")
    await shop.attempt(held.token, PaymentStatus.FAILED, details={"error": "declined"})
    record = await shop.payment(held.token)
    assert record is not None
    assert (record.reference, record.status, record.error) == ("sim:1", PaymentStatus.FAILED, "declined")


async def test_success_after_failure_is_recorded(shop: Shop, held: Reservation) -> None:
    await shop.pay(held)
    await shop.attempt(held.token, PaymentStatus.FAILED, "sim:1", details={"error": "declined"})
    assert (await shop.attempt(held.token, PaymentStatus.PROCESSING)).outcome is Attempt.DONE
    assert await shop.confirmed(shop.charge(held)) == [Confirm.CONFIRMED]


async def test_failure_after_success_is_too_late(shop: Shop, held: Reservation) -> None:
    await shop.pay(held)
    assert await shop.confirmed(shop.charge(held)) == [Confirm.CONFIRMED]
    before = await shop.snapshot()
    assert (await shop.attempt(held.token, PaymentStatus.FAILED)).outcome is Attempt.OVER
    assert await shop.snapshot() == before


async def test_nobody_has_heard_of_it(shop: Shop, held: Reservation) -> None:
    before = await shop.snapshot()
    for token, reservation in ((held.token, held), ("x" * 16, None)):
        answered = await shop.attempt(token, PaymentStatus.FAILED)
        assert (answered.outcome, answered.reservation, answered.payment) == (
            Attempt.UNKNOWN_PAYMENT,
            reservation,
            None,
        )
    assert await shop.snapshot() == before


async def test_an_older_attempt_changes_nothing(shop: Shop, held: Reservation) -> None:
    await shop.pay(held)
    await shop.pay(held, "alipay")
    before = await shop.snapshot()
    for number in (1, 3):
        answered = await shop.attempt(held.token, PaymentStatus.FAILED, "sim:1", attempt=number)
        assert answered.outcome is Attempt.SUPERSEDED
    assert await shop.snapshot() == before


async def test_of_a_cancelled_hold_nobody_is_asked_to_pay(shop: Shop, held: Reservation) -> None:
    await shop.pay(held)
    await shop.cancel(held.token)
    before = await shop.snapshot()
    answered = await shop.attempt(held.token, PaymentStatus.REQUIRES_ACTION, "sim:1")
    assert answered.outcome is Attempt.OVER
    assert answered.payment is not None
    assert answered.payment.status is PaymentStatus.CANCELLED
    assert await shop.snapshot() == before


@pytest.mark.parametrize("swept", [False, True])
async def test_of_an_ended_hold_nobody_is_asked_to_pay(shop: Shop, held: Reservation, swept: bool) -> None:
    await shop.pay(held)
    shop.clock.advance(10)
    if swept:
        await shop.expire()
    answered = await shop.attempt(held.token, PaymentStatus.REQUIRES_ACTION, "sim:1")
    assert answered.outcome is Attempt.OVER
    assert answered.payment is not None
    assert (answered.payment.status, answered.payment.reference) == (PaymentStatus.CANCELLED, "sim:1")
    assert await shop.waiting() == []


async def test_that_an_ended_hold_was_declined_is_recorded(shop: Shop, held: Reservation) -> None:
    await shop.pay(held)
    shop.clock.advance(10)
    answered = await shop.attempt(held.token, PaymentStatus.FAILED, "sim:1", details={"error": "no"})
    assert answered.outcome is Attempt.DONE
    assert answered.payment is not None
    assert answered.payment.status is PaymentStatus.FAILED


@pytest.mark.parametrize("status", [PaymentStatus.REQUIRES_ACTION, PaymentStatus.FAILED])
async def test_cancelling_a_hold_ends_its_payment_at_the_provider(
    shop: Shop, held: Reservation, status: PaymentStatus
) -> None:
    await shop.pay(held)
    await shop.attempt(held.token, status, "sim:1")
    assert (await shop.cancel(held.token)).outcome is Resolve.DONE
    payment = await shop.payment(held.token)
    assert payment is not None
    assert (payment.status, payment.reference) == (PaymentStatus.CANCELLED, "sim:1")
    job = (await shop.jobs())[-1]
    assert (job.kind, job.token, job.voided()) == ("void", held.token, (1, "sim:1"))


async def test_cancelling_a_hold_whose_payment_waits_tells_nobody(shop: Shop, held: Reservation) -> None:
    await shop.pay(held)
    await shop.cancel(held.token)
    assert await shop.job_kinds() == ["wake"]
    assert await shop.waiting() == []
    payment = await shop.payment(held.token)
    assert payment is not None
    assert payment.status is PaymentStatus.CANCELLED


async def test_cancelling_too_late_leaves_the_payment_to_the_charge_that_may_come(
    shop: Shop, held: Reservation
) -> None:
    await shop.pay(held)
    await shop.attempt(held.token, PaymentStatus.REQUIRES_ACTION, "sim:1")
    shop.clock.advance(10)
    assert (await shop.cancel(held.token)).outcome is Resolve.ALREADY_EXPIRED
    assert await shop.job_kinds() == ["wake"]
    assert await shop.confirmed(shop.charge(held)) == [Confirm.CONFIRMED_LATE]


async def test_the_job_is_done_only_when_nothing_is_left_to_do(shop: Shop) -> None:
    """Of an attempt that is over or superseded the provider has still to be told."""
    await shop.open({"car": 9}, hold_seconds=10)
    holds = [await shop.hold(name) for name in ("ann", "bob", "cem", "dan")]
    for held in holds[:3]:
        await shop.pay(held, rate=0)
    await shop.store.redis.xadd(shop.keys.payments, {"start": holds[3].token})
    await shop.cancel(holds[1].token)
    await shop.pay(holds[2], "alipay", rate=0)
    jobs = (await shop.take_jobs())[:4]
    tries = [
        payments.Try(held.token, 1, PaymentStatus.PROCESSING, f"sim:{number}", {}, job.entry_id)
        for number, (held, job) in enumerate(zip(holds, jobs, strict=True))
    ]
    answers = await payments.attempt(shop.store.redis, shop.keys, tries, now_ms=shop.now_ms)
    assert [answered.outcome for answered in answers] == [
        Attempt.DONE,
        Attempt.OVER,
        Attempt.SUPERSEDED,
        Attempt.UNKNOWN_PAYMENT,
    ]
    left = [job.entry_id for job in await shop.jobs()]
    assert [job.entry_id in left for job in jobs] == [False, True, True, True]
