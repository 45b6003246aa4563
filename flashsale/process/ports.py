"""A free loopback port for a server that another program opens."""

import socket
import sys
from types import TracebackType
from typing import Self

LOOPBACK = "127.0.0.1"


class ReservedPort:
    """A port on 127.0.0.1 that was free, and stays ours while this object is open.

    On Linux the reservation is a bound socket that never listens. It keeps the kernel from giving the port to
    anyone who asks for any port, an outgoing connection included; without it, a client that tries to
    reconnect to a server that is away can be given that very port for its own end, connect to itself and
    block the server's return. A program that sets SO_REUSEADDR, as Valkey and Redis do, can still listen on
    it. Other systems refuse that; there the port is only looked for, and the caller tries again if need be.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.bind((LOOPBACK, 0))
        # Set after the bind: set before, the kernel might choose a port that another reservation holds.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.port: int = self._socket.getsockname()[1]
        if not sys.platform.startswith("linux"):
            self._socket.close()

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
