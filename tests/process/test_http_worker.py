"""One HTTP worker on its own: whom it lets in it answers, also while it leaves."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from flashsale.process.listeners import BACKLOG, open_listeners, refuse_connections
from tests.process.clients import Connection, CutOffError, Tally, get, hammer, post
from tests.process.programs import Program, eventually

WORKER = str(Path(__file__).with_name("worker_program.py"))
DRAIN_SECONDS = 30.0

STUCK = """
import sys, time
from flashsale.process.child import ParentWatch

ParentWatch(int(sys.argv[1])).on_death(lambda: None, 0.1)
print("up", flush=True)
time.sleep(3600)
"""


class Worker:
    """A worker in a process of its own, started as the supervisor starts it."""

    def __init__(self, folder: Path, listener: socket.socket, drain_seconds: float) -> None:
        self.port: int = listener.getsockname()[1]
        parent_end, self._own_end = os.pipe()
        ready_end, write_end = os.pipe()
        fds = [listener.fileno(), write_end, parent_end]
        self.program = Program([WORKER, *map(str, fds), str(drain_seconds)], folder, fds=fds)
        os.close(write_end)
        os.close(parent_end)
        ready = os.read(ready_end, 1)
        os.close(ready_end)
        assert ready == b"+", self.program.err()

    def ask_to_leave(self) -> None:
        """Ask it to leave, and wait until it has begun to."""
        self.program.send(signal.SIGTERM)
        eventually(lambda: "worker.draining" in self.program.err(), "the worker drains")

    def lose_parent(self) -> None:
        """Close the pipe as the death of its parent would. May be called more than once."""
        if self._own_end >= 0:
            os.close(self._own_end)
            self._own_end = -1


Start = Callable[[float], Worker]
Connect = Callable[[], Connection]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    (sock,) = open_listeners("127.0.0.1", 0, 1)
    sock.listen(BACKLOG)
    with sock:
        yield sock


@pytest.fixture
def start(tmp_path: Path, listener: socket.socket) -> Iterator[Start]:
    """Starts a worker with so many seconds to drain; all are ended after the test."""
    workers: list[Worker] = []

    def start_one(drain_seconds: float) -> Worker:
        workers.append(Worker(tmp_path, listener, drain_seconds))
        return workers[-1]

    yield start_one
    for worker in workers:
        worker.program.end()
        worker.lose_parent()


@pytest.fixture
def worker(start: Start) -> Worker:
    return start(DRAIN_SECONDS)


@pytest.fixture
def connect(listener: socket.socket) -> Iterator[Connect]:
    """Opens a connection to the worker; all are closed after the test."""
    port = listener.getsockname()[1]
    connections: list[Connection] = []

    def connect_one() -> Connection:
        connections.append(Connection(port))
        return connections[-1]

    yield connect_one
    for connection in connections:
        connection.close()


def test_it_serves_and_ends_with_exit_code_0(worker: Worker, connect: Connect) -> None:
    connection = connect()
    connection.send(post(b"hello"))
    status, headers, body = connection.answer()
    assert (status, body) == (200, b"hello")
    assert headers.get("connection") != "close"
    worker.ask_to_leave()
    assert worker.program.wait() == 0


@pytest.mark.parametrize("round_number", range(3))
def test_nobody_is_cut_off_while_a_crowd_hammers(
    worker: Worker, listener: socket.socket, round_number: int
) -> None:
    tally = Tally(enough=500)

    async def scenario() -> None:
        crowd = asyncio.create_task(hammer(worker.port, 100, tally, post(b"hello", "/echo?ms=3")))
        await tally.reached.wait()
        listener.close()  # as the supervisor does: from now on the socket is the worker's alone
        worker.program.send(signal.SIGTERM)
        await crowd

    asyncio.run(scenario())
    assert tally.cut_off == []
    assert tally.closed_politely > 0
    assert worker.program.wait() == 0


def test_a_request_whose_body_is_still_on_its_way_is_answered(
    worker: Worker, listener: socket.socket, connect: Connect
) -> None:
    slow = connect()
    request = post(b"x" * 5000)
    slow.send(request[:3000])
    listener.close()
    worker.ask_to_leave()
    eventually(lambda: not _accepts(worker.port), "nobody new is let in")
    for part in (request[3000:4000], request[4000:]):
        time.sleep(0.3)
        slow.send(part)
    status, headers, body = slow.answer()
    assert (status, headers["connection"], body) == (200, "close", b"x" * 5000)
    assert slow.ended()
    assert worker.program.wait() == 0


def test_idle_connections_do_not_hold_it_up(start: Start, connect: Connect) -> None:
    worker = start(3600)
    used, unused = connect(), connect()
    used.send(post(b"x"))
    assert used.answer()[0] == 200
    worker.ask_to_leave()
    assert worker.program.wait() == 0
    assert used.ended()
    assert unused.ended()


def test_whoever_waits_in_the_queue_is_answered(
    worker: Worker, listener: socket.socket, connect: Connect
) -> None:
    # Stopped, it accepts nobody: these wait in the kernel until it goes on. By then it was asked to leave.
    psutil.Process(worker.program.pid).suspend()
    waiting = [connect() for _ in range(50)]
    for connection in waiting:
        connection.send(post(b"waited"))
    listener.close()
    worker.program.send(signal.SIGTERM)
    psutil.Process(worker.program.pid).resume()
    assert [connection.answer()[::2] for connection in waiting] == [(200, b"waited")] * 50
    assert worker.program.wait() == 0


def test_before_it_closes_the_socket_nobody_new_gets_into_its_queue(worker: Worker) -> None:
    # Otherwise whoever comes between its last look into the queue and the close is let in, and then cut off.
    worker.program.send(signal.SIGTERM)
    eventually(lambda: "worker.lets_nobody_in" in worker.program.err(), "it lets nobody in")
    psutil.Process(worker.program.pid).suspend()
    with pytest.raises(OSError, match=r"timed out|refused"):
        socket.create_connection(("127.0.0.1", worker.port), timeout=0.5)
    psutil.Process(worker.program.pid).resume()
    assert worker.program.wait() == 0


def test_the_time_to_drain_is_bounded(start: Start, connect: Connect) -> None:
    worker = start(0.2)
    connection = connect()
    connection.send(get("/stuck"))
    worker.ask_to_leave()
    assert worker.program.wait() == 0
    with pytest.raises(CutOffError):
        connection.answer()
    assert "worker.cuts_off" in worker.program.err()


def test_a_second_signal_ends_it_at_once(start: Start, connect: Connect) -> None:
    worker = start(3600)
    connection = connect()
    connection.send(get("/stuck"))
    worker.ask_to_leave()
    worker.program.send(signal.SIGTERM)
    worker.program.wait()


def test_when_its_parent_dies_it_finishes_and_ends(worker: Worker, connect: Connect) -> None:
    connection = connect()
    connection.send(post(b"slow", "/echo?ms=1000"))
    worker.lose_parent()
    assert connection.answer()[::2] == (200, b"slow")
    worker.program.wait()


def test_stuck_it_ends_with_its_parent_all_the_same(tmp_path: Path, programs: list[Program]) -> None:
    parent_end, own_end = os.pipe()
    program = Program(["-c", STUCK, str(parent_end)], tmp_path, fds=[parent_end])
    programs.append(program)
    os.close(parent_end)
    eventually(program.out, "it is up")
    assert program.process.poll() is None
    os.close(own_end)
    assert program.wait() == 1


def test_a_replacement_takes_over_the_queue_of_a_dead_worker(
    worker: Worker, listener: socket.socket, start: Start, connect: Connect
) -> None:
    worker.program.end()
    waiting = [connect() for _ in range(20)]
    for connection in waiting:
        connection.send(post(b"waited"))
    refuse_connections(listener)  # as a worker does that leaves, and may be killed before it has left
    replacement = start(DRAIN_SECONDS)
    assert [connection.answer()[::2] for connection in waiting] == [(200, b"waited")] * 20
    assert _accepts(replacement.port)


def test_long_headers_are_taken(worker: Worker, connect: Connect) -> None:
    connection = connect()
    head = f"GET /draining?{'q' * 12_000} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {'t' * 12_000}"
    connection.send(f"{head}\r\n\r\n".encode())
    assert connection.answer()[0] == 200
    assert worker.program.process.poll() is None


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            return True
    except OSError:
        return False
