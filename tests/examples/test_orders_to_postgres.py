"""examples/orders_to_postgres.py: exactly the confirmed set, whatever is killed."""

import asyncio
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flashsale.client import OrdersSummary
from flashsale.model.events import next_digest
from tests.examples.conftest import EXAMPLES, Example, Run
from tests.support.postgres import Postgres
from tests.support.trade import Trade
from tests.support_http.client import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow, pytest.mark.timeout(300)]

BOOKS = """
SELECT coalesce(max(sequence), 0), count(*), count(*) FILTER (WHERE status = 'confirmed'),
    coalesce(sum(amount_due) FILTER (WHERE status = 'confirmed'), 0), count(*) FILTER (WHERE status = 'refunded'),
    coalesce(sum(amount_due) FILTER (WHERE status = 'refunded'), 0)
FROM shop_orders WHERE sale = %s
"""
SLOW_COMMIT = """
CREATE FUNCTION wait_for_the_test() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END$$;
CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON shop_orders DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION wait_for_the_test();
SELECT pg_advisory_lock(1)
"""
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
def start(run: Run, trade: Trade, database: str) -> Callable[[], Example]:
    def started() -> Example:
        env = {"SHOP_URL": trade.url, "SHOP_KEY": trade.key, "DATABASE_URL": database}
        return run([sys.executable, EXAMPLES / "orders_to_postgres.py"], **env)

    return started


def books(url: str, sale: str) -> tuple[int, ...]:
    """Last sequence, rows, and count and sum of what was made and undone."""
    with Postgres.connect(url) as connection:
        there = connection.execute("SELECT to_regclass('shop_orders')").fetchone()
        if there is None or there[0] is None:
            return (0,) * 6
        row: Any = connection.execute(BOOKS, (sale,)).fetchone()
        return tuple(int(each) for each in row)


def of(summary: OrdersSummary) -> tuple[int, ...]:
    """The same by the books of the shop."""
    made, undone, last = summary["confirmed"], summary["refunded"], summary["sequence"]
    return (last, last, made["count"], made["amount"], undone["count"], undone["amount"])


async def agree(trade: Trade, url: str) -> None:
    """The table ends with exactly what the shop has sold, digest and all."""
    summary = await trade.summary(trade.sale)

    async def look() -> bool:
        return await asyncio.to_thread(books, url, trade.sale) == of(summary)

    await eventually(look, "the books agree")
    digest = ""
    with Postgres.connect(url) as connection:
        rows = connection.execute(
            "SELECT sequence, status, reservation, amount_due FROM shop_orders WHERE sale = %s ORDER BY sequence",
            (trade.sale,),
        ).fetchall()
    for sequence, status, reservation, amount_due in rows:
        order = {"sequence": sequence, "status": status, "reservation": reservation, "amount_due": amount_due}
        digest = next_digest(digest, order)
    assert digest == summary["digest"]
    assert {reservation: status for _, status, reservation, _ in rows} == await trade.orders(trade.sale)


async def test_every_order_is_there_once(trade: Trade, database: str, start: Callable[[], Example]) -> None:
    example = start()
    made = await trade.sell(trade.sale, 50)
    await trade.undo(made[7])
    await agree(trade, database)
    assert example.ended() is None
    assert trade.key not in example.out() + example.err()


@pytest.mark.long
async def test_killed_again_and_again(trade: Trade, database: str, start: Callable[[], Example]) -> None:
    dice = random.Random(9)
    for _ in range(6):
        before = (await asyncio.to_thread(books, database, trade.sale))[1]
        example = start()
        selling = asyncio.create_task(trade.sell(trade.sale, 400))

        async def moved(before: int = before) -> bool:
            return (await asyncio.to_thread(books, database, trade.sale))[1] > before

        await eventually(moved, "some orders have come")
        await asyncio.sleep(dice.uniform(0, 0.1))
        example.kill()
        await selling
    start()
    await agree(trade, database)


async def test_killed_while_the_database_commits(
    trade: Trade, database: str, start: Callable[[], Example]
) -> None:
    """What was sent before the kill is done all the same, and the next one begins behind it."""
    example = start()
    await trade.sell(trade.sale, 20)
    await agree(trade, database)
    with Postgres.connect(database) as connection:

        async def wait(count: int) -> bool:
            found = await asyncio.to_thread(lambda: connection.execute(WAITING).fetchone())
            return found is not None and found[0] == count

        connection.execute(SLOW_COMMIT)
        await trade.sell(trade.sale, 20)
        await eventually(lambda: wait(1), "it commits")
        example.kill()
        example = start()
        await eventually(lambda: wait(2), "the next one waits for that")
    await trade.sell(trade.sale, 20)
    await agree(trade, database)
    assert example.ended() is None, example.err()


async def test_the_database_is_killed_beneath_it(
    trade: Trade, postgres: Postgres, database: str, start: Callable[[], Example]
) -> None:
    example = start()
    await trade.sell(trade.sale, 20)
    await agree(trade, database)
    await asyncio.to_thread(postgres.kill)
    await asyncio.to_thread(postgres.start)
    await trade.sell(trade.sale, 20)

    async def ended() -> bool:
        return example.ended() is not None

    await eventually(ended, "it has noticed")
    start()
    await agree(trade, database)


async def test_two_by_mistake(trade: Trade, database: str, start: Callable[[], Example]) -> None:
    examples = [start(), start()]

    async def ended() -> list[Example]:
        await trade.sell(trade.sale)
        return [example for example in examples if example.ended() is not None]

    (late,) = await eventually(ended, "one of them has noticed")
    assert late.ended() == 1
    await agree(trade, database)
    await trade.sell(trade.sale, 20)
    await agree(trade, database)
