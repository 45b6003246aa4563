"""Which connections of a server are idle, and closing those: the one place that looks inside aiohttp.

aiohttp tells how many requests it has served, but not which connection has one in progress. Its own shutdown
knows, from the attributes used here, but does not wait for a body that is still on its way.
"""

import array
import fcntl
import termios

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

# A connection that has never asked anything may have its first request on the way; one that was served before
# has been idle since before the drain, as every answer since then ended its connection.
FIRST_REQUEST_SECONDS = 1.0


def close_idle(server: web.Server, drained_for: float) -> None:
    """Close every connection that waits for a request of which nothing has come.

    `drained_for` is the number of seconds since no connection is accepted any more.
    """
    for connection in server.connections:
        unused = connection._request_count == 0  # noqa: SLF001 - aiohttp tells it nowhere else
        if unused and drained_for < FIRST_REQUEST_SECONDS:
            continue
        if _awaits_request(connection) and not _has_unread_bytes(connection):
            connection.force_close()


def _awaits_request(connection: RequestHandler) -> bool:
    """As aiohttp itself asks, before it closes a connection that was kept alive for too long."""
    waiter = connection._waiter  # noqa: SLF001 - aiohttp tells it nowhere else
    return waiter is not None and not waiter.done()


def _has_unread_bytes(connection: RequestHandler) -> bool:
    transport = connection.transport
    sock = transport.get_extra_info("socket") if transport is not None else None
    if sock is None:
        return False
    waiting = array.array("i", [0])
    try:
        fcntl.ioctl(sock.fileno(), termios.FIONREAD, waiting)
    except OSError:
        return False
    return waiting[0] > 0
