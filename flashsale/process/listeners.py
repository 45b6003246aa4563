"""The listening sockets: bound by the supervisor, inherited by its workers, closed cutting nobody off."""

import ctypes
import socket
import struct
import sys
from typing import Any

BACKLOG = 4096

# Of <asm-generic/socket.h>; the socket module does not name them.
SO_ATTACH_FILTER = 26
SO_DETACH_FILTER = 27

# A classic BPF program, run by the kernel on every packet for the listening socket, from the TCP header on:
# drop a packet that asks for a new connection (SYN without ACK), let everything else pass.
TCP_FLAGS_OFFSET = 13
SYN, ACK = 0x02, 0x10
LOAD_BYTE, AND, JUMP_IF_EQUAL, RETURN = 0x30, 0x54, 0x15, 0x06
DROP_NEW_CONNECTIONS = (
    (LOAD_BYTE, 0, 0, TCP_FLAGS_OFFSET),
    (AND, 0, 0, SYN | ACK),
    (JUMP_IF_EQUAL, 0, 1, SYN),
    (RETURN, 0, 0, 0),
    (RETURN, 0, 0, 0xFFFFFFFF),
)


class CannotListenError(OSError):
    """The address cannot be had: another program listens there, or it is none of this machine."""


def open_listeners(host: str, port: int, count: int) -> list[socket.socket]:
    """Bind one socket per worker to the same address, and listen on none yet.

    On Linux each worker gets a socket of its own (SO_REUSEPORT): the kernel shares new connections out among
    them, and a dead worker's waiting connections stay in its socket for the worker that replaces it.
    Elsewhere all share one. Port 0 takes any free port. Raises `CannotListenError`.
    """
    try:
        return _open(host, port, count)
    except OSError as error:
        raise CannotListenError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error


def _open(host: str, port: int, count: int) -> list[socket.socket]:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    # Bound without SO_REUSEPORT first: with it, a second server could slip onto the port of a first unseen.
    first = _bind(family, kind, protocol, address, share=False)
    if count == 1:
        return [first]
    if not sys.platform.startswith("linux"):
        return [first, *(first.dup() for _ in range(count - 1))]
    address = first.getsockname()
    first.close()
    return [_bind(family, kind, protocol, address, share=True) for _ in range(count)]


def listening_url(listener: socket.socket, host: str) -> str:
    """The server's address as a client writes it: the host that was asked for, the port that was bound."""
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def refuse_connections(listener: socket.socket) -> bool:
    """Let no new connection begin, so that the queue of those that wait can be emptied before it is closed.

    A listening socket that is closed resets every connection in its queue, among them those that came after
    the last look into it. With the filter set none can: whoever asks is not answered, asks again a second
    later, and is refused then. Answers False where the kernel has no such filter; there the gap remains.
    """
    if not sys.platform.startswith("linux"):
        return False
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in DROP_NEW_CONNECTIONS)
    buffer = ctypes.create_string_buffer(program)
    argument = struct.pack("HP", len(DROP_NEW_CONNECTIONS), ctypes.addressof(buffer))
    try:
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, argument)
    except OSError:
        return False
    return True


def welcome_connections(listener: socket.socket) -> None:
    """Take back `refuse_connections`: another worker may have set it on this socket before it ended."""
    if sys.platform.startswith("linux"):
        try:
            listener.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
        except OSError:
            return  # there was none


def _bind(
    family: int,
    kind: int,
    protocol: int,
    address: tuple[Any, ...],
    *,
    share: bool,
) -> socket.socket:
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6 and hasattr(socket, "IPV6_V6ONLY") and address[0] == "::":
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener
