"""Rehearsals over HTTP: who reads orders sees none of theirs, unless they name one and say that it is a rehearsal."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest

from flashsale.client import OrderFeed
from flashsale.client.errors import ApiError
from flashsale.model.cursor import Cursor
from flashsale.model.payment import METHODS
from flashsale.store.client import Store
from flashsale.store.sales import SaleStore
from tests.support.selling import Seller, publish_all
from tests.support_http.client import ROOT_KEY, Shop, definition, new_sale_id, token
from tests.support_http.server import app_on

REAL, PRETENDED = "milano", "milano-rehearsal"
KEY = {"Authorization": f"Bearer {ROOT_KEY}"}


@pytest.fixture
async def shop(valkey: str) -> AsyncIterator[Shop]:
    """A client of a server in this process, which takes no payments."""
    async with app_on(valkey) as url, Shop(url) as shop:
        yield shop


@pytest.fixture
async def told(store: Store, sale_store: SaleStore) -> tuple[int, int]:
    """How many orders an ordinary sale has made and undone, and how many its rehearsal."""
    counts = []
    for sale, rehearsal in ((REAL, False), (PRETENDED, True)):
        seller = Seller(store, sale_store, sale)
        await seller.begin(rehearsal=rehearsal)
        await seller.sell(6)
        await publish_all(seller)
        counts.append(seller.told)
    return counts[0], counts[1]


async def get(shop: Shop, query: str) -> Any:
    return await shop.ask("GET", f"/v1/orders{query}", bearer=ROOT_KEY)


async def streamed(shop: Shop, query: str) -> list[Any]:
    """The events of a stream that ends when there is nothing more, and its last id."""
    url = f"{shop.url}/v1/orders/stream?wait=0{query}"
    async with aiohttp.ClientSession() as http, http.get(url, headers=KEY) as answer:
        assert answer.status == 200, await answer.read()
        lines = (await answer.read()).decode().splitlines()
    ids = [line.removeprefix("id: ") for line in lines if line.startswith("id: ")]
    return [*(orjson.loads(line[6:]) for line in lines if line.startswith("data: ")), ids[-1]]


async def test_the_view_and_the_definition_say_so(shop: Shop) -> None:
    sale, other = new_sale_id(), new_sale_id()
    assert (await shop.define(sale, rehearsal=True)).must(201)["rehearsal"] is True
    opens_at = "2026-01-01T00:00:00Z"
    assert (await shop.define(other, opens_at=opens_at)).must(201)["rehearsal"] is False
    (await shop.define(other, opens_at=opens_at, rehearsal=False)).must(200)  # the same definition
    assert (await shop.ask("GET", f"/v1/sales/{sale}")).must(200)["rehearsal"] is True
    shown = (await shop.ask("GET", "/v1/sales")).must(200)["sales"]
    assert {each["id"]: each["rehearsal"] for each in shown} == {sale: True, other: False}
    (await shop.define(sale, rehearsal="yes")).invalid("rehearsal")


async def test_all_orders_are_those_of_ordinary_sales(shop: Shop, told: tuple[int, int]) -> None:
    mark = Cursor.at({REAL: told[0]}).encode()
    for query in ("?limit=1000", "?limit=1000&types=confirmed,refunded", "?limit=1000&rehearsal=false"):
        found = (await get(shop, query)).must(200)
        assert {event["data"]["sale"] for event in found["events"]} == {REAL}
        assert (len(found["events"]), found["cursor"], found["more"]) == (told[0], mark, False)
    *events, last = await streamed(shop, "")
    assert ({event["data"]["sale"] for event in events}, len(events), last) == ({REAL}, told[0], mark)
    assert (await get(shop, "?after=now")).must(200)["cursor"] == mark
    assert await streamed(shop, "&after=now") == [mark]
    ahead = Cursor.at({REAL: told[0], PRETENDED: told[1] + 7}).encode()
    assert (await get(shop, f"?after={ahead}")).must(200)["events"] == []


async def test_a_rehearsal_is_read_by_its_name(shop: Shop, told: tuple[int, int]) -> None:
    asked = f"&sale={PRETENDED}&rehearsal=true"
    found = (await get(shop, f"?limit=1000{asked}")).must(200)
    assert [event["data"]["sequence"] for event in found["events"]] == list(range(1, told[1] + 1))
    assert found["cursor"] == Cursor.at({PRETENDED: told[1]}).encode()
    *events, last = await streamed(shop, asked)
    assert (events, last) == (found["events"], found["cursor"])
    summary = (await shop.ask("GET", f"/v1/sales/{PRETENDED}/orders/summary", bearer=ROOT_KEY)).must(200)
    assert (summary["sequence"], summary["behind"]) == (told[1], 0)


@pytest.mark.parametrize("path", ["", "/stream"])
async def test_whoever_asks_for_the_other_kind_is_told_why_there_is_nothing(
    shop: Shop, told: tuple[int, int], path: str
) -> None:
    assert all(told)
    for query, why in (
        (f"?sale={PRETENDED}", "is a rehearsal"),
        (f"?sale={PRETENDED}&rehearsal=false", "is a rehearsal"),
        (f"?sale={REAL}&rehearsal=true", "is no rehearsal"),
        ("?sale=unheard-of&rehearsal=true", "There is no sale unheard-of"),
    ):
        answer = await shop.ask("GET", f"/v1/orders{path}{query}", bearer=ROOT_KEY)
        problem = answer.refused(404, "unknown_sale")
        assert why in problem["detail"]
    for query, field in (
        ("?rehearsal=true", "sale"),
        (f"?sale={PRETENDED}&rehearsal=1", "rehearsal"),
        (f"?sale={PRETENDED}&rehearsal=", "rehearsal"),
        (f"?sale={PRETENDED}&rehearsal=true&rehearsal=true", "rehearsal"),
    ):
        (await shop.ask("GET", f"/v1/orders{path}{query}", bearer=ROOT_KEY)).invalid(field)


async def test_the_client_reads_a_rehearsal_when_it_says_so(shop: Shop, told: tuple[int, int]) -> None:
    every = [order.sale async for order in OrderFeed(shop.url, ROOT_KEY, follow=False)]
    assert every == [REAL] * told[0]
    rehearsed = OrderFeed(shop.url, ROOT_KEY, sale=PRETENDED, rehearsal=True, follow=False)
    assert [order.sequence async for order in rehearsed] == list(range(1, told[1] + 1))
    with pytest.raises(ApiError, match="is a rehearsal"):
        await anext(aiter(OrderFeed(shop.url, ROOT_KEY, sale=PRETENDED)))
    with pytest.raises(ValueError, match="sale"):
        OrderFeed(shop.url, ROOT_KEY, rehearsal=True)


async def test_who_waits_is_not_woken_by_a_rehearsal(
    shop: Shop, store: Store, sale_store: SaleStore, told: tuple[int, int]
) -> None:
    mark = Cursor.at({REAL: told[0]}).encode()
    waiting = asyncio.create_task(get(shop, f"?after={mark}&wait=2"))
    pretended = Seller(store, sale_store, "another-rehearsal")
    await pretended.begin(rehearsal=True)
    await pretended.sell(5)
    await publish_all(pretended)
    assert (await waiting).must(200) == {"events": [], "cursor": mark, "more": False}


async def test_a_shop_without_a_simulator_says_that_it_cannot_rehearse_payments(shop: Shop) -> None:
    sale = new_sale_id()
    (await shop.define(sale, rehearsal=True, payment={"methods": list(METHODS)})).must(201)
    held = (await shop.reserve(sale, "ann")).must(201)
    path = f"/v1/reservations/{held['id']}/payment"
    answer = await shop.ask("POST", path, bearer=token("ann"), json={"method": "card"})
    problem = answer.refused(503, "payments_unavailable")
    assert "FLASHSALE_SIMULATOR_URL" in problem["detail"]
    assert int(answer.headers["Retry-After"]) > 0
    assert (await shop.ask("GET", f"/v1/reservations/{held['id']}", bearer=token("ann"))).must(200)[
        "payment"
    ] is None


def test_the_definition_of_the_tests_is_no_rehearsal() -> None:
    """Or nothing above would say anything."""
    assert "rehearsal" not in definition()
