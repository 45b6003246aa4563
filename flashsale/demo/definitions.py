"""The sale a demo sells: one of the two sales of record, or a definition file of your own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

HOLD_SECONDS = 5
"""How long a hold lasts in a demo: nobody wants to watch for five minutes how holds that nobody pays for end."""

HOLD_SECONDS_MAX = 60
CROWD_USUAL = 5000
CROWD_PER_SECOND = 2000
"""A larger crowd keeps the server busy for longer, and whoever has a hold must get through to pay."""

EXTENSION_PART = 2
"""Starting a payment extends a hold in a demo by half of its length at most."""

STOCK_MAX = 1_000_000


def hold_seconds_for(shoppers: int) -> int:
    """How long a hold should last in a demo with so many shoppers."""
    return min(HOLD_SECONDS_MAX, HOLD_SECONDS + max(0, shoppers - CROWD_USUAL) // CROWD_PER_SECOND)


class DefinitionError(Exception):
    """The sale cannot be used for a demo; the message says which file and why."""


@dataclass(frozen=True)
class Record:
    """How fast the real sale sold out, as the press reported it."""

    units: int
    seconds: float
    source: str


@dataclass(frozen=True)
class DemoSale:
    """A sale definition and what the demo needs to know of it.

    `definition` is what the demo sells: the original with short holds, and with a payment method if it had none.
    """

    sale: str
    definition: dict[str, Any]
    original: dict[str, Any]
    record: Record | None

    @property
    def title(self) -> str:
        """What people call it."""
        return str(self.definition.get("title") or self.sale)

    @property
    def stock(self) -> dict[str, int]:
        """Units to sell, by sku."""
        return {item["sku"]: item["stock"] for item in self.definition["items"]}

    @property
    def hold_seconds(self) -> int:
        """How long a hold lasts."""
        return int(self.definition["hold_seconds"])

    @property
    def hold_extension_seconds(self) -> int:
        """By how much starting a payment extends a hold."""
        return int(self.definition["payment"]["hold_extension_seconds"])

    @property
    def methods(self) -> list[str]:
        """What one can pay with."""
        return [str(method) for method in self.definition["payment"]["methods"]]

    @property
    def methods_are_ours(self) -> bool:
        """Whether the definition offers no way to pay, so that the demo does."""
        return not (self.original.get("payment") or {}).get("methods")

    @property
    def limit_per_customer(self) -> int | None:
        """Units one customer may have; None when there is no limit."""
        limit = self.definition.get("limit_per_customer")
        return None if limit is None else int(limit)

    def to_try(self, opens_at: datetime, units: int) -> dict[str, Any]:
        """A small sale of the first item with the holds of the original, for people who want to buy by hand."""
        definition = dict(self.original, opens_at=_instant(opens_at))
        definition.pop("closes_at", None)
        definition["items"] = [dict(self.original["items"][0], stock=units)]
        definition["payment"] = dict(self.original.get("payment") or {}, methods=self.methods)
        return definition

    def opening_at(self, opens_at: datetime) -> dict[str, Any]:
        """The definition, opening at another instant and staying open as long as before."""
        moved = dict(self.definition, opens_at=_instant(opens_at))
        if self.definition.get("closes_at"):
            open_for = _parsed(self.definition["closes_at"]) - _parsed(self.definition["opens_at"])
            moved["closes_at"] = _instant(opens_at + max(open_for, timedelta(minutes=10)))
        return moved


RECORDS = {
    "maserati": ("maserati-levante", Record(100, 18.0, "100 Maserati Levante, Tmall, March 2016")),
    "giulia": ("giulia-milano", Record(350, 33.0, "350 Alfa Romeo Giulia Milano, Tmall, March 2017")),
}


def load_sale(name_or_path: str, units: int | None = None, hold_seconds: int = HOLD_SECONDS) -> DemoSale:
    """Read `giulia`, `maserati` or a definition file; `units` replaces the stock of its only item.

    Raises DefinitionError when the file is missing, is no definition, or does not suit a demo. Whether
    the definition is valid in every field is for the server to say.
    """
    if name_or_path in RECORDS:
        sale, record = RECORDS[name_or_path]
        return _checked(sale, examples_dir() / f"{sale}.json", record, units, hold_seconds)
    path = Path(name_or_path)
    if not path.is_file():
        names = " or ".join(sorted(RECORDS))
        raise DefinitionError(f"no sale {name_or_path!r}: give {names}, or the path of a definition (JSON)")
    sale = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:50] or "demo"
    return _checked(sale, path, None, units, hold_seconds)


def examples_dir() -> Path:
    """Where the definitions of record are: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "examples"
    return installed if installed.is_dir() else package.parent / "examples"


def _checked(sale: str, path: Path, record: Record | None, units: int | None, hold_seconds: int) -> DemoSale:
    try:
        definition = orjson.loads(path.read_bytes())
        items = definition["items"]
        stock = [(str(item["sku"]), int(item["stock"])) for item in items]
        _parsed(definition["opens_at"])
        if definition.get("closes_at"):
            _parsed(definition["closes_at"])
        payment = dict(definition.get("payment") or {})
        extension = int(payment.get("hold_extension_seconds", 0))
        methods = [str(method) for method in payment.get("methods") or ["card"]]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as fault:
        raise DefinitionError(f"{path} is not a sale definition: {type(fault).__name__}: {fault}") from fault
    if units is not None:
        if len(items) != 1:
            raise DefinitionError(f"--units needs a sale of one item, and {path} has {len(items)}")
        definition["items"] = [dict(items[0], stock=units)]
        stock = [(stock[0][0], units)]
    if not stock or not 1 <= sum(count for _, count in stock) <= STOCK_MAX:
        raise DefinitionError(f"{path}: a demo sells 1 to {STOCK_MAX:,} units")
    payment["methods"] = methods
    payment["hold_extension_seconds"] = min(extension, hold_seconds // EXTENSION_PART)
    return DemoSale(sale, dict(definition, hold_seconds=hold_seconds, payment=payment), definition, record)


def _parsed(instant: str) -> datetime:
    parsed = datetime.fromisoformat(instant)
    if parsed.tzinfo is None:
        raise ValueError(f"{instant!r} has no time zone")
    return parsed


def _instant(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
