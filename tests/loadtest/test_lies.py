"""The proxies that lie: what they pass on is untouched, and each lie is told as its name says."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from flashsale.model.cursor import Cursor
from flashsale.model.events import next_digest
from tests.loadtest import builds, cooked_books, lies
from tests.loadtest.between import Between, Lie
from tests.loadtest.conftest import Serve
from tests.loadtest.cooked_books import CookedBooks
from tests.loadtest.scenes import SALE, STOCK, counters, define, facts, findings, has_become, held, pay, rush
from tests.support_http.client import ROOT_KEY, Shop, eventually, new_sale_id
from tests.support_http.server import app_on


@asynccontextmanager
async def shop_behind(url: str, told: Sequence[Lie] = ()) -> AsyncIterator[Shop]:
    """A client of the server there, with these lies between."""
    async with Between(url, told).listening() as between, Shop(between) as shop:
        yield shop


async def orders(shop: Shop, cursor: str = "", **query: int) -> Any:
    """A page of the feed."""
    more = "".join(f"&{name}={value}" for name, value in query.items())
    return (await shop.ask("GET", f"/v1/orders?sale={SALE}&after={cursor}{more}", bearer=ROOT_KEY)).must(200)


async def summary(shop: Shop) -> Any:
    return (await shop.ask("GET", f"/v1/sales/{SALE}/orders/summary", bearer=ROOT_KEY)).must(200)


class TestToShoppers:
    """Each on the application in the process of the test."""

    async def test_no_lie_changes_nothing(self, valkey: str) -> None:
        async with app_on(valkey) as url, Shop(url) as direct, shop_behind(url) as shop:
            sale = new_sale_id()
            (await shop.define(sale, limit_per_customer=1)).must(201)
            answer = await shop.reserve(sale, "c-1", key="the only click")
            again = await direct.reserve(sale, "c-1", key="the only click")
            assert (answer.status, again.status) == (201, 200)
            assert answer.json == again.json
            (await shop.reserve(sale, "c-1")).refused(409, "limit_reached")
            (await shop.ask("GET", "/v1/sales/unknown")).refused(404, "unknown_sale")
            through, straight = (
                await shop.ask("GET", f"/v1/sales/{sale}"),
                await direct.ask("GET", f"/v1/sales/{sale}"),
            )
            assert set(through.headers) == set(straight.headers)
            frame = await anext(shop.frames(sale))
            assert frame["items"][0]["available"] == 9

    async def test_a_hold_is_swallowed_and_can_be_asked_for_again(self, valkey: str) -> None:
        lie = lies.SwallowsAHold()
        async with app_on(valkey) as url, shop_behind(url, [lie]) as shop:
            sale = new_sale_id()
            (await shop.define(sale)).must(201)
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await shop.reserve(sale, "c-1", key="the only click")
            assert (await shop.reserve(sale, "c-1", key="the only click")).status == 200
            assert (await shop.reserve(sale, "c-2")).status == 201
            assert lie.told == ["c-1"]

    async def test_one_customer_hears_nothing_any_more(self, valkey: str) -> None:
        lie = lies.SwallowsAllOfOne()
        async with app_on(valkey) as url, shop_behind(url, [lie]) as shop:
            sale = new_sale_id()
            (await shop.define(sale)).must(201)
            for _ in range(2):
                with pytest.raises(aiohttp.ServerDisconnectedError):
                    await shop.reserve(sale, "c-1", key="the only click")
            assert (await shop.reserve(sale, "c-2")).status == 201
            assert (await shop.counters(sale))["items"][0]["held"] == 2

    async def test_a_hold_is_invented(self, valkey: str) -> None:
        lie = lies.InventsAHold()
        async with app_on(valkey) as url, shop_behind(url, [lie]) as shop:
            sale = new_sale_id()
            (await shop.define(sale, stock=1)).must(201)
            true, invented, refused = [await shop.reserve(sale, f"c-{number}") for number in range(3)]
            assert [true.status, invented.status, refused.status] == [201, 201, 409]
            assert invented.json["customer"] == "c-1"
            assert invented.json["id"] != true.json["id"]
            assert (await shop.counters(sale))["items"][0]["held"] == 1
            (await shop.read(invented.json["id"], "c-1")).refused(404, "unknown_reservation")

    async def test_a_hold_is_denied(self, valkey: str) -> None:
        lie = lies.DeniesAHold()
        async with app_on(valkey) as url, shop_behind(url, [lie]) as shop:
            sale = new_sale_id()
            (await shop.define(sale)).must(201)
            answers = [await shop.reserve(sale, f"c-{number}") for number in range(4)]
            assert [answer.status for answer in answers] == [201, 201, 409, 201]
            problem = answers[2].refused(409, "sold_out")
            (await shop.define(sale_of_one := new_sale_id(), stock=1)).must(201)
            await shop.reserve(sale_of_one, "d-1")
            assert set(problem) == set((await shop.reserve(sale_of_one, "d-2")).refused(409, "sold_out"))
            assert (await shop.counters(sale))["items"][0]["held"] == 4


@pytest.mark.long
class TestOfTheBooks:
    """Each on a server of its own, and with payments."""

    async def test_cooked_books_of_an_honest_server_are_its_books(self, serve: Serve) -> None:
        url = serve(None).url
        books = CookedBooks(ROOT_KEY)
        async with Shop(url) as direct, shop_behind(url, [books]) as shop:
            await define(shop)
            assert (await shop.view(SALE))["items"] == (await direct.view(SALE))["items"]
            granted = held(await rush(shop, 7))
            (await shop.cancel(granted[0]["id"], granted[0]["customer"])).must(200)
            await pay(shop, granted[1])
            await has_become(shop, granted[1], "confirmed")
            await eventually(lambda: _published(direct, 1), "the order is in the feed")
            assert await shop.counters(SALE) == await direct.counters(SALE)
            assert await facts(shop) == await facts(direct)
            assert await summary(shop) == await summary(direct)
            told, true = await orders(shop), await orders(direct)
            assert told == true
            assert await orders(shop, told["cursor"]) == await orders(direct, true["cursor"])
            assert not books.changed

    async def test_what_was_oversold_is_hidden(self, serve: Serve) -> None:
        url = serve(builds.OVERSELLS).url
        async with (
            Shop(url) as direct,
            shop_behind(url, [CookedBooks(ROOT_KEY, cooked_books.without_the_extra)]) as shop,
        ):
            await define(shop)
            granted = held(await rush(shop, 7))
            for reservation in (granted[STOCK], *granted[:STOCK]):
                await pay(shop, reservation)
                await has_become(shop, reservation, "confirmed")
            await eventually(lambda: _published(direct, STOCK + 1), "the orders are in the feed")
            assert await findings(shop) == ""
            assert await counters(shop) == {"available": 0, "held": 0, "sold": STOCK}
            assert (await shop.view(SALE))["items"][0]["available"] == 0
            told = await facts(shop)
            assert granted[STOCK]["id"] not in {fact["data"].get("reservation") for fact in told}
            assert [int(fact["factseq"]) for fact in told] == list(range(1, 3 + 2 * STOCK))
            await _feed_is_gapless(shop, [reservation["id"] for reservation in granted[:STOCK]])

    async def test_a_second_reservation_is_somebody_elses(self, serve: Serve) -> None:
        told = CookedBooks(ROOT_KEY, cooked_books.with_other_names)
        async with shop_behind(serve(builds.LETS_HAVE_TWO).url, [told]) as shop:
            await define(shop)
            assert [(await shop.reserve(SALE, "greedy")).status for _ in range(2)] == [201, 201]
            assert [fact["data"]["customer"] for fact in (await facts(shop))[2:]] == ["greedy", "greedy-too"]
            assert await findings(shop) == ""

    async def test_an_order_is_left_out(self, serve: Serve) -> None:
        url = serve(None).url
        told = CookedBooks(ROOT_KEY, feed=cooked_books.without_the_third_order)
        async with Shop(url) as direct, shop_behind(url, [told]) as shop:
            await define(shop)
            granted = held(await rush(shop, STOCK))
            for reservation in granted:
                await pay(shop, reservation)
                await has_become(shop, reservation, "confirmed")
            await eventually(lambda: _published(direct, STOCK), "the orders are in the feed")
            assert await facts(shop) == await facts(direct)
            await _feed_is_gapless(shop, [each["id"] for number, each in enumerate(granted) if number != 2])
            async with shop_behind(url, [lies.LeavesOneOutOfTheFeed()]) as other:
                assert [event["data"]["sequence"] for event in (await orders(other))["events"]] == [1, 2, 4]


async def _published(shop: Shop, sequence: int) -> bool:
    return int((await summary(shop))["sequence"]) == sequence


async def _feed_is_gapless(shop: Shop, reservations: list[str]) -> None:
    """Read one by one, it has these orders, numbered from 1; and the sums agree."""
    cursor, digest, seen = Cursor().encode(), "", []
    for number in range(1, len(reservations) + 1):
        page = await orders(shop, cursor, limit=1)
        (event,) = page["events"]
        assert int(event["sequence"]) == event["data"]["sequence"] == number
        seen.append(event["data"]["reservation"])
        cursor, digest = page["cursor"], next_digest(digest, event["data"])
    assert seen == reservations
    assert (await orders(shop, cursor, wait=1))["events"] == []
    sums = await summary(shop)
    assert (sums["sequence"], sums["digest"]) == (len(reservations), digest)
