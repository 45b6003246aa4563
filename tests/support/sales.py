"""Sales to test with: definitions and claims with few words, and a clock that stands still.

- `OPENS_MS`: the instant at which `definition()` opens unless told otherwise.
- `definition({"car": 3}, limit=1)`: a definition from sku -> stock.
- `claim("ann", ("car", 1), key="k")`: a claim as the engine would make it.
- `Clock`: the simulated instant that scripts are given as `now_ms`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from flashsale.model.ids import derived_token, new_tokens
from flashsale.model.instants import to_rfc3339
from flashsale.model.reservation import Line
from flashsale.model.sale import SaleDefinition, parse_definition
from flashsale.scripts.reserve import Claim

SALE: Final = "giulia"
OPENS_MS: Final = 1_800_000_000_000


@dataclass(slots=True)
class Clock:
    """The instant of a test; it moves only when it is told to."""

    now_ms: int = OPENS_MS

    def advance(self, seconds: float) -> int:
        """Lets time pass, and returns the new instant."""
        self.now_ms += round(seconds * 1000)
        return self.now_ms


def definition(
    stock: Mapping[str, int],
    *,
    opens_ms: int = OPENS_MS,
    closes_ms: int | None = None,
    limit: int | None = None,
    item_limits: Mapping[str, int] | None = None,
    hold_seconds: int = 300,
    title: str = "Giulia Milano",
    price: int = 100,
    deposit_percent: int = 100,
    rehearsal: bool = False,
) -> SaleDefinition:
    """A definition that has passed every check a brand's own would have to pass."""
    limits = item_limits or {}
    data: dict[str, Any] = {
        "title": title,
        "opens_at": to_rfc3339(opens_ms),
        "closes_at": None if closes_ms is None else to_rfc3339(closes_ms),
        "currency": "CNY",
        "limit_per_customer": limit,
        "hold_seconds": hold_seconds,
        "items": [
            {"sku": sku, "price": price, "stock": units, "limit_per_customer": limits.get(sku)}
            for sku, units in stock.items()
        ],
        "payment": {"methods": ["card", "alipay"], "deposit_percent": deposit_percent},
        "rehearsal": rehearsal,
    }
    return parse_definition(data)


def claim(customer: str, *lines: Line, key: str | None = None, sale: str = SALE) -> Claim:
    """A claim of `lines` (one car when none are given), with a random token or the one `key` leads to."""
    wanted = lines or (("car", 1),)
    token = new_tokens(1)[0] if key is None else derived_token(sale, customer, key)
    return Claim(token, customer, wanted, key is not None)
