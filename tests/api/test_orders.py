"""GET /v1/orders and what belongs to it: long poll, summary, events of a sale, schemas."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import orjson
import pytest

from flashsale.model.cursor import Cursor
from flashsale.store.client import Store
from flashsale.store.sales import SaleStore
from tests.support.selling import Books, Seller, publish_all, publishing
from tests.support_http.client import PATIENCE_S, ROOT_KEY, Shop
from tests.support_http.server import app_on


@pytest.fixture
async def shop(valkey: str) -> AsyncIterator[Shop]:
    """A client of a server in this process."""
    async with app_on(valkey) as url, Shop(url) as shop:
        yield shop


@pytest.fixture
async def seller(store: Store, sale_store: SaleStore) -> Seller:
    seller = Seller(store, sale_store, "giulia")
    await seller.begin()
    return seller


async def get(shop: Shop, query: str = "", *, bearer: str | None = ROOT_KEY) -> Any:
    return await shop.ask("GET", f"/v1/orders{query}", bearer=bearer)


async def read_all(shop: Shop, query: str = "") -> list[Any]:
    """Every order there is, by as many requests as it takes."""
    found, cursor, more = [], "", True
    while more:
        answer = (await get(shop, f"?after={cursor}{query}")).must(200)
        found += answer["events"]
        cursor, more = answer["cursor"], answer["more"]
    return found


async def test_orders_and_refunds_come_with_a_cursor_to_go_on_with(shop: Shop, seller: Seller) -> None:
    order = await seller.paid("ann", ("car", 2))
    await seller.refund(order.token, restock=False, reason="scratched")
    await publish_all(seller)
    answer = await get(shop, "?limit=1&wait=5")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    first = answer.must(200)
    (made,) = first["events"]
    assert first["more"] is True
    assert (made["type"], made["data"]["status"]) == ("io.flashsale.reservation.confirmed.v1", "confirmed")
    assert made["subject"] == f"giulia.0.{order.token}"
    second = (await get(shop, f"?after={first['cursor']}")).must(200)
    (undone,) = second["events"]
    assert undone["data"]["refund"] == {"restocked": False, "reason": "scratched"}
    assert undone["data"]["sequence"] == 2
    last = (await get(shop, f"?after={second['cursor']}")).must(200)
    assert last == {"events": [], "cursor": second["cursor"], "more": False}


async def test_events_are_passed_on_as_they_were_published(shop: Shop, seller: Seller) -> None:
    await seller.sell(3)
    await publish_all(seller)
    stored: Any = await seller.store.redis.xrange(seller.keys.orders)
    body = (await get(shop)).body
    for _, fields in stored:
        assert fields[b"event"] in body


async def test_an_empty_shop_has_an_empty_feed(shop: Shop) -> None:
    answer = (await get(shop)).must(200)
    assert answer == {"events": [], "cursor": Cursor().encode(), "more": False}


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("?limit=0", ["limit"]),
        ("?limit=1001", ["limit"]),
        ("?limit=ten", ["limit"]),
        ("?limit=", ["limit"]),
        ("?limit=-1&wait=61&types=held", ["limit", "wait", "types"]),
        ("?wait=-1", ["wait"]),
        ("?wait=0.5", ["wait"]),
        ("?wait=1&wait=2", ["wait"]),
        ("?sale=", ["sale"]),
        ("?types=", ["types"]),
        ("?types=confirmed,", ["types"]),
        ("?types=confirmed&types=refunded", ["types"]),
        ("?afer=x", ["afer"]),
        ("?after=nothing", ["after"]),
        ("?after=17", ["after"]),
        ("?after=%00", ["after"]),
        ("?after=%C3%A4", ["after"]),
        (f"?after={Cursor.at({'giulia': 5}).encode()[:-2]}", ["after"]),
        (f"?after={Cursor.at({'giulia': 5}).encode()[2:]}", ["after"]),
        (f"?after={Cursor.at({'giulia': 5}).encode()}x", ["after"]),
    ],
)
async def test_what_cannot_be_asked_is_named(shop: Shop, query: str, fields: list[str]) -> None:
    for path in ("", "/stream"):
        (await shop.ask("GET", f"/v1/orders{path}{query}", bearer=ROOT_KEY)).invalid(*fields)


async def test_a_forged_cursor_is_never_a_fault_of_ours(shop: Shop) -> None:
    chance = random.Random(4)
    whole = Cursor.at({f"sale-{number}": 10**number for number in range(6)}).encode()
    for _ in range(300):
        text = list(whole)
        for _ in range(chance.randrange(1, 4)):
            text[chance.randrange(len(text))] = chance.choice("ABCdef019-_")
        forged = "".join(text[: chance.randrange(len(text) + 1)])
        status = (await get(shop, f"?after={forged}")).status
        assert status == (200 if forged in {"", whole} else 422), forged


async def test_who_may_read(shop: Shop, seller: Seller) -> None:
    for path in (
        "/v1/orders",
        "/v1/orders/stream?wait=0",
        "/v1/sales/giulia/orders/summary",
        "/v1/sales/giulia/events",
    ):
        (await shop.ask("GET", path)).refused(401, "unauthenticated")
        (await shop.ask("GET", path, bearer="nobody")).refused(401, "unauthenticated")
        for scope, status in (("support", 403), ("orders", 200)):
            body = {"name": scope, "scopes": [scope]}
            key = (await shop.ask("POST", "/v1/keys", bearer=ROOT_KEY, json=body)).must(201)["key"]
            assert (await shop.ask("GET", path, bearer=key)).status == status
    assert (
        await shop.ask("HEAD", "/v1/orders", bearer=ROOT_KEY)
    ).status == 405  # its length is not known before it is read


async def test_one_sale_only_and_some_types_only(
    shop: Shop, seller: Seller, store: Store, sale_store: SaleStore
) -> None:
    other = Seller(store, sale_store, "other")
    await other.begin()
    for each in (seller, other):
        await each.sell(10, refunds=0.5)
        await publish_all(each)
    both = await read_all(shop, "&limit=3")
    assert len(both) == seller.told + other.told
    books = Books()
    for event in both:
        books.take(event)
    only = await read_all(shop, "&sale=other&limit=4")
    assert [event["data"]["sequence"] for event in only] == list(range(1, other.told + 1))
    assert {event["data"]["sale"] for event in only} == {"other"}
    undone = await read_all(shop, "&types=refunded&limit=2")
    assert len(undone) == seller.told + other.told - 20
    assert {event["data"]["status"] for event in undone} == {"refunded"}
    assert len(await read_all(shop, "&types=confirmed,refunded")) == len(both)
    for unknown in ("nobody", "NO", "..%2F", "x" * 200):
        (await get(shop, f"?sale={unknown}")).refused(404, "unknown_sale")
    # What was read of one sale leaves the others where they were.
    cursor = (await get(shop, "?sale=other&limit=1000")).must(200)["cursor"]
    rest = (await get(shop, f"?limit=1000&after={cursor}")).must(200)["events"]
    assert {event["data"]["sale"] for event in rest} == {"giulia"}


async def test_a_cursor_of_sales_that_are_gone_is_carried_along(shop: Shop, seller: Seller) -> None:
    await seller.sell(1, refunds=0)
    await publish_all(seller)
    answer = (await get(shop, f"?after={Cursor.at({'gone': 7}).encode()}")).must(200)
    assert len(answer["events"]) == 1
    assert Cursor.decode(answer["cursor"]).of("gone") == 7


async def test_a_cursor_that_is_ahead_is_refused(shop: Shop, seller: Seller) -> None:
    await seller.sell(2, refunds=0)
    await publish_all(seller)
    cursor = Cursor.at({"giulia": 5}).encode()
    for path in ("/v1/orders", "/v1/orders/stream"):
        problem = (await shop.ask("GET", f"{path}?after={cursor}", bearer=ROOT_KEY)).refused(
            409, "cursor_ahead"
        )
        assert (problem["sale"], problem["after"], problem["last"]) == ("giulia", 5, 2)


async def test_what_is_gone_is_said_to_be(shop: Shop, seller: Seller) -> None:
    await seller.sell(6, refunds=0)
    await publish_all(seller)
    await seller.store.redis.xtrim(seller.keys.orders, minid="4-0", approximate=False)
    for path in ("/v1/orders", "/v1/orders/stream"):
        answer = await shop.ask("GET", f"{path}?after={Cursor.at({'giulia': 1}).encode()}", bearer=ROOT_KEY)
        problem = answer.refused(410, "cursor_expired")
        assert (problem["sale"], problem["after"], problem["first"]) == ("giulia", 1, 4)
        assert Cursor.decode(problem["cursor"]).of("giulia") == 3
    assert len((await get(shop, f"?after={Cursor.at({'giulia': 3}).encode()}")).must(200)["events"]) == 3


async def test_who_waits_is_answered_when_something_comes_and_not_before(
    shop: Shop, valkey: str, seller: Seller
) -> None:
    async with publishing(valkey):
        began = time.monotonic()
        assert (await get(shop, "?wait=1")).must(200)["events"] == []
        assert 0.95 <= time.monotonic() - began < PATIENCE_S / 2
        waiting = [asyncio.create_task(get(shop, "?wait=60&after=now")) for _ in range(20)]
        await asyncio.sleep(0.5)  # nobody is answered meanwhile
        assert not any(task.done() for task in waiting)
        began = time.monotonic()
        await seller.sell(1, refunds=0)
        for answer in await asyncio.gather(*waiting):
            assert len(answer.must(200)["events"]) == 1
        assert time.monotonic() - began < 10  # and not after the 60 seconds


@pytest.mark.parametrize("seed", [1, 2])
async def test_each_order_once_whatever_the_requests(
    shop: Shop, valkey: str, store: Store, sale_store: SaleStore, seed: int
) -> None:
    """Several consumers with limits and waits of their own, some of whose answers are lost, while orders are made."""
    chance = random.Random(seed)
    sellers = [Seller(store, sale_store, f"sale-{number}", seed=seed) for number in range(5)]

    async def sell(seller: Seller) -> None:
        await asyncio.sleep(chance.random())
        await seller.begin()
        for _ in range(5):
            await seller.sell(chance.randrange(10))
            await asyncio.sleep(chance.random() / 10)

    async def consume() -> Books:
        books, cursor = Books(), ""
        while not selling.done() or books.count < sum(seller.told for seller in sellers):
            query = f"?after={cursor}&limit={chance.randrange(1, 60)}&wait={chance.randrange(2)}"
            answer = (await get(shop, query)).must(200)
            if chance.random() < 0.2:
                continue  # lost on its way: asked for again with the same cursor
            for event in answer["events"]:
                books.take(event)
            cursor = answer["cursor"]
        return books

    async with asyncio.timeout(PATIENCE_S), publishing(valkey):
        selling = asyncio.gather(*map(sell, sellers))
        for books in await asyncio.gather(*(consume() for _ in range(4))):
            assert books.sequences == {seller.sale: seller.told for seller in sellers if seller.told}
        await selling


async def test_the_summary_can_be_computed_by_its_description(shop: Shop, seller: Seller) -> None:
    path = "/v1/sales/giulia/orders/summary"
    empty = (await shop.ask("GET", path, bearer=ROOT_KEY)).must(200)
    assert (empty["sequence"], empty["digest"], empty["last_event"], empty["currency"]) == (
        0,
        "",
        None,
        "CNY",
    )
    await seller.sell(12, refunds=0.4)
    behind = (await shop.ask("GET", path, bearer=ROOT_KEY)).must(200)
    assert (behind["sequence"], behind["decided"], behind["behind"]) == (0, seller.told, seller.told)
    await publish_all(seller)
    events = await read_all(shop)
    digest = ""
    sums = {"confirmed": {"count": 0, "amount": 0}, "refunded": {"count": 0, "amount": 0}}
    for event in events:
        data = event["data"]
        line = f"{data['sequence']} {data['status']} {data['reservation']} {data['amount_due']}"
        digest = sha256(f"{digest}\n{line}".encode()).hexdigest()
        sums[data["status"]]["count"] += 1
        sums[data["status"]]["amount"] += data["amount_due"]
    assert (await shop.ask("GET", path, bearer=ROOT_KEY)).must(200) == {
        "sale": "giulia",
        "sequence": seller.told,
        "decided": seller.told,
        "behind": 0,
        "orders": 12 - sums["refunded"]["count"],
        **sums,
        "currency": "CNY",
        "digest": digest,
        "last_event": events[-1]["id"],
    }
    (await shop.ask("GET", "/v1/sales/nobody/orders/summary", bearer=ROOT_KEY)).refused(404, "unknown_sale")
    (await shop.ask("GET", "/v1/sales/..%2F/orders/summary", bearer=ROOT_KEY)).refused(404, "unknown_sale")
    (await shop.ask("GET", f"{path}?x=1", bearer=ROOT_KEY)).invalid("x")


async def test_every_fact_of_a_sale_as_events(shop: Shop, seller: Seller) -> None:
    path = "/v1/sales/giulia/events"
    await seller.sell(5, refunds=0.5)
    facts = await seller.facts()
    found: list[Any] = []
    more = True
    while more:
        answer = (await shop.ask("GET", f"{path}?after={len(found)}&limit=4", bearer=ROOT_KEY)).must(200)
        found += answer["events"]
        more = answer["more"]
        assert answer["last_seq"] == len(found)
    assert [int(event["factseq"]) for event in found] == [fact.seq for fact in facts]
    assert [event["type"] for event in found] == [f"io.flashsale.{fact.type}.v1" for fact in facts]
    waiting = asyncio.create_task(shop.ask("GET", f"{path}?after={len(found)}&wait=60", bearer=ROOT_KEY))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await seller.hold("somebody", ("car", 1))
    (event,) = (await waiting).must(200)["events"]
    assert event["type"] == "io.flashsale.reservation.held.v1"
    for query, field in (
        ("after=-1", "after"),
        ("after=x", "after"),
        ("limit=0", "limit"),
        ("wait=99", "wait"),
        ("x=1", "x"),
    ):
        (await shop.ask("GET", f"{path}?{query}", bearer=ROOT_KEY)).invalid(field)
    (await shop.ask("GET", "/v1/sales/nobody/events", bearer=ROOT_KEY)).refused(404, "unknown_sale")


async def test_the_schemas_are_there_for_anybody(shop: Shop) -> None:
    index = (await shop.ask("GET", "/schemas")).must(200)["schemas"]
    assert len(index) == 13
    for entry in index:
        answer = await shop.ask("GET", entry["path"])
        assert answer.headers["Content-Type"] == "application/schema+json"
        assert "max-age" in answer.headers["Cache-Control"]
        schema = answer.must(200)
        assert schema["$id"] == entry["id"]
        assert schema["title"] == entry["type"]
    for name in ("nothing.v1", "..%2Fkeys", "reservation.confirmed.v2"):
        (await shop.ask("GET", f"/schemas/{name}.json")).refused(404, "not_found")


async def test_a_long_answer_is_cut_into_pieces(
    shop: Shop, seller: Seller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flashsale.api.orders.outlet.MOST_ANSWER_BYTES", 20_000)
    await seller.sell(60, refunds=0)
    await publish_all(seller)
    answer = await get(shop, "?limit=1000")
    assert answer.must(200)["more"] is True
    assert len(answer.body) < 25_000
    assert orjson.loads(answer.body)["events"]
    assert len(await read_all(shop, "&limit=1000")) == 60
