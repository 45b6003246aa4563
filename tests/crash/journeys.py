"""What a payment may go through from its beginning to its end: the customer's and the support's side of it.

Each of these comes to the same end, whatever is killed on the way: everything is asked for again until it is answered.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from redis.exceptions import ResponseError

from flashsale.keys import SaleKeys
from flashsale.scripts.payments import GROUP
from flashsale.store.client import StoreUnavailableError
from tests.support.house import House, PatientShop, Till, click
from tests.support_http.client import eventually

Act = Callable[[Till], Awaitable[None]]


@dataclass(frozen=True)
class Journey:
    """What is done, and how many charges become orders and refunds by it."""

    act: Act
    orders: int = 0
    refunds: int = 0


class PatientTill(Till):
    """One whose store and server may be away for a while."""

    def __init__(self, house: House) -> None:
        super().__init__(house, PatientShop(house.url))

    async def queue_is_empty(self) -> bool:
        try:
            return await super().queue_is_empty()
        except StoreUnavailableError:
            return False

    async def forgets_the_rest(self) -> bool:
        """Everything that is stored goes; whether it has."""
        try:
            await self.store.call(self.store.redis.flushall())
        except StoreUnavailableError:
            return False
        return True

    async def has_workers(self, count: int) -> bool:
        """Whether so many have asked for jobs of this sale."""
        try:
            found = await self.store.redis.xinfo_consumers(SaleKeys.of(self.sale).payments, GROUP)
        except ResponseError:  # nobody has
            return False
        return len(found) >= count

    async def time_passes(self) -> None:
        async def passed() -> bool:
            try:
                await Till.time_passes(self)
            except StoreUnavailableError:
                return False
            return True

        await eventually(passed, "every hold ends")


async def click_surely(url: str, outcome: str = "succeed", **money: Any) -> None:
    """Clicks until the provider has taken note of it."""

    async def clicked() -> bool:
        try:
            await click(url, outcome, **money)
        except aiohttp.ClientError:
            return False
        except AssertionError as refusal:
            # The click before this one was heard, and its answer lost. What it paid may have been given up meanwhile.
            return any(code in str(refusal) for code in ("already_paid", "refused", "cancelled"))
        return True

    await eventually(clicked, "the click arrives")


async def card(till: Till) -> None:
    """Consent first, then the charge."""
    held = await till.hold("ann", key="the only click")
    await click_surely(await till.ask(held, "ann", "card"))
    await till.until(held, "confirmed", "paid")


async def alipay(till: Till) -> None:
    """Charged at once."""
    held = await till.hold("ann", key="the only click")
    await click_surely(await till.ask(held, "ann", "alipay"))
    await till.until(held, "confirmed", "paid")


async def decline(till: Till) -> None:
    """Declined, tried again, refused for good."""
    held = await till.hold("ann", key="the only click")
    page = await till.ask(held, "ann", "card")
    await click_surely(page, "decline")
    await till.until(held, "held", "failed")
    await click_surely(page, "refuse")
    await till.until(held, "cancelled", "cancelled")


async def cancel(till: Till) -> None:
    """The customer gives up a payment that is under way."""
    held = await till.hold("ann", key="the only click")
    await till.ask(held, "ann", "card")
    answer = await till.shop.cancel(held, "ann")
    assert answer.status == 200 or answer.code == "already_cancelled"
    await till.until(held, "cancelled", "cancelled")


async def too_late(till: Till) -> None:
    """Charged when the hold was over and its units gone."""
    held = await till.hold("ann", key="the only click")
    page = await till.ask(held, "ann", "alipay")
    await eventually(till.queue_is_empty, "the worker has nothing to do")
    await till.time_passes()
    await till.hold("bob", key="the only click")
    await click_surely(page)
    await till.until(held, "expired", "refunded")


async def consent_too_late(till: Till) -> None:
    """Agreed to when the hold was over and its units gone."""
    held = await till.hold("ann", key="the only click")
    page = await till.ask(held, "ann", "klarna")
    await eventually(till.queue_is_empty, "the worker has nothing to do")
    await till.time_passes()
    await till.hold("bob", key="the only click")
    await click_surely(page)
    await till.until(held, "expired", "cancelled")


async def support_refund(till: Till) -> None:
    """An order that is undone."""
    held = await till.hold("ann", key="the only click")
    await click_surely(await till.ask(held, "ann", "paypal"))
    await till.until(held, "confirmed", "paid")
    await till.refund(held)
    await till.until(held, "refunded", "refunded")


async def second_method(till: Till) -> None:
    """A payment that is given up for another."""
    held = await till.hold("ann", key="the only click")
    await till.ask(held, "ann", "card")
    await click_surely(await till.ask(held, "ann", "bank_transfer"))
    await till.until(held, "confirmed", "paid")


JOURNEYS = {
    "card": Journey(card, orders=1),
    "alipay": Journey(alipay, orders=1),
    "decline": Journey(decline),
    "cancel": Journey(cancel),
    "too late": Journey(too_late, refunds=1),
    "consent too late": Journey(consent_too_late),
    "support refund": Journey(support_refund, refunds=1),
    "second method": Journey(second_method, orders=1),
}


async def quietly(what: Awaitable[None]) -> None:
    """Waits for a task that was cancelled."""
    try:
        await what
    except asyncio.CancelledError:
        return
