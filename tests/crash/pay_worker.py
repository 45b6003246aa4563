"""A payment worker that kills somebody, itself as a rule, between two chosen effects of its work.

Each worker is a process of its own, forked from a server that has everything imported already: hundreds of them start in
the time that ten would take otherwise.
"""

import asyncio
import multiprocessing
import os
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import uvloop

from flashsale.logs import configure_logs
from flashsale.settings import load_settings
from flashsale.workers import run_workers

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    ["__main__", "tests.crash.pay_worker", "flashsale.providers.simulator", "flashsale.providers.stripe"]
)


@dataclass(frozen=True)
class Plan:
    """What happens when a step comes for the `nth` time: `number` is sent to `pid`, 0 meaning the worker itself."""

    step: str = ""
    nth: int = 1
    pid: int = 0
    number: signal.Signals = signal.SIGKILL


class PayWorker:
    """A worker that runs until `end`, or to its own end."""

    def __init__(self, folder: Path, env: Mapping[str, str], plan: Plan | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        number = len(list(folder.glob("steps-*")))
        self._steps, self._log = folder / f"steps-{number}", folder / f"log-{number}"
        self._steps.touch()
        arguments = (dict(env), plan or Plan(), self._steps, self._log)
        self.process: BaseProcess = _FORKS.Process(target=_work, args=arguments)
        self.process.start()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    @property
    def exitcode(self) -> int | None:
        """None as long as it runs."""
        return self.process.exitcode

    def steps(self) -> list[str]:
        """The names of all steps so far."""
        return self._steps.read_text().split()

    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def end(self) -> None:
        """As kill -9 does, if it has not ended before; it must have had no fault."""
        self.process.kill()
        self.process.join()
        assert "payments.fault" not in self.log(), self.log()


def _work(env: Mapping[str, str], plan: Plan, steps: Path, log: Path) -> None:
    """The process."""
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is a text file
    settings = load_settings(env, purpose="work")
    configure_logs(settings, "work")
    told = os.open(steps, os.O_WRONLY | os.O_APPEND)
    counts = Counter[str]()

    def step(name: str) -> None:
        os.write(told, f"{name}\n".encode())
        counts[name] += 1
        if name == plan.step and counts[name] == plan.nth:
            os.kill(plan.pid or os.getpid(), plan.number)

    async def main() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await run_workers(settings, stop, step=step)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
