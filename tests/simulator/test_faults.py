"""Faults: none unless asked for, the same for the same seed whatever the order, and about as many as were asked for."""

import msgspec
import pytest

from flashsale.providers.protocol import Capture
from flashsale.settings import load_settings
from flashsale.simulator.faults import MAX_COUNTED, REFUNDS_FAILED, Counts, Faults
from flashsale.simulator.records import Happening, Order, Outcome, Payment

NAMES = [f"shop:sale.0.{number}:1" for number in range(2000)]


def payment(key: str, tries: int = 0) -> Payment:
    order = Order(100, "EUR", "card", Capture.MANUAL)
    return Payment("pay_1", 0, key, order, 1, 100, "EUR", tries=tries)


def event(name: str) -> Happening:
    return Happening(name, "pay_1", b"{}")


def struck(faults: Faults, names: list[str]) -> dict[str, list[bool]]:
    """Which of these names each fault strikes."""
    events, payments = [event(name) for name in names], [payment(name) for name in names]
    return {
        "decline": [faults.outcome(one) is Outcome.DECLINE for one in payments],
        "outage": [faults.is_away(name, 0.0) for name in names],
        "timeout": [faults.is_unanswered(name) for name in names],
        "refund_fail": [faults.refund_fails(one, 0) for one in payments],
        "duplicate": [faults.is_doubled(one) for one in events],
        "reorder": [faults.is_overtaken(one) for one in events],
        "delay": [faults.is_late(one) for one in events],
        "lose": [faults.is_lost(one) for one in events],
    }


def all_at(percent: float, seed: int = 1) -> Faults:
    names = [name for name in Faults.__struct_fields__ if name.endswith("_percent")]
    return msgspec.convert({"seed": seed, **dict.fromkeys(names, percent)}, Faults)


def test_none_by_default() -> None:
    assert Faults.from_settings(load_settings({})) == Faults()
    assert not any(any(hits) for hits in struck(Faults(), NAMES).values())
    assert Faults().latency_seconds("call") == 0


def test_all_of_them_at_a_hundred() -> None:
    assert all(all(hits) for hits in struck(all_at(100), NAMES[:100]).values())


def test_about_as_many_as_asked_for_and_each_fault_by_itself() -> None:
    found = struck(all_at(5), NAMES)
    for name, hits in found.items():
        assert 60 <= sum(hits) <= 140, name
    assert len({tuple(hits) for hits in found.values()}) == len(found)


def test_the_seed_decides_and_the_order_does_not() -> None:
    forward, backward = struck(all_at(5), NAMES), struck(all_at(5), NAMES[::-1])
    assert {name: hits[::-1] for name, hits in backward.items()} == forward
    assert struck(all_at(5, seed=2), NAMES) != forward


def test_a_second_try_may_end_otherwise() -> None:
    faults = Faults(decline_percent=50.0)
    first = [faults.outcome(payment(name)) for name in NAMES]
    second = [faults.outcome(payment(name, tries=1)) for name in NAMES]
    assert first != second


def test_a_refund_fails_twice_and_works_then() -> None:
    faults = Faults(refund_fail_percent=100.0)
    assert [faults.refund_fails(payment("key"), tried) for tried in range(4)] == [True, True, False, False]
    assert REFUNDS_FAILED == 2


def test_latency_has_a_jitter_of_its_own_for_each_call() -> None:
    faults = Faults(latency_ms=10, jitter_ms=10)
    drawn = [faults.latency_seconds(name) for name in NAMES]
    assert all(0.010 <= seconds < 0.020 for seconds in drawn)
    assert len(set(drawn)) > 1900
    assert Faults(latency_ms=10).latency_seconds("call") == 0.010


def test_outages_come_at_the_end_of_each_period() -> None:
    faults = Faults(outage_every_seconds=10.0, outage_seconds=3.0)
    away = [faults.is_away("call", float(second)) for second in range(20)]
    assert away == [False] * 7 + [True] * 3 + [False] * 7 + [True] * 3


def test_settings_are_taken_over_and_changes_are_checked() -> None:
    faults = Faults.from_settings(load_settings({"FLASHSALE_SIMULATOR_LOSE_PERCENT": "2.5"}))
    assert faults.lose_percent == 2.5
    assert faults.changed({"lose_percent": 3}).lose_percent == 3
    for wrong in ({"lose_percent": 101}, {"no_such": 1}, {"latency_ms": -1}, {"lose_percent": "5"}):
        with pytest.raises(msgspec.ValidationError):
            faults.changed(wrong)


def test_counts_are_bounded() -> None:
    counts = Counts()
    assert [counts.next("a"), counts.next("a"), counts.next("b")] == [0, 1, 0]
    for number in range(MAX_COUNTED):
        counts.next(f"other {number}")
    assert counts.next("a") == 0
