"""The feed of orders of a real shop: server, store and publisher, which are ended and started again beneath it."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from flashsale.client import ApiError, Books, Client, Json, Order, OrderFeed
from flashsale.client.feed import NOW
from tests.client.lying_shop import KEY
from tests.support.trade import Trade
from tests.support_http.client import PATIENCE_S, ROOT_KEY, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
async def trade(tmp_path: Path) -> AsyncIterator[Trade]:
    """A shop of which this test may end any part."""
    async with Trade(tmp_path) as running:
        await running.open("giulia")
        yield running


def collect(feed: OrderFeed, into: list[Order]) -> "asyncio.Task[None]":
    """Reads a feed in the background."""

    async def read() -> None:
        async for each in feed:
            into.append(each)  # noqa: PERF401 - others look at the list meanwhile

    return asyncio.create_task(read())


async def enough(found: list[Order], count: int, reader: "asyncio.Task[None]") -> None:
    """Waits for so many orders; what has ended the reader is raised here."""

    async def look() -> bool:
        if reader.done():
            await reader
        return len(found) >= count

    await eventually(look, f"{count} orders have come")


async def agree(trade: Trade, found: list[Order], *sales: str) -> None:
    """Everything came once, in order, and sums and digest are those of the shop."""
    books = Books()
    for each in found:
        books.add(each)
    for sale in sales:
        assert books.differences(await trade.summary(sale)) == []
        last = {each.reservation: each.status for each in found if each.sale == sale}
        assert last == await trade.orders(sale)


async def test_orders_of_all_sales_as_they_are_made(trade: Trade) -> None:
    await trade.open("levante")
    found: list[Order] = []
    reader = collect(OrderFeed(trade.url, trade.key, page_size=100), found)
    made = await trade.sell("giulia", 700)
    await trade.sell("levante", 300)
    await trade.undo(made[3])
    await enough(found, 1001, reader)
    reader.cancel()
    await agree(trade, found, "giulia", "levante")


async def test_the_end_of_what_there_is_and_one_sale_only(trade: Trade) -> None:
    await trade.open("levante")
    await trade.sell("giulia", 5)
    await trade.sell("levante", 5)
    for sale in ("giulia", "levante"):
        await trade.summary(sale)
    found = [each async for each in OrderFeed(trade.url, trade.key, sale="levante", follow=False)]
    assert [each.sequence for each in found] == [1, 2, 3, 4, 5]
    await agree(trade, found, "levante")
    with pytest.raises(ApiError, match="unknown_sale"):
        await anext(aiter(OrderFeed(trade.url, trade.key, sale="miura")))


async def test_from_now_on(trade: Trade) -> None:
    await trade.sell("giulia", 5)
    await trade.summary("giulia")
    feed = Begun(trade.url, trade.key, after=NOW)
    first = asyncio.ensure_future(anext(aiter(feed)))
    await asyncio.wait_for(feed.has_begun.wait(), PATIENCE_S)
    await trade.sell("giulia", 1)
    assert (await first).sequence == 6


class Begun(OrderFeed):
    """A feed that tells when it knows where it begins, and asks for what comes behind."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.has_begun = asyncio.Event()

    async def _answer(self, client: Client, after: str, wait_seconds: int) -> Json:
        if after != NOW:
            self.has_begun.set()
        return await super()._answer(client, after, wait_seconds)


@pytest.mark.long
async def test_server_and_publisher_die_again_and_again(trade: Trade, tmp_path: Path) -> None:
    dice = random.Random(11)
    found: list[Order] = []
    reader = collect(OrderFeed(trade.url, trade.key, wait_seconds=5, cursor=tmp_path / "cursor"), found)
    for _ in range(3):
        await trade.sell("giulia", dice.randint(1, 200))
        await asyncio.sleep(dice.uniform(0, 0.2))
        await asyncio.to_thread(trade.end_server)
        await trade.sell("giulia", dice.randint(1, 200))
        await asyncio.to_thread(trade.end_work)
        await asyncio.to_thread(trade.start_work)
        await asyncio.to_thread(trade.start_server)
    summary = await trade.summary("giulia")
    await enough(found, summary["sequence"], reader)
    reader.cancel()
    await agree(trade, found, "giulia")


async def test_who_may_read_orders(trade: Trade) -> None:
    async with Client(trade.url, ROOT_KEY) as brand:
        other = str((await brand.create_key("a till", ["sales"]))["key"])
    for key, status in ((KEY, 401), (other, 403)):
        with pytest.raises(ApiError) as error:
            await anext(aiter(OrderFeed(trade.url, key)))
        assert error.value.status == status
        assert key not in str(error.value)


async def test_a_cursor_of_another_shop_is_refused_and_not_waited_for(trade: Trade, tmp_path: Path) -> None:
    await trade.sell("giulia", 3)
    await trade.summary("giulia")
    ahead = [each async for each in OrderFeed(trade.url, trade.key, follow=False)][-1]
    async with Trade(tmp_path / "other") as other:
        await other.open("giulia")
        with pytest.raises(ApiError, match="cursor_ahead"):
            await anext(aiter(OrderFeed(other.url, other.key, after=ahead.cursor)))
