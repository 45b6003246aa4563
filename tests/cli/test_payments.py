"""`flashsale payments`, against a real server with a simulator and a worker."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Commands
from tests.process.programs import Program, eventually
from tests.support.paying import Shopper
from tests.support.simulator import Simulator, run_simulator
from tests.support.world import definition
from tests.support_http.client import ROOT_KEY, token
from tests.support_http.server import PATIENT, Server

TERMS = {"methods": ["card", "alipay"], "deposit_percent": 10, "instalments": 36}


@pytest.fixture
def shopper(commands: Commands) -> Shopper:
    return Shopper(commands.server.url, commands.server.token("c-1"))


def test_an_order_is_reconciled_refunded_and_reconciled_again(commands: Commands, shopper: Shopper) -> None:
    commands.define("paid", payment=TERMS)
    order = shopper.order("paid")
    assert order["status"] == "confirmed"
    assert order["payment"]["provider"] == "simulator"
    reference = f"simulator:{order['payment']['reference']}"

    report = commands.json("payments", "reconcile", "--sale", "paid")
    assert (report["ok"], report["charges"], report["open"]) == (True, 1, [])
    assert [total for total in report["totals"] if total["count"]] == [
        {"currency": "CNY", "fate": "order", "count": 1, "amount": 3_300_000}
    ]
    text = commands.must("payments", "reconcile", "--sale", "paid")
    assert text.startswith("clean  1 charge, and each has its fate\n")
    assert re.search(r"^order\s+1\s+33,000\.00 CNY$", text, re.MULTILINE)
    assert reference not in text
    # The data directory of the running server leads to its simulator as well.
    beside = ("--data-dir", str(commands.server.data_dir))
    assert commands.json("payments", "reconcile", "--sale", "paid", *beside, FLASHSALE_URL=None) == report
    assert commands.json("payments", "reconcile")["ok"] is True

    key = commands.json("keys", "create", "support", "--scope", "support")["key"]
    commands.refund(order["id"], key, restock=True)
    shopper.until(order["id"], "refunded")
    after = commands.json("payments", "reconcile", "--sale", "paid", FLASHSALE_API_KEY=key)
    assert [total["fate"] for total in after["totals"] if total["count"]] == ["refunded"]
    text = commands.must("payments", "reconcile", "--sale", "paid")
    assert re.search(r"^refund\s+1\s+33,000\.00 CNY$", text, re.MULTILINE)


@pytest.fixture
def parts(valkey: str, tmp_path: Path) -> Iterator[tuple[Simulator, Server]]:
    """A simulator that tells nobody of anything, a server and a worker that tries each job three times."""
    with run_simulator(file=tmp_path / "books") as simulator:
        env = {**simulator.env, "FLASHSALE_PAYMENT_TRIES": "3", "FLASHSALE_RECONCILE_SECONDS": "0", **PATIENT}
        server = Server(tmp_path / "serve", ["--redis-url", valkey], env=env)
        worker = Program(["-m", "flashsale", "work", "--redis-url", valkey], tmp_path, env)
        try:
            yield simulator, server
        finally:
            worker.end()
            server.stop()


def test_a_lost_message_is_found_and_a_refund_that_died_is_tried_again(
    commands: Commands, parts: tuple[Simulator, Server]
) -> None:
    simulator, server = parts
    env: dict[str, Any] = {"FLASHSALE_URL": server.url, "FLASHSALE_ROOT_KEY": ROOT_KEY}
    sale = "lost"
    file = commands.folder / f"{sale}.json"
    file.write_text(json.dumps(definition(payment=TERMS)))
    commands.must("sale", "put", str(file), **env)
    shopper = Shopper(server.url, token("c-1"))
    asked = shopper.agree(sale, "alipay")

    text = commands.must("payments", "reconcile", **env)
    assert text.startswith("clean  1 charge, and each has its fate\n")
    assert "\n1 of them nobody had told us of; they have been acted upon now\n" in text
    order = shopper.until(asked["id"], "paid")
    assert order["status"] == "confirmed"
    assert "nobody had told us" not in commands.must("payments", "reconcile", **env)

    simulator.kill()
    commands.refund(order["id"], ROOT_KEY, url=server.url, restock=False)
    listed = eventually(
        lambda: commands.json("payments", "dead", "list", sale, **env)["jobs"], "the refund is given up"
    )
    reference = f"simulator:{order['payment']['reference']}"
    assert [(job["kind"], job["reservation"], job["reference"], job["tries"]) for job in listed] == [
        ("refund", order["id"], reference, 3)
    ]
    shown = commands.must("payments", "dead", "list", sale, **env)
    assert re.search(rf"^{listed[0]['id']}\s+refund\s+{reference}\s+3\s+20\S+ \S+Z\s+\S", shown, re.MULTILINE)

    simulator.start_again()
    result = commands.run("payments", "reconcile", **env)
    assert result.exit_code == 1
    assert result.stdout.startswith("NOT CLEAN  1 charge, and 1 charge is open\n")
    assert re.search(rf"^{reference}\s+{order['id']}\s+33,000\.00 CNY\s+\S", result.stdout, re.MULTILINE)
    assert f"flashsale payments dead retry {sale}" in result.stdout
    as_json = commands.run("payments", "reconcile", "--json", **env)
    assert as_json.exit_code == 1
    assert [charge["reference"] for charge in json.loads(as_json.stdout)["open"]] == [reference]

    done = commands.must("payments", "dead", "retry", sale, listed[0]["id"], **env)
    assert done == f"1 job of {sale} will be tried again.\n"
    shopper.until(order["id"], "refunded")
    assert commands.must("payments", "reconcile", **env).startswith("clean  1 charge")
    assert commands.json("payments", "dead", "list", sale, **env) == {"jobs": []}
    assert [payment["refunded"] for payment in simulator.payments()] == [3_300_000]


def test_who_may(commands: Commands) -> None:
    commands.define("guarded", payment=TERMS)
    weak = commands.json("keys", "create", "weak", "--scope", "sales")["key"]
    for arguments in (
        ["reconcile"],
        ["dead", "list", "guarded"],
        ["dead", "retry", "guarded", "--all"],
    ):
        error = commands.fails("payments", *arguments, FLASHSALE_API_KEY=weak)
        assert error.startswith("Error: Not allowed: ")
        assert "support" in error


def test_a_sale_nobody_knows(commands: Commands) -> None:
    for arguments in (
        ["reconcile", "--sale", "unheard-of"],
        ["dead", "list", "unheard-of"],
        ["dead", "retry", "unheard-of", "--all"],
    ):
        assert "(unknown_sale)" in commands.fails("payments", *arguments)
    assert "(invalid); sale: " in commands.fails("payments", "reconcile", "--sale", "No Sale")


def test_dead_jobs_of_a_sale_without_any(commands: Commands) -> None:
    commands.define("alive", payment=TERMS)
    assert commands.must("payments", "dead", "list", "alive") == "No payment job of alive was given up.\n"
    assert commands.json("payments", "dead", "list", "alive") == {"jobs": []}
    assert commands.must("payments", "dead", "list", "_stray").startswith("No payment job of _stray")
    assert "0 jobs of alive" in commands.must("payments", "dead", "retry", "alive", "--all")
    assert "(not_found)" in commands.fails("payments", "dead", "retry", "alive", "1-0")
    assert "(invalid); id: " in commands.fails("payments", "dead", "retry", "alive", "first")
    for arguments in ([], ["1-0", "--all"]):
        error = commands.fails("payments", "dead", "retry", "alive", *arguments, exit_code=2)
        assert "name the job to try again, or give --all" in error


def test_a_redis_alone_knows_no_provider(commands: Commands, valkey: str) -> None:
    on_redis = ("--redis-url", valkey)
    error = commands.fails("payments", "reconcile", *on_redis, FLASHSALE_URL=None)
    assert error.startswith("Error: No payments: This server is not set up to take payments")
    assert "FLASHSALE_STRIPE_SECRET_KEY" in error
    assert "--url" in error
    wrong: dict[str, Any] = {"FLASHSALE_URL": None, "FLASHSALE_PAYMENT_PROVIDER": "simulator"}
    error = commands.fails("payments", "reconcile", *on_redis, exit_code=2, **wrong)
    assert "FLASHSALE_SIMULATOR_URL" in error


def test_a_redis_with_the_settings_of_the_provider(commands: Commands, valkey: str) -> None:
    with run_simulator() as simulator:
        env: dict[str, Any] = {**simulator.env, "FLASHSALE_URL": None}
        report = commands.json("payments", "reconcile", "--redis-url", valkey, **env)
        assert (report["ok"], report["charges"], report["totals"]) == (True, 0, [])
        simulator.kill()
        error = commands.fails("payments", "reconcile", "--redis-url", valkey, **env)
    assert error.startswith("Error: No payments: The payment provider does not answer: ")
    assert simulator.secret not in error


def test_a_data_directory_without_a_simulator(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    error = commands.fails("payments", "reconcile", "--data-dir", str(tmp_path / "data"), FLASHSALE_URL=None)
    assert "not set up to take payments" in error
    assert "--url" in error
