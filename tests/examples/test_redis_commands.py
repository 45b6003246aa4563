"""The commands of docs/orders.md for consumers on Redis itself, given as the user that the page makes for them."""

import asyncio
import json
import os
import re
import subprocess
from collections.abc import Callable

import pytest

from tests.examples.conftest import program
from tests.support.trade import Trade

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

PASSWORD = "a-password-of-the-order-system"
USER = (
    f"ACL SETUSER order-system on >{PASSWORD} resetkeys ~fs:*:orders +ping +xgroup|create +xreadgroup +xack "
    "+xautoclaim +xpending +xinfo +xrange +xrevrange"
)
Command = Callable[[str], list[str]]


@pytest.fixture
def command(trade: Trade) -> Command:
    """Gives a command as the order system; its answer, line by line."""
    found = re.fullmatch(r"redis://(?:[^:@/]*:([^@]*)@)?([^:/]+):(\d+)(?:/0)?", trade.valkey.url)
    assert found
    password, host, port = found.groups()

    def give(
        text: str, *, user: tuple[str, ...] = ("--user", "order-system"), secret: str = PASSWORD
    ) -> list[str]:
        line = [program("redis-cli"), "-h", host, "-p", port, *user, *text.split()]
        env = {**os.environ, "REDISCLI_AUTH": secret}
        return subprocess.run(line, env=env, capture_output=True, text=True, check=True).stdout.split("\n")

    assert give(USER, user=(), secret=password or "")[0] == "OK"
    return give


def ids(lines: list[str]) -> list[str]:
    return [line for line in lines if re.fullmatch(r"\d+-\d+", line) and line != "0-0"]


async def test_from_one_consumer_to_the_next(trade: Trade, command: Command) -> None:
    stream = f"fs:{{{trade.sale}.0}}:orders"
    assert command(f"XGROUP CREATE {stream} order-system 0 MKSTREAM")[0] == "OK"
    assert command(f"XGROUP CREATE {stream} order-system 0 MKSTREAM")[0].startswith("BUSYGROUP")
    await trade.sell(trade.sale, 5)
    summary = await trade.summary(trade.sale)
    await asyncio.to_thread(read, command, stream)
    last = command(f"XREVRANGE {stream} + - COUNT 1")
    event, tally = json.loads(last[2]), json.loads(last[4])
    assert last[0].split("-") == [str(int(event["sequence"])), str(int(event["factseq"]))]
    assert (tally["sequence"], tally["digest"]) == (5, summary["digest"])


def read(command: Command, stream: str) -> None:
    given = ids(command(f"XREADGROUP GROUP order-system one COUNT 3 BLOCK 5000 STREAMS {stream} >"))
    assert [each.split("-")[0] for each in given] == ["1", "2", "3"]
    assert command(f"XACK {stream} order-system {given[0]}")[0] == "1"
    assert ids(command(f"XREADGROUP GROUP order-system one COUNT 100 STREAMS {stream} 0")) == given[1:]
    assert ids(command(f"XAUTOCLAIM {stream} order-system two 60000 0-0 COUNT 100")) == []
    assert ids(command(f"XAUTOCLAIM {stream} order-system two 0 0-0 COUNT 100")) == given[1:]
    assert command(f"XPENDING {stream} order-system")[0] == "2"
    assert "lag" in command(f"XINFO GROUPS {stream}")
    rest = ids(command(f"XREADGROUP GROUP order-system two COUNT 100 BLOCK 5000 STREAMS {stream} >"))
    assert [each.split("-")[0] for each in rest] == ["4", "5"]
    assert command(f"XACK {stream} order-system {' '.join([*given[1:], *rest])}")[0] == "4"
    assert ids(command(f"XREADGROUP GROUP order-system two COUNT 100 BLOCK 1 STREAMS {stream} >")) == []
    assert ids(command(f"XRANGE {stream} 4 + COUNT 100")) == rest


async def test_it_can_do_nothing_else(trade: Trade, command: Command) -> None:
    stream = f"fs:{{{trade.sale}.0}}:orders"
    for forbidden in (
        f"XADD {stream} * event forged",
        f"DEL {stream}",
        f"XTRIM {stream} MAXLEN 0",
        f"XGROUP DESTROY {stream} order-system",
        f"XRANGE fs:{{{trade.sale}.0}}:journal - +",
        f"HGETALL fs:{{{trade.sale}.0}}:sale",
        "EVAL return(0) 0",
        "FLUSHALL",
    ):
        assert command(forbidden)[0].startswith("NOPERM"), forbidden
