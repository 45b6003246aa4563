"""Leads a run: makes the sale, waits until everybody is there, sets T0, sees the end, and finds the verdict.

It lives where Locust's master is, or in the one process there is. Load processes hear of it by messages only.
"""

import contextlib
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import _files
import gevent
import locust
import msgspec
from _books import BooksError, Shop, now_ms, terms_of
from _clock import ServerClock
from _definition import definition_of
from _ledger import identity
from _options import SECRETS
from _outcome import conclude
from _run import FINAL, FINISH, OVER, PLAN, PROGRESS, PROGRESS_SECONDS, T0, TOLD, Plan
from gevent.event import Event
from locust.env import Environment
from locust.runners import LocalRunner, MasterRunner

from flashsale import __version__
from flashsale.verdict import report
from flashsale.verdict.evidence import Consumer, Evidence, Hold, LoadProcess, Terms, Told
from flashsale.verdict.evidence import Run as RunEvidence

RED: Final = 1
"""Exit code of a red verdict."""
NOT_RUN: Final = 2
"""Exit code of a run that could not be made."""
FAR_MS: Final = 24 * 3600 * 1000
"""A sale that is made for a run opens so late at first; T0 is set when everybody is there."""
ARRIVAL_SECONDS: Final = 60.0
"""So long the others wait for those who have not arrived when all were started."""
BUSY_SECONDS: Final = 20.0
"""So long those are waited for who are paying when a run is over, or have pressed and wait for the answer."""
HAND_ON_SECONDS: Final = 30.0
"""More than order systems may need to catch up."""
SETTLE_SECONDS: Final = 15.0
LOOK_SECONDS: Final = 0.05
LONG_SECONDS: Final = 300.0
"""Longer runs are counted in whole seconds."""
ENDLESS: Final = frozenset({"steady", "soak"})
"""Shapes whose shoppers never run out."""


class Conductor:
    """One run."""

    def __init__(self, environment: Environment, runner: LocalRunner | MasterRunner, number: int) -> None:
        self.number = number
        self.ended = False
        """Nobody has anything left to do, or the run could not be made."""
        self.concluded = False
        self._environment = environment
        self._runner = runner
        options: Any = environment.parsed_options
        self._options = options
        self._stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        self._shop = Shop(environment.host or "", options.api_key, options.sale or f"load-{self._stamp}")
        self._definition: dict[str, Any] | None = None
        self._terms: Terms | None = None
        self._plan: Plan | None = None
        self._alone = False
        self.t0_ms = 0
        """By the server's clock; 0 until it is known."""
        self._started_ms = 0
        self._progress: dict[str, dict[str, int]] = {}
        self._told = Told()
        self._final: dict[str, tuple[LoadProcess, list[Consumer]]] = {}
        self._trouble: list[str] = []
        self._server = ""
        self._greenlet: gevent.Greenlet | None = None
        self._found = Event()

    @property
    def over(self) -> bool:
        """Whether the verdict is there, or there will be none."""
        return bool(self._found.is_set())

    @property
    def clock(self) -> ServerClock:
        """The server's."""
        return self._shop.clock

    @property
    def shoppers(self) -> int:
        """How many are meant to come; 0 when only others do."""
        buys = any(each.__name__ == "Shopper" for each in self._environment.user_classes)
        return int(self._options.num_users or 1) if buys else 0

    @property
    def endless(self) -> bool:
        """Whether only the time ends the run."""
        return self._options.shape in ENDLESS or not self.shoppers

    def _load_processes(self) -> int:
        return int(getattr(self._runner, "worker_count", 1))

    def others(self) -> dict[str, int]:
        """How many users of each other kind come."""
        options = self._options
        return {"Refresher": options.refreshers, "Bot": options.bots, "OrderSystem": options.order_systems}

    # --- the beginning ---

    def prepare(self) -> None:
        """Makes the sale or looks it up, and tells the load processes.

        Raises:
            BooksError, DefinitionError: the run cannot be made.
        """
        options = self._options
        report.ensure_installed()
        if not self._environment.host:
            raise BooksError("no server: say -H http://127.0.0.1:8080")
        if not options.api_key:
            raise BooksError(
                "no API key: set FLASHSALE_ROOT_KEY, or --api-key, to one with the scopes sales and orders"
            )
        if not self._environment.user_classes:
            raise BooksError("the tags and classes leave nobody who comes")
        if self.endless and not options.run_time:
            raise BooksError("this run has no end of its own: say --run-time")
        too_many = _files.fault(self.shoppers + sum(self.others().values()), self._load_processes())
        if too_many:
            raise BooksError(too_many)
        view = self._shop.view()
        if view is None:
            self._definition = definition_of(options)
            self._define(now_ms() + FAR_MS)
            view = self._shop.view()
            for _ in range(3):
                self._shop.view()  # the quickest of a few round trips tells the time best
            self._define(self._shop.clock.now_ms() + FAR_MS)
            self._alone = True
        elif view["state"] == "closed":
            raise BooksError(f"the sale {self._shop.sale} is closed: choose another --sale, or none")
        if view is None:
            raise BooksError(f"the sale {self._shop.sale} was made and is not there")
        self._shop.check_key(options.rehearsal)
        self._server = self._shop.version()
        self._terms = terms_of(view)
        t0_ms = (
            None
            if self._alone
            else max(self._terms.opens_ms, self._shop.clock.now_ms() + round(options.lead * 1000))
        )
        long = self.endless and options.run_time > LONG_SECONDS
        self._plan = Plan(
            number=self.number,
            name=f"{self._stamp}-{os.getpid()}",
            terms=self._terms,
            methods=view["payment"]["methods"],
            bucket_ms=1000 if long else 100,
            t0_ms=t0_ms,
        )
        self._started_ms, self.t0_ms = self._shop.clock.now_ms(), t0_ms or 0
        self.tell_plan(None)
        self._greenlet = gevent.spawn(self._lead)

    def _define(self, opens_ms: int) -> None:
        assert self._definition is not None
        self._shop.define(self._definition, opens_ms)

    def tell_plan(self, client: str | None) -> None:
        """To all load processes, or to one that has come later."""
        if self._plan is None or self.concluded:
            return
        self._runner.send_message(PLAN, msgspec.to_builtins(self._plan), client)
        if self.t0_ms:
            self._runner.send_message(T0, {"run": self.number, "t0_ms": self.t0_ms}, client)

    # --- the middle ---

    def _count(self, what: str) -> int:
        return sum(progress[what] for progress in self._progress.values())

    def _lead(self) -> None:
        """From the first arrival to the last leave."""
        try:
            self._gather()
        except BooksError as fault:
            if not self.concluded:
                self.fail(fault)
            return
        if self.endless:
            self._restock()
        else:
            self._wait(lambda: self._count("left") >= self.shoppers, self._latest_seconds())
            self.ended = True

    def _latest_seconds(self) -> float:
        """After this a run of one crowd is over, whatever its shoppers still wait for."""
        options, terms = self._options, self._terms
        assert terms is not None
        waves = options.waves * options.wave_seconds if options.shape == "waves" else 0
        seconds: float = options.lead + waves + 2 * options.patience + 2 * terms.hold_ms / 1000 + 60
        return seconds

    def _gather(self) -> None:
        """Waits until everybody is there, and sets T0."""
        if self.t0_ms:
            return
        first = self.shoppers
        if self._options.shape in ENDLESS:
            first = min(1, first)
        elif self._options.shape == "waves":
            first = -(-self.shoppers // max(1, self._options.waves))
        seconds = ARRIVAL_SECONDS + first / (self._options.spawn_rate or 1)
        if not self._wait(lambda: self._count("arrived") >= first, seconds):
            if self.concluded or self.ended:
                return
            print(
                f"Only {self._count('arrived'):,} of {first:,} shoppers have arrived; the sale opens all the same."
            )
        self._shop.view()
        t0_ms = self._shop.clock.now_ms() + round(self._options.lead * 1000)
        self._define(t0_ms)
        view = self._shop.view()
        if view is None:
            raise BooksError(f"the sale {self._shop.sale} has gone")
        self._terms = terms_of(view)
        self.t0_ms = self._terms.opens_ms
        self._runner.send_message(T0, {"run": self.number, "t0_ms": self.t0_ms})
        print(
            f"{self._count('arrived'):,} shoppers are there. T0 of {self._shop.sale} is in {self._options.lead:g} s."
        )

    def _restock(self) -> None:
        """Adds units now and then, for as long as the run lasts."""
        options, turn = self._options, 0
        if options.shape != "soak" or not options.restock_units or self._terms is None:
            return
        while not self._until(lambda: self.concluded, options.restock_seconds):
            turn += 1
            for item in self._terms.items:
                try:
                    self._shop.restock(item.sku, options.restock_units, f"{self._stamp}-{turn}-{item.sku}")
                except BooksError as fault:
                    self._trouble.append(str(fault))

    def _wait(self, done: Callable[[], bool], seconds: float) -> bool:
        """Until it is done, the time is over, or somebody has ended the run."""
        return self._until(lambda: self.concluded or self.ended or done(), seconds) and done()

    @staticmethod
    def _until(done: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                return False
            gevent.sleep(LOOK_SECONDS)
        return True

    def fail(self, fault: Exception) -> None:
        """The run cannot be made, or cannot go on to T0."""
        print(f"The load test cannot be run: {fault}")
        self._environment.process_exit_code = NOT_RUN
        if self._plan is not None:
            self._runner.send_message(FINISH, {"run": self.number, "last": 0})
        self._plan = None
        self.ended = True

    # --- what load processes say ---

    def heard(self, kind: str, msg: Any) -> None:
        """A message of a load process."""
        data = msg.data
        if data["run"] != self.number:
            return
        process = data["process"]
        if kind == PROGRESS:
            self._progress[process] = data["data"]
        elif kind == TOLD:
            self._told.add(msgspec.msgpack.decode(data["data"], type=Told))
        elif kind == FINAL:
            found = msgspec.msgpack.decode(data["data"])
            self._final[process] = (
                msgspec.convert(found["process"], LoadProcess),
                msgspec.convert(found["consumers"], list[Consumer]),
            )

    # --- the end ---

    def conclude(self) -> None:
        """Collects the evidence and finds the verdict, once; the run is over with it, however it has ended."""
        if self.concluded:
            self._found.wait()  # by another greenlet: who asks now must not end what it needs
            return
        self.concluded = True
        try:
            if self._plan is not None and self._terms is not None:
                self._conclude(self._terms)
        finally:
            self._found.set()

    def _conclude(self, terms: Terms) -> None:
        self._runner.send_message(OVER, {"run": self.number})
        gevent.sleep(2 * PROGRESS_SECONDS)
        self._until(lambda: not self._count("busy"), BUSY_SECONDS)
        last = 0
        with contextlib.suppress(BooksError):  # what cannot be read is told by those who read it
            last = self._shop.settled(SETTLE_SECONDS)
        self._runner.send_message(FINISH, {"run": self.number, "last": last})
        self._until(lambda: not self._progress.keys() - self._final.keys(), HAND_ON_SECONDS)
        before, self._environment.process_exit_code = self._environment.process_exit_code, NOT_RUN
        evidence = self._evidence(terms)
        verdict = conclude(evidence, self._options, Path(self._options.report))
        self._environment.process_exit_code = before or (0 if verdict.ok else RED)
        if self._alone:
            with contextlib.suppress(BooksError):
                self._shop.close()

    def _evidence(self, terms: Terms) -> Evidence:
        engine, feed = self._shop.engine(), self._shop.feed(rehearsal=self._options.rehearsal)
        feed.consumers = [consumer for _, consumers in self._final.values() for consumer in consumers]
        engine.trouble += self._trouble
        for process in sorted(self._progress.keys() - self._final.keys()):
            engine.trouble.append(
                f"the load process {process} has gone: what its shoppers were told is not complete"
            )
        self._told.holds = _latest(self._told.holds)
        options = {
            name: value if isinstance(value, (bool, int, float, str, list, type(None))) else str(value)
            for name, value in sorted(vars(self._options).items())
            if name not in SECRETS and value not in (None, "", [])
        }
        return Evidence(
            run=RunEvidence(
                profile=self._environment.profile or "",
                shape=self._options.shape,
                host=self._environment.host or "",
                shoppers=self.shoppers,
                started_ms=self._started_ms,
                ended_ms=self._shop.clock.now_ms(),
                alone=self._alone,
                rehearsal=self._options.rehearsal,
                options=options,
                machine=f"{platform.machine()}, {os.cpu_count()} CPUs, {platform.system()} {platform.release()}",
                versions={
                    "flashsale": __version__,
                    "server": self._server,
                    "locust": locust.__version__,
                    "python": platform.python_version(),
                },
            ),
            terms=msgspec.structs.replace(terms, opens_ms=self.t0_ms or terms.opens_ms),
            told=self._told,
            engine=engine,
            feed=feed,
            processes=sorted(
                (process for process, _ in self._final.values()), key=lambda process: process.name
            ),
        )


def _latest(holds: list[Hold]) -> list[Hold]:
    """Each hold as its shopper was told of it last."""
    return list({identity(hold): hold for hold in holds}.values())
