"""Units that customers have at one time, and who has had more than the limit."""

from collections.abc import Mapping

from flashsale.verdict.evidence import Terms


class Quota:
    """Counts what each customer has, when the sale has a limit at all."""

    def __init__(self, terms: Terms) -> None:
        self._limit = terms.limit
        self._limits = {item.sku: item.limit for item in terms.items if item.limit is not None}
        self._counts = self._limit is not None or bool(self._limits)
        self._has: dict[str, dict[str, int]] = {}
        self.broken: dict[str, str] = {}
        """Customer -> what they had too much of, in words."""

    def take(self, customer: str, units: Mapping[str, int]) -> None:
        """Units that begin to count."""
        if not self._counts:
            return
        has = self._has.setdefault(customer, {})
        for sku, count in units.items():
            has[sku] = has.get(sku, 0) + count
        total = sum(has.values())
        if self._limit is not None and total > self._limit:
            self.broken[customer] = f"{customer} ({total:,} units instead of {self._limit:,})"
        for sku in units:
            most = self._limits.get(sku)
            if most is not None and has[sku] > most:
                self.broken[customer] = f"{customer} ({has[sku]:,} of {sku} instead of {most:,})"

    def give_back(self, customer: str, units: Mapping[str, int]) -> None:
        """Units that cease to count."""
        if self._counts:
            has = self._has.setdefault(customer, {})
            for sku, count in units.items():
                has[sku] = has.get(sku, 0) - count
