"""`flashsale rehearse` itself: real crowds at real servers, what cannot be rehearsed, and signals half way."""

import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner

from flashsale.cli.rehearse import command as rehearse
from flashsale.client import Client, OrderFeed
from tests.process.programs import clean_env, eventually
from tests.support_http.client import ROOT_KEY, SECRET
from tests.support_http.server import Server

SALE = "milano"
DEFINITION: dict[str, Any] = {
    "title": "Giulia Milano",
    "opens_at": "2027-01-01T10:00:00Z",
    "currency": "CNY",
    "limit_per_customer": 1,
    "hold_seconds": 60,
    "items": [{"sku": "giulia", "price": 33_000_000, "stock": 12}],
    "payment": {"methods": ["card", "alipay"], "deposit_percent": 10},
}
WAIT_SECONDS = 240.0
QUICK = "--shoppers 30 --spawn-rate 60 --lead 1 --think-seconds 0.2 --patience 25 --abandon 0 --cancel 0 --decline 0"
"""Everybody who gets a hold pays for it, so everything is sold."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / f"{SALE}.json"
    path.write_text(json.dumps(DEFINITION))
    return path


def environment(tmp_path: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Its temporary files are in a folder by which everything that it has started is known."""
    (tmp_path / "tmp").mkdir(exist_ok=True)
    # Of other load tests and other servers, and not for this one.
    stray = {"LOCUST_USERS": "7", "FLASHSALE_REDIS_URL": "redis://127.0.0.1:1", "FLASHSALE_LOAD_BOTS": "9"}
    return clean_env({"TMPDIR": str(tmp_path / "tmp"), **stray, **(extra or {})})


def started(tmp_path: Path) -> list[psutil.Process]:
    """Everything that runs with this test's folder for temporary files."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("TMPDIR") == str(tmp_path / "tmp")
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def command(tmp_path: Path, arguments: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "flashsale",
        "rehearse",
        "--out",
        str(tmp_path / "out"),
        *shlex.split(arguments),
    ]


def rehearsed(
    tmp_path: Path, arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command(tmp_path, arguments),
        cwd=tmp_path,
        env=environment(tmp_path, env),
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert started(tmp_path) == []
    assert "Traceback" not in done.stdout + done.stderr
    return done


@contextmanager
def rehearsing(tmp_path: Path, arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A rehearsal that is under way; whatever a failed test leaves of it is ended."""
    process = subprocess.Popen(
        command(tmp_path, arguments),
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with process:
            yield process
    finally:
        for left in started(tmp_path):
            left.kill()


def report_of(tmp_path: Path) -> Any:
    return json.loads((tmp_path / "out" / "report.json").read_text())


@pytest.mark.slow
def test_a_sale_is_rehearsed_at_a_server_of_its_own(tmp_path: Path, file: Path) -> None:
    done = rehearsed(tmp_path, f"{file} --embedded {QUICK} --processes 2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Rehearsing {SALE} as {SALE}-rehearsal-" in done.stderr
    assert "every promise was kept" in done.stdout
    assert f"Report: {tmp_path / 'out' / 'report.html'}" in done.stdout
    assert re.search(r"\d+ requests accepted, \d+ sold-out answers, 12 sales", done.stdout)
    found = report_of(tmp_path)
    assert found["run"]["rehearsal"] is True
    assert found["run"]["shoppers"] == 30
    assert len(found["processes"]) == 2
    assert found["terms"]["hold_ms"] == 60_000
    assert found["figures"]["sales"] == 12
    assert found["advice"]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {
        "report.html",
        "report.md",
        "report.json",
        "evidence.json",
        "definition.json",
        "locust.log",
    } == names
    assert list((tmp_path / "tmp").iterdir()) == []  # its server has left nothing


@pytest.mark.long
def test_a_level_that_is_not_kept_is_a_red_verdict(tmp_path: Path, file: Path) -> None:
    done = rehearsed(tmp_path, f"{file} --embedded {QUICK} --units 5 --hold 3 --level-p99-ms 0.0001")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Verdict: WRONG" in done.stdout
    assert "WRONG reserve_p99_ms" in done.stdout
    assert report_of(tmp_path)["terms"]["hold_ms"] == 3000


@pytest.mark.long
async def test_a_sale_of_a_running_server_is_rehearsed_and_left_alone(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    server = Server(tmp_path / "server", ["--embedded", "--data-dir", str(data_dir)])
    try:
        async with Client(server.url, ROOT_KEY) as client:
            await client.put_sale(SALE, DEFINITION)
            env = {"FLASHSALE_ROOT_KEY": ROOT_KEY, "FLASHSALE_SHOPPER_SECRET": SECRET}
            done = rehearsed(tmp_path, f"--sale {SALE} --against {server.url} {QUICK}", env)
            assert done.returncode == 0, done.stdout + done.stderr
            sales = {each["id"]: each for each in await client.sales()}
            twin = next(sale for sale in sales if sale != SALE)
            assert (sales[twin]["rehearsal"], sales[twin]["state"]) == (True, "closed")
            assert (sales[SALE]["state"], sales[SALE]["items"][0]["available"]) == ("scheduled", 12)
            assert (await client.orders_summary(twin))["orders"] == 12
        assert [order async for order in OrderFeed(server.url, ROOT_KEY, follow=False)] == []
        for secret in (ROOT_KEY, SECRET):
            for path in (tmp_path / "out").iterdir():
                assert secret not in path.read_text(), path
    finally:
        server.stop()


@pytest.mark.long
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_a_signal_half_way_leaves_nothing_behind(
    tmp_path: Path, file: Path, number: signal.Signals, code: int
) -> None:
    log = tmp_path / "out" / "locust.log"
    with rehearsing(tmp_path, f"{file} --embedded {QUICK} --lead 300 --processes 2") as process:
        eventually(lambda: log.exists() and "T0 of" in log.read_text(), "the crowd waits for the opening")
        family = started(tmp_path)
        assert len(family) > 6  # server, worker, background work, Valkey, simulator, Locust, its processes
        keys = {each.environ()["FLASHSALE_ROOT_KEY"] for each in family if "locust" in each.cmdline()}
        assert len(keys) == 1
        for each in family:
            assert not keys & set(" ".join(each.cmdline()).replace("=", " ").split()), (
                "a secret is for all to read"
            )
        process.send_signal(number)
        out, err = process.communicate(timeout=WAIT_SECONDS)
        assert process.returncode == code, out + err
        eventually(lambda: not started(tmp_path), "nothing is left")
    if number is not signal.SIGKILL:
        assert "Ended." in err
        assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("{file}", "--against URL, or --embedded"),
        ("{file} --embedded --against http://127.0.0.1:1", "--against URL, or --embedded"),
        ("--embedded", "a file with the sale's definition, or --sale ID"),
        (
            "{file} --sale milano --against http://127.0.0.1:1",
            "a file with the sale's definition, or --sale ID",
        ),
        ("--sale milano --embedded", "has a server without any"),
        ("{file}.nobody --embedded", "cannot read"),
        ("{file} --against http://127.0.0.1:1", "needs an API key"),
        ("{file} --against 127.0.0.1 --api-key k", "http"),
        ("{file} --embedded --shoppers 0", "--shoppers"),
        ("{file} --embedded --units 0", "--units"),
        ("{file} --embedded --abandon 101", "--abandon"),
        ("{file} --embedded --lead 0", "--lead"),
    ],
)
def test_what_cannot_be_rehearsed_is_said_at_once(
    tmp_path: Path, file: Path, arguments: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FLASHSALE_API_KEY", "FLASHSALE_ROOT_KEY", "FLASHSALE_SHOPPER_SECRET"):
        monkeypatch.delenv(name, raising=False)
    done = CliRunner().invoke(rehearse, shlex.split(arguments.format(file=file)))
    assert done.exit_code == 2, done.output
    assert said in " ".join(done.output.split())
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("place", ["--embedded", "--against http://127.0.0.1:1 --api-key k"])
def test_what_is_not_installed_is_named_before_anything_is_started(
    tmp_path: Path, file: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "locust", None)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(rehearse, [str(file), *place.split()])
    assert done.exit_code == 2
    assert "pip install 'flashsale[load]'" in done.output
    assert "(locust)" in done.output
    assert list(tmp_path.iterdir()) == [file]


def test_a_definition_with_faults_is_refused_before_anybody_comes(tmp_path: Path, file: Path) -> None:
    file.write_text(json.dumps({**DEFINITION, "currency": "Taler"}))
    done = rehearsed(tmp_path, f"{file} --against http://127.0.0.1:1 --api-key k")
    assert done.returncode == 2
    assert "currency must be a currency code" in done.stderr


def test_a_server_that_is_not_there(tmp_path: Path, file: Path) -> None:
    done = rehearsed(tmp_path, f"{file} --against http://127.0.0.1:1 --api-key k {QUICK}")
    assert done.returncode == 2
    assert "could not be run" in done.stderr
    assert "127.0.0.1:1" in done.stderr


@pytest.mark.long
def test_what_the_server_lacks_is_said_before_anybody_comes(tmp_path: Path, file: Path) -> None:
    """A shop with neither guests nor a simulator."""
    signing = {"FLASHSALE_SHOPPER_SECRET": SECRET}
    arguments = ["--embedded", "--data-dir", str(tmp_path / "data"), "--payment-provider", "none"]
    server = Server(tmp_path / "server", arguments)
    unpaid = tmp_path / "unpaid.json"
    unpaid.write_text(json.dumps({**DEFINITION, "payment": {}}))
    try:
        for what, env, key, said in (
            (file, {}, ROOT_KEY, "FLASHSALE_SHOPPER_SECRET"),
            (file, signing, ROOT_KEY, "FLASHSALE_SIMULATOR_URL"),
            (unpaid, signing, "nobody-knows-this", "401"),
        ):
            done = rehearsed(
                tmp_path, f"{what} --against {server.url} {QUICK}", {**env, "FLASHSALE_API_KEY": key}
            )
            assert done.returncode == 2, done.stdout + done.stderr
            assert said in done.stderr
            assert not (tmp_path / "out" / "report.html").exists()
    finally:
        server.stop()
