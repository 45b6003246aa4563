"""`flashsale orders`, against a real server with everything around it."""

import json
import re
import signal
from pathlib import Path

import pytest

from flashsale.model.cursor import Cursor
from tests.cli.conftest import Commands
from tests.process.programs import Program, eventually
from tests.support.paying import Shopper

TERMS = {"methods": ["card"], "deposit_percent": 10, "instalments": 36}


@pytest.fixture
def shopper(commands: Commands) -> Shopper:
    return Shopper(commands.server.url, commands.server.token("c-1"))


def told(commands: Commands, sale: str, number: int) -> None:
    """Returns when so many orders of a sale were told."""
    eventually(
        lambda: json.loads(commands.run("orders", "summary", sale, "--json").stdout)["sequence"] == number,
        f"{number} orders of {sale} are told",
    )


def test_orders_are_shown_and_summed_up(commands: Commands, shopper: Shopper) -> None:
    commands.define("tailed", payment=TERMS)
    nothing = commands.must("orders", "summary", "tailed")
    assert nothing.startswith("tailed  0 orders stand; nothing was sold yet\n")
    order = shopper.order("tailed")
    told(commands, "tailed", 1)

    result = commands.run("orders", "tail", "--sale", "tailed")
    assert result.exit_code == 0
    (line,) = result.stdout.splitlines()
    assert re.fullmatch(
        rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?Z  tailed +1  confirmed  33,000\.00 CNY  1 giulia  c-1  {order['id']}",
        line,
    )
    cursor = re.fullmatch(r"go on with --after (\S+)\n", result.stderr)
    assert cursor is not None
    assert Cursor.decode(cursor[1]).of("tailed") == 1

    key = commands.json("keys", "create", "support", "--scope", "support")["key"]
    commands.refund(order["id"], key, restock=True)
    told(commands, "tailed", 2)
    (line,) = commands.must("orders", "tail", "--sale", "tailed", "--after", cursor[1]).splitlines()
    assert "refunded" in line
    assert line.endswith("  a test")
    (one,) = commands.must("orders", "tail", "--sale", "tailed", "--type", "refunded", "--json").splitlines()
    event = json.loads(one)
    assert (event["specversion"], event["type"]) == ("1.0", "io.flashsale.reservation.refunded.v1")
    (one,) = commands.must("orders", "tail", "--sale", "tailed", "--limit", "1", "--json").splitlines()
    assert json.loads(one)["data"]["status"] == "confirmed"
    assert commands.must("orders", "tail", "--sale", "tailed", "--after", "now") == ""

    shown = commands.must("orders", "summary", "tailed")
    assert shown.startswith("tailed  0 orders stand; number 2 is the last one told\n")
    assert re.search(r"^confirmed\s+1\s+33,000\.00 CNY$", shown, re.MULTILINE)
    assert re.search(r"^refunded\s+1\s+33,000\.00 CNY$", shown, re.MULTILINE)
    assert re.search(r"^digest  [0-9a-f]{64}$", shown, re.MULTILINE)
    # The data directory of the running server is as good as its address.
    beside = ("--data-dir", str(commands.server.data_dir))
    assert (
        len(commands.must("orders", "tail", "--sale", "tailed", *beside, FLASHSALE_URL=None).splitlines())
        == 2
    )


def test_following_shows_what_comes(commands: Commands, shopper: Shopper, tmp_path: Path) -> None:
    commands.define("followed", payment=TERMS)
    arguments = ["-m", "flashsale", "orders", "tail", "--follow", "--sale", "followed", "--json"]
    env = {"FLASHSALE_URL": commands.server.url, "FLASHSALE_API_KEY": commands.server.root_key}
    program = Program(arguments, tmp_path, env)
    try:
        order = shopper.order("followed")
        eventually(lambda: order["id"] in program.out(), "the order is shown")
        program.send(signal.SIGINT)
        assert program.wait() == 0
        assert program.err().startswith("go on with --after ")
    finally:
        program.end()


def test_what_cannot_be(commands: Commands) -> None:
    commands.define("plain")
    assert "There is no sale nobody" in commands.fails("orders", "tail", "--sale", "nobody")
    assert "There is no sale nobody" in commands.fails("orders", "summary", "nobody")
    assert "after" in commands.fails("orders", "tail", "--after", "nothing")
    assert "--limit" in commands.fails("orders", "tail", "--limit", "0", exit_code=2)
    key = commands.json("keys", "create", "support", "--scope", "support")["key"]
    assert "scope orders" in commands.fails("orders", "tail", FLASHSALE_API_KEY=key)
