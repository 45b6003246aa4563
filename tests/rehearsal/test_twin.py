"""The twin of a sale: the real definition but for what a rehearsal changes, and every fault named before anybody comes."""

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from flashsale.model.ids import is_sale_id
from flashsale.rehearsal.crowd import folder
from flashsale.rehearsal.twin import OPENS_AT, Twin, TwinError, of_view, read, twin_of

NOW = datetime(2026, 11, 22, 17, 30, 59, tzinfo=UTC)
DEFINITION: dict[str, Any] = {
    "title": "Alfa Romeo Giulia Milano",
    "opens_at": "2026-12-01T10:00:00.000Z",
    "closes_at": "2026-12-01T12:00:00.000Z",
    "currency": "CNY",
    "limit_per_customer": 2,
    "hold_seconds": 300,
    "items": [
        {"sku": "red", "title": "Red", "price": 100, "stock": 3, "limit_per_customer": 1},
        {"sku": "blue", "title": None, "price": 200, "stock": 4, "limit_per_customer": None},
    ],
    "payment": {
        "methods": ["card"],
        "deposit_percent": 10,
        "instalments": 3,
        "hold_extension_seconds": 7,
    },
}


def twin(units: int | None = None, hold_seconds: int | None = None, **changes: Any) -> Twin:
    return twin_of("milano", DEFINITION | changes, now=NOW, units=units, hold_seconds=hold_seconds)


def test_only_what_a_rehearsal_changes_is_another() -> None:
    made = twin()
    assert (made.original, made.sale) == ("milano", "milano-rehearsal-20261122-173059")
    expected = {
        **DEFINITION,
        "opens_at": OPENS_AT.replace("Z", ".000Z"),
        "closes_at": None,
        "rehearsal": True,
    }
    assert orjson.loads(made.definition.canonical()) == expected
    assert made.units == 7


def test_stock_and_holds_can_be_others() -> None:
    made = twin(units=50, hold_seconds=4)
    assert [item.stock for item in made.definition.items] == [50, 50]
    assert (made.definition.hold_seconds, made.units) == (4, 100)
    assert DEFINITION["items"][0]["stock"] == 3  # the original is left alone


def test_a_long_id_is_cut_and_stays_one() -> None:
    made = twin_of("a" * 63, DEFINITION, now=NOW, units=None, hold_seconds=None)
    assert len(made.sale) == 63
    assert is_sale_id(made.sale)
    assert made.sale.endswith("-rehearsal-20261122-173059")


def test_every_fault_is_named() -> None:
    with pytest.raises(TwinError) as fault:
        twin(currency="Taler", hold_seconds=None, items=[{"sku": "red", "price": 0, "stock": 1}])
    assert "currency" in str(fault.value)
    assert "items" in str(fault.value)


@pytest.mark.parametrize(
    "changes",
    [{"opens_at": "tomorrow"}, {"items": "cars"}, {"items": [7]}, {"rehearsal": "yes"}, {"opens": 1}],
)
@pytest.mark.parametrize("units", [None, 5])
def test_what_the_real_definition_may_not_say_is_not_rehearsed(
    changes: dict[str, Any], units: int | None
) -> None:
    with pytest.raises(TwinError, match="cannot be rehearsed"):
        twin(units=units, **changes)


def test_nothing_to_sell_is_nothing_to_rehearse() -> None:
    empty = [{**item, "stock": 0} for item in DEFINITION["items"]]
    with pytest.raises(TwinError, match="--units"):
        twin(items=empty)
    assert twin(units=1, items=empty).units == 2


def test_the_view_of_a_sale_is_its_definition(tmp_path: Path) -> None:
    """With the stock there is now."""
    view = {
        **copy.deepcopy(DEFINITION),
        "id": "milano",
        "state": "open",
        "server_time": "2026-12-01T10:00:01.000Z",
        "next_release_at": "2026-12-01T10:05:00.000Z",
        "rehearsal": False,
    }
    for item in view["items"]:
        item |= {"available": 1, "held": 2, "stock": 9, "title": item["title"] or item["sku"]}
    made = twin_of("milano", of_view(view), now=NOW, units=None, hold_seconds=None)
    assert [item.stock for item in made.definition.items] == [9, 9]
    assert made.definition.payment.deposit_percent == 10
    made.write(tmp_path / "definition.json")
    assert json.loads((tmp_path / "definition.json").read_text())["rehearsal"] is True


def test_a_file_is_read_as_for_putting_a_sale(tmp_path: Path) -> None:
    path = tmp_path / "milano.json"
    path.write_text(json.dumps(DEFINITION))
    assert read(path) == ("milano", DEFINITION)
    path.write_text(json.dumps({**DEFINITION, "id": "giulia"}))
    assert read(path) == ("giulia", DEFINITION)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "no JSON object"),
        ('{"id": "Über"}', "cannot be the id"),
        ('{"id": 7}', "id"),
    ],
)
def test_a_file_that_has_no_definition(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "milano.json"
    path.write_text(content)
    with pytest.raises(TwinError, match=said):
        read(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TwinError, match=r"cannot read .*nobody\.json: No such file"):
        read(tmp_path / "nobody.json")


def test_the_load_test_is_found() -> None:
    assert (folder() / "shoppers.py").is_file()
