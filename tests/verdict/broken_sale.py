"""Sales that break one promise and whose own books agree with each other all the same, as those of a faulty engine do."""

from tests.verdict.honest_sale import HonestSale, Reservation

GHOST = "ghost"


class Oversells(HonestSale):
    """Grants one unit more than there is."""

    def _reserve(self, customer: str, units: dict[str, int]) -> tuple[str, Reservation | None]:
        for sku in units:
            self.counters[sku][1] += 1
        try:
            return super()._reserve(customer, units)
        finally:
            for sku in units:
                self.counters[sku][1] -= 1


class KeepsTheLast(HonestSale):
    """Never grants the last unit of an item."""

    def _reserve(self, customer: str, units: dict[str, int]) -> tuple[str, Reservation | None]:
        for sku in units:
            self.counters[sku][1] -= 1
        try:
            return super()._reserve(customer, units)
        finally:
            for sku in units:
                self.counters[sku][1] += 1


class NeverSweeps(HonestSale):
    """Holds that are over stay where they are."""

    def sweep(self, late_ms: int = 0) -> None:
        """Does nothing."""


class HoldsForNobody(HonestSale):
    """Grants the first reservation of every item to somebody who never came, for good."""

    def _reserve(self, customer: str, units: dict[str, int]) -> tuple[str, Reservation | None]:
        if not self.reservations:
            super()._reserve(GHOST, {"giulia": 1})
        return super()._reserve(customer, units)


class Remembers(HonestSale):
    """Believes for half a minute that an item is sold out."""

    def _memory_until(self) -> int:
        return self.now + 30_000


class LosesReturns(HonestSale):
    """Units of a hold that has ended are gone."""

    def _end(self, one: Reservation, how: str) -> None:
        super()._end(one, how)
        for sku, count in one.units.items():
            self.counters[sku][1] -= count


class ShrinksStock(LosesReturns):
    """As well, and makes its counters add up again."""

    def _end(self, one: Reservation, how: str) -> None:
        super()._end(one, how)
        for sku, count in one.units.items():
            self.counters[sku][0] -= count


class ForgetsLimits(HonestSale):
    """Lets a customer have whatever they want."""

    def _over_limit(self, customer: str, units: object) -> bool:
        return False


class SkipsNumbers(HonestSale):
    """Passes over the second sequence number."""

    def _order(self, status: str, one: Reservation, *, restocked: bool = False) -> None:
        self.sequence += self.sequence == 1
        super()._order(status, one, restocked=restocked)


class DrawsOut(HonestSale):
    """Holds for ten times as long as the sale says."""

    def _reserve(self, customer: str, units: dict[str, int]) -> tuple[str, Reservation | None]:
        self.hold_ms *= 10
        try:
            return super()._reserve(customer, units)
        finally:
            self.hold_ms //= 10


class KeepsMoney(HonestSale):
    """Gives no charge back."""

    def _fact(self, type_: str, one: Reservation | None = None, **more: object) -> None:
        if type_ != "charge.refunded":
            super()._fact(type_, one, **more)
