"""Locust's modes, as people use them: each run is a whole one, with a verdict, a report and an exit code."""

import json
import signal
import urllib.parse
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from tests.loadtest.conftest import FreePort, Start
from tests.loadtest.modes import ask_server, is_green, quick, two_processes
from tests.loadtest.runs import Outcome
from tests.process.programs import eventually
from tests.support_http.client import ROOT_KEY, new_sale_id
from tests.support_http.server import Server

pytestmark = pytest.mark.long


def ask(url: str, body: Mapping[str, object] | None = None) -> Any:
    """What the web UI answers; a form is posted when there is one."""
    data = None if body is None else urllib.parse.urlencode(body).encode()
    with urllib.request.urlopen(url, data=data, timeout=30) as answer:
        text = answer.read().decode()
    return json.loads(text) if text.startswith("{") else text


def test_locusts_own_reports_are_written_too(start: Start, honest: Server, tmp_path: Path) -> None:
    page, numbers = tmp_path / "locust.html", tmp_path / "numbers.json"
    json_file = numbers.with_suffix("")  # Locust adds it
    is_green(start("--headless", **quick(honest.url, html=page, json_file=json_file)).outcome())
    assert "Locust" in page.read_text(encoding="utf-8")
    entries = {entry["name"]: entry for entry in json.loads(numbers.read_text(encoding="utf-8"))}
    assert entries["reserve: held"]["num_requests"] == 5
    assert entries["reserve: sold_out"]["num_requests"] >= 25
    assert entries["reserve: sold_out"]["num_failures"] == 0


def test_guests_come_where_there_is_no_secret(start: Start, honest: Server) -> None:
    env = {"FLASHSALE_ROOT_KEY": ROOT_KEY}
    outcome = start("--headless", env=env, **quick(honest.url)).outcome()
    is_green(outcome)
    assert outcome.report["figures"]["accepted"] == 5
    customers = [customer for _, _, _, customer, *_ in outcome.evidence["feed"]["orders"]]
    assert len(customers) == 5
    assert all(customer.startswith("guest-") for customer in customers), customers


def test_a_sale_that_is_there_is_used(start: Start, honest: Server) -> None:
    sale = new_sale_id()
    items = [{"sku": "thing", "price": 100, "stock": 4}]
    terms = {"title": "Open", "opens_at": "2020-01-01T00:00:00Z", "currency": "EUR", "items": items}
    more = {"limit_per_customer": 1, "hold_seconds": 30, "payment": {"methods": ["card"]}}
    ask_server(honest, f"/v1/sales/{sale}", terms | more, "PUT")
    outcome = start("--headless", **quick(honest.url, sale=sale, units=None, hold_seconds=None)).outcome()
    is_green(outcome)
    assert not outcome.evidence["run"]["alone"]
    assert outcome.report["figures"]["sales"] == 4
    assert ask_server(honest, f"/v1/sales/{sale}")["state"] == "sold_out"


def test_a_rehearsal_is_judged_and_in_no_feed(start: Start, honest: Server) -> None:
    sale = new_sale_id()
    outcome = start("--headless", **quick(honest.url, sale=sale, rehearsal=True)).outcome()
    is_green(outcome)
    assert outcome.evidence["run"]["rehearsal"]
    assert outcome.report["figures"]["sales"] == len(outcome.evidence["feed"]["orders"]) == 5
    events = ask_server(honest, "/v1/orders?limit=1000")["events"]
    assert sale not in {event["data"]["sale"] for event in events}


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ("waves", {"waves": 2, "wave_seconds": 4}),
        ("steady", {"rate": 10, "run_time": "20s"}),
        ("soak", {"rate": 10, "run_time": "20s", "restock_seconds": 2, "restock_units": 3}),
    ],
    ids=["waves", "steady", "soak"],
)
def test_other_shapes_are_judged_too(
    start: Start, honest: Server, shape: str, options: dict[str, Any]
) -> None:
    outcome = start(
        "--headless", **quick(honest.url, shape=shape, hold_seconds=15, abandon=20, **options)
    ).outcome()
    is_green(outcome)
    figures = outcome.report["figures"]
    assert figures["stock"] == 5 if shape != "soak" else figures["stock"] > 5
    assert figures["sales"] > 0
    assert figures["pressed"] == figures["decided"]


def together(outcome: Outcome, users: int) -> None:
    """Two processes have fired at the same T0, and everybody's evidence has arrived."""
    is_green(outcome)
    evidence, figures = outcome.evidence, outcome.report["figures"]
    processes = evidence["processes"]
    assert len({process["name"] for process in processes}) == 2
    assert [process["fired"] for process in processes] == [users // 2, users // 2]
    assert (figures["pressed"], figures["decided"]) == (users, users)
    told = evidence["told"]
    assert min(hold[4] for hold in told["holds"]) >= evidence["terms"]["opens_ms"] - 1000
    # A machine that is busy with something else may be late, and says so.
    if max(process["late_max_ms"] for process in processes) < 300:
        assert [process["fired_in_first_second"] for process in processes] == [users // 2, users // 2]
    assert len(evidence["feed"]["consumers"]) == 1


SHARP: Final = {"reaction_ms": 100, "reaction_sigma": 0.2, "early": 0}
"""Everybody means to press within a few hundred milliseconds after T0."""


def test_two_processes_fire_together(start: Start, honest: Server, free_port: FreePort) -> None:
    outcome = start(
        "--headless", **quick(honest.url, users=60, **two_processes(free_port()), **SHARP)
    ).outcome()
    together(outcome, 60)


def test_a_master_and_two_workers_fire_together(start: Start, honest: Server, free_port: FreePort) -> None:
    port = free_port()
    bound = {"master_bind_host": "127.0.0.1", "master_bind_port": port, "expect_workers": 2}
    master = start("--master", "--headless", **bound, **quick(honest.url, users=60, **SHARP))
    workers = [start("--worker", master_host="127.0.0.1", master_port=port) for _ in range(2)]
    together(master.outcome(), 60)
    assert [worker.program.wait() for worker in workers] == [0, 0]


def test_a_worker_that_dies_turns_the_verdict_red(start: Start, honest: Server, free_port: FreePort) -> None:
    """What its shoppers were told is gone with it: that must not look green."""
    port, sale = free_port(), new_sale_id()
    bound = {"master_bind_host": "127.0.0.1", "master_bind_port": port, "expect_workers": 2}
    crowd = quick(honest.url, sale=sale, users=40, units=400, shape="steady", rate=20, run_time="300s")
    master = start("--master", "--headless", **bound, **crowd)
    workers = [start("--worker", master_host="127.0.0.1", master_port=port) for _ in range(2)]
    eventually(lambda: held(honest, sale) > 5, "shoppers have holds")
    workers[0].program.end()
    master.program.send(signal.SIGTERM)
    outcome = master.outcome()
    assert outcome.exit_code == 1, outcome.said + outcome.log
    assert any("has gone" in finding for finding in outcome.findings["engine"]), outcome.findings


def held(honest: Server, sale: str) -> int:
    """Holds ever granted in the sale; 0 when it is not there yet."""
    try:
        return int(ask_server(honest, f"/v1/sales/{sale}/stats")["place"])
    except OSError:
        return 0


def test_tags_choose_parts(start: Start, honest: Server) -> None:
    outcome = start(
        "--headless", "--tags", "reserve", "orders", "forge", **quick(honest.url, bots=1)
    ).outcome()
    is_green(outcome)
    told = outcome.evidence["told"]
    assert {what.split()[0] for what in told["bots"]} <= {"forge", "garble"}
    assert told["bots"]
    assert outcome.report["figures"]["accepted"] == 5
    assert not {"pay", "provider", "read", "cancel"} & told["timeline"]["latency"].keys()


def test_tags_leave_out_parts(start: Start, honest: Server) -> None:
    outcome = start(
        "--headless", "--exclude-tags", "pay", "orders", **quick(honest.url, greedy=100)
    ).outcome()
    is_green(outcome)
    told, figures = outcome.evidence["told"], outcome.report["figures"]
    assert not outcome.evidence["feed"]["consumers"]
    assert "pay" not in told["timeline"]["latency"]
    assert sum(told["timeline"]["answers"]["limit_reached"].values()) == figures["accepted"] == 5


def test_the_web_ui_starts_stops_and_shows(start: Start, honest: Server, free_port: FreePort) -> None:
    """By its HTTP API, as its page does; twice, as the second run must not meet the first."""
    port, sales = free_port(), []
    page = f"http://127.0.0.1:{port}"
    run = start(web_host="127.0.0.1", web_port=port, **quick(honest.url))
    eventually(lambda: _answers(page), "the page is there")
    report = run.report / "report.json"
    for number, users in enumerate((20, 30)):
        report.unlink(missing_ok=True)
        form = {"user_count": users, "spawn_rate": 100, "host": honest.url, "units": 4 + number}
        assert ask(f"{page}/swarm", form)["success"]
        eventually(report.is_file, "the verdict is there")
        eventually(lambda: ask(f"{page}/stats/requests")["state"] == "stopped", "the run is over")
        told = json.loads(report.read_text(encoding="utf-8"))
        assert told["verdict"]["ok"], told["verdict"]
        assert (told["figures"]["stock"], told["figures"]["shoppers"]) == (4 + number, users)
        assert told["figures"]["pressed"] == users
        sales.append(told["terms"]["sale"])
        assert "<html" in ask(f"{page}/verdict")
    assert len(set(sales)) == 2
    names = {entry["name"] for entry in ask(f"{page}/stats/requests")["stats"]}
    assert {"reserve: held", "reserve: sold_out"} <= names
    run.program.send(signal.SIGTERM)
    assert run.program.wait() == 0


def _answers(page: str) -> bool:
    try:
        return bool(ask(page))
    except OSError:
        return False


def test_the_web_ui_can_stop_a_run_half_way(start: Start, honest: Server, free_port: FreePort) -> None:
    port, sale = free_port(), new_sale_id()
    page = f"http://127.0.0.1:{port}"
    crowd = quick(honest.url, sale=sale, shape="steady", rate=20, run_time="300s", units=1000)
    run = start("--autostart", web_host="127.0.0.1", web_port=port, **crowd)
    eventually(lambda: held(honest, sale) > 5, "shoppers have holds")
    assert ask(f"{page}/stop", {})["success"]
    eventually((run.report / "report.json").is_file, "the verdict is there")
    run.program.send(signal.SIGTERM)
    outcome = run.outcome()
    is_green(outcome)
    assert outcome.report["figures"]["accepted"] >= 5


def test_ctrl_c_ends_the_web_ui_and_the_run_in_it(
    start: Start, honest: Server, free_port: FreePort, tmp_path: Path
) -> None:
    port, sale, written = free_port(), new_sale_id(), tmp_path / "locust.html"
    page = f"http://127.0.0.1:{port}"
    crowd = quick(honest.url, sale=sale, shape="steady", rate=20, run_time="300s", units=1000, html=written)
    run = start(web_host="127.0.0.1", web_port=port, **crowd)
    eventually(lambda: _answers(page), "the page is there")
    assert ask(f"{page}/swarm", {"user_count": 30, "spawn_rate": 100, "host": honest.url})["success"]
    eventually(lambda: held(honest, sale) > 5, "shoppers have holds")
    run.program.send(signal.SIGINT)
    outcome = run.outcome()
    is_green(outcome)
    assert outcome.report["figures"]["accepted"] >= 5
    assert "Locust" in written.read_text(encoding="utf-8")


def test_autostart_and_autoquit_need_nobody(start: Start, honest: Server, free_port: FreePort) -> None:
    words = ("--autostart", "--web-host", "127.0.0.1", "--web-port", str(free_port()))
    is_green(start(*words, autoquit=0, **quick(honest.url)).outcome())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_run_that_is_ended_half_way_is_judged_by_what_there_is(
    start: Start, honest: Server, number: signal.Signals
) -> None:
    sale = new_sale_id()
    crowd = quick(honest.url, sale=sale, shape="steady", rate=20, run_time="300s", units=1000)
    run = start("--headless", **crowd)
    eventually(lambda: held(honest, sale) > 5, "shoppers have holds")
    run.program.send(number)
    outcome = run.outcome()
    is_green(outcome)
    assert outcome.report["figures"]["accepted"] >= 5


def test_ctrl_c_at_the_terminal_of_two_processes(start: Start, honest: Server, free_port: FreePort) -> None:
    """A terminal sends it to the whole group."""
    sale = new_sale_id()
    crowd = quick(honest.url, sale=sale, shape="steady", rate=20, run_time="300s", units=1000)
    run = start("--headless", **two_processes(free_port()), **crowd)
    eventually(lambda: held(honest, sale) > 5, "shoppers have holds")
    for process in run.program.family():
        with suppress(psutil.NoSuchProcess):  # the first has told the other
            process.send_signal(signal.SIGINT)
    outcome = run.outcome()
    is_green(outcome)
    assert len(outcome.evidence["processes"]) == 2
