"""`pay`: each outcome in order of precedence, and what it writes."""

from collections.abc import Awaitable, Callable

import pytest

from flashsale.model.outcomes import Confirm, Pay, Resolve
from flashsale.model.payment import METHODS, Money, PaymentRecord, PaymentStatus
from flashsale.model.reservation import Reservation, State
from flashsale.scripts import payments
from tests.support.shop import Shop

CNY_100 = Money(100, "CNY")


@pytest.fixture
async def held(shop: Shop) -> Reservation:
    """ann's hold of one car of three, for ten seconds."""
    await shop.open({"car": 3}, hold_seconds=10)
    return await shop.hold("ann")


async def test_a_payment_is_queued(shop: Shop, held: Reservation) -> None:
    paying = await shop.pay(held, "alipay")
    record = PaymentRecord(PaymentStatus.QUEUED, 1, "alipay", CNY_100)
    assert (paying.outcome, paying.now_ms, paying.ahead) == (Pay.DONE, shop.now_ms, 0)
    assert (paying.reservation, paying.payment) == (held, record)
    assert await shop.payment(held.token) == record
    assert await shop.waiting() == [held.token]
    assert await shop.job_kinds() == ["wake"]  # or nobody would look at the turns
    look = await shop.look(tokens=[held.token])
    assert look.ahead == (0,)
    assert look.sale is not None
    assert (look.sale.jobs, look.sale.turns) == (1, 1)


async def test_without_a_rate_it_goes_to_the_workers_at_once(shop: Shop, held: Reservation) -> None:
    assert (await shop.pay(held, rate=0)).outcome is Pay.DONE
    (job,) = await shop.jobs()
    assert (job.kind, job.token, job.tries) == ("start", held.token, 0)
    assert await shop.waiting() == []


async def test_one_wake_is_enough_for_all_that_wait(shop: Shop) -> None:
    await shop.open({"car": 3})
    for name in ("ann", "bob", "cem"):
        await shop.pay(await shop.hold(name))
    assert await shop.job_kinds() == ["wake"]


@pytest.mark.parametrize("method", METHODS)
async def test_the_method_is_kept(shop: Shop, held: Reservation, method: str) -> None:
    await shop.pay(held, method)
    payment = await shop.payment(held.token)
    assert payment is not None
    assert payment.method == method


async def test_the_first_payment_extends_the_hold_once(shop: Shop, held: Reservation) -> None:
    shop.clock.advance(3)
    paying = await shop.pay(held, extension_s=60)
    until = held.held_until_ms + 60_000
    assert paying.reservation is not None
    assert (paying.reservation.held_until_ms, paying.reservation.extended) == (until, True)
    fact = (await shop.facts())[-1]
    assert (fact.type, fact.token, fact.extended_until_ms()) == ("reservation.extended", held.token, until)
    assert (await shop.look(tokens=[held.token])).ends_ms == (until,)
    again = await shop.pay(held, "alipay", extension_s=60)
    assert (again.outcome, again.reservation) == (Pay.DONE, paying.reservation)
    assert (await shop.extend(held.token, 60)).outcome is Resolve.ALREADY_EXTENDED


async def test_a_hold_that_was_extended_before_is_not_extended_again(shop: Shop, held: Reservation) -> None:
    extended = (await shop.extend(held.token, 5)).reservation
    assert (await shop.pay(held, extension_s=60)).reservation == extended


async def test_the_expected_wait_extends_the_hold_too(shop: Shop) -> None:
    await shop.open({"car": 9}, hold_seconds=10)
    holds = [await shop.hold(f"c{n}") for n in range(4)]
    ends = []
    for place, hold in enumerate(holds):
        paying = await shop.pay(hold, extension_s=60, rate=2)
        assert paying.ahead == place
        assert paying.reservation is not None
        ends.append(paying.reservation.held_until_ms - hold.held_until_ms)
    assert ends == [60_000, 60_500, 61_000, 61_500]


async def test_the_wait_alone_extends_the_hold(shop: Shop) -> None:
    await shop.open({"car": 9}, hold_seconds=10)
    first, second = await shop.hold("ann"), await shop.hold("bob")
    assert (await shop.pay(first, rate=3)).reservation == first
    paying = await shop.pay(second, rate=3)
    assert paying.reservation is not None
    assert paying.reservation.held_until_ms == second.held_until_ms + 333


async def test_those_with_lower_places_go_first(shop: Shop) -> None:
    await shop.open({"car": 9})
    ann, bob, cem = [await shop.hold(name) for name in ("ann", "bob", "cem")]
    assert [(await shop.pay(hold)).ahead for hold in (cem, ann, bob)] == [0, 0, 1]
    assert (await shop.look(tokens=[ann.token, bob.token, cem.token])).ahead == (0, 1, 2)
    assert await shop.waiting() == [ann.token, bob.token, cem.token]


async def test_asking_again_with_the_same_method_changes_nothing(shop: Shop, held: Reservation) -> None:
    other = await shop.hold("bob")
    first = await shop.pay(held)
    await shop.pay(other)
    before = await shop.snapshot()
    again = await shop.pay(held, queue_limit=0, extension_s=60)
    assert again.outcome is Pay.UNDER_WAY
    assert (again.payment, again.reservation) == (first.payment, first.reservation)
    assert (await shop.pay(other)).ahead == 1
    await shop.attempt(other.token, PaymentStatus.PROCESSING, "sim:2")
    assert (await shop.pay(other)).ahead == 0  # it waits no more
    await shop.attempt(other.token, PaymentStatus.REQUIRES_ACTION)
    assert (await shop.pay(other)).outcome is Pay.UNDER_WAY
    assert before["attempts"].keys() == (await shop.snapshot())["attempts"].keys()


async def test_another_method_is_another_attempt_and_the_provider_is_told(
    shop: Shop, held: Reservation
) -> None:
    await shop.pay(held)
    await shop.attempt(held.token, PaymentStatus.REQUIRES_ACTION, "sim:1", details={"action": {"url": "u"}})
    paying = await shop.pay(held, "alipay")
    assert paying.outcome is Pay.DONE
    assert paying.payment == PaymentRecord(PaymentStatus.QUEUED, 2, "alipay", CNY_100)
    jobs = await shop.jobs()
    assert [job.kind for job in jobs] == ["wake", "void", "wake"]
    assert (jobs[1].token, jobs[1].voided()) == (held.token, (1, "sim:1"))
    assert await shop.waiting() == [held.token]


async def test_another_method_before_the_provider_knows_keeps_the_turn(shop: Shop, held: Reservation) -> None:
    await shop.pay(held)
    assert (await shop.pay(held, "alipay")).outcome is Pay.DONE
    assert await shop.waiting() == [held.token]
    assert await shop.job_kinds() == ["wake"]


@pytest.mark.parametrize("status", [PaymentStatus.FAILED, PaymentStatus.CANCELLED])
async def test_after_a_failure_the_same_method_is_another_attempt(
    shop: Shop, held: Reservation, status: PaymentStatus
) -> None:
    await shop.pay(held)
    await shop.attempt(held.token, status, "sim:1", details={"error": "declined"})
    paying = await shop.pay(held)
    assert (paying.outcome, paying.payment) == (
        Pay.DONE,
        PaymentRecord(PaymentStatus.QUEUED, 2, "card", CNY_100),
    )
    # A failed payment may still be tried again at the provider, one that is cancelled there may not.
    assert ("void" in await shop.job_kinds()) is (status is PaymentStatus.FAILED)


async def test_earlier_charges_stay_in_the_record(shop: Shop, held: Reservation) -> None:
    await shop.pay(held)
    wrong = shop.charge(held)
    await shop.confirm(type(wrong)(held.token, 1, "card", Money(99, "CNY"), "sim:1"))
    before = await shop.payment(held.token)
    paying = await shop.pay(held)
    assert before is not None
    assert paying.payment is not None
    assert (paying.payment.attempt, paying.payment.charges) == (2, before.charges)
    assert paying.payment.charges[0].money == Money(99, "CNY")


async def test_there_are_no_more_than_twenty_attempts(shop: Shop, held: Reservation) -> None:
    for number in range(1, 21):
        paying = await shop.pay(held, METHODS[number % 2])
        assert paying.payment is not None
        assert (paying.outcome, paying.payment.attempt) == (Pay.DONE, number)
    before = await shop.snapshot()
    assert (await shop.pay(held, METHODS[1], queue_limit=0)).outcome is Pay.TOO_MANY_ATTEMPTS
    assert await shop.snapshot() == before


async def test_a_full_queue_takes_no_more(shop: Shop, held: Reservation) -> None:
    other = await shop.hold("bob")
    assert (await shop.pay(held, queue_limit=1)).outcome is Pay.DONE  # a wake and a turn
    before = await shop.snapshot()
    assert (await shop.pay(other, queue_limit=2, extension_s=60)).outcome is Pay.BUSY
    assert await shop.snapshot() == before
    assert (await shop.pay(other, queue_limit=3)).outcome is Pay.DONE


async def test_an_unknown_reservation_cannot_be_paid(shop: Shop, held: Reservation) -> None:
    before = await shop.snapshot()
    stranger = Reservation("x" * 16, State.HELD, False, 0, 0, 1, "eve", (("car", 1),))
    paying = await shop.pay(stranger)
    assert (paying.outcome, paying.reservation, paying.payment) == (Pay.UNKNOWN_RESERVATION, None, None)
    assert await shop.snapshot() == before


async def pay_and_confirm(shop: Shop, held: Reservation) -> None:
    await shop.pay(held)
    assert await shop.confirmed(shop.charge(held)) == [Confirm.CONFIRMED]


async def pay_and_refund(shop: Shop, held: Reservation) -> None:
    await pay_and_confirm(shop, held)
    await shop.refund(held.token)


async def sweep(shop: Shop) -> None:
    shop.clock.advance(10)
    await shop.expire()


ENDS: dict[str, Callable[[Shop, Reservation], Awaitable[object]]] = {
    "CANCELLED": lambda shop, held: shop.cancel(held.token),
    "CONFIRMED": pay_and_confirm,
    "REFUNDED": pay_and_refund,
    "EXPIRED": lambda shop, _: sweep(shop),
}


@pytest.mark.parametrize("state", ENDS)
async def test_what_is_no_hold_any_more_says_how_it_ended(shop: Shop, held: Reservation, state: str) -> None:
    await ENDS[state](shop, held)
    before = await shop.snapshot()
    paying = await shop.pay(held, queue_limit=0)
    assert paying.outcome.name == f"ALREADY_{state}"
    assert paying.reservation is not None
    assert paying.reservation.state.name == state
    assert paying.payment == await shop.payment(held.token)
    assert await shop.snapshot() == before


@pytest.mark.parametrize("state", ENDS)
@pytest.mark.parametrize("verb", ["cancel", "extend"])
async def test_to_end_or_extend_it_says_so_too(shop: Shop, held: Reservation, state: str, verb: str) -> None:
    await ENDS[state](shop, held)
    before = await shop.snapshot()
    resolved = await (shop.cancel(held.token) if verb == "cancel" else shop.extend(held.token, 5))
    assert resolved.outcome.name == f"ALREADY_{state}"
    assert await shop.snapshot() == before


async def test_an_overdue_hold_is_expired_instead_of_paid(shop: Shop, held: Reservation) -> None:
    shop.clock.advance(10)
    paying = await shop.pay(held)
    assert paying.outcome is Pay.ALREADY_EXPIRED
    assert paying.reservation is not None
    assert paying.reservation.state is State.EXPIRED
    assert (await shop.fact_types())[-1] == "reservation.expired"
    assert await shop.payment(held.token) is None
    assert await shop.jobs() == []


async def test_a_hold_can_be_paid_while_the_sale_stands_still_and_after_it(
    shop: Shop, held: Reservation
) -> None:
    other = await shop.hold("bob")
    await shop.set_state("pause")
    assert (await shop.pay(held)).outcome is Pay.DONE
    await shop.set_state("close")
    assert (await shop.pay(other)).outcome is Pay.DONE
    assert (
        await shop.confirmed(shop.charge(held, "sim:1"), shop.charge(other, "sim:2"))
        == [Confirm.CONFIRMED] * 2
    )


async def test_what_a_customer_has_paid_for_is_not_held_by_others(shop: Shop) -> None:
    await shop.open({"car": 3})
    await shop.paid("ann", ("car", 2))
    await shop.hold("bob")
    assert (await shop.refusal("ann")).held_by_others == 1


async def test_a_batch_is_queued_in_its_order_by_place(shop: Shop) -> None:
    await shop.open({"car": 9}, hold_seconds=10)
    ann, bob, cem = [await shop.hold(name) for name in ("ann", "bob", "cem")]
    wishes = [(cem, "card"), (ann, "card"), (ann, "card"), (bob, "card"), (cem, "alipay"), (bob, "card")]
    answers = await payments.pay(
        shop.store.redis,
        shop.keys,
        [payments.Wish(held.token, method, CNY_100) for held, method in wishes],
        extension_ms=0,
        rate=100,
        queue_limit=4,
        now_ms=shop.now_ms,
    )
    assert [(paying.outcome, paying.ahead) for paying in answers] == [
        (Pay.DONE, 0),
        (Pay.DONE, 0),
        (Pay.UNDER_WAY, 0),
        (Pay.DONE, 1),
        (Pay.DONE, 2),
        (Pay.UNDER_WAY, 1),
    ]
    assert await shop.waiting() == [ann.token, bob.token, cem.token]
    assert await shop.job_kinds() == ["wake"]
    payment = await shop.payment(cem.token)
    assert payment is not None
    assert (payment.attempt, payment.method) == (2, "alipay")


async def test_a_batch_fills_the_queue_and_no_more(shop: Shop) -> None:
    await shop.open({"car": 9})
    holds = [await shop.hold(f"c{number}") for number in range(3)]
    answers = await payments.pay(
        shop.store.redis,
        shop.keys,
        [payments.Wish(held.token, "card", CNY_100) for held in holds],
        extension_ms=0,
        rate=0,
        queue_limit=2,
        now_ms=shop.now_ms,
    )
    assert [paying.outcome for paying in answers] == [Pay.DONE, Pay.DONE, Pay.BUSY]
    assert [job.token for job in await shop.jobs()] == [held.token for held in holds[:2]]
