"""`Worker`: what one server process has, and how often it answered from memory."""

from dataclasses import dataclass, field

from flashsale.engine.catalog import Catalog
from flashsale.engine.reservations import Reservations
from flashsale.model.outcomes import Reserve
from flashsale.model.reservation import Line
from flashsale.scripts.reserve import Decision, Held, Refused
from flashsale.store.sales import SaleStore
from tests.support.sales import SALE


@dataclass
class Worker:
    store: SaleStore
    catalog: Catalog
    reservations: Reservations = field(init=False)
    from_memory: int = 0

    async def ask(self, customer: str, *lines: Line, key: str | None = None, sale: str = SALE) -> Decision:
        """One car when no lines are given."""
        _, decision = await self.reservations.reserve(sale, customer, lines or (("car", 1),), key)
        return decision

    async def outcome(self, customer: str, *lines: Line, key: str | None = None, sale: str = SALE) -> Reserve:
        decision = await self.ask(customer, *lines, key=key, sale=sale)
        if isinstance(decision, Refused):
            return decision.outcome
        return Reserve.HELD if isinstance(decision, Held) else Reserve.REPLAYED

    async def remember_sold_out(self, sale: str = SALE) -> None:
        """Asks as one newcomer after the other until the answer comes from memory."""
        before, number = self.from_memory, 0
        while self.from_memory == before:
            number += 1
            assert await self.outcome(f"newcomer {number}", sale=sale) is Reserve.SOLD_OUT
