"""Commands that are ended by a signal end in order what they have started."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class EndedBySignalError(Exception):
    """A signal has ended it; everything it had started has ended."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number
        """As shells have it."""


def run_until_signal(work: Callable[[], Awaitable[T]]) -> T:
    """Does the work, which SIGINT, SIGTERM and SIGHUP cancel; a second SIGINT does not wait for it.

    Raises:
        EndedBySignalError: one of them came.
    """
    signals: list[int] = []

    async def working() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def end(number: int) -> None:
            signals.append(number)
            if task is not None:
                task.cancel()

        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, end, number)
        return await work()

    try:
        return asyncio.run(working())
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise EndedBySignalError(signals[0] if signals else signal.SIGINT) from None
