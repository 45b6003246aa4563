"""Payment records and money, packed and unpacked."""

from dataclasses import replace
from typing import Any

import pytest

from flashsale.model.payment import (
    METHODS,
    Charge,
    Fate,
    Money,
    PaymentRecord,
    PaymentStatus,
    method_code,
    method_of,
    pack_record,
    unpack_record,
)
from flashsale.model.sale import MAX_AMOUNT

EUR_5 = Money(5, "EUR")
RECORD = PaymentRecord(
    PaymentStatus.REQUIRES_ACTION,
    3,
    "alipay",
    Money(33_000_000, "CNY"),
    "stripe:pi_1",
    (Charge("sim:1", EUR_5, Fate.REFUNDED), Charge("stripe:pi_0", Money(0, "JPY"), Fate.REFUNDING)),
    {"action": {"type": "redirect", "url": "https://bank.example/ü"}},
)


def test_a_record_has_the_layout_that_the_scripts_read() -> None:
    assert pack_record(RECORD) == (
        b"\x02\x03\x03"  # status, attempt, method
        b"\x00\x00\x00\x01\xf7\x8a\x40CNY"  # money
        b"\x0b\x00\x28"  # lengths of the reference and the charges
        b"stripe:pi_1"
        b"\x03\x00\x00\x00\x00\x00\x00\x05EUR\x05sim:1"
        b"\x02\x00\x00\x00\x00\x00\x00\x00JPY\x0bstripe:pi_0"
        b"\x81\xa6action\x82\xa4type\xa8redirect\xa3url\xb7https://bank.example/\xc3\xbc"
    )


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"details": {}},
        {"charges": ()},
        {"reference": ""},
        {"reference": "r" * 255},
        {"method": None, "attempt": 0},
        {"charges": tuple(Charge("c" * 255, EUR_5, fate) for fate in Fate)},
        *[{"status": status} for status in PaymentStatus],
        *[{"method": method} for method in METHODS],
    ],
)
def test_a_record_is_unpacked_as_it_was_packed(change: dict[str, Any]) -> None:
    record = replace(RECORD, **change)
    assert unpack_record(pack_record(record)) == record


@pytest.mark.parametrize("length", range(len(pack_record(RECORD))))
def test_a_record_that_is_cut_off_is_refused(length: int) -> None:
    packed = pack_record(RECORD)
    if packed[:length] == pack_record(replace(RECORD, details={})):
        return  # that is a whole one, without details
    with pytest.raises(ValueError, match=r"payment|charge|Fate|Status"):
        unpack_record(packed[:length])


@pytest.mark.parametrize(("at", "value"), [(0, 0), (0, 9), (2, 6), (15, 0x27), (15, 0x29), (27, 4), (27, 0)])
def test_a_record_of_something_else_is_refused(at: int, value: int) -> None:
    packed = bytearray(pack_record(RECORD))
    packed[at] = value
    with pytest.raises(ValueError, match=r"payment|charge|Fate|Status"):
        unpack_record(bytes(packed))


def test_what_the_customer_sees_belongs_to_the_status() -> None:
    details = {"action": {"type": "redirect"}, "error": "declined"}
    for status in PaymentStatus:
        record = replace(RECORD, status=status, details=details)
        assert (record.action is not None) is (status is PaymentStatus.REQUIRES_ACTION)
        assert (record.error is not None) is (status is PaymentStatus.FAILED)


def test_a_charge_is_found_by_its_reference() -> None:
    assert RECORD.charge("sim:1") == RECORD.charges[0]
    assert RECORD.charge("sim:2") is None


@pytest.mark.parametrize("amount", [0, 1, 255, 33_000_000, MAX_AMOUNT])
def test_money_is_ten_bytes(amount: int) -> None:
    packed = Money(amount, "KWD").pack()
    assert len(packed) == 10
    assert Money.unpack(packed) == Money(amount, "KWD")


@pytest.mark.parametrize(
    "money", [Money(-1, "EUR"), Money(MAX_AMOUNT + 1, "EUR"), Money(1, ""), Money(1, "EU"), Money(1, "EURO")]
)
def test_money_that_no_record_can_hold_is_refused(money: Money) -> None:
    with pytest.raises(ValueError, match="is not an amount of money"):
        money.pack()


def test_methods_have_codes_from_one_on() -> None:
    assert [method_code(method) for method in METHODS] == [1, 2, 3, 4, 5]
    assert [method_of(code) for code in range(6)] == [None, *METHODS]
    assert method_code("barter") == 0
    with pytest.raises(ValueError, match="no payment method has the code 6"):
        method_of(6)
