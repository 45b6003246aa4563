"""Which connections of a server are idle, and closing those.

aiohttp's own shutdown knows them too, but does not wait for a body that is still on its way.
"""

import array
import asyncio
import fcntl
import termios

from flashsale.api.protocol import Handler, Server

# A connection that has never asked anything may have its first request on the way; one that was served before
# has been idle since before the drain, as every answer since then ended its connection.
FIRST_REQUEST_SECONDS = 1.0


def close_idle(server: Server, drained_for: float) -> None:
    """Close every connection that waits for a request of which nothing has come.

    `drained_for` is the number of seconds since no connection is accepted any more.
    """
    unused_too = drained_for >= FIRST_REQUEST_SECONDS
    if server.lanes is not None:
        for lane in [each for each in server.lanes.open if each.idle and (unused_too or not each.unused)]:
            if not _has_unread_bytes(lane.transport):
                lane.close()
    for handler in server.connections:
        assert isinstance(handler, Handler)  # noqa: S101 (the server makes no others)
        if not handler.in_charge or not handler.awaits_request or (handler.unused and not unused_too):
            continue
        if not _has_unread_bytes(handler.transport):
            handler.force_close()


def _has_unread_bytes(transport: asyncio.BaseTransport | None) -> bool:
    sock = transport.get_extra_info("socket") if transport is not None else None
    if sock is None:
        return False
    waiting = array.array("i", [0])
    try:
        fcntl.ioctl(sock.fileno(), termios.FIONREAD, waiting)
    except OSError:
        return False
    return waiting[0] > 0
