"""Random histories of a sale: whatever customers, providers, support and the clock can do, in any order.

`History(shop, seed)` walks step by step; each step is one call of a script on the real server.
"""

import random
from typing import Any

from flashsale.model.outcomes import Reserve
from flashsale.model.payment import Fate, Money, PaymentStatus
from flashsale.model.reservation import Line, Reservation
from flashsale.scripts.payments import ChargeClaim
from flashsale.scripts.reserve import Held
from tests.support.sales import claim
from tests.support.shop import Shop

CUSTOMERS = ("ann", "bób", "cem", "🏎️")
STOCK = {"car": 12, "bus": 6, "ç": 4}
TERMS: dict[str, Any] = {
    "limit": 6,
    "item_limits": {"bus": 2},
    "hold_seconds": 30,
    "deposit_percent": 33,
    "price": 999,
}


class History:
    """One sale and those who have to do with it."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self.shop = shop
        self.chance = random.Random(seed)
        self.reservations: list[Reservation] = []
        self.charges = 0
        self.keys = 0

    async def begin(self) -> None:
        await self.shop.open(STOCK, **TERMS)

    async def walk(self, steps: int) -> None:
        """Goes so many steps."""
        acts = (
            (self.hold, 8),
            (self.pay, 6),
            (self.charge, 6),
            (self.another_charge, 2),
            (self.attempt, 2),
            (self.cancel, 1),
            (self.refund, 2),
            (self.settle, 3),
            (self.restock, 1),
            (self.steer, 0.4),
            (self.time_passes, 3),
            (self.sweep, 2),
        )
        for act in self.chance.choices([act for act, _ in acts], [weight for _, weight in acts], k=steps):
            await act()

    def some(self) -> Reservation | None:
        """Mostly one of the newest."""
        recent = self.reservations[-6:] if self.chance.random() < 0.8 else self.reservations
        return self.chance.choice(recent) if recent else None

    async def hold(self) -> None:
        skus = self.chance.sample([*STOCK], self.chance.choice([1, 1, 1, 2]))
        lines: tuple[Line, ...] = tuple((sku, self.chance.choice([1, 1, 1, 2])) for sku in sorted(skus))
        self.keys += 1
        wanted = claim(self.chance.choice(CUSTOMERS), *lines, key=f"k{self.keys}")
        (decision,) = await self.shop.reserve(wanted)
        if isinstance(decision, Held):
            self.reservations.append(decision.reservation)
        else:
            assert decision.outcome is not Reserve.UNKNOWN_SALE  # type: ignore[union-attr]  # nothing comes twice

    async def pay(self) -> None:
        if (one := self.some()) is not None:
            rate, extension_s = self.chance.choice([0, 0, 100]), self.chance.choice([0, 0, 20])
            await self.shop.pay(
                one, self.chance.choice(["card", "alipay"]), rate=rate, extension_s=extension_s
            )

    async def attempt(self) -> None:
        if (one := self.some()) is not None:
            status = self.chance.choice(
                [PaymentStatus.REQUIRES_ACTION, PaymentStatus.FAILED, PaymentStatus.CANCELLED]
            )
            await self.shop.attempt(
                one.token, status, self.reference(), attempt=self.chance.choice([1, 1, 2])
            )

    async def charge(self) -> None:
        """One that was asked for."""
        if (one := self.some()) is not None:
            await self.shop.confirm(self.shop.charge(one, self.reference(), attempt=1))

    async def another_charge(self) -> None:
        """One of the wrong amount, or for nobody we know."""
        one = self.some()
        token = one.token if one is not None and self.chance.random() < 0.8 else "s" * 16
        money = Money(self.chance.choice([1, 330]), self.chance.choice(["CNY", "EUR"]))
        await self.shop.confirm(ChargeClaim(token, 1, "alipay", money, self.reference()))

    def reference(self) -> str:
        self.charges += 1
        return f"sim:{self.charges}"

    async def cancel(self) -> None:
        if (one := self.some()) is not None:
            await self.shop.cancel(one.token)

    async def refund(self) -> None:
        if (one := self.some()) is not None:
            await self.shop.refund(one.token, restock=self.chance.random() < 0.7)

    async def settle(self) -> None:
        """A charge that is to be given back, given back."""
        tokens = [one.token for one in self.reservations[-20:]] + ["s" * 16]
        for token in self.chance.sample(tokens, len(tokens)):
            record = await self.shop.payment(token)
            for each in record.charges if record is not None else ():
                if each.fate is Fate.REFUNDING:
                    await self.shop.settle(token, each.reference)
                    return

    async def restock(self) -> None:
        await self.shop.restock(self.chance.choice([*STOCK]), self.chance.choice([1, 2]))

    async def steer(self) -> None:
        await self.shop.set_state("pause")
        await self.shop.set_state("resume")

    async def time_passes(self) -> None:
        self.shop.clock.advance(self.chance.choice([0.001, 1, 10, 31]))

    async def sweep(self) -> None:
        await self.shop.expire(limit=self.chance.choice([1, 3, 1000]))
