import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flashsale.demo.definitions import RECORDS, DefinitionError, hold_seconds_for, load_sale
from flashsale.model.sale import parse_definition


@pytest.mark.parametrize(("name", "units", "seconds"), [("maserati", 100, 18.0), ("giulia", 350, 33.0)])
def test_the_sales_of_record(name: str, units: int, seconds: float) -> None:
    sale = load_sale(name)
    assert sum(sale.stock.values()) == units
    assert sale.record is not None
    assert (sale.record.units, sale.record.seconds) == (units, seconds)
    assert sale.limit_per_customer == 1
    assert parse_definition(sale.definition).title == sale.title


def test_every_name_has_its_file() -> None:
    assert {load_sale(name).sale for name in RECORDS} == {"maserati-levante", "giulia-milano"}


def test_the_opening_moves_and_the_sale_stays_open_as_long() -> None:
    sale = load_sale("giulia")
    moved = sale.opening_at(datetime(2030, 1, 2, 3, 4, 5, 678000, tzinfo=UTC))
    assert moved["opens_at"] == "2030-01-02T03:04:05.678Z"
    assert datetime.fromisoformat(moved["closes_at"]) - datetime.fromisoformat(
        moved["opens_at"]
    ) == timedelta(hours=2)
    assert moved["items"] == sale.definition["items"]
    parsed = parse_definition(moved)
    assert parsed.hold_seconds == sale.hold_seconds == 5
    assert parsed.payment.hold_extension_seconds == sale.hold_extension_seconds == 2
    assert list(parsed.payment.methods) == sale.methods == ["card", "alipay"]
    assert (parsed.payment.deposit_percent, parsed.payment.instalments) == (10, 36)


def test_a_sale_to_try_by_hand_has_the_usual_holds() -> None:
    parsed = parse_definition(load_sale("giulia").to_try(datetime(2030, 1, 2, tzinfo=UTC), 5))
    assert (parsed.hold_seconds, parsed.items[0].stock, parsed.closes_at) == (300, 5, None)
    assert parsed.payment.methods == ["card", "alipay"]


@pytest.mark.parametrize(("shoppers", "seconds"), [(1, 5), (5000, 5), (20_000, 12), (200_000, 60)])
def test_a_larger_crowd_has_longer_holds(shoppers: int, seconds: int) -> None:
    assert hold_seconds_for(shoppers) == seconds


def test_units_replace_the_stock() -> None:
    assert load_sale("giulia", 7).stock == {"giulia": 7}


def definition(path: Path, **changes: object) -> str:
    fields = {
        "title": "Shoes",
        "opens_at": "2030-01-01T00:00:00Z",
        "currency": "EUR",
        "items": [{"sku": "left", "price": 1, "stock": 3}, {"sku": "right", "price": 1, "stock": 4}],
    }
    path.write_text(json.dumps(fields | changes))
    return str(path)


def test_a_definition_of_your_own(tmp_path: Path) -> None:
    sale = load_sale(definition(tmp_path / "My Shoes!.json"))
    assert (sale.sale, sale.stock, sale.record) == ("my-shoes", {"left": 3, "right": 4}, None)
    assert sale.hold_seconds == 5
    assert sale.hold_extension_seconds == 0
    assert (sale.methods, sale.methods_are_ours) == (["card"], True)
    assert sale.limit_per_customer is None
    other = load_sale(definition(tmp_path / "b.json", payment={"methods": ["paypal"]}), hold_seconds=9)
    assert (other.hold_seconds, other.methods, other.methods_are_ours) == (9, ["paypal"], False)


@pytest.mark.parametrize(
    ("changes", "units", "said"),
    [
        ({"items": []}, None, "1 to 1,000,000 units"),
        ({"items": [{"sku": "a", "stock": "many"}]}, None, "not a sale definition"),
        ({"opens_at": "soon"}, None, "not a sale definition"),
        ({"opens_at": "2030-01-01T00:00:00"}, None, "no time zone"),
        ({"payment": {"methods": 5}}, None, "not a sale definition"),
        ({"payment": "card"}, None, "not a sale definition"),
        ({}, 10, "one item"),
    ],
)
def test_what_a_demo_cannot_use(
    tmp_path: Path, changes: dict[str, object], units: int | None, said: str
) -> None:
    path = definition(tmp_path / "sale.json", **changes)
    with pytest.raises(DefinitionError, match=said):
        load_sale(path, units)


def test_an_unknown_name_is_told_the_known_ones() -> None:
    with pytest.raises(DefinitionError, match="giulia or maserati, or the path"):
        load_sale("ferrari")
