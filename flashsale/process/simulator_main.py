"""The payment simulator as a process: by itself with `flashsale simulator`, or as a child of the supervisor.

    python -m flashsale.process.simulator_main SOCKET_FD PARENT_FD

The settings come in the environment.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Callable

import structlog
import uvloop
from aiohttp import web

from flashsale.api.protocol import Runner
from flashsale.logs import configure_logs
from flashsale.process.child import ParentWatch, StopSignals, raise_file_limit
from flashsale.process.listeners import BACKLOG, listening_url
from flashsale.settings import Settings, load_settings
from flashsale.simulator.answers import unreadable
from flashsale.simulator.server import build_app

LEAVE_SECONDS = 1.0
IDLE_SECONDS = 75.0

logger = structlog.get_logger("flashsale.process.simulator_main")  # run as __main__


def run_simulator(
    settings: Settings,
    listener: socket.socket,
    *,
    on_ready: Callable[[str], None] = lambda _url: None,
    parent: ParentWatch | None = None,
) -> None:
    """Serve the simulator until SIGTERM or SIGINT; `on_ready` is given its address.

    Raises `BooksError` when the file it was told to use cannot be used.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, listener, on_ready, parent))


async def _serve(
    settings: Settings,
    listener: socket.socket,
    on_ready: Callable[[str], None],
    parent: ParentWatch | None,
) -> None:
    signals = StopSignals(asyncio.get_running_loop())
    if parent is not None:
        parent.on_death(signals.leave_soon, LEAVE_SECONDS + 1)
    url = listening_url(listener, settings.simulator_host)
    runner = Runner(
        build_app(settings, url),
        unreadable,
        access_log=None,
        shutdown_timeout=LEAVE_SECONDS,
        keepalive_timeout=IDLE_SECONDS,
        auto_decompress=False,  # nobody sends it anything large
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listener, backlog=BACKLOG).start()
        logger.info("simulator.ready", url=url)
        on_ready(url)
        await signals.leave.wait()
    finally:
        await runner.cleanup()
    logger.info("simulator.ended")


def main(arguments: list[str]) -> None:
    """Entry point of the child process; the arguments are the two inherited descriptors."""
    socket_fd, parent_fd = map(int, arguments)
    parent = ParentWatch(parent_fd)
    settings = load_settings(os.environ)
    configure_logs(settings, "simulator")
    raise_file_limit()
    run_simulator(settings, socket.socket(fileno=socket_fd), parent=parent)


if __name__ == "__main__":
    main(sys.argv[1:])
