"""The supervisor: holds the listening sockets, runs the children, restarts what dies, stops all in order.

It is one thread with a loop of its own, woken by signals and by its children: the kernel ties the embedded
Valkey to the thread that started it, and whatever else may go wrong, this process must not.
"""

import os
import select
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType

import structlog
from prometheus_client.multiprocess import mark_process_dead

from flashsale.process.embedded import EmbeddedValkey, StartInterruptedError
from flashsale.process.listeners import BACKLOG, listening_url, open_listeners
from flashsale.process.managed import ManagedChild
from flashsale.process.own_simulator import OwnSimulator, reachable
from flashsale.process.valkey_watch import ValkeyWatch
from flashsale.settings import ENV_PREFIX, Settings

TICK_SECONDS = 0.1
LEAVE_SECONDS = 3.0  # what a child may take to leave, over and above the time that requests in flight have
HURRY_SECONDS = 1.0
HOPELESS_DEATHS = 5  # starts in a row after which a server that has never served is given up
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

HTTP_WORKER = "flashsale.process.http_worker"
BACKGROUND_WORK = "flashsale.process.work_main"
SIMULATOR = "flashsale.process.simulator_main"
METRICS_PREFIX = "flashsale-metrics-"
PARTS = ("payments", "orders")  # of the background work, a process each: neither has to wait for the other

logger = structlog.get_logger(__name__)


class Supervisor:
    """Runs a server until a signal ends it.

    `http` is whether it serves HTTP with `settings.workers` processes, `work` whether it runs the background
    work; `announce` is given the server's address when every worker has become ready.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        http: bool,
        work: bool,
        announce: Callable[[str], None] = lambda _url: None,
    ) -> None:
        self._settings = settings
        self._http = http
        self._work = work
        self._announce = announce
        self._announced = False
        self._stops = 0
        self._wake_fd = -1
        self._workers: list[ManagedChild] = []
        self._background: list[ManagedChild] = []
        self._simulator: list[ManagedChild] = []

    def run(self) -> int:
        """Run until SIGINT, SIGTERM or SIGHUP; the exit code: 0, or 1 when the server could never serve.

        Raises `CannotListenError` when the address cannot be had, `EmbeddedError` or `DataDirError` when the embedded
        Valkey cannot start. A second signal ends everything quickly.
        """
        with ExitStack() as stack:
            stack.enter_context(self._signals())
            listeners = self._open_listeners(stack)
            valkey = self._start_valkey(stack)
            if self._stops:
                return 0
            metrics_dir = stack.enter_context(_metrics_dir())
            parent_end, own_end = os.pipe()
            stack.callback(os.close, own_end)
            stack.callback(os.close, parent_end)
            url = listening_url(listeners[0], self._settings.host) if listeners else None
            settings = self._settings
            if valkey is not None:
                # Said outright: that it was embedded is nothing the children could go by.
                own = {"redis_url": valkey.url, "embedded": False, "payment_provider": settings.provider}
                settings = settings.model_copy(update=own)
                if settings.provider == "simulator" and settings.simulator_url is None:
                    settings = self._add_simulator(stack, settings, listeners, parent_end)
            env = _child_env(settings, metrics_dir)
            stack.callback(self._stop_children, listeners)
            for number, listener in enumerate(listeners, 1):
                listener.listen(BACKLOG)
                fds = [listener.fileno(), parent_end]
                self._workers.append(
                    ManagedChild(f"http-worker-{number}", HTTP_WORKER, fds, env, reports_ready=True)
                )
            if self._work:
                for only in PARTS if settings.work_only == "all" else (settings.work_only,):
                    own_env = _child_env(settings.model_copy(update={"work_only": only}), metrics_dir)
                    self._background.append(
                        ManagedChild(f"{only}-work", BACKGROUND_WORK, [parent_end], own_env)
                    )
            for child in self._children():
                child.start()
            return self._supervise(url, metrics_dir, ValkeyWatch(valkey) if valkey is not None else None)

    def _supervise(self, url: str | None, metrics_dir: Path, watch: ValkeyWatch | None) -> int:
        while not self._stops:
            self._wait(TICK_SECONDS)
            if watch is not None:
                watch.tick()
            for child in self._children():
                pid = child.reap()
                if pid is not None:
                    mark_process_dead(pid, str(metrics_dir))
                if not self._stops:
                    child.restart_if_due()
            if self._announced or url is None:
                continue
            if all(worker.ready for worker in self._workers):
                self._announced = True
                logger.info("server.ready", url=url, workers=len(self._workers))
                self._announce(url)
            elif any(worker.quick_deaths >= HOPELESS_DEATHS for worker in self._workers):
                logger.critical("server.gives_up", reason="the http workers end before they are ready")
                return 1
        return 0

    def _children(self) -> Sequence[ManagedChild]:
        return [*self._simulator, *self._workers, *self._background]

    def _stop_children(self, listeners: Sequence[socket.socket]) -> None:
        """HTTP first, with time for what is in flight, then the work that nobody waits for, then whom that calls."""
        logger.info("server.stopping")
        # Ours are copies: each worker keeps its socket open until it has taken what waits there.
        for listener in listeners:
            listener.close()
        self._stop(self._workers, self._settings.drain_seconds + LEAVE_SECONDS)
        self._stop(self._background, LEAVE_SECONDS)
        self._stop(self._simulator, LEAVE_SECONDS)

    def _stop(self, children: Sequence[ManagedChild], seconds: float) -> None:
        for child in children:
            child.send(signal.SIGTERM)
        deadline = time.monotonic() + seconds
        hurried = False
        while True:
            for child in children:
                child.reap(asked_to=True)
            if all(child.pid is None for child in children):
                return
            if self._stops > 1 and not hurried:
                hurried = True
                deadline = min(deadline, time.monotonic() + HURRY_SECONDS)
                for child in children:
                    child.send(signal.SIGTERM)
            if time.monotonic() > deadline:
                for child in children:
                    if child.pid is not None:
                        logger.warning("child.killed", reason="it did not leave in time", child=child.name)
                        child.send(signal.SIGKILL)
            self._wait(TICK_SECONDS)

    def _open_listeners(self, stack: ExitStack) -> list[socket.socket]:
        if not self._http:
            return []
        listeners = open_listeners(self._settings.host, self._settings.port, self._settings.workers)
        for listener in listeners:
            stack.callback(listener.close)
        return listeners

    def _start_valkey(self, stack: ExitStack) -> EmbeddedValkey | None:
        if not self._settings.embedded:
            return None
        valkey = EmbeddedValkey(self._settings.data_dir)
        with suppress(StartInterruptedError):
            valkey.start(should_stop=lambda: self._stops > 0)
            stack.callback(valkey.stop)
            logger.info("valkey.ready", valkey_pid=valkey.pid, port=valkey.port)
        return valkey

    def _add_simulator(
        self, stack: ExitStack, settings: Settings, listeners: Sequence[socket.socket], parent_end: int
    ) -> Settings:
        """Bring a payment simulator along; what the other children are told."""
        simulator = OwnSimulator(self._settings)
        stack.callback(simulator.listener.close)
        server_url = listening_url(listeners[0], reachable(settings.host)) if listeners else None
        env = _child_env(simulator.settings_of_child(server_url))
        fds = [simulator.listener.fileno(), parent_end]
        self._simulator.append(ManagedChild("simulator", SIMULATOR, fds, env))
        return simulator.settings_of_shop(settings)

    def _wait(self, seconds: float) -> None:
        """Sleep until a signal comes, a child says that it is ready, or the time is over."""
        waiting = {child.ready_fd: child for child in self._children() if child.ready_fd is not None}
        readable, _, _ = select.select([self._wake_fd, *waiting], [], [], seconds)
        for fd in readable:
            if fd == self._wake_fd:
                os.read(fd, 4096)
            else:
                waiting[fd].read_ready()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Count the signals that ask to stop, and wake the loop at each, and at the end of a child."""
        self._wake_fd, write_end = os.pipe()
        os.set_blocking(write_end, False)
        os.set_blocking(self._wake_fd, False)
        handlers = dict.fromkeys(STOP_SIGNALS, self._count_stop)
        if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
            del handlers[signal.SIGHUP]  # nohup asked for it
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        previous_fd = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(previous_fd)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(self._wake_fd)
            os.close(write_end)

    def _count_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stops += 1


@contextmanager
def _metrics_dir() -> Iterator[Path]:
    """A directory in which the processes of this run share their metrics."""
    _tidy_up()
    path = Path(tempfile.mkdtemp(prefix=f"{METRICS_PREFIX}{os.getpid()}-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _tidy_up() -> None:
    """Remove the directories of supervisors that were killed: nobody else does."""
    for left in Path(tempfile.gettempdir()).glob(f"{METRICS_PREFIX}*-*"):
        owner = left.name.removeprefix(METRICS_PREFIX).partition("-")[0]
        if owner.isdecimal() and not Path(f"/proc/{owner}").exists() and Path("/proc/self").exists():
            shutil.rmtree(left, ignore_errors=True)


def _child_env(settings: Settings, metrics_dir: Path | None = None) -> dict[str, str]:
    """The environment of a child: ours, with the settings as they turned out, options included."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
    shared = {} if metrics_dir is None else {"PROMETHEUS_MULTIPROC_DIR": str(metrics_dir)}
    return {**env, **settings.to_env(), **shared}
