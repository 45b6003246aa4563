"""Sockets of shoppers without an event loop: a handful of system calls a request, so that what is measured is the server.

A load generator in Python that spends as long on a request as the server does measures itself. Here a request is rendered
beforehand, sent by one `send` and its answer read by one `recv`; `select` on the epoll descriptor waits with microseconds,
where epoll's own timeout has milliseconds.
"""

import select
import socket
import time

READ_BYTES = 65536


class AnswerError(Exception):
    """A server closed a connection, or said what is no answer."""


class Shoppers:
    """Open keep-alive connections, each with at most one request on its way."""

    def __init__(self, port: int, count: int) -> None:
        self._epoll = select.epoll()
        self.sockets: dict[int, socket.socket] = {}
        self._parts: dict[int, bytes] = {}
        for _ in range(count):
            each = socket.create_connection(("127.0.0.1", port), timeout=30)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            each.setblocking(False)
            self.sockets[each.fileno()] = each
            self._epoll.register(each.fileno(), select.EPOLLIN)

    def send(self, number: int, request: bytes) -> None:
        """One request; it is small, and the socket's buffer empty, so it goes out whole."""
        sent = self.sockets[number].send(request)
        if sent != len(request):
            raise AnswerError(f"only {sent} of {len(request)} bytes went out")

    def wait(self, seconds: float) -> bool:
        """Whether something came within so many seconds."""
        return bool(select.select([self._epoll], [], [], max(0.0, seconds))[0])

    def answers(self, most: int = 256) -> list[tuple[int, int]]:
        """Of each connection that has its whole answer: which, and the status. Does not wait."""
        found = []
        for number, _ in self._epoll.poll(0, most):
            data = self._parts.pop(number, b"") + self.sockets[number].recv(READ_BYTES)
            if not data:
                raise AnswerError("the server closed a connection")
            if complete(data):
                found.append((number, int(data[9:12])))
            else:
                self._parts[number] = data
        return found

    def close(self) -> None:
        for each in self.sockets.values():
            each.close()
        self._epoll.close()


def complete(data: bytes) -> bool:
    """Whether this is a whole answer with a Content-Length. Raises AnswerError when it is too much or none."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = data[:end].lower()
    at = head.find(b"\r\ncontent-length:")
    if at < 0:
        raise AnswerError(f"an answer without a length: {data[:200]!r}")
    length = int(head[at + 17 :].split(b"\r\n", 1)[0])
    if len(data) > end + 4 + length:
        raise AnswerError(f"more than an answer: {data[:200]!r}")
    return len(data) == end + 4 + length


def now() -> float:
    """The clock of all figures here, in seconds."""
    return time.perf_counter()
