"""What shoppers do side by side after the rush, each in a task of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from time import monotonic
from typing import Any


class Errands:
    """Tasks that may start others, and are waited for together."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin something."""
        self._tasks.add(asyncio.get_running_loop().create_task(work))

    async def finish(self, deadline: float) -> None:
        """Wait for all of them, those begun meanwhile included; at the deadline what is left is cancelled.

        Raises what one of them raised.
        """
        while self._tasks and monotonic() < deadline:
            done, _ = await asyncio.wait(
                self._tasks, timeout=deadline - monotonic(), return_when=asyncio.FIRST_COMPLETED
            )
            self._tasks -= done
            for task in done:
                task.result()
        left, self._tasks = self._tasks, set()
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
