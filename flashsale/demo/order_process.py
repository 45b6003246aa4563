"""The order system's process, as the parent sees it: started, killed once in the middle of its work, and started again."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic

import msgspec

from flashsale.demo.messages import Began, Received, Stopped, TakeOrders, decode_from_order_system, encode
from flashsale.demo.order_books import Delivered, OrderLedger, discard, read_ledger

KILL_SECONDS_MAX = 0.25
"""It is killed up to so long after it has told of enough orders: at whatever it does at that moment."""

END_SECONDS_MAX = 5.0


class OrderSystem:
    """The order system. `said` gets the lines worth showing."""

    def __init__(self, environment: dict[str, str], chance: random.Random) -> None:
        self._environment = environment
        self._chance = chance
        self._process: asyncio.subprocess.Process | None = None
        self._following: asyncio.Task[None] | None = None
        self._job: TakeOrders | None = None
        self._kill_after = 0
        self._kill: asyncio.TimerHandle | None = None
        self._restarting = self._ending = False
        self._killed_after: int | None = None
        self._failure = ""
        self._news = asyncio.Event()
        self.received = Received()
        self.said: Callable[[str], None] = lambda _line: None

    async def start(self) -> None:
        """Start the process; it waits until it is told what to do."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "flashsale.demo.order_system"),
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )

    async def take_orders(self, job: TakeOrders, kill_after: int) -> None:
        """Let it read the orders of a sale, and kill it once, soon after it has told of `kill_after` of them."""
        discard(Path(job.books))
        self._job, self._kill_after = job, kill_after
        await self._tell(job)
        self._following = asyncio.get_running_loop().create_task(self._follow())

    async def killed(self, deadline: float) -> None:
        """Kill it now if that was not done yet and it has any orders, and wait until it reads again."""
        if self.received.orders and self._killed_after is None and not self._restarting:
            self._strike()
        await self._until(lambda: not self._restarting, deadline)

    async def caught_up(self, sequence: int, deadline: float) -> None:
        """Wait until it has come as far as this, or has ended, or it is too late."""
        await self._until(lambda: self.received.sequence >= sequence, deadline)

    async def end(self) -> Delivered:
        """End it, and read its books."""
        self._ending = True
        if self._kill is not None:
            self._kill.cancel()
        process, self._process = self._process, None
        if process is not None:
            if process.stdin is not None:
                process.stdin.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(END_SECONDS_MAX):
                    await process.wait()
            await _ended(process)
        if self._following is not None:
            await self._following
            self._following = None
        ledger = read_ledger(Path(self._job.books)) if self._job is not None else OrderLedger()
        return Delivered(ledger, self._killed_after, self._failure)

    async def kill(self) -> None:
        """End whatever is left of it, at once."""
        self._ending = True
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        if self._process is not None:
            await _ended(self._process)

    async def _tell(self, job: TakeOrders) -> None:
        if self._process is None or self._process.stdin is None:
            return
        # One that has ended says why by its exit code, which is read afterwards.
        with suppress(ConnectionError):
            self._process.stdin.write(encode(job))
            await self._process.stdin.drain()

    async def _until(self, reached: Callable[[], bool], deadline: float) -> None:
        """Wait for something that it tells, unless it cannot go on or it is too late."""
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline - monotonic()):
                while not (reached() or self._failure):
                    self._news.clear()
                    await self._news.wait()

    async def _follow(self) -> None:
        """Hear what it says, over the end of one process, until it is ended or has ended on its own."""
        while (process := self._process) is not None and process.stdout is not None:
            line = await process.stdout.readline()
            self._news.set()
            if line:
                self._hear(line)
            elif self._restarting and not self._ending:
                await process.wait()
                await self._start_again()
            else:
                code = await process.wait()
                if not self._ending and not self._failure:
                    self._failure = f"it ended with exit code {code}"
                self._news.set()
                return

    async def _start_again(self) -> None:
        await self.start()
        if self._ending and self._process is not None:
            await _ended(self._process)
        elif self._job is not None:
            await self._tell(self._job)

    def _hear(self, line: bytes) -> None:
        try:
            message = decode_from_order_system(line)
        except msgspec.DecodeError as fault:
            self._failure = f"it said {line[:200]!r}: {fault}"
            return
        match message:
            case Began(run=run, books=books):
                self._take_in(books)
                if run > 1:
                    self._restarting, self._killed_after = False, books.orders
                    self.said(
                        f"  order system killed (kill -9) after {books.orders:,} orders and started again: "
                        f"it goes on behind its own number {books.sequence:,}"
                    )
            case Received() as received:
                self._take_in(received)
            case Stopped(reason=reason):
                self._failure = reason

    def _take_in(self, received: Received) -> None:
        self.received = received
        if received.orders >= self._kill_after and self._kill is None:
            delay_s = self._chance.uniform(0.0, KILL_SECONDS_MAX)
            self._kill = asyncio.get_running_loop().call_later(delay_s, self._strike)

    def _strike(self) -> None:
        """Kill it with -9: it has no time to finish anything."""
        if self._restarting or self._killed_after is not None or self._failure or self._ending:
            return
        if self._process is not None and self._process.returncode is None:
            self._restarting = True
            self._process.kill()


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
    await process.wait()


@asynccontextmanager
async def order_system(environment: dict[str, str], chance: random.Random) -> AsyncIterator[OrderSystem]:
    """An order system that waits for its job; it is ended afterwards, in any case."""
    system = OrderSystem(environment, chance)
    await system.start()
    try:
        yield system
    finally:
        await system.kill()
