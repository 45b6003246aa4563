"""A crowd that wants one unit each and does not give up: what it was told, and whether all of it is true."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from tests.support.house import PatientShop
from tests.support_http.client import PATIENCE_S, Shop, eventually, new_sale_id

AT_ONCE: Final = 40
"""Customers who press at the same time, each on a connection of its own."""


@dataclass
class Crowd:
    """Customers who ask for one unit under an Idempotency-Key of their own, again and again until they know.

    A connection that is cut and an answer that says 503 are no knowledge; everything else is. `told` is what each
    customer was told last, None meaning sold out. Those with numbers from `until` on do not press yet: so nobody is
    ever too late to meet with what is killed next.
    """

    url: str
    customers: int
    stock: int
    sale: str = field(default_factory=new_sale_id)
    told: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    troubles: int = 0
    until: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def define(self) -> None:
        async with PatientShop(self.url) as shop:
            await eventually(shop.ready, "the server is ready")
            terms = {"stock": self.stock, "limit_per_customer": 1, "hold_seconds": 3600}
            (await shop.define(self.sale, **terms)).must(200, 201)

    async def press(self) -> None:
        """Everybody's turn, `AT_ONCE` of them at a time."""
        waiting = iter(range(self.customers))
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._press_in_turn(waiting))

    async def _press_in_turn(self, waiting: Iterator[int]) -> None:
        async with Shop(self.url) as shop:
            for number in waiting:
                while number >= self.until:
                    await self.changed.wait()
                async with asyncio.timeout(PATIENCE_S):
                    customer = f"c-{number}"
                    self.told[customer] = await self._press_until_told(shop, customer)
                    self._note()

    async def _press_until_told(self, shop: Shop, customer: str) -> dict[str, Any] | None:
        while True:
            try:
                answer = await shop.reserve(self.sale, customer, key=f"the click of {customer}")
            except aiohttp.ClientError:
                answer = None
            if answer is not None and answer.status != 503:
                if answer.status == 409:
                    answer.refused(409, "sold_out")
                    return None
                held: dict[str, Any] = answer.must(200, 201)
                return held
            if answer is not None:
                assert answer.refused(503, answer.code)["code"] in {"busy", "unavailable", "recovering"}
            self.troubles += 1
            self._note()
            await asyncio.sleep(0.02)

    def _note(self) -> None:
        self.changed.set()
        self.changed.clear()

    def let(self, point: int | None = None) -> None:
        """So many customers, and all who may be in hand besides, may press now; None stands for everybody."""
        self.until = self.customers if point is None else point + AT_ONCE
        self._note()

    async def kills(self, points: Sequence[int]) -> AsyncIterator[None]:
        """At each of these points, while so many customers know and others are about to press.

        They are so until whoever iterates waits for something: then the last of those who may press may be told.
        """
        self.let(points[0])
        for point, following in zip(points, [*points[1:], None], strict=True):
            await self.until_told(point)
            self.let(following)
            yield

    async def until_told(self, count: int) -> None:
        """Waits until so many customers know."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.told) < count:
                await self.changed.wait()

    async def until_trouble(self) -> None:
        """Waits for the next trouble that anybody has: only for one who has just seen to it that all who press have it."""
        before = self.troubles
        async with asyncio.timeout(PATIENCE_S):
            while self.troubles == before:
                await self.changed.wait()

    def winners(self) -> dict[str, dict[str, Any]]:
        return {customer: held for customer, held in self.told.items() if held is not None}


def kill_points(seed: int, stock: int, count: int) -> Sequence[int]:
    """After how many answers something is killed: `count` times, at any time before the sale is sold out."""
    return sorted(random.Random(seed).sample(range(1, stock - AT_ONCE), count))


async def judge(crowd: Crowd) -> None:
    """All that was told is true: every unit is sold once, to the one who was told so, and none is left."""
    assert len(crowd.told) == crowd.customers
    winners = crowd.winners()
    assert len(winners) == crowd.stock, f"{len(winners)} were told that they have one of {crowd.stock} units"
    async with PatientShop(crowd.url) as shop:
        await eventually(shop.ready, "the server is ready")
        report = await shop.audit(crowd.sale)
        (item,) = report["items"]
        assert (item["available"], item["held"]) == (0, crowd.stock)
        assert report["reservations"] == {"held": crowd.stock}
        assert sorted(held["place"] for held in winners.values()) == list(range(1, crowd.stock + 1))
        assert len({held["id"] for held in winners.values()}) == crowd.stock
        for customer, held in crowd.told.items():
            assert await shop.mine(crowd.sale, customer) == ([] if held is None else [held])
        (await shop.reserve(crowd.sale, "too-late", key="k")).refused(409, "sold_out")
