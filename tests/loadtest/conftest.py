"""What the tests of the load test share: servers that were built with a fault, and end with the test."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from flashsale.process.ports import ReservedPort
from tests.loadtest import builds
from tests.loadtest.builds import Fault
from tests.loadtest.runs import KEYS, Run, arguments
from tests.support_http.server import Server

Serve = Callable[[Fault | None], Server]
Start = Callable[..., Run]
FreePort = Callable[[], int]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts a server with this fault, or without one."""
    started: list[Server] = []

    def start(fault: Fault | None) -> Server:
        started.append(builds.serve(tmp_path / f"server-{len(started)}", fault))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An honest server that takes guests as well; each run has a sale of its own."""
    folder = tmp_path_factory.mktemp("honest")
    store = ["--embedded", "--data-dir", str(folder / "data")]
    running = Server(folder, store, env={"FLASHSALE_GUESTS": "1"})
    yield running
    running.stop()


@pytest.fixture
def free_port() -> Iterator[FreePort]:
    """Ports for servers that the test starts; the system gives them to nobody else before it ends."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(ReservedPort()).port


@pytest.fixture
def start(tmp_path: Path, honest: Server) -> Iterator[Start]:
    """Starts Locust with these words and options, against the server; it is ended with the test."""
    started: list[Run] = []

    def run(*words: str, env: Mapping[str, str] = KEYS, **options: object) -> Run:
        named = {name.replace("_", "-"): value for name, value in options.items()}
        given = {name: value for name, value in named.items() if value is not None}
        started.append(Run(tmp_path / f"load-{len(started)}", [*words, *arguments(given)], env))
        return started[-1]

    yield run
    for each in started:
        each.end()
