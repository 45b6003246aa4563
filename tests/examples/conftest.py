"""What the tests of the examples share: a shop, and programs that are ended with the test."""

import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from tests.packaging.checkout import ROOT
from tests.process.programs import DEADLINE_SECONDS, clean_env, eventually
from tests.support.trade import Trade
from tests.support_http.client import new_sale_id

EXAMPLES = ROOT / "examples"


class Example:
    """A running example, with all that it starts itself; its output is in files."""

    def __init__(self, command: Sequence[str | Path], folder: Path, env: Mapping[str, str]) -> None:
        self._out, self._err = folder / f"out-{id(self)}", folder / f"err-{id(self)}"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=clean_env(env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                process_group=0,
            )

    def out(self) -> str:
        """What it said on standard output so far, up to the last whole line."""
        return self._out.read_text().rpartition("\n")[0]

    def err(self) -> str:
        return self._err.read_text()

    def ended(self) -> int | None:
        """Its exit code, once it has ended by itself."""
        return self._process.poll()

    def kill(self) -> None:
        """As kill -9 does, together with whatever it has started; all of it is gone then.

        A command that outlived its script for a moment could take orders that nobody is left to print.
        """
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(DEADLINE_SECONDS)
        eventually(lambda: not any(map(self._has_started, psutil.process_iter())), "all of it is gone")

    def _has_started(self, process: psutil.Process) -> bool:
        """Whether this one, which still runs, is of the example."""
        try:
            return os.getpgid(process.pid) == self._process.pid and process.status() != psutil.STATUS_ZOMBIE
        except (ProcessLookupError, psutil.NoSuchProcess):
            return False


Run = Callable[..., Example]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Runs an example of this name, or a command; it ends with the test."""
    with ExitStack() as stack:

        def start(command: Sequence[str | Path], **env: str) -> Example:
            example = Example(command, tmp_path, env)
            stack.callback(example.kill)
            return example

        yield start


def program(name: str) -> str:
    """A program that an example needs. Where it is missing CI fails and others skip."""
    path = shutil.which(name)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is missing, so an example was not tested")
        pytest.skip(f"{name} is missing: an example needs it")
    return path


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Trade]:
    """A shop for all these tests; webhooks may go to this machine. What a test ends of it, it starts again."""
    env = {"FLASHSALE_WEBHOOK_PRIVATE_NETWORKS": "true"}
    async with Trade(tmp_path_factory.mktemp("shop"), env=env) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def trade(shop: Trade) -> Trade:
    """The shop with a sale that nobody has bought anything of: `trade.sale`."""
    shop.sale = new_sale_id()
    await shop.open(shop.sale)
    return shop
