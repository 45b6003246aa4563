"""The replay of a journal with money in it: every charge has one fate, and whatever is done to it is found."""

from dataclasses import replace

import pytest

from flashsale.model.audit import Counters, Replay
from flashsale.model.facts import Fact, FactType
from flashsale.model.ledger import MoneySums, Sum
from flashsale.model.outcomes import Confirm
from flashsale.model.payment import Charge, Fate, Money, PaymentRecord, PaymentStatus
from flashsale.model.reservation import State
from tests.model.journals import (
    ANN,
    BOB,
    CEM,
    DAN,
    HOLD_MS,
    STRANGER,
    confirmed,
    ended,
    given_back,
    held,
    opened,
    paid,
    refunded,
    refused,
    renumbered,
    restocked,
)
from tests.model.test_audit import differs_from, error_of, replayed
from tests.support.sales import OPENS_MS, definition

AT, END = OPENS_MS, OPENS_MS + HOLD_MS
LATER = OPENS_MS + 2 * HOLD_MS
CNY_200 = Money(200, "CNY")
EVERY = range(len(paid()))


def before(seq: int, *facts: Fact) -> list[Fact]:
    """The paid journal up to the fact before `seq`, then these."""
    return renumbered([*paid()[: seq - 1], *facts])


def test_a_paid_journal_adds_up() -> None:
    replay = replayed(paid())
    assert replay.items == {"car": Counters(5, 2, 0, 3), "bus": Counters(1, 0, 0, 1)}
    assert {token: each.state for token, each in replay.reservations.items()} == {
        ANN: State.CONFIRMED,
        BOB: State.REFUNDED,
        CEM: State.CONFIRMED,
        DAN: State.REFUNDED,
    }
    assert replay.holds == 0
    assert replay.counted == {"ann": {"car": 2}, "bob": {"bus": 0}, "cem": {"car": 1}, "dan": {"car": 0}}
    assert replay.strangers() == [STRANGER]
    assert list(replay.order_differences()) == []


def test_the_money_of_a_sale_is_orders_and_refunds() -> None:
    own, others = replayed(paid()).ledger.sums("CNY")
    assert own == MoneySums("CNY", Sum(6, 899), Sum(2, 300), Sum(2, 299), Sum(2, 300))
    assert others == (MoneySums("EUR", Sum(1, 100), Sum(), Sum(1, 100), Sum()),)
    for sums in (own, *others):
        parts = (sums.orders, sums.refunding, sums.refunds)
        assert sums.charges == Sum(sum(p.count for p in parts), sum(p.amount for p in parts))


def test_before_the_opening_there_is_no_currency() -> None:
    replay = replayed(renumbered([refused(STRANGER, "sim:1", Confirm.UNKNOWN_RESERVATION, AT)]))
    own, others = replay.ledger.sums(replay.currency)
    assert own == MoneySums(None)
    assert [sums.currency for sums in others] == ["CNY"]
    assert list(replay.order_differences()) == []


@pytest.mark.parametrize("at", EVERY)
def test_dropping_a_fact_cannot_be_hidden_by_numbering_them_anew(at: int) -> None:
    facts = paid()
    del facts[at]
    assert differs_from(paid(), renumbered(facts))


@pytest.mark.parametrize("at", EVERY)
def test_doubling_a_fact_cannot_be_hidden_by_numbering_them_anew(at: int) -> None:
    facts = paid()
    facts.insert(at, facts[at])
    assert differs_from(paid(), renumbered(facts))


@pytest.mark.parametrize("seq", range(8, 20))
@pytest.mark.parametrize("data", [b"", b"\xff", b"\xff" * 40, ANN.encode(), ANN.encode() + b"\x01\x01CNY"])
def test_a_fact_that_cannot_be_read_is_named(seq: int, data: bytes) -> None:
    facts = paid()
    facts[seq - 1] = replace(facts[seq - 1], data=data)
    assert error_of(facts).seq == seq


CONTRADICTIONS: dict[str, tuple[list[Fact], int, str]] = {
    "an unknown order": (before(8, confirmed(STRANGER, "sim:8", AT)), 8, "never granted"),
    "an order twice": (before(10, confirmed(ANN, "sim:8", AT, amount=200)), 10, "was confirmed before"),
    "a late order of a hold": (
        before(9, confirmed(ANN, "sim:2", AT, amount=200, late=True)),
        9,
        "was held before",
    ),
    "an order in time after the end": (
        before(9, confirmed(ANN, "sim:2", END, amount=200)),
        9,
        "as if in time",
    ),
    "an order in time of an expired hold": (
        before(18, confirmed(CEM, "sim:7", END)),
        18,
        "was expired before",
    ),
    "an order of a cancelled hold": (
        before(9, ended(FactType.CANCELLED, ANN, AT), confirmed(ANN, "sim:2", AT, amount=200, late=True)),
        10,
        "was cancelled before",
    ),
    "an order of a refunded one": (before(15, confirmed(DAN, "sim:8", AT)), 15, "was refunded before"),
    "an order for too little": (before(9, confirmed(ANN, "sim:2", AT, amount=199)), 9, "due is"),
    "an order in another currency": (
        before(9, confirmed(ANN, "sim:2", AT, amount=200, currency="EUR")),
        9,
        "due is",
    ),
    "a charge that pays twice": (
        before(11, confirmed(BOB, "sim:2", AT)),
        11,
        "charge sim:2 was decided before",
    ),
    "a charge refused that has paid": (
        before(10, refused(ANN, "sim:2", Confirm.PAID_TWICE, AT, amount=200)),
        10,
        f"charge sim:2 was decided before, for reservation {ANN}",
    ),
    "a charge refused twice": (
        before(9, refused(ANN, "sim:1", Confirm.WRONG_AMOUNT, AT, amount=199)),
        9,
        "charge sim:1 was decided before",
    ),
    "a refused charge that pays": (before(11, confirmed(BOB, "sim:1", AT)), 11, "was decided before"),
    "a refund of a hold": (before(9, refunded(ANN, "sim:2", AT)), 9, "was held before"),
    "a refund twice": (before(14, refunded(BOB, "sim:4", AT)), 14, "was refunded before"),
    "a refund of nobody's order": (before(9, refunded(STRANGER, "sim:2", AT)), 9, "never granted"),
    "a refund of another charge": (before(14, refunded(DAN, "sim:4", AT)), 14, "did not pay for"),
    "a charge given back that is an order": (
        before(10, given_back(ANN, "sim:2", AT)),
        10,
        "while it was order",
    ),
    "a charge given back twice": (before(20, given_back(ANN, "sim:3", LATER)), 20, "while it was refunded"),
    "an unknown charge given back": (before(20, given_back(ANN, "sim:9", LATER)), 20, "never decided"),
    "a charge of another given back": (before(20, given_back(BOB, "sim:1", LATER)), 20, "never decided"),
    "oversold by a late order": (
        before(
            18,
            held("e" * 16, "eve", 5, at_ms=END),
            held("f" * 16, "fay", 6, ("car", 2), at_ms=END),
            confirmed(CEM, "sim:7", END, late=True),
        ),
        20,
        "1 of car were sold with 0 available: oversold",
    ),
    "more than the limit by a late order": (
        before(
            18,
            restocked("car", 9, END),
            held("e" * 16, "cem", 5, ("car", 3), at_ms=END),
            confirmed(CEM, "sim:7", END, late=True),
        ),
        20,
        "customer 'cem' has 4 units, the limit is 3",
    ),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_contradiction_is_named_with_its_fact(case: str) -> None:
    facts, seq, detail = CONTRADICTIONS[case]
    replayed(facts[: seq - 1])  # all before it adds up
    error = error_of(facts)
    assert error.seq == seq
    assert detail in error.detail


# What each reason to refuse a charge needs, and how it fails.
UNFOUNDED: dict[str, list[Fact]] = {
    "unknown, but granted": before(8, refused(ANN, "s:1", Confirm.UNKNOWN_RESERVATION, AT)),
    "not asked for, but unknown": before(8, refused(STRANGER, "s:1", Confirm.NOT_REQUESTED, AT)),
    "of the simulator, and of nobody's": before(
        8, refused(ANN, "s:1", Confirm.WRONG_PROVIDER, AT, amount=200)
    ),
    "wrong, and right": before(8, refused(ANN, "s:1", Confirm.WRONG_AMOUNT, AT, amount=200)),
    "paid twice, and not once": before(8, refused(ANN, "s:1", Confirm.PAID_TWICE, AT, amount=200)),
    "paid twice, of the wrong amount": before(10, refused(ANN, "s:1", Confirm.PAID_TWICE, AT, amount=1)),
    "cancelled, and held": before(8, refused(ANN, "s:1", Confirm.CANCELLED, AT, amount=200)),
    "refunded, and paid": before(10, refused(ANN, "s:1", Confirm.REFUNDED, AT, amount=200)),
    "over the limit, and held": before(8, refused(CEM, "s:1", Confirm.LIMIT_REACHED, AT)),
    "over the limit, and not": before(18, refused(CEM, "s:1", Confirm.LIMIT_REACHED, END)),
    "sold out, and held": before(8, refused(CEM, "s:1", Confirm.SOLD_OUT, AT)),
    "sold out, and not": before(18, refused(CEM, "s:1", Confirm.SOLD_OUT, END)),
    "confirmed": before(8, refused(ANN, "s:1", Confirm.CONFIRMED, AT, amount=200)),
    "replayed": before(8, refused(ANN, "s:1", Confirm.REPLAYED, AT, amount=200)),
    "reclaiming": before(18, refused(CEM, "s:1", Confirm.RECLAIMING, END)),
}


@pytest.mark.parametrize("case", UNFOUNDED)
def test_no_charge_is_refused_without_reason(case: str) -> None:
    facts = UNFOUNDED[case]
    error = error_of(facts)
    assert error.seq == len(facts)
    assert "s:1 was refused as" in error.detail or "due is" in error.detail


FOUNDED: dict[str, list[Fact]] = {
    "not asked for": before(8, refused(ANN, "s:1", Confirm.NOT_REQUESTED, AT, amount=7)),
    "cancelled": before(8, ended(FactType.CANCELLED, CEM, AT), refused(CEM, "s:1", Confirm.CANCELLED, AT)),
    "refunded": before(15, refused(DAN, "s:1", Confirm.REFUNDED, AT)),
    "over the limit": before(
        18,
        restocked("car", 3, END),
        held("e" * 16, "cem", 5, ("car", 3), at_ms=END),
        refused(CEM, "s:1", Confirm.LIMIT_REACHED, END),
    ),
    "sold out": before(
        18, held("e" * 16, "eve", 5, ("car", 3), at_ms=END), refused(CEM, "s:1", Confirm.SOLD_OUT, END)
    ),
}


def test_simulated_money_is_no_money_for_a_sale_that_is_no_rehearsal() -> None:
    charge = refused(ANN, "simulator:1", Confirm.WRONG_PROVIDER, AT, amount=7)
    assert replayed(before(8, charge)).ledger.charges["simulator:1"].fate is Fate.REFUNDING


def test_a_rehearsal_takes_simulated_money_only() -> None:
    first = opened(definition({"car": 3}, rehearsal=True, hold_seconds=60).canonical())
    hold = [restocked("car", 3), first, held(ANN, "ann", 1)]
    replayed(renumbered([*hold, confirmed(ANN, "simulator:1", AT)]))
    replayed(renumbered([*hold, refused(ANN, "s:1", Confirm.WRONG_PROVIDER, AT)]))
    error = error_of(renumbered([*hold, confirmed(ANN, "s:1", AT)]))
    assert "s:1 has paid for a rehearsal, and is no simulated charge" in error.detail
    error = error_of(renumbered([*hold, refused(ANN, "simulator:1", Confirm.WRONG_PROVIDER, AT)]))
    assert "there is no reason to" in error.detail


@pytest.mark.parametrize("case", FOUNDED)
def test_a_charge_is_refused_with_reason(case: str) -> None:
    replay = replayed(FOUNDED[case])
    assert replay.ledger.charges["s:1"].fate is Fate.REFUNDING


def test_the_deposit_is_what_is_due() -> None:
    terms = definition({"car": 9}, price=33_333, deposit_percent=10, hold_seconds=HOLD_MS // 1000)
    facts = [restocked("car", 9), opened(terms.canonical()), held(ANN, "ann", 1, ("car", 3))]
    replay = replayed(renumbered([*facts, confirmed(ANN, "s:1", AT, amount=10_000)]))
    assert replay.terms is not None
    assert replay.terms.due((("car", 1),)) == Money(3333, "CNY")
    assert list(replay.order_differences()) == []
    assert error_of(renumbered([*facts, confirmed(ANN, "s:1", AT, amount=99_999)])).seq == 4


def test_orders_that_cost_something_else_are_a_difference() -> None:
    replay = replayed(paid())
    replay.ledger.charges["sim:2"].money = Money(1, "CNY")
    (difference,) = replay.order_differences()
    assert "2 orders cost 300" in difference
    replay.ledger.charges["sim:2"].money = Money(200, "EUR")
    assert len(list(replay.order_differences())) == 1


# --- comparing what is stored ---


def stored(replay: Replay, token: str, status: PaymentStatus) -> PaymentRecord:
    return PaymentRecord(status, 1, "card", CNY_200, "sim:2", replay.ledger.of(token))


RIGHT = {
    ANN: PaymentStatus.PAID,
    BOB: PaymentStatus.REFUNDED,
    CEM: PaymentStatus.PAID,
    DAN: PaymentStatus.REFUNDING,
    STRANGER: PaymentStatus.REFUNDING,
}


@pytest.mark.parametrize("token", RIGHT)
def test_only_a_status_that_fits_the_charges_has_no_differences(token: str) -> None:
    replay = replayed(paid())
    fitting = [
        s for s in PaymentStatus if not list(replay.payment_differences(token, stored(replay, token, s)))
    ]
    assert RIGHT[token] in fitting
    if token != STRANGER:
        assert fitting == [RIGHT[token]]


def test_charges_that_are_not_stored_are_a_difference() -> None:
    replay = replayed(paid())
    for token in RIGHT:
        (difference,) = replay.payment_differences(token, None)
        assert token in difference


@pytest.mark.parametrize(
    "charges",
    [
        (),
        (Charge("sim:2", CNY_200, Fate.ORDER),),
        (
            Charge("sim:2", CNY_200, Fate.ORDER),
            Charge("sim:1", Money(199, "CNY"), Fate.REFUNDING),
            Charge("sim:3", CNY_200, Fate.REFUNDED),
        ),
        (
            Charge("sim:1", Money(199, "CNY"), Fate.REFUNDED),
            Charge("sim:2", CNY_200, Fate.ORDER),
            Charge("sim:3", CNY_200, Fate.REFUNDED),
        ),
        (
            Charge("sim:1", Money(198, "CNY"), Fate.REFUNDING),
            Charge("sim:2", CNY_200, Fate.ORDER),
            Charge("sim:3", CNY_200, Fate.REFUNDED),
        ),
    ],
)
def test_any_change_of_stored_charges_is_a_difference(charges: tuple[Charge, ...]) -> None:
    replay = replayed(paid())
    record = replace(stored(replay, ANN, PaymentStatus.PAID), charges=charges)
    (difference,) = replay.payment_differences(ANN, record)
    assert f"reservation {ANN} has the charges" in difference


def test_a_payment_without_charges_may_stand_anywhere_but_at_the_end() -> None:
    replay = replayed(paid()[:7])
    ends = {PaymentStatus.PAID, PaymentStatus.REFUNDING}
    for status in PaymentStatus:
        found = list(replay.payment_differences(ANN, PaymentRecord(status, 1, "card", CNY_200)))
        assert bool(found) is (status in ends)
    assert list(replay.payment_differences(ANN, None)) == []


def test_a_stranger_that_is_stored_as_a_reservation_is_a_difference() -> None:
    replay = replayed(paid())
    assert list(replay.differences(STRANGER, None, None)) == []
    claim = held(STRANGER, "eve", 9).held()
    (difference,) = replay.differences(STRANGER, claim, None)
    assert "was never granted" in difference


def test_the_orders_are_numbered_without_a_gap() -> None:
    facts = paid()
    facts[12] = replace(facts[12], data=facts[12].data[:21] + b"\x09" + facts[12].data[22:])
    assert error_of(facts).detail == "number 9 among the orders follows number 3"
