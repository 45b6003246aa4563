"""A shop and the order system behind it, each part a process of its own that can be killed and started again.

A store, a database, a server with its worker, the work on payments, the work on orders, and two order systems: our own
(`tests/crash/order_system.py`), and the one of the examples. What they are called here is in `OrderHouse.victims`. The test
starts again what it kills; the server starts its own worker, and the house the example, which ends when its database does.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psutil

from flashsale.process.embedded import EmbeddedValkey
from flashsale.process.ports import ReservedPort
from tests.crash import order_system
from tests.crash.journeys import quietly
from tests.process.programs import ROOT, Program, eventually
from tests.support import instant_provider
from tests.support.postgres import Postgres
from tests.support.server import binary
from tests.support_http.server import Server

SIMULATOR_SECRET: Final = "simulator-secret-of-the-tests-0123456789"
EXAMPLE: Final = ROOT / "examples" / "orders_to_postgres.py"
Revive = Callable[[], Awaitable[None]]


class OrderHouse:
    """Everything runs inside the block, but for the order systems."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._key = ""
        self._started: list[Server | Program] = []
        self.killed: dict[str, int] = {}
        """Victim -> how often."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self._end_all)
            self.postgres = stack.enter_context(Postgres())
            self.archive, self.orders, self.shop = (self.postgres.create_database() for _ in range(3))
            with self.postgres.connect(self.orders) as books:
                books.execute(order_system.TABLES.encode())
            self.valkey = stack.enter_context(EmbeddedValkey(self._folder / "store", binary=binary()))
            self._port = stack.enter_context(ReservedPort()).port
            self.server = self._server()
            self._payments, self._orders = self._payment_work(), self._order_work()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        return self.server.url

    @asynccontextmanager
    async def order_systems(self, key: str) -> AsyncIterator[None]:
        """They run inside the block, and read with this API key."""
        self._key = key
        self._consumer, self._example = self._order_system(), self._example_system()
        keeping = asyncio.create_task(self._keep_example())
        try:
            yield
        finally:
            keeping.cancel()
            await quietly(keeping)
            self._consumer.end()
            self._example.end()

    async def _keep_example(self) -> None:
        """As whatever runs such services does."""
        while True:
            if self._example.process.poll() is not None:
                self._example = self._example_system()
            await asyncio.sleep(0.1)

    def victims(self) -> Sequence[str]:
        return tuple(self._ways())

    async def kill(self, victim: str) -> Revive:
        """kill -9; what is returned starts it again, and returns when it runs."""
        self.killed[victim] = self.killed.get(victim, 0) + 1
        kill, revive = self._ways()[victim]
        await asyncio.to_thread(kill)
        return lambda: asyncio.to_thread(revive)

    def told(self) -> dict[str, int]:
        """Of each status, how many orders the order system has in its books."""
        with self.postgres.connect(self.orders) as books:
            return dict(books.execute("SELECT status, count(*) FROM told GROUP BY status").fetchall())

    def rows(self, sale: str) -> list[tuple[Any, ...]]:
        """Sequence, id, status, reservation and event of all it has in its books of a sale, in order."""
        wanted = "SELECT sequence, id, status, reservation, event FROM told WHERE sale = %s ORDER BY sequence"
        with self.postgres.connect(self.orders) as books:
            return books.execute(wanted, (sale,)).fetchall()

    def example_count(self) -> int:
        """How many orders the example has in its books; only after it has made them."""
        with self.postgres.connect(self.shop) as books:
            (count,) = books.execute("SELECT count(*) FROM shop_orders").fetchone() or (0,)
            return int(count)

    def example_rows(self, sale: str) -> list[tuple[Any, ...]]:
        """Sequence, status, reservation and amount due of all that the example has in its books of a sale, in order."""
        wanted = "SELECT sequence, status, reservation, amount_due FROM shop_orders WHERE sale = %s ORDER BY sequence"
        with self.postgres.connect(self.shop) as books:
            return books.execute(wanted, (sale,)).fetchall()

    def logs(self) -> str:
        """The last words of everybody, for whoever reads a failure."""
        said = [each.err() if isinstance(each, Program) else each.program.err() for each in self._started]
        return "\n---\n".join(each[-1500:] for each in said[-8:])

    # --- who can be killed, and how each comes back ---

    def _ways(self) -> dict[str, tuple[Callable[[], None], Callable[[], None]]]:
        return {
            "order system": (self._consumer.end, self._revive_consumer),
            "example": (self._kill_example, lambda: None),
            "server": (self._kill_server, self._revive_server),
            "server's worker": (self._kill_worker, lambda: None),
            "payment work": (self._payments.end, self._revive_payments),
            "order work": (self._orders.end, self._revive_orders),
            "store": (lambda: os.kill(self.valkey.pid, signal.SIGKILL), self._revive_valkey),
            "database": (self.postgres.kill, self.postgres.start),
        }

    def _kill_example(self) -> None:
        killed = self._example
        killed.end()
        eventually(lambda: self._example is not killed, "the example runs again")

    def _kill_server(self) -> None:
        family = self.server.program.family()
        self.server.program.end()
        _, left = psutil.wait_procs(family[1:], timeout=60)
        assert not left, "what the supervisor had started ends with it"

    def _kill_worker(self) -> None:
        """The supervisor starts another one. Where it is dead already, the worker has ended with it."""
        if self.server.program.process.poll() is not None:
            return
        before = eventually(self.server.workers, "the server has a worker")
        before[0].kill()
        eventually(
            lambda: any(each.pid != before[0].pid for each in self.server.workers()), "it has another worker"
        )

    def _revive_consumer(self) -> None:
        self._consumer = self._order_system()

    def _revive_server(self) -> None:
        self.server = self._server()

    def _revive_payments(self) -> None:
        self._payments = self._payment_work()

    def _revive_orders(self) -> None:
        self._orders = self._order_work()

    def _revive_valkey(self) -> None:
        self.valkey.restart()

    # --- the programs ---

    def _env(self) -> dict[str, str]:
        return {
            "FLASHSALE_REDIS_URL": self.valkey.url,
            "FLASHSALE_ARCHIVE": self.archive,
            "FLASHSALE_PAYMENT_PROVIDER": "simulator",
            "FLASHSALE_SIMULATOR_URL": "http://127.0.0.1:9",  # nobody is there: see instant_provider
            "FLASHSALE_SIMULATOR_SECRET": SIMULATOR_SECRET,
            "FLASHSALE_PAYMENT_CLAIM_MS": "200",
            "FLASHSALE_RECONCILE_SECONDS": "0",
            "FLASHSALE_LOG_FORMAT": "json",
        }

    def _server(self) -> Server:
        server = Server(self._folder, [], env=self._env(), port=self._port)
        self._started.append(server)
        return server

    def _work(self, arguments: Sequence[str], only: str) -> Program:
        program = self._program(arguments, self._env() | {"FLASHSALE_WORK_ONLY": only})
        eventually(lambda: "work.ready" in program.err(), f"the work on {only} is done")
        return program

    def _payment_work(self) -> Program:
        return self._work([str(instant_provider.__file__)], "payments")

    def _order_work(self) -> Program:
        return self._work(["-m", "flashsale", "work"], "orders")

    def _order_system(self) -> Program:
        env = {"ORDERS_KEY": self._key, "ORDERS_DATABASE": self.orders}
        return self._program([str(order_system.__file__), self.url], env)

    def _example_system(self) -> Program:
        env = {"SHOP_URL": self.url, "SHOP_KEY": self._key, "DATABASE_URL": self.shop}
        return self._program([str(EXAMPLE)], env)

    def _program(self, arguments: Sequence[str], env: dict[str, str]) -> Program:
        program = Program(arguments, self._folder, env)
        self._started.append(program)
        return program

    def _end_all(self) -> None:
        for each in self._started:
            if isinstance(each, Server):
                each.stop()
            else:
                each.end()
