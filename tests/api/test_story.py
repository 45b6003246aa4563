"""What support is told of a customer or a reservation: what they have, what happened to it, and why not."""

import asyncio
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from flashsale.client import Client
from tests.support.paying import Shopper
from tests.support.served import Served
from tests.support_http.client import ROOT_KEY, Shop, definition, eventually, instant, lines, new_sale_id
from tests.support_http.server import app_on


async def story(shop: Shop, sale: str, *, bearer: str = ROOT_KEY, **about: str) -> Any:
    ((name, value),) = about.items()
    path = f"/v1/sales/{sale}/story?{name}={quote(value, safe='')}"
    return (await shop.ask("GET", path, bearer=bearer)).must(200)


def codes(told: Any) -> list[str]:
    return [finding["code"] for finding in told["summary"]]


async def refused_as(shop: Shop, sale: str, customer: str, outcome: str, count: int) -> Any:
    """The story, once so many tries with this outcome are in it."""

    async def look() -> Any:
        told = await story(shop, sale, customer=customer)
        tries = [each for each in told["attempts"] if each["outcome"] == outcome]
        return told if sum(each["count"] for each in tries) == count else None

    return await eventually(look, f"{count} times {outcome} of {customer} are told")


async def test_somebody_who_was_too_late_is_told_since_when_and_how_often(shop: Shop) -> None:
    sale = new_sale_id()
    (await shop.define(sale, stock=1)).must(201)
    (await shop.reserve(sale, "quick")).must(201)
    for number in range(20):
        await shop.reserve(sale, "slow")
        await shop.reserve(sale, f"other-{number}")
    told = await refused_as(shop, sale, "slow", "sold_out", 20)
    (tries,) = told["attempts"]
    assert tries["first_at"] < tries["last_at"] <= told["server_time"]
    assert told["sale_history"]["sold_out_at"] <= tries["first_at"]
    assert told["sale_history"]["opened_at"] <= told["sale_history"]["sold_out_at"]
    assert codes(told) == ["refused_sold_out"]
    (finding,) = told["summary"]
    assert (finding["count"], finding["at"], finding["last_at"]) == (20, tries["first_at"], tries["last_at"])
    assert (told["facts"], told["reservations"], told["complete"]) == ([], [], True)
    assert (told["attempts_kept"], told["attempts_dropped"]) == (True, 0)
    assert codes(await story(shop, sale, customer="never-here")) == ["never_seen"]
    # One customer's name within another's is somebody else.
    assert codes(await story(shop, sale, customer="slo")) == ["never_seen"]


async def test_each_refusal_is_noted_as_what_it_was(shop: Shop) -> None:
    sale = new_sale_id()
    (await shop.define(sale, opens_at=instant(3600))).must(201)
    (await shop.reserve(sale, "early")).refused(409, "not_open")
    await refused_as(shop, sale, "early", "not_open", 1)
    sale = new_sale_id()
    (await shop.define(sale, limit_per_customer=1)).must(201)
    held = (await shop.reserve(sale, "c-1")).must(201)
    (await shop.reserve(sale, "c-1")).refused(409, "limit_reached")
    (await shop.reserve(sale, "c-1", lines(sku="unknown"))).refused(404, "unknown_item")
    (await shop.steer(sale, "pause")).must(200)
    (await shop.reserve(sale, "c-1", key="with-a-key")).refused(409, "paused")
    (await shop.steer(sale, "close")).must(200)
    (await shop.reserve(sale, "c-1")).refused(410, "closed")
    await refused_as(shop, sale, "c-1", "closed", 1)
    told = await story(shop, sale, customer="c-1")
    assert codes(told) == ["held", "refused_limit_reached", "refused_paused", "refused_closed"]
    assert [finding["at"] for finding in told["summary"]] == sorted(f["at"] for f in told["summary"])
    assert told["summary"][0]["place"] == 1
    assert told["summary"][0]["reservation"] == held["id"]
    assert [change["type"] for change in told["sale_history"]["changes"]] == ["paused", "closed"]
    assert told["sale_history"]["closed_at"] == told["sale_history"]["changes"][1]["at"]


async def test_a_reservation_and_its_customer_are_told_alike(shop: Shop) -> None:
    sale = new_sale_id()
    (await shop.define(sale)).must(201)
    odd = "Ünï%/&=?😀 c"
    first = (await shop.reserve(sale, odd)).must(201)
    second = (await shop.reserve(sale, odd)).must(201)
    (await shop.reserve(sale, "other")).must(201)
    (await shop.cancel(first["id"], odd)).must(200)
    told = await story(shop, sale, customer=odd)
    assert [each["reservation"]["id"] for each in told["reservations"]] == [first["id"], second["id"]]
    assert [(fact["type"], fact["reservation"]) for fact in told["facts"]] == [
        ("reservation.held", first["id"]),
        ("reservation.held", second["id"]),
        ("reservation.cancelled", first["id"]),
    ]
    assert told["facts"][0]["detail"]["place"] == 1
    assert told["facts"][2]["detail"] == {"reason": "customer"}
    assert codes(told) == ["held", "held", "cancelled"]
    one = await story(shop, sale, reservation=first["id"])
    assert (one["customer"], one["reservation"]) == (odd, first["id"])
    assert [fact["type"] for fact in one["facts"]] == ["reservation.held", "reservation.cancelled"]
    stranger = await story(shop, sale, reservation=f"{sale}.0.{'A' * 16}")
    assert (stranger["customer"], codes(stranger)) == (None, ["never_seen"])


async def test_what_is_asked_must_be_one_thing_of_this_sale(shop: Shop, sale: str) -> None:
    async def ask(query: str) -> Any:
        return await shop.ask("GET", f"/v1/sales/{sale}/story{query}", bearer=ROOT_KEY)

    (await ask("")).invalid("customer")
    (await ask(f"?customer=c&reservation={sale}.0.{'A' * 16}")).invalid("customer")
    (await ask("?customer=")).invalid("customer")
    (await ask("?customer=" + "c" * 257)).invalid("customer")
    (await ask("?customer=" + "%C3%BC" * 129)).invalid("customer")
    for wrong in ("x", f"another.0.{'A' * 16}", f"{sale}.1.{'A' * 16}"):
        (await ask(f"?reservation={wrong}")).invalid("reservation")
    answer = await shop.ask("GET", "/v1/sales/no-such-sale/story?customer=c", bearer=ROOT_KEY)
    answer.refused(404, "unknown_sale")
    assert (await ask("?customer=%ff%fe")).status in {200, 422}


async def test_it_is_for_those_who_run_sales_and_for_support(shop: Shop, sale: str) -> None:
    path = f"/v1/sales/{sale}/story?customer=c"
    (await shop.ask("GET", path)).refused(401, "unauthenticated")
    for scope, allowed in (("sales", True), ("support", True), ("orders", False)):
        made = await shop.ask("POST", "/v1/keys", bearer=ROOT_KEY, json={"name": "k", "scopes": [scope]})
        answer = await shop.ask("GET", path, bearer=made.must(201)["key"])
        if allowed:
            answer.must(200)
            assert answer.headers["Cache-Control"] == "no-store"
        else:
            answer.refused(403, "forbidden")


async def test_a_forged_token_is_nobody(shop: Shop, sale: str) -> None:
    forged = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJldmUiLCJhdWQiOiJmbGFzaHNhbGUifQ.AAAA"
    (await shop.reserve(sale, "eve", bearer=forged)).refused(401, "unauthenticated")
    (await shop.steer(sale, "pause")).must(200)
    (await shop.reserve(sale, "later")).refused(409, "paused")
    await refused_as(shop, sale, "later", "paused", 1)
    assert codes(await story(shop, sale, customer="eve")) == ["never_seen"]


async def test_where_no_tries_are_kept_it_says_so(valkey: str) -> None:
    async with app_on(valkey, {"FLASHSALE_KEEP_ATTEMPTS": "0"}) as url, Shop(url) as shop:
        sale = new_sale_id()
        (await shop.define(sale, stock=1)).must(201)
        (await shop.reserve(sale, "a")).must(201)
        (await shop.reserve(sale, "b")).refused(409, "sold_out")
        told = await story(shop, sale, customer="b")
        assert not told["attempts_kept"]
        assert codes(told) == ["never_seen", "attempts_not_kept"]


async def test_what_is_noted_is_written_when_the_server_leaves(valkey: str) -> None:
    sale = new_sale_id()
    async with app_on(valkey) as url, Shop(url) as shop:
        (await shop.define(sale, stock=1)).must(201)
        (await shop.reserve(sale, "a")).must(201)
        (await shop.reserve(sale, "b")).refused(409, "sold_out")
    async with app_on(valkey) as url, Shop(url) as shop:
        assert codes(await story(shop, sale, customer="b")) == ["refused_sold_out"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A whole shop, with the background work and a simulator."""
    with Served(tmp_path_factory.mktemp("server")) as running:
        yield running


def test_an_order_that_was_paid_and_given_back(served: Served) -> None:
    sale = new_sale_id()

    async def begin() -> None:
        async with Client(served.url, served.root_key) as brand:
            await brand.put_sale(sale, definition(payment={"methods": ["card"]}))

    asyncio.run(begin())
    order = Shopper(served.url, served.token("c-1")).order(sale)

    async def undone() -> Any:
        async with Client(served.url, served.root_key) as brand:
            path = f"/v1/reservations/{order['id']}/refund"
            await brand.request("POST", path, {"restock": True, "reason": "scratched"})

            async def given_back() -> Any:
                told = await brand.story(sale, customer="c-1")
                return told if "charge_refunded" in codes(told) else None

            return await eventually(given_back, "the money is back"), await brand.story(
                sale, reservation=order["id"]
            )

    told, one = asyncio.run(undone())
    assert codes(told) == ["held", "confirmed", "refunded", "charge_refunded"]
    assert one["summary"] == told["summary"]
    assert told["summary"][2]["detail"] == "scratched"
    (mine,) = told["reservations"]
    (charge,) = mine["charges"]
    assert charge["fate"] == "refunded"
    assert mine["reservation"]["status"] == "refunded"
    paid = told["facts"][1]
    assert paid["type"] == "reservation.confirmed"
    assert paid["detail"]["reference"] == charge["reference"]
    assert paid["detail"]["amount"] == charge["amount"] == mine["reservation"]["amount_due"]
