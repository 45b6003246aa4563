"""The options of the load test: on the command line, in a file, in the environment, and wrong ones."""

import ast
import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from tests.loadtest.conftest import FreePort, Start
from tests.loadtest.modes import ask_server, is_green, quick, two_processes
from tests.loadtest.runs import KEYS
from tests.process.programs import ROOT
from tests.support_http.client import ROOT_KEY, new_sale_id
from tests.support_http.server import Server

pytestmark = pytest.mark.slow


def own_options() -> dict[str, dict[str, Any]]:
    """The options that the load test adds to Locust's: name -> how it is added, read from their source."""
    found = {}
    for node in ast.walk(ast.parse((ROOT / "loadtest/_options.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "option":
            name = ast.literal_eval(node.args[1]).removeprefix("--")
            literals = [word for word in node.keywords if isinstance(word.value, ast.Constant)]
            found[name] = {str(word.arg): ast.literal_eval(word.value) for word in literals}
    return found


def variable(name: str) -> str:
    """The environment variable of an option."""
    return str(own_options()[name].get("env_var", "FLASHSALE_LOAD_" + name.replace("-", "_").upper()))


OTHERS: Final[dict[str, Any]] = {
    "units": 6,
    "hold-seconds": 20,
    "rehearsal": False,
    "refreshers": 2,
    "bots": 1,
    "order-systems": 2,
    "shape": "waves",
    "lead": 1.5,
    "waves": 2,
    "wave-seconds": 3.0,
    "rate": 7.0,
    "restock-seconds": 9.0,
    "restock-units": 4,
    "patience": 50.0,
    "answer-timeout": 14.0,
    "reaction-ms": 150.0,
    "reaction-sigma": 0.3,
    "early": 2.0,
    "double-press": 50.0,
    "greedy": 40.0,
    "come-back": 1.0,
    "resume": 60.0,
    "abandon": 3.0,
    "cancel": 2.0,
    "decline": 30.0,
    "think-seconds": 0.2,
    "quantity": 2,
    "seed": 99,
    "level-p99-ms": 30_000.0,
    "level-5xx-percent": 50.0,
    "level-sell-out-seconds": 60.0,
    "level-silences": 1,
    "level-late-ms": 30_000.0,
}
"""Every option of the load test that can have any value, with another one than it has by default."""


def test_every_option_is_there_in_a_config_file(start: Start, honest: Server, tmp_path: Path) -> None:
    """And is in the evidence with the value it was given, except what is secret."""
    definition = tmp_path / "sale.json"
    terms = {"title": "Two", "opens_at": "2020-01-01T00:00:00Z", "currency": "EUR", "limit_per_customer": 2}
    definition.write_text(json.dumps({**terms, "items": [{"sku": "pair", "price": 100, "stock": 1}]}))
    given: dict[str, Any] = {**OTHERS, "sale": new_sale_id(), "definition": str(definition)}
    assert given.keys() == own_options().keys() - {"api-key", "shopper-secret", "report"}
    config = tmp_path / "locust.toml"
    locusts = {"headless": True, "users": 20, "spawn-rate": 100, "host": honest.url, "only-summary": True}
    lines = [f"{name} = {json.dumps(value)}" for name, value in {**locusts, **given}.items()]
    config.write_text("\n".join(["[tool.locust]", *lines, ""]))
    outcome = start("--config", str(config)).outcome()
    is_green(outcome)
    run, terms_told = outcome.evidence["run"], outcome.evidence["terms"]
    assert {name: run["options"].get(name.replace("-", "_")) for name in given} == given
    assert (run["shape"], run["shoppers"], terms_told["sale"]) == ("waves", 20, given["sale"])
    assert [item["stock"] for item in terms_told["items"]] == [6]
    assert ROOT_KEY not in (outcome.folder / "evidence.json").read_text(encoding="utf-8")
    assert len(outcome.evidence["feed"]["consumers"]) == 2


def test_the_readme_names_every_option() -> None:
    """Locust's --help cannot: it is printed before the locustfiles are read."""
    rows = (ROOT / "loadtest/README.md").read_text(encoding="utf-8").splitlines()
    for name, how in own_options().items():
        (row,) = [row for row in rows if re.match(rf"\| `--{name}[ `]", row)]
        assert how["help"] in row
        default = how.get("default", "")
        shown = f"{default:g}" if isinstance(default, (int, float)) else default
        assert f"| {shown} |" in row or name == "report", row


@pytest.mark.long
def test_every_option_is_there_in_the_environment(start: Start, honest: Server) -> None:
    env = {variable(name): str(value) for name, value in OTHERS.items() if name != "rehearsal"}
    outcome = start("--headless", host=honest.url, users=10, spawn_rate=50, env={**KEYS, **env}).outcome()
    is_green(outcome)
    options = outcome.evidence["run"]["options"]
    assert {name: options.get(name.replace("-", "_")) for name in OTHERS} == OTHERS


WRONG: Final[dict[str, tuple[dict[str, object], str]]] = {
    "no server there": ({"host": "http://127.0.0.1:9"}, "no answer from http://127.0.0.1:9"),
    "not a server of ours": ({"host": "http://127.0.0.1:{port}/nothing"}, "404"),
    "a wrong key": ({"api_key": "fsk_wrong"}, "401"),
    "a closed sale": ({"sale": "closed"}, "the sale closed is closed"),
    "no such definition": ({"definition": "nowhere.json"}, "nowhere.json"),
    "no valid sale id": ({"sale": "No Sale"}, "No Sale"),
    "endless without an end": ({"shape": "soak"}, "--run-time"),
    "a share that is none": ({"abandon": 101}, "--abandon"),
    "a shape that is none": ({"shape": "pentagon"}, "--shape"),
    "a count that is none": ({"units": -1}, "--units"),
}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda name: name.replace(" ", "-"))
def test_what_cannot_be_run_is_said_with_exit_code_2(start: Start, honest: Server, wrong: str) -> None:
    options, says = WRONG[wrong]
    items = [{"sku": "thing", "price": 100, "stock": 4}]
    terms = {"title": "Closed", "opens_at": "2020-01-01T00:00:00Z", "currency": "EUR", "items": items}
    if options.get("sale") == "closed":
        ask_server(honest, "/v1/sales/closed", terms, "PUT")
        ask_server(honest, "/v1/sales/closed/close", {}, "POST")
    options = {name: str(value).replace("{port}", str(honest.port)) for name, value in options.items()}
    outcome = start("--headless", **quick(honest.url, **options)).outcome()
    assert outcome.exit_code == 2, outcome.said + outcome.log
    assert says in outcome.said + outcome.log
    assert "Traceback" not in outcome.said + outcome.log
    assert not (outcome.folder / "report.json").exists()


def test_without_a_key_nothing_is_run(start: Start, honest: Server) -> None:
    outcome = start("--headless", env={}, **quick(honest.url)).outcome()
    assert outcome.exit_code == 2, outcome.said + outcome.log
    assert "FLASHSALE_ROOT_KEY" in outcome.said + outcome.log


def test_two_processes_that_cannot_run_end_with_exit_code_2(start: Start, free_port: FreePort) -> None:
    outcome = start("--headless", **quick("http://127.0.0.1:9", **two_processes(free_port()))).outcome()
    assert outcome.exit_code == 2, outcome.said + outcome.log
    assert "no answer from http://127.0.0.1:9" in outcome.said + outcome.log
