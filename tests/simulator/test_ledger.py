"""The simulator's books: every charge once, no more given back than was taken, the same books from the same changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flashsale.providers.protocol import Capture, PaymentState
from flashsale.simulator.ledger import Ledger, LedgerError
from flashsale.simulator.records import Bounced, Change, Order, Outcome, Payment, RefundState

CARD = Order(3_300_000, "CNY", "card", Capture.MANUAL, "Giulia", {"shop": "flashsale"})
TRANSFER = Order(100, "EUR", "bank_transfer", Capture.AUTOMATIC)


class Desk:
    """A ledger and every change that was made to it."""

    def __init__(self) -> None:
        self.ledger = Ledger(seed=7)
        self.changes: list[Change] = []
        self.told: list[str] = []

    def do(self, change: Change | None) -> None:
        if change is not None:
            self.changes.append(change)
            event = self.ledger.apply(change)
            if event is not None:
                self.told.append(event.body.decode())

    def open(self, key: str = "shop:sale.0.token:1", order: Order = CARD, now_ms: int = 1000) -> Payment:
        self.do(self.ledger.open(key, order, now_ms))
        return self.ledger.find(self.ledger.id_of(key))

    def paid(self, key: str = "key", order: Order = TRANSFER) -> Payment:
        payment = self.open(key, order)
        self.do(self.ledger.pay(payment, Outcome.SUCCEED, 1001))
        return payment


@pytest.fixture
def desk() -> Desk:
    return Desk()


def refused(error: pytest.ExceptionInfo[LedgerError]) -> str:
    return error.value.code


def test_a_key_makes_one_payment(desk: Desk) -> None:
    first = desk.open()
    assert desk.open() is first
    assert len(desk.changes) == 1
    with pytest.raises(LedgerError) as error:
        desk.open(order=TRANSFER)
    assert refused(error) == "idempotency_mismatch"


def test_the_seed_makes_the_identifiers() -> None:
    assert Ledger(1).id_of("key") == Ledger(1).id_of("key") != Ledger(2).id_of("key")
    assert Ledger(1).id_of("key") != Ledger(1).id_of("other")


def test_a_manual_payment_is_authorised_first_and_captured_once(desk: Desk) -> None:
    payment = desk.open()
    with pytest.raises(LedgerError) as error:
        desk.ledger.capture(payment, 1)
    assert refused(error) == "not_authorised"
    desk.do(desk.ledger.pay(payment, Outcome.SUCCEED, 1))
    assert payment.state is PaymentState.AUTHORISED
    captured = desk.ledger.capture(payment, 2)
    desk.do(captured)
    assert payment.view()["status"] == "paid"
    assert desk.ledger.capture(payment, 3) is None
    assert len(desk.told) == 2


def test_an_automatic_payment_is_paid_at_once(desk: Desk) -> None:
    assert desk.paid().state is PaymentState.PAID
    assert '"type":"payment.paid"' in desk.told[0]


def test_nothing_is_paid_twice(desk: Desk) -> None:
    payment = desk.paid()
    with pytest.raises(LedgerError) as error:
        desk.ledger.pay(payment, Outcome.SUCCEED, 2)
    assert refused(error) == "already_paid"


def test_after_a_decline_it_may_be_tried_again_and_after_a_refusal_not(desk: Desk) -> None:
    payment = desk.open()
    desk.do(desk.ledger.pay(payment, Outcome.DECLINE, 1))
    assert (payment.state, payment.final) == (PaymentState.FAILED, False)
    assert payment.error
    desk.do(desk.ledger.pay(payment, Outcome.SUCCEED, 2))
    assert (payment.state, payment.error) == (PaymentState.AUTHORISED, "")
    other = desk.open("other")
    desk.do(desk.ledger.pay(other, Outcome.REFUSE, 1))
    assert (other.state, other.final) == (PaymentState.FAILED, True)
    with pytest.raises(LedgerError) as error:
        desk.ledger.pay(other, Outcome.SUCCEED, 2)
    assert refused(error) == "refused"


def test_what_is_cancelled_never_takes_money_and_what_is_paid_is_not_cancelled(desk: Desk) -> None:
    for outcome in (None, Outcome.SUCCEED, Outcome.DECLINE, Outcome.REFUSE):
        payment = desk.open(f"key-{outcome}")
        if outcome is not None:
            desk.do(desk.ledger.pay(payment, outcome, 1))
        desk.do(desk.ledger.cancel(payment, 2))
        assert payment.state is PaymentState.CANCELLED
        assert desk.ledger.cancel(payment, 3) is None
        with pytest.raises(LedgerError) as error:
            desk.ledger.pay(payment, Outcome.SUCCEED, 4)
        assert refused(error) == "cancelled"
        with pytest.raises(LedgerError):
            desk.ledger.capture(payment, 5)
    paid = desk.paid()
    assert desk.ledger.cancel(paid, 2) is None
    assert paid.state is PaymentState.PAID


def test_another_amount_or_currency_may_be_sent(desk: Desk) -> None:
    payment = desk.open("key", TRANSFER)
    desk.do(desk.ledger.pay(payment, Outcome.SUCCEED, 1, (99, "USD")))
    assert (payment.amount, payment.currency, payment.order.amount) == (99, "USD", 100)


def test_no_more_is_given_back_than_was_taken(desk: Desk) -> None:
    payment = desk.paid()
    desk.do(desk.ledger.refund(payment, "a", 60, 2))
    assert desk.ledger.refund(payment, "a", 60, 3) is None
    with pytest.raises(LedgerError) as error:
        desk.ledger.refund(payment, "a", 10, 3)
    assert refused(error) == "idempotency_mismatch"
    with pytest.raises(LedgerError) as error:
        desk.ledger.refund(payment, "b", 41, 3)
    assert refused(error) == "exceeds_charge"
    desk.do(desk.ledger.refund(payment, "c", 40, 3))
    assert payment.refunded == 100
    assert payment.state is PaymentState.PAID
    with pytest.raises(LedgerError) as error:
        desk.ledger.refund(desk.open("unpaid"), "d", 1, 3)
    assert refused(error) == "not_paid"


def test_a_refund_that_bounces_can_be_made_again(desk: Desk) -> None:
    payment = desk.paid()
    desk.do(desk.ledger.refund(payment, "a", 100, 2))
    desk.do(Bounced(3, payment.id, 0))
    assert payment.refunded == 0
    assert payment.refunds[0].state is RefundState.FAILED
    assert '"type":"refund.failed"' in desk.told[-1]
    desk.do(desk.ledger.refund(payment, "b", 100, 4))
    assert payment.refunded == 100


def test_the_list_goes_on_where_it_stopped(desk: Desk) -> None:
    made = [desk.open(f"key-{number}", now_ms=1000 + number).id for number in range(10)]
    listed = desk.ledger.payments(after="", since_ms=0, limit=4)
    assert [payment.id for payment in listed] == made[:4]
    listed = desk.ledger.payments(after=made[3], since_ms=0, limit=100)
    assert [payment.id for payment in listed] == made[4:]
    listed = desk.ledger.payments(after="", since_ms=1007, limit=100)
    assert [payment.id for payment in listed] == made[7:]
    with pytest.raises(LedgerError):
        desk.ledger.payments(after="pay_nobody", since_ms=0, limit=1)


def test_a_clock_that_is_put_back_does_not_disturb_the_list(desk: Desk) -> None:
    made = [desk.open(f"key-{now_ms}", now_ms=now_ms).id for now_ms in (1000, 2000, 500)]
    listed = desk.ledger.payments(after="", since_ms=1500, limit=100)
    assert [payment.id for payment in listed] == made[1:]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "succeed", "decline", "refuse", "capture", "cancel", "refund", "bounce"]),
        st.sampled_from(["a", "b", "c"]),
        st.integers(1, 120),
    ),
    max_size=40,
)


@given(STEPS)
def test_whatever_is_asked_the_books_add_up_and_can_be_made_again(steps: list[tuple[str, str, int]]) -> None:
    desk = Desk()
    for step, key, amount in steps:
        payment = desk.open(key, TRANSFER if key == "a" else CARD)
        ledger = desk.ledger
        try:
            if step in set(Outcome):
                desk.do(ledger.pay(payment, Outcome(step), 1))
            elif step == "capture":
                desk.do(ledger.capture(payment, 1))
            elif step == "cancel":
                desk.do(ledger.cancel(payment, 1))
            elif step == "refund":
                desk.do(ledger.refund(payment, f"r{amount}", amount, 1))
            elif step == "bounce" and payment.refunds:
                desk.do(Bounced(1, payment.id, len(payment.refunds) - 1))
        except LedgerError:
            pass
        assert 0 <= payment.refunded <= payment.amount
        assert payment.refunded == 0 or payment.state is PaymentState.PAID
    again = Desk()
    for change in desk.changes:
        again.do(change)
    assert again.told == desk.told
    assert len(set(again.told)) == len(again.told)
    listed = [ledger.payments(after="", since_ms=0, limit=9) for ledger in (again.ledger, desk.ledger)]
    assert listed[0] == listed[1]
