"""`flashsale work`: holds end while it runs, it outlives its Redis, and it leaves when it is asked to."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from flashsale.process.embedded import EmbeddedValkey, find_running
from tests.process.conftest import alive
from tests.process.programs import Program, eventually

pytestmark = pytest.mark.slow

Work = Callable[..., Program]


@pytest.fixture
def work(tmp_path: Path, programs: list[Program]) -> Work:
    """Starts `flashsale work` with these arguments and waits until it works."""

    def start(*arguments: str) -> Program:
        program = Program(["-m", "flashsale", "work", "--log-format", "json", *arguments], tmp_path)
        programs.append(program)
        eventually(lambda: "work.ready" in program.err(), "it works")
        return program

    return start


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=str)
def test_it_leaves_when_it_is_asked_to(work: Work, embedded: EmbeddedValkey, number: signal.Signals) -> None:
    program = work("--redis-url", embedded.url)
    program.send(number)
    assert program.wait() == 0
    assert "work.ended" in program.err()


def test_it_leaves_also_while_its_redis_is_away_or_stuck(work: Work, embedded: EmbeddedValkey) -> None:
    program = work("--redis-url", embedded.url, "--redis-timeout-ms", "60000")
    os.kill(embedded.pid, signal.SIGSTOP)
    time.sleep(0.3)  # so that it is, most likely, in the middle of a call
    program.send(signal.SIGTERM)
    assert program.wait() == 0
    os.kill(embedded.pid, signal.SIGCONT)
    away = work("--redis-url", "redis://127.0.0.1:1/0")
    away.send(signal.SIGTERM)
    assert away.wait() == 0


def test_embedded_it_works_for_the_server_that_runs(
    work: Work, embedded: EmbeddedValkey, data_dir: Path
) -> None:
    program = work("--embedded", "--data-dir", str(data_dir))
    assert len(program.family()) == 1
    with redis.Redis.from_url(embedded.url) as client:
        eventually(lambda: len(client.client_list()) > 1, "it is connected to the running server")
    program.send(signal.SIGTERM)
    assert program.wait() == 0
    assert embedded.is_running()


def test_embedded_it_starts_a_server_if_none_runs(work: Work, data_dir: Path) -> None:
    program = work("--embedded", "--data-dir", str(data_dir))
    url = find_running(data_dir)
    assert url is not None
    # supervisor, two that work, Valkey, the simulator: the first may be ready before the last is begun
    eventually(lambda: len(program.family()) == 5, "everything runs")
    family = program.family()
    eventually(lambda: program.err().count("work.ready") == 2, "both parts are at work")
    worker = program.child("work_main")
    worker.kill()
    eventually(lambda: program.err().count("work.ready") == 3, "the work was started again")
    program.send(signal.SIGTERM)
    assert program.wait() == 0
    eventually(lambda: not [process for process in family if alive(process)], "nothing is left running")
    assert find_running(data_dir) is None


def test_without_a_redis_it_is_refused(tmp_path: Path, programs: list[Program]) -> None:
    program = Program(["-m", "flashsale", "work"], tmp_path)
    programs.append(program)
    assert program.wait() == 2
    assert "FLASHSALE_REDIS_URL (--redis-url) is not set" in program.err()
