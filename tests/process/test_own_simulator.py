"""The simulator that `serve --embedded` brings along: found by its neighbours, with its books, port and secret kept."""

import json
import secrets
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flashsale.process.data_dir import write_note
from flashsale.process.own_simulator import NOTE_NAME, OwnSimulator, find_simulator
from flashsale.process.ports import ReservedPort
from flashsale.settings import load_settings
from tests.process.programs import Program, eventually
from tests.process.serving import ROOT_KEY, SHOPPER_SECRET, Server
from tests.support.simulator import Simulator

Serve = Callable[..., Server]
CARD = {"amount": 100, "currency": "EUR", "method": "bank_transfer"}


@pytest.fixture
def serve(tmp_path: Path, data_dir: Path, programs: list[Program]) -> Serve:
    """Starts `flashsale serve --embedded` with this environment, on the same data directory each time."""

    def start(env: dict[str, str] | None = None) -> Server:
        server = Server(tmp_path, ["--embedded", "--data-dir", str(data_dir)], env)
        programs.append(server.program)
        return server

    return start


class Reached(Simulator):
    """The simulator of a running server, by what its data directory says of it."""

    def __init__(self, data_dir: Path) -> None:
        note = json.loads((data_dir / NOTE_NAME).read_text())
        self.secret = note["secret"]
        self.url = f"http://127.0.0.1:{note['port']}"

    def paid(self, key: str) -> str:
        payment = self.call("POST", "/v1/payments", CARD, key)
        assert self.pay(payment["url"])[0] == 200
        return str(payment["id"])


@pytest.fixture
def kept_port(data_dir: Path) -> Iterator[None]:
    """The simulator has been there before, at a port that nobody else can be given while it is away."""
    data_dir.mkdir(parents=True, mode=0o700)
    with ReservedPort() as reserved:
        write_note(data_dir / NOTE_NAME, {"port": reserved.port, "secret": secrets.token_urlsafe(32)})
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("kept_port")
def test_it_keeps_its_books_whatever_is_killed(serve: Serve, data_dir: Path) -> None:
    noted = json.loads((data_dir / NOTE_NAME).read_text())
    server = serve()
    eventually(lambda: server.logged("payments.simulated"), "it says that nobody is charged")
    simulator = Reached(data_dir)
    assert json.loads((data_dir / NOTE_NAME).read_text()) == noted
    first = simulator.paid("first")
    child = server.program.child("simulator_main")
    assert simulator.secret not in str([process.cmdline() for process in server.program.family()])
    environment = str(child.environ())
    assert ROOT_KEY not in environment
    assert SHOPPER_SECRET not in environment
    assert f"{server.url}/v1/payments/simulator/events" in environment
    child.kill()
    # Its socket is the supervisor's: whoever calls in between waits.
    assert [payment["id"] for payment in simulator.payments()] == [first]
    assert simulator.paid("first again") != first
    before = simulator.payments()
    server.program.send(signal.SIGKILL)
    server.program.wait()
    again = serve()
    assert again.status("/healthz") == 200
    found = Reached(data_dir)
    assert (found.url, found.secret) == (simulator.url, simulator.secret)
    assert found.payments() == before
    again.program.send(signal.SIGTERM)
    assert again.program.wait() == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "env",
    [
        {"FLASHSALE_PAYMENT_PROVIDER": "none"},
        {
            "FLASHSALE_SIMULATOR_URL": "http://127.0.0.1:1",
            "FLASHSALE_SIMULATOR_SECRET": "the-secret-of-another-one",
        },
    ],
    ids=["no payments", "another one"],
)
def test_none_is_brought_along_where_none_is_wanted(
    serve: Serve, data_dir: Path, env: dict[str, str]
) -> None:
    server = serve(env)
    assert server.status("/healthz") == 200
    assert len(server.program.family()) == 5  # supervisor, worker, two that work in the background, Valkey
    assert not (data_dir / NOTE_NAME).exists()


@pytest.fixture
def simulators() -> Iterator[list[OwnSimulator]]:
    """Simulators whose sockets are closed afterwards."""
    made: list[OwnSimulator] = []
    yield made
    for one in made:
        one.listener.close()


def test_the_port_and_the_secret_are_those_of_the_last_time(
    tmp_path: Path, simulators: list[OwnSimulator]
) -> None:
    settings = load_settings({"FLASHSALE_DATA_DIR": str(tmp_path), "FLASHSALE_EMBEDDED": "1"})
    first = OwnSimulator(settings)
    first.listener.close()
    simulators += [OwnSimulator(settings)]
    assert simulators[0].url == first.url
    assert simulators[0].settings_of_shop(settings) == first.settings_of_shop(settings)
    assert (tmp_path / NOTE_NAME).stat().st_mode & 0o077 == 0
    # Beside a running server its background work finds it.
    found = find_simulator(settings)
    assert found == simulators[0].settings_of_shop(settings)
    assert find_simulator(load_settings({"FLASHSALE_DATA_DIR": str(tmp_path)})).simulator_url is None


def test_a_port_that_is_taken_is_replaced_unless_it_was_asked_for(
    tmp_path: Path, simulators: list[OwnSimulator]
) -> None:
    settings = load_settings({"FLASHSALE_DATA_DIR": str(tmp_path), "FLASHSALE_EMBEDDED": "1"})
    simulators += [OwnSimulator(settings), OwnSimulator(settings)]
    assert simulators[0].url != simulators[1].url
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
            OwnSimulator(settings.model_copy(update={"simulator_port": port}))


def test_a_damaged_note_is_written_anew(tmp_path: Path, simulators: list[OwnSimulator]) -> None:
    for text in ("", "[]", '{"port": "x", "secret": 1}', '{"port": 1}'):
        (tmp_path / NOTE_NAME).write_text(text)
        simulators.append(OwnSimulator(load_settings({"FLASHSALE_DATA_DIR": str(tmp_path)})))
        assert json.loads((tmp_path / NOTE_NAME).read_text())["secret"]
