"""One HTTP worker: serves an inherited socket until asked to leave, and cuts no request off when it does.

    python -m flashsale.process.http_worker SOCKET_FD PARENT_FD READY_FD

The settings come in the environment. One byte is written to READY_FD when the worker accepts connections.
"""

import asyncio
import os
import select
import socket
import sys
from collections.abc import Callable

import structlog
import uvloop
from aiohttp import web

from flashsale.api.protocol import Runner, Server
from flashsale.logs import configure_logs
from flashsale.process.child import ParentWatch, StopSignals, raise_file_limit
from flashsale.process.connections import close_idle
from flashsale.process.listeners import BACKLOG, refuse_connections, welcome_connections
from flashsale.settings import load_settings

MAX_LINE_BYTES = (
    64 * 1024
)  # of a request line, and of one header: what is too long is refused by a handler that says so
ACCEPT_GRACE_SECONDS = 0.25  # how long connections are still taken, and answered with `Connection: close`
HANDSHAKE_GRACE_SECONDS = 0.25  # how long a connection that has begun may take to be complete
QUEUE_SECONDS = 1.0  # the most that emptying the queue may take where new connections cannot be refused
QUEUE_POLL_SECONDS = 0.005
POLL_SECONDS = 0.02
LEAVE_SECONDS = 5.0  # what a worker may take to leave, over and above the time that requests in flight have
CUT_SECONDS = 0.25  # what a handler has to end after it was cancelled, once the time to drain is over

logger = structlog.get_logger("flashsale.process.http_worker")  # run as __main__


def run_http_worker(
    make_app: Callable[[], web.Application],
    listener: socket.socket,
    *,
    drain_seconds: float,
    on_ready: Callable[[], None],
    on_drain: Callable[[web.Application], None],
    parent: ParentWatch | None = None,
    fast_lane: bool = False,
) -> None:
    """Serve the application until SIGTERM or SIGINT, then drain for `drain_seconds` at most.

    `on_ready` is called when connections are accepted. From `on_drain` on, the application has to say
    `Connection: close` with every answer. The socket is closed at the end.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(make_app, listener, drain_seconds, on_ready, on_drain, parent, fast_lane))


async def _serve(
    make_app: Callable[[], web.Application],
    listener: socket.socket,
    drain_seconds: float,
    on_ready: Callable[[], None],
    on_drain: Callable[[web.Application], None],
    parent: ParentWatch | None,
    fast_lane: bool,
) -> None:
    signals = StopSignals(asyncio.get_running_loop())
    if parent is not None:
        parent.on_death(signals.leave_soon, drain_seconds + LEAVE_SECONDS)
    runner = Runner(
        make_app(),
        fast_lane=fast_lane,
        access_log=None,
        shutdown_timeout=CUT_SECONDS,
        max_line_size=MAX_LINE_BYTES,
        max_field_size=MAX_LINE_BYTES,
    )
    await runner.setup()
    try:
        welcome_connections(listener)
        site = web.SockSite(runner, listener, backlog=BACKLOG)
        await site.start()
        on_ready()
        logger.info("worker.ready")
        await signals.leave.wait()
        logger.info("worker.draining")
        on_drain(runner.app)
        await _drain(runner, site, listener, drain_seconds, signals.hurry)
    finally:
        await runner.cleanup()
    logger.info("worker.ended")


async def _drain(
    runner: web.AppRunner,
    site: web.SockSite,
    listener: socket.socket,
    drain_seconds: float,
    hurry: asyncio.Event,
) -> None:
    """Answer what was asked and stop listening, so that nobody who was let in is turned away.

    1. Every answer says `Connection: close`, and /readyz says 503; new connections are still taken.
    2. No new connection begins; those that have begun are taken. Then the socket is closed.
    3. Idle connections are closed; requests in flight are waited for, `drain_seconds` at most.

    aiohttp's own shutdown comes after that, when nothing is in flight: it stops reading at once, and would
    leave a request whose body is still on its way without an answer.
    """
    loop = asyncio.get_running_loop()
    await _pause(ACCEPT_GRACE_SECONDS, hurry)
    if refuse_connections(listener):
        logger.info("worker.lets_nobody_in")
    await _pause(HANDSHAKE_GRACE_SECONDS, hurry)
    deadline = loop.time() + QUEUE_SECONDS
    while select.select([listener], [], [], 0)[0] and loop.time() < deadline and not hurry.is_set():
        await _pause(QUEUE_POLL_SECONDS, hurry)
    await site.stop()

    server = runner.server
    assert isinstance(server, Server)  # noqa: S101 (set up before)
    started = loop.time()
    while server.open_connections and not hurry.is_set():
        drained_for = loop.time() - started
        if drained_for > drain_seconds:
            logger.warning("worker.cuts_off", connections=server.open_connections)
            break
        close_idle(server, drained_for)
        await _pause(POLL_SECONDS, hurry)


async def _pause(seconds: float, hurry: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(hurry.wait(), seconds)
    except TimeoutError:
        return


def main(arguments: list[str]) -> None:
    """Entry point of the child process; the arguments are the three inherited descriptors."""
    socket_fd, parent_fd, ready_fd = map(int, arguments)
    parent = ParentWatch(parent_fd)
    settings = load_settings(os.environ)
    configure_logs(settings, "http-worker")
    raise_file_limit()

    # Imported after the logs are set up, so that a fault in there is logged like any other.
    from flashsale.api.app import build_app  # noqa: PLC0415 - after the logs
    from flashsale.api.state import DRAIN  # noqa: PLC0415 - after the logs

    def tell_ready() -> None:
        os.write(ready_fd, b"+")
        os.close(ready_fd)

    def say_goodbye(app: web.Application) -> None:
        app[DRAIN].active = True

    run_http_worker(
        lambda: build_app(settings),
        socket.socket(fileno=socket_fd),
        drain_seconds=settings.drain_seconds,
        on_ready=tell_ready,
        on_drain=say_goodbye,
        parent=parent,
        fast_lane=settings.fast_lane,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
