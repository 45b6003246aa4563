"""A whole shop, as shipped: everything is killed, and what Redis has is yesterday's, or nothing at all.

It refuses to sell what may be sold, changes nothing by itself, and after `flashsale recover` sells on to exactly zero.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flashsale.keys import PER_SALE
from flashsale.store.client import Store
from flashsale.store.fence import Fence
from tests.process.programs import Program, eventually
from tests.support.embedded_house import EmbeddedHouse
from tests.support.house import Till, click
from tests.support.server import PATIENCE_MS
from tests.support.shop import Snapshot, snapshot
from tests.support_http.client import eventually as soon

STOCK = 12
QUEUES = {"payments", "turns", "retries", "dead"}
"""Jobs may be looked at at any time; whatever would change the sale by them is refused."""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedHouse]:
    env = {}
    if request.param == "postgresql":
        env["FLASHSALE_ARCHIVE"] = str(request.getfixturevalue("postgres_url"))
    house = EmbeddedHouse(tmp_path, env)
    yield house
    house.server.stop()


def yesterday(house: EmbeddedHouse) -> None:
    """The append-only file of then."""
    shutil.rmtree(house.data_dir / "appendonlydir")
    shutil.copytree(house.folder / "yesterday", house.data_dir / "appendonlydir")


def nothing(house: EmbeddedHouse) -> None:
    """A disk that was lost."""
    shutil.rmtree(house.data_dir / "appendonlydir")


def run(house: EmbeddedHouse, *arguments: str) -> tuple[int, str, str]:
    """A command in the data directory of the house."""
    program = Program(
        ["-m", "flashsale", *arguments, "--data-dir", str(house.data_dir)], house.folder, house.command_env
    )
    return program.wait(), program.out(), program.err()


async def buy(till: Till, customer: str, method: str = "alipay") -> str:
    held = await till.hold(customer)
    await click(await till.ask(held, customer, method))
    await till.until(held, "confirmed", "paid")
    return held


async def everything_of(house: EmbeddedHouse, sale: str) -> Snapshot:
    store = Store.connect(house.valkey.url, timeout_ms=PATIENCE_MS, fence=Fence.NONE)
    try:
        found = await snapshot(store, sale)
    finally:
        await store.close()
    return {part: found[part] for part in PER_SALE if part not in QUEUES}


async def archived(till: Till) -> None:
    """Waits until the archive has every fact."""

    async def level() -> bool:
        archive = (await till.shop.audit(till.sale))["archive"]
        return archive is not None and archive["behind"] == 0

    await soon(level, "everything is archived")


@pytest.mark.long
@pytest.mark.parametrize("loss", [yesterday, nothing])
async def test_the_shop_sells_on_to_exactly_zero(
    house: EmbeddedHouse, loss: Callable[[EmbeddedHouse], None]
) -> None:
    case = await the_day_before(house)
    house.server.stop()
    shutil.copytree(house.data_dir / "appendonlydir", house.folder / "yesterday")
    house.start()
    await the_day_itself(house, case)
    house.end()
    loss(house)
    house.start()
    async with Till(house) as till:
        till.sale = case.sale
        await nothing_happens(till, case, is_lost=loss is nothing)
        code, out, err = run(house, "recover", case.sale)
        assert code == 0, err
        assert f"{case.sale} is back" in out
        code, out, _ = run(house, "recover", case.sale)
        assert (code, f"{case.sale} lacks nothing" in out) == (0, True)
        await it_goes_on(till, case)


@dataclass
class Case:
    """Two sales: of one of them a day is lost, of the other nothing."""

    sale: str
    other_sale: str
    first: str
    short: str
    second: str = ""
    third: str = ""


async def the_day_before(house: EmbeddedHouse) -> Case:
    """ann has bought, bob has a hold."""
    async with Till(house) as till, Till(house) as other:
        await till.open(stock=STOCK, hold_seconds=3600)
        await other.open(stock=2)
        await other.hold("zoe")
        case = Case(till.sale, other.sale, await buy(till, "ann"), await till.hold("bob"))
        await archived(till)
        await archived(other)
    return case


async def the_day_itself(house: EmbeddedHouse, case: Case) -> None:
    """cem and dan buy; dan's is refunded, and ann's, which does not go back on sale; eve has a hold, bob has lost his."""
    async with Till(house) as till:
        till.sale = case.sale
        case.second = await buy(till, "cem", "card")
        case.third = await buy(till, "dan")
        await till.refund(case.third)
        await till.refund(case.first, restock=False)
        await till.hold("eve")
        (await till.shop.cancel(case.short, "bob")).must(200)
        await till.settled()
        await archived(till)


async def nothing_happens(till: Till, case: Case, *, is_lost: bool) -> None:
    """The sale refuses, the other one goes on, and in Redis nothing of the sale changes."""
    house, sale = till.house, case.sale
    assert isinstance(house, EmbeddedHouse)
    before = await everything_of(house, sale)
    for _ in range(3):
        refused = (await till.shop.reserve(sale, "fay")).refused(503, "recovering")
        assert "Nothing was changed" in refused["detail"]
    if is_lost:
        (await till.shop.ask("GET", f"/v1/sales/{sale}")).refused(503, "recovering")
        assert run(house, "recover", case.other_sale)[0] == 0
    else:
        eventually(lambda: "sweeper.recovering" in house.server.program.err(), "the sweeper has tried")
        (await till.shop.cancel(case.short, "bob")).refused(503, "recovering")
        assert (await till.shop.ask("GET", f"/v1/sales/{sale}")).must(200)["state"] == "paused"
    (await till.shop.reserve(case.other_sale, "yan")).must(201)
    (await till.shop.ask("GET", "/readyz")).must(200)
    assert await everything_of(house, sale) == before


async def it_goes_on(till: Till, case: Case) -> None:
    """What was lost is there, and what is left is sold: one was refunded and is gone, one is sold, one is held."""
    await till.until(case.first, "refunded", "refunded")
    await till.until(case.second, "confirmed", "paid")
    await till.until(case.third, "refunded", "refunded")
    assert (await till.read(case.short))["status"] == "cancelled"
    await till.settled()
    await till.verdict(orders=1, refunds=2)
    for number in range(STOCK - 3):
        await buy(till, f"c-{number}")
    (await till.shop.reserve(case.sale, "late")).refused(409, "sold_out")
    await till.settled()
    await till.verdict(orders=1 + STOCK - 3, refunds=2)
    await archived(till)
    for sale in (case.sale, case.other_sale):
        assert (await till.shop.audit(sale))["ok"]


async def test_a_sale_is_recovered_with_the_server_away(house: EmbeddedHouse) -> None:
    async with Till(house) as till:
        sale = till.sale
        await till.open(stock=2)
        await till.hold("ann")
        await archived(till)
    house.server.stop()
    nothing(house)
    code, out, err = run(house, "recover", sale)
    assert code == 0, err
    assert "It goes on with 0 orders and 1 hold" in out
    code, out, err = run(house, "audit", sale)
    assert code == 0, out + err
    house.start()
    async with Till(house) as till:
        till.sale = sale
        await till.hold("bob")
        (await till.shop.reserve(sale, "cem")).refused(409, "sold_out")
