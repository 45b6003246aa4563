"""The run as one load process knows it, and Locust's events that it listens to. Every locustfile imports it."""

import itertools
import os
import random
import signal
import time
from collections import deque
from typing import Any

import _files
import _options
import gevent
import msgspec
from _clock import ServerClock, monotonic_ms
from _ledger import Ledger
from gevent.event import Event
from locust import events, runners
from locust.env import Environment
from locust.runners import LocalRunner, Runner, WorkerRunner

from flashsale.verdict.evidence import Consumer, LoadProcess, Terms

PROGRESS_SECONDS = 0.2
EVIDENCE_SECONDS = 1.0
CPU_SECONDS = 0.1
RUSH_MS = 1000.0
CATCH_UP_SECONDS = 20.0
LEAVE_SECONDS = 40.0
"""So long a load process that is asked to end waits for the master, which may have been asked as well."""

PLAN, T0, OVER, FINISH = "flashsale.plan", "flashsale.t0", "flashsale.over", "flashsale.finish"
"""From the master to the load processes."""
PROGRESS, TOLD, FINAL = "flashsale.progress", "flashsale.told", "flashsale.final"
"""From a load process to the master."""


class Plan(msgspec.Struct, frozen=True):
    """What the master has decided before anybody comes."""

    number: int
    """Of the run, so that what belongs to an earlier one is known."""
    name: str
    """Part of every customer's name, so that no run meets the customers of another."""
    terms: Terms
    methods: list[str]
    bucket_ms: int
    t0_ms: int | None
    """Known from the start when the sale was there before this run."""


class Run:
    """One run in one process."""

    def __init__(self) -> None:
        self.environment: Environment | None = None
        self.plan: Plan | None = None
        self.clock = ServerClock()
        self.ledger = Ledger(100)
        self.planned = Event()
        self.t0_known = Event()
        self.t0_ms = 0
        self.over = Event()
        """Nobody begins anything new any more."""
        self.handed_on = Event()
        """What is left of the evidence is on its way to the master."""
        self.consumers: dict[str, Consumer] = {}
        self.chance = random.Random()
        self._numbers = itertools.count(1)
        self._cpu: list[tuple[float, float]] = []
        self._began = (0.0, 0.0)
        self._greenlets: list[gevent.Greenlet] = []

    @property
    def options(self) -> Any:
        """The options in force, those of the master."""
        assert self.environment is not None
        return self.environment.parsed_options

    @property
    def runner(self) -> Runner:
        """Locust's runner of this process."""
        assert self.environment is not None
        assert self.environment.runner is not None
        return self.environment.runner

    @property
    def index(self) -> int:
        """The number of this process among the load processes, from 0."""
        return max(0, int(getattr(self.runner, "worker_index", 0)))

    @property
    def process_name(self) -> str:
        """What this process is called in the report."""
        return f"worker {self.index}" if isinstance(self.runner, WorkerRunner) else "local"

    def customer(self) -> str:
        """A customer's name that nobody else has."""
        name = self.plan.name if self.plan is not None else "nobody"
        return f"{name}-{self.index}-{next(self._numbers)}"

    def own_t0_ms(self) -> float:
        """T0 by this machine's clock."""
        return self.clock.own(self.t0_ms)

    # --- what the master says ---

    def begin(self, plan: Plan) -> None:
        """A run begins."""
        for greenlet in self._greenlets:
            greenlet.kill(block=False)
        for event in (self.over, self.t0_known, self.handed_on):
            event.clear()
        self.plan, self.clock, self.consumers = plan, ServerClock(), {}
        self.ledger = Ledger(plan.bucket_ms)
        seed = self.options.seed
        self.chance = random.Random(f"{seed} {self.index}" if seed else None)
        self._cpu, self._began = [], (time.monotonic(), time.process_time())
        self.planned.set()
        if plan.t0_ms is not None:
            self.open_at(plan.t0_ms)
        loops = (
            (self._send_progress, PROGRESS_SECONDS),
            (self._send_told, EVIDENCE_SECONDS),
            (self._sample_cpu, CPU_SECONDS),
        )
        self._greenlets = [gevent.spawn(_repeat, what, seconds) for what, seconds in loops]

    def open_at(self, t0_ms: int) -> None:
        """T0 is known."""
        self.t0_ms = t0_ms
        self.ledger.restart(t0_ms)
        self.t0_known.set()

    def finish(self, last: int) -> None:
        """Hands on what is left, when the order systems have got as far as the last order."""
        self.over.set()
        deadline = time.monotonic() + CATCH_UP_SECONDS
        while (
            any(each.last_sequence < last for each in self.consumers.values()) and time.monotonic() < deadline
        ):
            gevent.sleep(0.05)
        for greenlet in self._greenlets:
            greenlet.kill(block=False)
        self._greenlets = []
        self.ledger.interrupt()
        self._send_progress()
        self._send_told()
        final = {"process": self._process(), "consumers": list(self.consumers.values())}
        self.runner.send_message(FINAL, self._marked(msgspec.msgpack.encode(final)))
        self.handed_on.set()

    def leave(self) -> None:
        """This process is asked to end: it hands on what it has first, and ends with the run if the run ends as well."""
        if self.plan is None or self.handed_on.is_set():
            return
        self.over.set()
        if not self.handed_on.wait(LEAVE_SECONDS):
            self.finish(0)

    # --- what goes to the master ---

    def _marked(self, data: Any) -> dict[str, Any]:
        assert self.plan is not None
        return {"run": self.plan.number, "process": self.process_name, "data": data}

    def _send_progress(self) -> None:
        self.runner.send_message(PROGRESS, self._marked(self.ledger.progress()))

    def _send_told(self) -> None:
        self.runner.send_message(TOLD, self._marked(msgspec.msgpack.encode(self.ledger.take())))

    def _sample_cpu(self) -> None:
        self._cpu.append((monotonic_ms(), time.process_time()))

    def _process(self) -> LoadProcess:
        ledger, (wall, cpu) = self.ledger, self._began
        late = sorted(ledger.late_ms) or [0.0]
        return LoadProcess(
            name=self.process_name,
            cpu_seconds=time.process_time() - cpu,
            wall_seconds=time.monotonic() - wall,
            rush_cpu_share=self._rush_share(),
            fired=ledger.fired,
            fired_in_first_second=ledger.fired_in_first_second,
            late_p50_ms=late[len(late) // 2],
            late_p99_ms=late[min(len(late) - 1, len(late) * 99 // 100)],
            late_max_ms=late[-1],
            clock_error_ms=self.clock.error_ms if self.clock.error_ms != float("inf") else 0.0,
            memory_mib=self.runner.current_memory_usage / 1024**2,
        )

    def _rush_share(self) -> float:
        """Of one core, in the busiest second after T0."""
        if not self.t0_ms:
            return 0.0
        window: deque[tuple[float, float]] = deque()
        shares = [0.0]
        for wall, cpu in self._cpu:
            if wall < self.own_t0_ms() - 1000 * CPU_SECONDS:
                continue
            window.append((wall, cpu))
            while len(window) > 1 and wall - window[1][0] >= RUSH_MS:
                window.popleft()
            since, used = window[0]
            if wall - since >= RUSH_MS:
                shares.append((cpu - used) * 1000 / (wall - since))
        return max(shares)


def _repeat(what: Any, seconds: float) -> None:
    while True:
        what()
        gevent.sleep(seconds)


RUN = Run()

# In a rush a load process may be busy for longer than the three seconds after which Locust takes it for dead.
runners.HEARTBEAT_LIVENESS = 20

_files.raise_limit()
events.init_command_line_parser.add_listener(_options.add)


@events.init.add_listener
def _initialise(environment: Environment, runner: Runner, **_: Any) -> None:
    RUN.environment = environment
    if isinstance(runner, (LocalRunner, WorkerRunner)):
        runner.register_message(PLAN, _on_plan)
        runner.register_message(T0, _on_t0)
        runner.register_message(OVER, _on_over)
        runner.register_message(FINISH, _on_finish, concurrent=True)
    if isinstance(runner, WorkerRunner):
        events.quitting.add_listener(lambda **_: RUN.leave())
    gevent.signal_handler(signal.SIGINT, _on_ctrl_c, environment)


def _on_ctrl_c(environment: Environment) -> None:
    """Ends this process in order: Python would raise KeyboardInterrupt in whichever user runs, whose answer is lost."""
    if environment.web_ui is None:
        os.kill(os.getpid(), signal.SIGTERM)
    else:
        # The web UI writes the report of `--html` only when it is interrupted itself.
        gevent.get_hub().handle_system_error(KeyboardInterrupt, KeyboardInterrupt())


def _on_plan(msg: Any, **_: Any) -> None:
    plan = msgspec.convert(msg.data, Plan)
    if RUN.plan is None or plan.number != RUN.plan.number:
        RUN.begin(plan)


def _on_t0(msg: Any, **_: Any) -> None:
    if RUN.plan is not None and msg.data["run"] == RUN.plan.number and RUN.t0_ms != msg.data["t0_ms"]:
        RUN.open_at(msg.data["t0_ms"])


def _on_over(msg: Any, **_: Any) -> None:
    if RUN.plan is not None and msg.data["run"] == RUN.plan.number:
        RUN.over.set()


def _on_finish(msg: Any, **_: Any) -> None:
    if RUN.plan is not None and msg.data["run"] == RUN.plan.number:
        RUN.finish(msg.data["last"])
