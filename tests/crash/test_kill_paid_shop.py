"""kill -9 in a shop that brings everything along: its supervisor starts what has died, and all get what they paid for."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.journeys import PatientTill, click_surely
from tests.support.embedded_house import EmbeddedHouse
from tests.support_http.client import eventually as soon

CUSTOMERS = 60
KILLS = 9
METHODS = ("card", "alipay", "paypal", "bank_transfer")
VICTIMS = ("work_main", "simulator_main", "valkey-server")

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[EmbeddedHouse]:
    house = EmbeddedHouse(tmp_path)
    yield house
    house.server.stop()


@pytest.mark.parametrize("round_number", range(1))
async def test_everything_is_killed_while_customers_pay(
    house: EmbeddedHouse, seed: int, round_number: int
) -> None:
    chance = random.Random(seed)
    victims = [*VICTIMS, *chance.choices(VICTIMS, k=KILLS - len(VICTIMS))]
    chance.shuffle(victims)
    async with PatientTill(house) as till:
        await till.open(stock=CUSTOMERS)
        paid = 0

        async def buy(number: int) -> None:
            nonlocal paid
            customer, method = f"c-{number}", METHODS[number % len(METHODS)]
            held = await till.hold(customer, key="the only click")
            await click_surely(await till.ask(held, customer, method))
            await till.until(held, "confirmed", "paid")
            paid += 1

        async def buy_in_turn(numbers: Iterator[int]) -> None:
            for number in numbers:
                await buy(number)

        async def kill_in_turn() -> None:
            for nth, victim in enumerate(victims):

                async def enough(nth: int = nth) -> bool:
                    return paid >= nth * (CUSTOMERS - 10) // KILLS

                await soon(enough, "some have paid")
                await asyncio.to_thread(house.kill, victim)

        numbers = iter(range(CUSTOMERS))
        async with asyncio.TaskGroup() as group:
            for _ in range(6):
                group.create_task(buy_in_turn(numbers))
            group.create_task(kill_in_turn())
        await till.settled()
        await till.verdict(orders=CUSTOMERS)
