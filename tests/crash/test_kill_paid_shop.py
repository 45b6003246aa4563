"""kill -9 in a shop that brings everything along: its supervisor starts what has died, and all get what they paid for."""

import asyncio
import json
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from flashsale.process.embedded import find_running
from flashsale.process.own_simulator import BOOKS_NAME, NOTE_NAME
from tests.crash.journeys import PatientTill, click_surely
from tests.process.programs import eventually
from tests.support.house import House
from tests.support.simulator import Simulator
from tests.support_http.client import eventually as soon
from tests.support_http.server import Server

CUSTOMERS = 60
KILLS = 9
METHODS = ("card", "alipay", "paypal", "bank_transfer")
VICTIMS = ("work_main", "simulator_main", "valkey-server")

pytestmark = pytest.mark.long


class FoundSimulator(Simulator):
    """The simulator that the server has brought along."""

    def __init__(self, data_dir: Path) -> None:
        note = json.loads((data_dir / NOTE_NAME).read_text())
        self.url = f"http://127.0.0.1:{note['port']}"
        self.secret = note["secret"]


class FoundValkey:
    """The store that the server has brought along."""

    def __init__(self, data_dir: Path) -> None:
        self.url = find_running(data_dir) or ""


class EmbeddedHouse(House):
    """`flashsale serve --embedded`, and nothing else."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        data_dir = folder / "data"
        env = {"FLASHSALE_PAYMENT_CLAIM_MS": "200", "FLASHSALE_RECONCILE_SECONDS": "0"}
        self.server = Server(folder, ["--embedded", "--data-dir", str(data_dir)], env=env)
        self.valkey = FoundValkey(data_dir)  # type: ignore[assignment]  # its address is all that is asked for
        self.simulator = FoundSimulator(data_dir)
        self.books = data_dir / BOOKS_NAME

    def kill(self, word: str) -> None:
        """kill -9 of one of the children, and wait until it runs again."""
        pid = self.server.program.child(word).pid
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: self.server.program.child(word).pid != pid, f"{word} runs again")


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
