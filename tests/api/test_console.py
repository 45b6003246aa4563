"""What the console asks of a sale: how it was defined, and what goes on around it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flashsale.client import Client
from tests.support.paying import Shopper
from tests.support.served import Served
from tests.support_http.client import ROOT_KEY, Shop, definition, eventually, instant, lines, new_sale_id
from tests.support_http.server import Server, app_on

ENDPOINTS = ("definition", "activity", "curve")


async def ask(shop: Shop, sale: str, what: str, bearer: str = ROOT_KEY) -> Any:
    return (await shop.ask("GET", f"/v1/sales/{sale}/{what}", bearer=bearer)).must(200)


@pytest.mark.parametrize("what", ENDPOINTS)
async def test_they_are_for_those_who_run_sales(shop: Shop, sale: str, what: str) -> None:
    path = f"/v1/sales/{sale}/{what}"
    (await shop.ask("GET", path)).refused(401, "unauthenticated")
    (await shop.ask("GET", path, bearer="fsk_nobody")).refused(401, "unauthenticated")
    made = await shop.ask("POST", "/v1/keys", bearer=ROOT_KEY, json={"name": "o", "scopes": ["orders"]})
    (await shop.ask("GET", path, bearer=made.must(201)["key"])).refused(403, "forbidden")
    made = await shop.ask("POST", "/v1/keys", bearer=ROOT_KEY, json={"name": "s", "scopes": ["sales"]})
    (await shop.ask("GET", path, bearer=made.must(201)["key"])).must(200)
    for unknown in ("no-such-sale", "Not_An_Id", "%7Bx%7D"):
        answer = await shop.ask("GET", f"/v1/sales/{unknown}/{what}", bearer=ROOT_KEY)
        answer.refused(404, "unknown_sale")


async def test_a_definition_comes_back_as_it_was_sent_and_can_be_sent_again(shop: Shop) -> None:
    sale = new_sale_id()
    sent = definition(
        opens_at=instant(3600),
        limit_per_customer=2,
        payment={"methods": ["card"], "deposit_percent": 10, "instalments": 36},
        items=[
            {"sku": "a b/%", "price": 5, "stock": 7},
            {"sku": "b", "title": "<B>", "price": 9, "stock": 0},
        ],
    )
    (await shop.define(sale, **sent)).must(201)
    found = await ask(shop, sale, "definition")
    assert (found["sale"], found["editable"]) == (sale, True)
    told = found["definition"]
    assert told["items"][0] == {
        "sku": "a b/%", "price": 5, "stock": 7, "title": None, "limit_per_customer": None
    }  # fmt: skip
    assert told["items"][1]["title"] == "<B>"
    assert told["payment"]["instalments"] == 36
    assert told["rehearsal"] is False
    assert (told["limit_per_customer"], told["hold_seconds"]) == (2, 300)
    (await shop.ask("PUT", f"/v1/sales/{sale}", bearer=ROOT_KEY, json=told)).must(200)
    assert await ask(shop, sale, "definition") == found
    told["title"] = "Another"
    (await shop.ask("PUT", f"/v1/sales/{sale}", bearer=ROOT_KEY, json=told)).must(200)
    assert (await ask(shop, sale, "definition"))["definition"]["title"] == "Another"


async def test_a_restock_is_no_part_of_the_definition_which_is_fixed_once_the_sale_has_opened(
    shop: Shop, sale: str
) -> None:
    (await shop.restock(sale, 3)).must(200)
    found = await ask(shop, sale, "definition")
    assert not found["editable"]
    assert found["definition"]["items"][0]["stock"] == 10
    assert (await shop.view(sale))["items"][0]["stock"] == 13


async def test_answers_are_counted_by_outcome(shop: Shop, sale: str) -> None:
    before = (await ask(shop, sale, "activity"))["reserve"]
    (await shop.reserve(sale, "c-1", lines(quantity=9))).must(201)
    for _ in range(3):
        (await shop.reserve(sale, "c-2")).refused(409, "sold_out")
    (await shop.steer(sale, "pause")).must(200)
    (await shop.reserve(sale, "c-2")).refused(409, "paused")

    async def counted() -> bool:
        found = (await ask(shop, sale, "activity"))["reserve"]
        more = {name: found.get(name, 0) - before.get(name, 0) for name in ("held", "sold_out", "paused")}
        # Of holds the one of the fixture may have been counted since.
        return more["held"] >= 1 and (more["sold_out"], more["paused"]) == (3, 1)

    await eventually(counted, "the answers are counted")


async def test_holds_that_nobody_ends_are_told(valkey: str) -> None:
    """Nobody does the background work here."""
    async with app_on(valkey) as url, Shop(url) as shop:
        sale = new_sale_id()
        (await shop.define(sale, hold_seconds=1)).must(201)
        # At once: reserving ends holds that are overdue.
        for answer in await asyncio.gather(*(shop.reserve(sale, f"c-{number}") for number in range(3))):
            answer.must(201)
        first = await ask(shop, sale, "activity")
        assert first["background"] == {"alive": None, "seen_seconds": None}

        async def overdue() -> bool:
            found = (await ask(shop, sale, "activity"))["sweeper"]
            assert (found["overdue"] == 0) == (found["overdue_seconds"] is None)
            return bool(found["overdue"] == 3 and found["overdue_seconds"] > 0)

        await eventually(overdue, "three holds are overdue")


async def test_an_answer_is_remembered_for_less_than_a_second_and_a_new_sale_is_seen_at_once(
    shop: Shop,
) -> None:
    sale = new_sale_id()
    (await shop.ask("GET", f"/v1/sales/{sale}/activity", bearer=ROOT_KEY)).refused(404, "unknown_sale")
    (await shop.define(sale)).must(201)

    async def together() -> str | None:
        found = await asyncio.gather(*(ask(shop, sale, "activity") for _ in range(20)))
        times = {str(each["server_time"]) for each in found}
        return times.pop() if len(times) == 1 else None  # unless it took them longer than that

    read_at = await eventually(together, "twenty are told the same")

    async def another() -> bool:
        return bool((await ask(shop, sale, "activity"))["server_time"] != read_at)

    await eventually(another, "it is looked at again")


async def test_the_curve_goes_from_the_opening_to_the_last_fact(shop: Shop) -> None:
    sale = new_sale_id()
    (await shop.define(sale, stock=5)).must(201)
    before = await ask(shop, sale, "curve")
    assert (before["from"], before["to"], before["points"]) == (None, None, [])
    for number in range(5):
        (await shop.reserve(sale, f"c-{number}")).must(201)

    async def read() -> Any:
        found = await ask(shop, sale, "curve")
        return found if found["facts"] == 7 else None  # the stock, the opening, and five holds

    found = await eventually(read, "it is read to its end")
    assert (found["sale"], found["complete"], found["exact"]) == (sale, True, True)
    first, last = found["points"][0], found["points"][-1]
    assert (found["from"], found["to"]) == (first["at"], last["at"])
    assert first["items"] == {"giulia": {"available": 5, "held": 0, "sold": 0}}
    assert last["items"] == {"giulia": {"available": 0, "held": 5, "sold": 0}}
    assert len((await ask(shop, sale, "curve?points=2"))["points"]) == 2


@pytest.mark.parametrize("points", ["1", "1001", "0", "-2", "x", "", "2.5", "99999", "%C2%B2"])
async def test_a_curve_has_2_to_1000_points(shop: Shop, sale: str, points: str) -> None:
    (await shop.ask("GET", f"/v1/sales/{sale}/curve?points={points}", bearer=ROOT_KEY)).invalid("points")


async def test_it_is_of_all_workers(valkey: str, servers: list[Server], tmp_path: Path) -> None:
    server = Server(tmp_path, ["--redis-url", valkey], workers=2)
    servers.append(server)
    sale = new_sale_id()
    async with Shop(server.url) as shop:
        (await shop.define(sale, stock=40)).must(201)
    for number in range(40):  # each over a connection of its own: both workers get some
        async with Shop(server.url) as shop:
            (await shop.reserve(sale, f"c-{number}")).must(201)

    async def counted() -> bool:
        async with Shop(server.url) as shop:
            found = await ask(shop, sale, "activity")
        return bool(found["reserve"].get("held") == 40 and found["workers"]["api"] == 2)

    await eventually(counted, "both workers are counted")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A whole shop, with the background work and a simulator."""
    with Served(tmp_path_factory.mktemp("server"), {"FLASHSALE_WEBHOOK_PRIVATE_NETWORKS": "1"}) as running:
        yield running


def test_the_background_work_orders_and_a_webhook_in_trouble(served: Served) -> None:
    sale = new_sale_id()

    async def begin() -> None:
        async with Client(served.url, served.root_key) as brand:
            await brand.put_sale(sale, definition(payment={"methods": ["card"]}))
            await brand.create_webhook("http://127.0.0.1:1/secret-path?k=1")
            await brand.create_webhook("http://127.0.0.1:1/others", sale="another-sale")

    asyncio.run(begin())
    Shopper(served.url, served.token("c-1")).order(sale)

    async def troubled() -> Any:
        async with Client(served.url, served.root_key) as brand:
            found = await brand.activity(sale)
        return found if found["webhooks"][0]["tries"] and found["orders"]["published"] else None

    async def seen() -> Any:
        return await eventually(troubled, "the webhook was tried")

    found = asyncio.run(seen())
    assert found["background"]["alive"] is True
    assert 0 <= found["background"]["seen_seconds"] < 5
    assert found["orders"] == {"sequence": 1, "published": 1, "behind": 0}
    assert found["payments"]["dead"] == 0
    assert len(found["webhooks"]) == 1
    (webhook,) = found["webhooks"]
    assert webhook["url"] == "http://127.0.0.1:1"
    assert (webhook["state"], webhook["behind"]) == ("on", 1)
    assert webhook["error"]
    assert webhook["failing_since"] < webhook["next_at"]
