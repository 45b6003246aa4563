"""examples/orders_curl.sh and orders_redis.sh: every order, at least once, with what is on every machine."""

import asyncio
import json
import random
import re
from pathlib import Path

import pytest

from tests.examples.conftest import EXAMPLES, Example, Run, program
from tests.support.trade import Trade
from tests.support_http.client import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow, pytest.mark.timeout(300)]


def sequences(trade: Trade, *examples: Example) -> list[int]:
    """The numbers of the orders of the test's own sale that were printed."""
    events = [json.loads(line) for example in examples for line in example.out().splitlines()]
    return [int(event["sequence"]) for event in events if event["data"]["sale"] == trade.sale]


async def printed(trade: Trade, count: int, *examples: Example) -> None:
    async def look() -> bool:
        for example in examples[-1:]:
            assert example.ended() is None, example.err()
        return len(set(sequences(trade, *examples))) >= count

    await eventually(look, f"{count} orders are printed")


async def killed_now_and_then(trade: Trade, start: "Run") -> None:
    """Every order comes, in order; what comes twice was in hand when something was killed."""
    dice, runs, sold = random.Random(5), [start()], 0
    for _ in range(4):
        sold += len(await trade.sell(trade.sale, 150))
        await printed(trade, sold - 149, *runs)
        await asyncio.sleep(dice.uniform(0, 0.1))
        runs[-1].kill()
        runs.append(start())
    await printed(trade, sold, *runs)
    for each in runs:
        numbers = sequences(trade, each)
        assert numbers == list(range(numbers[0], numbers[-1] + 1)) if numbers else True
    assert set(sequences(trade, *runs)) == set(range(1, sold + 1))


async def test_curl(trade: Trade, run: Run, tmp_path: Path) -> None:
    program("curl")

    def start() -> Example:
        env = {"SHOP_URL": trade.url, "SHOP_KEY": trade.key}
        return run([EXAMPLES / "orders_curl.sh", tmp_path / "cursor"], **env)

    await killed_now_and_then(trade, start)


async def test_curl_waits_for_a_server_that_is_away(trade: Trade, run: Run, tmp_path: Path) -> None:
    program("curl")
    await trade.sell(trade.sale, 3)
    env = {"SHOP_URL": trade.url, "SHOP_KEY": trade.key}
    example = run([EXAMPLES / "orders_curl.sh", tmp_path / "cursor"], **env)
    await printed(trade, 3, example)
    await asyncio.to_thread(trade.end_server)

    async def said() -> bool:
        return "no orders from" in example.err()

    try:
        await eventually(said, "it says that the server is away")
    finally:
        await asyncio.to_thread(trade.start_server)  # other tests need it too
    await trade.sell(trade.sale, 2)
    await printed(trade, 5, example)
    assert sequences(trade, example) == [1, 2, 3, 4, 5]
    assert trade.key not in example.err()


async def test_redis_cli(trade: Trade, run: Run) -> None:
    program("redis-cli")
    found = re.fullmatch(r"redis://(?:[^:@/]*:([^@]*)@)?([^:/]+):(\d+)(?:/0)?", trade.valkey.url)
    assert found
    password, host, port = found.groups()

    def start() -> Example:
        env = {"REDISCLI_AUTH": password} if password else {}
        return run([EXAMPLES / "orders_redis.sh", trade.sale, host, port], **env)

    await killed_now_and_then(trade, start)

    async def acknowledged() -> bool:
        pending = await trade.store.redis.xpending(f"fs:{{{trade.sale}.0}}:orders", "order-system")
        return int(pending["pending"]) == 0

    await eventually(acknowledged, "all is acknowledged")
