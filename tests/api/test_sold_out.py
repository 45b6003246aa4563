"""The last units: who gets them, what the others are told, and that whatever comes back can be had at once."""

import asyncio
import itertools
import re
from pathlib import Path

import pytest

from tests.process.programs import Program
from tests.support_http.client import Shop, eventually, lines, new_sale_id
from tests.support_http.server import Server, app_on

CLIENTS = 200
ROUNDS = 50


@pytest.mark.slow
async def test_two_hundred_clients_and_the_last_unit(
    valkey: str, servers: list[Server], tmp_path: Path
) -> None:
    servers.append(Server(tmp_path, ["--redis-url", valkey], workers=2))
    sale = new_sale_id()
    shops = [Shop(servers[0].url) for _ in range(CLIENTS)]
    (await shops[0].define(sale, stock=1)).must(201)
    for number in range(1, ROUNDS + 1):
        if number > 1:
            (await shops[0].restock(sale, 1)).must(200)
        answers = await asyncio.gather(
            *(shop.reserve(sale, f"c-{number}-{place}") for place, shop in enumerate(shops))
        )
        (winner,) = [answer for answer in answers if answer.status == 201]
        assert winner.json["place"] == number
        for answer in answers:
            if answer is not winner:
                problem = answer.refused(409, "sold_out")
                assert problem["sku"] == "giulia"
                # Another unit may not have been held yet when the first round's memory was made.
                assert number - 1 <= problem["held_by_others"] <= number
    report = await shops[0].audit(sale)
    assert report["items"] == [{"sku": "giulia", "stock": ROUNDS, "available": 0, "held": ROUNDS, "sold": 0}]
    assert report["last_place"] == ROUNDS
    for shop in shops:
        await shop.__aexit__(None, None, None)


async def from_memory(shop: Shop) -> float:
    """How many sold-out answers were given without asking the store."""
    metrics = (await shop.ask("GET", "/metrics")).body.decode()
    (line,) = re.findall(r"^flashsale_sold_out_from_memory_total (.*)$", metrics, re.MULTILINE)
    return float(line)


async def make_known_sold_out(shop: Shop, sale: str) -> None:
    """Asks until the worker has answered from its memory."""
    before, numbers = await from_memory(shop), itertools.count()

    async def remembered() -> bool:
        for _ in range(10):
            (await shop.reserve(sale, f"other-{next(numbers)}")).refused(409, "sold_out")
        return await from_memory(shop) > before

    await eventually(remembered, "the worker answers from memory")


async def test_what_a_customer_holds_comes_before_sold_out(shop: Shop) -> None:
    sale = new_sale_id()
    (await shop.define(sale, stock=1, limit_per_customer=1)).must(201)
    held = (await shop.reserve(sale, "c-1")).must(201)["id"]
    await make_known_sold_out(shop, sale)
    for _ in range(50):
        mine, other = await asyncio.gather(shop.reserve(sale, "c-1"), shop.reserve(sale, "c-2"))
        assert mine.refused(409, "limit_reached")["reservations"] == [held]
        problem = other.refused(409, "sold_out")
        assert problem["held_by_others"] == 1
        assert problem["next_release_at"] == (await shop.read(held, "c-1")).must(200)["held_until"]
    await shop.audit(sale)


async def test_a_cancelled_unit_can_be_had_at_once(shop: Shop) -> None:
    sale = new_sale_id()
    (await shop.define(sale, stock=1)).must(201)
    held = (await shop.reserve(sale, "c-0")).must(201)["id"]
    await make_known_sold_out(shop, sale)
    for number in range(30):
        refused = await asyncio.gather(*(shop.reserve(sale, f"d-{n}") for n in range(5)))
        assert {answer.code for answer in refused} == {"sold_out"}
        assert (await shop.cancel(held, f"c-{number}")).must(200)["status"] == "cancelled"
        held = (await shop.reserve(sale, f"c-{number + 1}")).must(201)["id"]
    assert (await shop.audit(sale))["reservations"] == {"cancelled": 30, "held": 1}


async def test_restocked_units_can_be_had_at_once(shop: Shop) -> None:
    sale = new_sale_id()
    (await shop.define(sale, stock=0)).must(201)
    for number in range(20):
        await asyncio.gather(*(shop.reserve(sale, f"d-{n}") for n in range(5)))
        (await shop.restock(sale, 1)).must(200)
        (await shop.reserve(sale, f"c-{number}")).must(201)
    await shop.audit(sale)


async def test_paused_and_closed_are_not_forgotten_over_sold_out(shop: Shop) -> None:
    sale = new_sale_id()
    (await shop.define(sale, stock=1)).must(201)
    (await shop.reserve(sale, "c-1")).must(201)
    await make_known_sold_out(shop, sale)
    for verb, status, code in (("pause", 409, "paused"), ("close", 410, "closed")):
        (await shop.steer(sale, verb)).must(200)

        async def told(code: str = code) -> bool:
            answer = await shop.reserve(sale, "c-2")
            assert answer.code in {"sold_out", "paused", "closed"}
            return answer.code == code

        await eventually(told, f"everybody is told that it is {code}")
        (await shop.reserve(sale, "c-1")).refused(status, code)


async def test_an_ended_hold_can_be_had_at_once_without_a_sweeper(valkey: str) -> None:
    """`serve --redis-url` has none: `reserve` itself takes back what is overdue."""
    async with app_on(valkey) as url, Shop(url) as shop:
        sale = new_sale_id()
        (await shop.define(sale, stock=2, hold_seconds=1)).must(201)
        held = (await shop.reserve(sale, "c-1", lines(quantity=2))).must(201)
        end = held["held_until"]

        async def over() -> bool:
            """The store's clock has passed the end of the hold; nothing else has happened since."""
            return bool((await shop.view(sale))["server_time"] > end)

        await eventually(over, "the hold is over")
        # Nobody has swept it: it still counts as held. The first who asks gets it.
        assert (await shop.counters(sale))["items"][0]["held"] == 2
        first, second = await asyncio.gather(shop.reserve(sale, "c-2"), shop.reserve(sale, "c-3"))
        assert (first.status, second.status) == (201, 201)
        assert (await shop.read(held["id"], "c-1")).must(200)["status"] == "expired"
        await shop.audit(sale)


async def test_known_sold_out_is_not_believed_beyond_the_end_of_a_hold(valkey: str) -> None:
    async with app_on(valkey) as url, Shop(url) as shop:
        sale = new_sale_id()
        (await shop.define(sale, stock=1, hold_seconds=1)).must(201)
        held = (await shop.reserve(sale, "c-0")).must(201)
        for number in range(1, 3):

            async def had(customer: str = f"c-{number}", end: str = held["held_until"]) -> object:
                """Presses all the time, as a crowd does; any answer before the end is sold out."""
                before = (await shop.view(sale))["server_time"]
                answer = await shop.reserve(sale, customer)
                if before > end:
                    answer.must(201)
                if answer.status != 201:
                    answer.refused(409, "sold_out")
                return answer.json if answer.status == 201 else None

            got = await eventually(had, "the unit is back")
            assert isinstance(got, dict)
            held = got
        await shop.audit(sale)


async def test_with_a_sweeper_ended_holds_come_back_by_themselves(valkey: str, tmp_path: Path) -> None:
    sweeper = Program(["-m", "flashsale", "work", "--redis-url", valkey], tmp_path)
    try:
        async with app_on(valkey) as url, Shop(url) as shop:
            held: list[str] = []
            seconds, state, sale = iter((1, 5, 30)), "", ""
            while state != "sold_out":  # on a busy machine the first may have ended before the last is there
                sale = new_sale_id()
                (await shop.define(sale, stock=3, hold_seconds=next(seconds))).must(201)
                held = [(await shop.reserve(sale, f"c-{n}")).must(201)["id"] for n in range(3)]
                state = (await shop.view(sale))["state"]

            async def back() -> bool:
                assert sweeper.process.poll() is None, sweeper.err()
                return bool((await shop.view(sale))["items"][0]["available"] == 3)

            await eventually(back, "all are on sale again")
            assert (await shop.view(sale))["state"] == "open"
            for number, reservation in enumerate(held):
                assert (await shop.read(reservation, f"c-{number}")).must(200)["status"] == "expired"
            assert (await shop.audit(sale))["reservations"] == {"expired": 3}
    finally:
        sweeper.end()
