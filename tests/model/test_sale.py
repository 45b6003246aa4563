"""Definitions: every fault named at once, and one canonical form."""

import copy
from typing import Any

import orjson
import pytest

from flashsale.model.currency import DECIMALS
from flashsale.model.faults import Fault, InvalidError
from flashsale.model.sale import MAX_PRICE, MAX_UNITS, SaleDefinition, parse_definition
from flashsale.model.schedule import Schedule
from flashsale.model.terms import Terms

GOOD: dict[str, Any] = {
    "title": "Alfa Romeo Giulia Milano",
    "opens_at": "2026-11-22T10:00:00Z",
    "closes_at": "2026-11-22T12:00:00Z",
    "currency": "CNY",
    "limit_per_customer": 1,
    "hold_seconds": 300,
    "items": [{"sku": "giulia", "title": "Giulia Milano", "price": 33000000, "stock": 350}],
    "payment": {"methods": ["card", "alipay"], "deposit_percent": 10, "instalments": 36},
}
REQUIRED = {"title": "t", "opens_at": "2026-11-22T10:00:00Z", "currency": "EUR"}


def changed(path: str, value: Any) -> dict[str, Any]:
    """GOOD with the value at `items.0.price` or the like set, or removed when it is `...`."""
    data = copy.deepcopy(GOOD)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    target: Any = data
    for part in parents:
        target = target[part]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return data


def faults(data: Any) -> tuple[Fault, ...]:
    with pytest.raises(InvalidError) as caught:
        parse_definition(data)
    return caught.value.faults


def test_the_definition_of_the_documents() -> None:
    sale = parse_definition(GOOD)
    assert (sale.opens_ms, sale.closes_ms) == (1_795_341_600_000, 1_795_348_800_000)
    assert sale.amount((("giulia", 2),)) == 66_000_000
    assert sale.amount_due(33_000_000) == 3_300_000


def test_what_may_be_left_out() -> None:
    sale = parse_definition({**REQUIRED, "items": [{"sku": "a", "price": 1, "stock": 0}]})
    assert (sale.closes_ms, sale.limit_per_customer, sale.hold_seconds) == (0, None, 300)
    assert (sale.items[0].title, sale.items[0].limit_per_customer) == (None, None)
    assert (sale.payment.methods, sale.payment.deposit_percent, sale.payment.instalments) == ([], 100, 0)


FAULTS: list[tuple[str, Any, str]] = [
    ("title", ..., "title"),
    ("title", "", "title"),
    ("title", "x" * 201, "title"),
    ("title", "a\0b", "title"),
    ("title", " a", "title"),
    ("title", 7, "title"),
    ("title", None, "title"),
    ("opens_at", ..., "opens_at"),
    ("opens_at", "2026-11-22T10:00:00", "opens_at"),
    ("opens_at", "2026-11-22", "opens_at"),
    ("opens_at", 1795341600, "opens_at"),
    ("opens_at", "soon", "opens_at"),
    ("opens_at", None, "opens_at"),
    ("opens_at", "2026-02-30T10:00:00Z", "opens_at"),
    ("closes_at", "2026-11-22T10:00:00Z", "closes_at"),
    ("closes_at", "2026-11-22T09:59:59.999Z", "closes_at"),
    ("closes_at", 0, "closes_at"),
    ("currency", ..., "currency"),
    ("currency", "EURO", "currency"),
    ("currency", "eur", "currency"),
    ("currency", "XAU", "currency"),
    ("currency", "", "currency"),
    ("limit_per_customer", 0, "limit_per_customer"),
    ("limit_per_customer", -1, "limit_per_customer"),
    ("limit_per_customer", 1.5, "limit_per_customer"),
    ("limit_per_customer", "1", "limit_per_customer"),
    ("limit_per_customer", True, "limit_per_customer"),
    ("limit_per_customer", MAX_UNITS + 1, "limit_per_customer"),
    ("hold_seconds", 0, "hold_seconds"),
    ("hold_seconds", 604_801, "hold_seconds"),
    ("hold_seconds", None, "hold_seconds"),
    ("items", ..., "items"),
    ("items", [], "items"),
    ("items", {}, "items"),
    ("items", None, "items"),
    ("items", [{"sku": f"{n}", "price": 1, "stock": 1} for n in range(1001)], "items"),
    ("items.0", "giulia", "items[0]"),
    ("items.0.sku", ..., "items[0].sku"),
    ("items.0.sku", "", "items[0].sku"),
    ("items.0.sku", "x" * 65, "items[0].sku"),
    ("items.0.sku", "a\nb", "items[0].sku"),
    ("items.0.sku", "a ", "items[0].sku"),
    ("items.0.price", ..., "items[0].price"),
    ("items.0.price", 0, "items[0].price"),
    ("items.0.price", -1, "items[0].price"),
    ("items.0.price", 9.99, "items[0].price"),
    ("items.0.price", MAX_PRICE + 1, "items[0].price"),
    ("items.0.price", 2**63, "items[0].price"),
    ("items.0.stock", ..., "items[0].stock"),
    ("items.0.stock", -1, "items[0].stock"),
    ("items.0.stock", MAX_UNITS + 1, "items[0].stock"),
    ("items.0.stock", "350", "items[0].stock"),
    ("items.0.limit_per_customer", 0, "items[0].limit_per_customer"),
    ("items.0.colour", "red", "items[0].colour"),
    ("payment.methods", ["card", "cash"], "payment.methods[1]"),
    ("payment.methods", ["card", "card"], "payment.methods"),
    ("payment.deposit_percent", 0, "payment.deposit_percent"),
    ("payment.deposit_percent", 101, "payment.deposit_percent"),
    ("payment.instalments", -1, "payment.instalments"),
    ("payment.instalments", 121, "payment.instalments"),
    ("payment.instalments", True, "payment.instalments"),
    ("payment.instalments", 1.5, "payment.instalments"),
    ("payment.deposit_percent", 10.5, "payment.deposit_percent"),
    ("payment.deposit_percent", 100, "payment.instalments"),  # no rest, so no rates of it
    ("payment.deposit_percent", ..., "payment.instalments"),
    ("payment.hold_extension_seconds", -1, "payment.hold_extension_seconds"),
    ("payment.hold_extension_seconds", "60", "payment.hold_extension_seconds"),
    ("payment.methods", "card", "payment.methods"),
    ("payment.methods", None, "payment.methods"),
    ("payment.methods.0", "Card", "payment.methods[0]"),
    ("payment.hold_extension_seconds", 86_401, "payment.hold_extension_seconds"),
    ("payment.tips", 1, "payment.tips"),
    ("payment", [], "payment"),
    ("colour", "red", "colour"),
]


@pytest.mark.parametrize(("path", "value", "field"), FAULTS)
def test_each_fault_is_named_by_its_place(path: str, value: Any, field: str) -> None:
    found = faults(changed(path, value))
    assert [fault.field for fault in found] == [field]
    assert found[0].detail


def test_faults_in_five_places_are_all_named() -> None:
    data = changed("items.0.price", -1)
    data |= {"title": "", "currency": "EURO", "hold_seconds": 0, "colour": "red"}
    assert {fault.field for fault in faults(data)} == {
        "items[0].price",
        "title",
        "currency",
        "hold_seconds",
        "colour",
    }


def test_a_repeated_sku_is_named_even_beside_other_faults() -> None:
    one, bad = {"sku": "a", "price": 1, "stock": 1}, {"sku": "a", "price": 0, "stock": 1}
    assert [fault.field for fault in faults({**REQUIRED, "items": [one, one]})] == ["items[1].sku"]
    assert {fault.field for fault in faults({**REQUIRED, "items": [one, bad]})} == {
        "items[1].sku",
        "items[1].price",
    }


@pytest.mark.parametrize("data", [None, [], "sale", 7, True, {}])
def test_what_is_no_definition_at_all(data: Any) -> None:
    assert faults(data)


def test_a_fault_has_a_field_and_a_pointer() -> None:
    fault = Fault(("items", 0, "a/b~c"), "is wrong")
    assert fault.field == "items[0].a/b~c"
    assert fault.pointer == "#/items/0/a~1b~0c"
    assert (Fault((), "x").field, Fault((), "x").pointer) == ("", "#")
    assert str(InvalidError([fault, Fault((), "is bad")])) == "items[0].a/b~c: is wrong; input: is bad"


def test_every_currency_has_three_letters_and_known_decimals() -> None:
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in DECIMALS)
    some = {"EUR": 2, "CNY": 2, "USD": 2, "CHF": 2, "JPY": 0, "KRW": 0, "ISK": 0, "KWD": 3, "TND": 3}
    assert {code: DECIMALS[code] for code in some} == some
    for code in DECIMALS:
        assert parse_definition(changed("currency", code)).currency == code


def test_equal_definitions_are_equal_bytes() -> None:
    sale = parse_definition(GOOD)
    turned = dict(reversed(GOOD.items()))
    assert parse_definition(turned).canonical() == sale.canonical()
    other_zone = parse_definition(changed("opens_at", "2026-11-22T18:00:00+08:00"))
    assert other_zone.canonical() == sale.canonical()
    assert parse_definition(changed("items.0.limit_per_customer", None)).canonical() == sale.canonical()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("title", "Other"),
        ("opens_at", "2026-11-22T10:00:00.001Z"),
        ("closes_at", None),
        ("currency", "EUR"),
        ("limit_per_customer", None),
        ("hold_seconds", 301),
        ("items.0.sku", "other"),
        ("items.0.title", None),
        ("items.0.price", 1),
        ("items.0.stock", 351),
        ("items.0.limit_per_customer", 1),
        ("payment.methods", ["alipay", "card"]),
        ("payment.deposit_percent", 11),
        ("payment.instalments", 0),
        ("payment.hold_extension_seconds", 1),
    ],
)
def test_different_definitions_are_different_bytes(path: str, value: Any) -> None:
    assert parse_definition(changed(path, value)).canonical() != parse_definition(GOOD).canonical()


def test_the_canonical_form_can_be_read_again() -> None:
    sale = parse_definition(GOOD)
    again = SaleDefinition.model_validate_json(sale.canonical())
    assert again == sale
    assert again.canonical() == sale.canonical()


@pytest.mark.parametrize(
    ("percent", "amount", "due"),
    [
        (99, 999, 989),
        (10, 100, 10),
        (10, 105, 11),
        (10, 104, 10),
        (1, 1, 1),
        (1, 149, 1),
        (1, 150, 2),
        (33, 3, 1),
    ],
)
def test_a_deposit_is_rounded_half_up_and_at_least_one(percent: int, amount: int, due: int) -> None:
    assert parse_definition(changed("payment.deposit_percent", percent)).amount_due(amount) == due


def test_the_terms_are_those_of_the_schedule() -> None:
    sale = parse_definition(GOOD)
    assert sale.schedule(33_000_000) == Schedule(3_300_000, 0, (825_000,) * 36)
    assert sale.schedule(33_000_000).deposit == sale.amount_due(33_000_000)
    at_once = parse_definition(changed("payment", {"methods": ["card"]}))
    assert at_once.schedule(999) == Schedule(999, 0, ())


def test_an_amount_of_an_unknown_item_is_an_error() -> None:
    with pytest.raises(KeyError):
        parse_definition(GOOD).amount((("other", 1),))


def test_only_a_rehearsal_says_so_in_its_canonical_form() -> None:
    """What earlier versions have stored is the same, byte for byte, and they can read it."""
    plain, named, rehearsal = (
        parse_definition({**GOOD, **extra}) for extra in ({}, {"rehearsal": False}, {"rehearsal": True})
    )
    assert plain.canonical() == named.canonical()
    assert b"rehearsal" not in plain.canonical()
    assert orjson.loads(rehearsal.canonical()) == {**orjson.loads(plain.canonical()), "rehearsal": True}
    assert SaleDefinition.model_validate_json(rehearsal.canonical()) == rehearsal
    assert (Terms.read(plain.canonical()).rehearsal, Terms.read(rehearsal.canonical()).rehearsal) == (
        False,
        True,
    )


@pytest.mark.parametrize("value", [1, 0, "true", None, []])
def test_rehearsal_is_true_or_false(value: object) -> None:
    with pytest.raises(InvalidError) as error:
        parse_definition({**GOOD, "rehearsal": value})
    assert [fault.field for fault in error.value.faults] == ["rehearsal"]
