"""Where runs are led: Locust's master, or the one process there is. Begins and ends them as Locust asks."""

import signal
import sys
import time
from pathlib import Path
from typing import Any

import gevent
from _books import BooksError
from _conductor import NOT_RUN, Conductor
from _definition import DefinitionError
from _run import FINAL, PROGRESS, TOLD
from locust import User, events
from locust.env import Environment
from locust.runners import LocalRunner, MasterRunner, Runner

from flashsale.verdict.report.extra import MissingExtraError


class Conductors:
    """The run that is under way, and the next one when the web UI starts another."""

    def __init__(self, environment: Environment, runner: LocalRunner | MasterRunner) -> None:
        self._environment = environment
        self._runner = runner
        self._current: Conductor | None = None
        self._fresh = True
        self._number = time.time_ns()

    @property
    def current(self) -> Conductor | None:
        """The run that is under way."""
        return self._current

    def renew(self) -> None:
        """Locust begins to ask for a run; with a master it does so twice."""
        self._fresh = self._current is None or self._current.over

    def tick(self) -> Conductor | None:
        """The run under way, begun if Locust has just begun one; None when it is over.

        While the verdict is found Locust may go on asking: that begins no other run.
        """
        if self._fresh:
            self._fresh = False
            self._number += 1
            self._current = Conductor(self._environment, self._runner, self._number)
            choose_users(self._environment, self._current.others())
            try:
                self._current.prepare()
            except (BooksError, DefinitionError, MissingExtraError) as fault:
                self._current.fail(fault)
                self._current.conclude()
                return None
        current = self._current
        return None if current is None or (current.ended and not current.concluded) else current

    def heard(self, kind: str, msg: Any) -> None:
        """A message of a load process."""
        if self._current is not None:
            self._current.heard(kind, msg)

    def end(self) -> None:
        """Somebody wants it to end: the run does as if everybody had left. The second time: at once."""
        if self._current is None or self._current.ended or self._current.over:
            sys.exit(NOT_RUN)
        print("Ending the run; the verdict is on what there is.")
        self._current.ended = True

    def conclude(self) -> None:
        """The run is over."""
        if self._current is not None:
            self._current.conclude()


def choose_users(environment: Environment, others: dict[str, int]) -> None:
    """Leaves the user classes that somebody is wanted of, and that the tags leave something to do."""
    options: Any = environment.parsed_options
    wanted, unwanted = set(options.tags or ()), set(options.exclude_tags or ())
    chosen: list[type[User]] = []
    available: dict[str, Any] = dict(environment.available_user_classes or {})
    named = set(options.user_classes or available)
    for name, user_class in available.items():
        parts: frozenset[str] = getattr(user_class, "parts", frozenset())
        if name not in named or (wanted and not parts & wanted) or not parts - unwanted:
            continue
        if name in others:
            if not others[name]:
                continue
            user_class.fixed_count = others[name]
        chosen.append(user_class)
    environment.user_classes = chosen


CONDUCTORS: dict[int, Conductors] = {}
"""By the environment's identity: there is one in a process."""


@events.init.add_listener
def _set_up(environment: Environment, runner: Runner, **_: Any) -> None:
    """Listens to what happens in the process that leads."""
    if not isinstance(runner, (LocalRunner, MasterRunner)):
        return
    conductors = CONDUCTORS[id(environment)] = Conductors(environment, runner)
    for kind in (PROGRESS, TOLD, FINAL):
        runner.register_message(kind, lambda msg, kind=kind, **_: conductors.heard(kind, msg))

    @events.worker_connect.add_listener
    def _connected(client_id: str, **_: Any) -> None:
        if conductors.current is not None:
            conductors.current.tell_plan(client_id)

    @events.test_stopping.add_listener
    def _stopping(**_: Any) -> None:
        conductors.conclude()

    @events.quitting.add_listener
    def _quitting(**_: Any) -> None:
        conductors.conclude()

    if environment.web_ui is not None:
        _show_report(environment)
    else:
        # Locust listens to it only after a run with a shape.
        gevent.signal_handler(signal.SIGTERM, conductors.end)


def _show_report(environment: Environment) -> None:
    """The web UI has the last report at /verdict."""
    web_ui = environment.web_ui
    assert web_ui is not None
    assert web_ui.app is not None

    @web_ui.app.route("/verdict")
    @web_ui.auth_required_if_enabled
    def _verdict() -> Any:
        options: Any = environment.parsed_options
        report = Path(options.report) / "report.html"
        if not report.is_file():
            return "There is no verdict yet: it comes when the run is over.", 404
        return report.read_text(encoding="utf-8")
