"""The terms of a sale as its journal has frozen them, read without the code that takes definitions in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import orjson

from flashsale.model import instants
from flashsale.model.payment import Money
from flashsale.model.reservation import Line
from flashsale.model.schedule import deposit


@dataclass(slots=True)
class Terms:
    """What `sale.opened` froze. Limits are None when there are none."""

    opens_ms: int
    closes_ms: int | None
    hold_ms: int
    limit: int | None
    item_limits: dict[str, int | None]
    currency: str
    prices: dict[str, int]
    deposit_percent: int
    instalments: int
    rehearsal: bool

    @classmethod
    def read(cls, definition: bytes) -> "Terms":
        """The terms of a definition in its canonical form.

        Raises:
            ValueError, KeyError, TypeError: the bytes are something else.
        """
        data = orjson.loads(definition)
        opens_ms = _instant(data["opens_at"])
        if opens_ms is None:
            raise ValueError("the sale never opens")
        return cls(
            opens_ms=opens_ms,
            closes_ms=_instant(data["closes_at"]),
            hold_ms=data["hold_seconds"] * 1000,
            limit=data["limit_per_customer"],
            item_limits={item["sku"]: item["limit_per_customer"] for item in data["items"]},
            currency=data["currency"],
            prices={item["sku"]: item["price"] for item in data["items"]},
            deposit_percent=data["payment"]["deposit_percent"],
            instalments=data["payment"]["instalments"],
            rehearsal=data.get("rehearsal", False),
        )

    def due(self, lines: tuple[Line, ...]) -> Money:
        """The one amount that pays for these lines."""
        amount = sum(self.prices[sku] * units for sku, units in lines)
        return Money(deposit(amount, self.deposit_percent), self.currency)

    def broken_limit(self, customer: str, has: Mapping[str, int], lines: tuple[Line, ...]) -> str | None:
        """What a customer who has so many units of each sku would have too much of with these lines, in words."""
        total = sum(has.values()) + sum(units for _, units in lines)
        if self.limit is not None and total > self.limit:
            return f"customer {customer!r} has {total} units, the limit is {self.limit}"
        for sku, units in lines:
            most, together = self.item_limits.get(sku), has.get(sku, 0) + units
            if most is not None and together > most:
                return f"customer {customer!r} has {together} of {sku}, the limit is {most}"
        return None


def _instant(text: str | None) -> int | None:
    return instants.from_datetime(datetime.fromisoformat(text)) if text is not None else None
