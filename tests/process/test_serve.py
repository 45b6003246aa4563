"""`flashsale serve`, all of it: real processes, killed in every way, and asked over real HTTP."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from flashsale.process.embedded import EmbeddedValkey, find_running
from tests.process.clients import Connection, Tally, get, hammer
from tests.process.conftest import alive
from tests.process.programs import Program, clean_env, eventually
from tests.process.serving import ROOT_KEY, SECRETS, SHOPPER_SECRET, Server

pytestmark = pytest.mark.slow

Serve = Callable[..., Server]

HOPELESS = """
import sys
from flashsale.process import supervisor
from flashsale.settings import load_settings

supervisor.HTTP_WORKER = "flashsale.no_such_module"
settings = load_settings({}, {"redis_url": "redis://127.0.0.1:1", "port": 0})
sys.exit(supervisor.Supervisor(settings, http=True, work=False).run())
"""


@pytest.fixture
def serve(tmp_path: Path, programs: list[Program]) -> Serve:
    """Starts `flashsale serve` with these arguments."""

    def start(*arguments: str) -> Server:
        server = Server(tmp_path, list(arguments))
        programs.append(server.program)
        return server

    return start


@pytest.fixture
def serve_embedded(serve: Serve, data_dir: Path) -> Serve:
    """Starts `flashsale serve --embedded` on the same data directory each time."""
    return lambda *arguments: serve("--embedded", "--data-dir", str(data_dir), *arguments)


def gone(process: psutil.Process) -> bool:
    return not alive(process)


def logged(server: Server, event: str, times: int) -> bool:
    return len(server.logged(event)) == times


def has_children(server: Server) -> bool:
    return len(server.program.family()) > 2


def ended(family: list[psutil.Process]) -> None:
    """Waits until none of these processes is left."""
    eventually(lambda: not [process for process in family if alive(process)], "nothing is left running")


def test_all_in_one_until_ctrl_c(
    serve_embedded: Serve, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    server = serve_embedded("--workers", "2")
    assert server.status("/healthz") == 200
    eventually(lambda: server.status("/readyz") == 200, "Valkey is reached")
    server.define_sale("a-sale")
    assert server.available("a-sale") == 7
    family = server.program.family()
    assert len(family) == 7  # supervisor, two workers, two that work in the background, Valkey, the simulator
    assert len(list(temporary.iterdir())) == 1
    os.killpg(server.program.pid, signal.SIGINT)
    assert server.program.wait() == 0
    ended(family)
    assert find_running(data_dir) is None
    # The keyboard reaches the supervisor alone, which lets the workers finish before it stops Valkey.
    assert "SIGINT" not in (data_dir / "valkey.log").read_text()
    assert [event["child"] for event in server.logged("child.ended")][-1] == "simulator"
    assert not list(temporary.iterdir())
    # And everything is there again.
    again = serve_embedded()
    eventually(lambda: again.available("a-sale") == 7, "the sale is there again")
    again.program.send(signal.SIGHUP)  # as when its terminal is closed
    assert again.program.wait() == 0


def test_no_secret_is_in_an_argument_or_a_log(serve_embedded: Serve, data_dir: Path) -> None:
    server = serve_embedded()
    assert server.status("/healthz") == 200
    password = json.loads((data_dir / "valkey.json").read_text())["password"]
    arguments = str([process.cmdline() for process in server.program.family()])
    logs = server.program.err() + server.program.out() + (data_dir / "valkey.log").read_text()
    for secret in (ROOT_KEY, SHOPPER_SECRET, password):
        assert secret not in arguments
        assert secret not in logs


def test_whatever_dies_comes_back(serve_embedded: Serve) -> None:
    server = serve_embedded("--workers", "2")
    server.define_sale("a-sale")
    for word, event in (
        ("http_worker", "child.ended"),
        ("work_main", "child.ended"),
        ("valkey-server", "valkey.ended"),
        ("simulator_main", "child.ended"),
        ("http_worker", "child.ended"),
        ("valkey-server", "valkey.ended"),
    ):
        victim = server.program.child(word)
        count = len(server.logged(event))
        victim.kill()
        eventually(partial(gone, victim), "it is dead")
        eventually(partial(logged, server, event, count + 1), f"it is logged that {word} ended")
        eventually(lambda: len(server.program.family()) == 7, f"{word} is replaced")
        eventually(lambda: server.available("a-sale") == 7, f"the sale is there without that {word}")
    eventually(lambda: len(server.logged("valkey.back")) == 2, "it is logged that Valkey is back")
    eventually(lambda: len(server.logged("worker.ready")) == 4, "both workers were replaced")
    assert "flashsale_http_workers 2.0" in server.ask("/metrics")[1]
    assert server.program.process.poll() is None


@pytest.mark.parametrize("round_number", range(2))
def test_nothing_is_left_when_the_supervisor_is_killed(
    serve_embedded: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, round_number: int
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    server = serve_embedded("--workers", "2")
    server.define_sale("a-sale")
    family = server.program.family()
    assert len(family) == 7
    server.program.send(signal.SIGKILL)
    ended(family)
    server.program.wait()
    left = list(temporary.iterdir())
    again = serve_embedded()
    eventually(lambda: again.available("a-sale") == 7, "the sale is there again")
    assert not [path for path in left if path.exists()]


def test_nothing_is_left_when_it_is_killed_while_it_starts(serve_embedded: Serve) -> None:
    for number in (signal.SIGKILL, signal.SIGTERM):
        server = serve_embedded()
        eventually(partial(has_children, server), "it starts its children")
        family = server.program.family()
        server.program.send(number)
        server.program.wait()
        ended(family)


def test_a_second_start_on_the_same_data_is_refused(serve_embedded: Serve) -> None:
    first = serve_embedded()
    assert first.status("/healthz") == 200
    second = serve_embedded()
    assert second.program.wait() == 1
    assert f"is in use by process {first.program.pid} and process" in second.program.err()
    assert "Traceback" not in second.program.err()
    assert second.program.out() == ""
    assert first.status("/healthz") == 200


def test_damaged_data_are_an_error_in_the_servers_own_words(serve_embedded: Serve, data_dir: Path) -> None:
    with EmbeddedValkey(data_dir):
        pass
    manifest = next((data_dir / "appendonlydir").glob("*.manifest"))
    manifest.write_text("nonsense\n")
    server = serve_embedded()
    assert server.program.wait() == 1
    assert "Valkey could not start" in server.program.err()
    assert "manifest" in server.program.err()
    assert "Traceback" not in server.program.err()


def test_a_port_in_use_is_an_error(serve_embedded: Serve, tmp_path: Path) -> None:
    first = serve_embedded()
    command = ["-m", "flashsale", "serve", "--embedded", "--data-dir", str(tmp_path / "other"), "--port"]
    done = subprocess.run(
        [sys.executable, *command, str(first.port)],
        env=clean_env(SECRETS),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == f"flashsale cannot listen on 127.0.0.1:{first.port}: Address already in use\n"
    assert not (tmp_path / "other").exists()


def test_without_secrets_it_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flashsale", "serve", "--embedded", "--port", "x"],
        env=clean_env({}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert [line.split()[0] for line in done.stderr.splitlines()] == [
        "flashsale",
        "FLASHSALE_PORT",
        "FLASHSALE_ROOT_KEY",
        "FLASHSALE_SHOPPER_SECRET",
    ]
    assert not list(tmp_path.iterdir())


def test_it_starts_without_its_redis_and_works_once_that_is_there(
    serve: Serve, embedded: EmbeddedValkey
) -> None:
    os.kill(embedded.pid, signal.SIGKILL)
    eventually(lambda: not embedded.is_running(), "Redis is away")
    server = serve("--redis-url", embedded.url)
    assert server.status("/healthz") == 200
    assert server.status("/readyz") == 503
    assert len(server.program.family()) == 2  # no background work: that is `flashsale work`
    embedded.restart()
    eventually(lambda: server.status("/readyz") == 200, "it has found Redis")
    server.define_sale("a-sale")


@pytest.mark.parametrize("workers", [1, 3])
def test_nobody_is_cut_off_at_sigterm(serve_embedded: Serve, workers: int) -> None:
    server = serve_embedded("--workers", str(workers))
    port, tally = server.port, Tally(enough=500)

    async def scenario() -> None:
        crowd = asyncio.create_task(hammer(port, 60, tally, get("/healthz")))
        await tally.reached.wait()
        server.program.send(signal.SIGTERM)
        await crowd

    asyncio.run(scenario())
    assert tally.cut_off == []
    assert tally.closed_politely > 0
    assert server.program.wait() == 0


def test_a_second_signal_ends_it_without_waiting(serve_embedded: Serve) -> None:
    server = serve_embedded("--drain-seconds", "3600")
    slow = Connection(server.port)
    slow.send(b"POST /v1/guests HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhalf")
    server.program.send(signal.SIGTERM)
    eventually(lambda: server.logged("worker.lets_nobody_in"), "it drains")
    family = server.program.family()
    server.program.send(signal.SIGTERM)
    server.program.wait()
    ended(family)
    slow.close()


def test_workers_that_can_never_start_are_given_up(tmp_path: Path, programs: list[Program]) -> None:
    program = Program(["-c", HOPELESS], tmp_path)
    programs.append(program)
    assert program.wait() == 1
    assert "no_such_module" in program.err()
