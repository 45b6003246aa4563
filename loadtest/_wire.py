"""One connection of a user, on which every request is sent exactly once.

Locust's own client sends a request again by itself when its connection was closed before the answer. Here just that has to
be seen: an answer that was lost. So requests go out on a connection of the user's own pool, but not through its `request`.
"""

import contextlib
from typing import Any, Final

import orjson
from _clock import monotonic_ms
from gevent import socket
from geventhttpclient._parser import HTTPParseError
from geventhttpclient.response import HTTPResponse
from geventhttpclient.url import URL
from locust import FastHttpUser

READ_BYTES: Final = 64 * 1024
PEEK: Final = int(socket.MSG_PEEK | socket.MSG_DONTWAIT)
FAILURES: Final = (OSError, HTTPParseError, ValueError)


class Response(HTTPResponse):
    """A response that is fed what has come, and has its body at hand: `read` of the library's own would ask a socket."""

    @property
    def body(self) -> bytes:
        """What there is of the body so far."""
        return bytes(self._body_buffer)


class Answer:
    """What came back; status 0 when nothing did, and `error` says why. Instants are of this machine's clock."""

    __slots__ = ("body", "error", "received_ms", "response", "sent_ms", "status")

    def __init__(self, sent_ms: float, received_ms: float, response: Response | None, error: str) -> None:
        self.sent_ms = sent_ms
        self.received_ms = received_ms
        self.response = response
        self.status: int = response.get_code() if response is not None else 0
        self.body: bytes = response.body if response is not None else b""
        self.error = error

    def fields(self) -> dict[str, Any]:
        """The JSON object of the body; empty when it is none."""
        try:
            found = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return {}
        return found if isinstance(found, dict) else {}

    def retry_after_s(self) -> float | None:
        """What the server asks to wait, in seconds."""
        text = self.response.get("retry-after") if self.response is not None else None
        try:
            return float(text) if isinstance(text, str) else None
        except ValueError:
            return None

    @property
    def took_ms(self) -> float:
        """From sending to the whole answer."""
        return self.received_ms - self.sent_ms

    def said(self) -> str:
        """For people: status, and the beginning of the body or what went wrong."""
        return f"{self.status} {self.body[:200].decode(errors='replace')}" if self.status else self.error


class Line:
    """A keep-alive connection to one host. One request at a time."""

    def __init__(self, user: FastHttpUser, base_url: str) -> None:
        """`user` gives its settings: time-outs, TLS, proxy."""
        url = URL(base_url)
        # The pool knows about TLS, proxies and time-outs; its client would send again by itself.
        self._pool = user.client.client.clientpool.get_client(url)._connection_pool  # noqa: SLF001 (the reason is above)
        default = {"http": 80, "https": 443}[url.scheme]
        host = f"[{url.host}]" if ":" in url.host else url.host
        self._host = host if url.port == default else f"{host}:{url.port}"
        self._prefix = url.path.rstrip("/")
        self._socket: socket.socket | None = None

    def render(self, method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
        """The bytes of a request. Names of headers are given with `_` for `-`."""
        lines = [f"{method} {self._prefix}{path} HTTP/1.1", f"Host: {self._host}"]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        elif method in {"POST", "PUT"}:
            lines.append("Content-Length: 0")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + body

    def connect(self) -> None:
        """Opens the connection if there is none, so that it is there when it counts.

        Raises:
            OSError: it cannot be opened.
        """
        if self._socket is not None and _ended(self._socket):
            self.close()
        if self._socket is None:
            self._socket = self._pool.get_socket()

    def ask(self, request: bytes) -> Answer:
        """Sends it once, and returns what came back."""
        sent_ms = monotonic_ms()
        try:
            self.connect()
            connection = self._socket
            assert connection is not None
            sent_ms = monotonic_ms()
            _send(connection, request)
            response = _read(connection)
        except FAILURES as fault:
            self.close()
            said = f"{type(fault).__name__}: {fault}".rstrip(": ")
            return Answer(sent_ms, monotonic_ms(), None, said)
        received_ms = monotonic_ms()
        if response.should_close():
            self.close()
        return Answer(sent_ms, received_ms, response, "")

    def close(self) -> None:
        """Closes the connection; the next request opens another."""
        if self._socket is not None:
            self._pool.release_socket(self._socket)
            self._socket = None


def _plain(connection: socket.socket) -> Any:
    """The system's own socket of a connection; None when TLS is in between."""
    return connection._sock if type(connection) is socket.socket else None  # noqa: SLF001 (gevent has no other way to it)


def _ended(connection: socket.socket) -> bool:
    """Whether the server has closed an idle connection, or sent what nobody asked for."""
    raw = _plain(connection)
    if raw is None:
        return False  # what is there to read may be no data
    try:
        raw.recv(1, PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _send(connection: socket.socket, request: bytes) -> None:
    """Sends it all. A request fits into the system's buffer, so one call mostly does it; `sendall` makes seven."""
    raw, sent = _plain(connection), 0
    if raw is not None:
        with contextlib.suppress(BlockingIOError):
            sent = raw.send(request)
    if sent < len(request):
        connection.sendall(request[sent:])


def _read(connection: socket.socket) -> Response:
    response = Response()
    while not response.message_complete or response.get_code() < 200:
        data = connection.recv(READ_BYTES)
        if not data:
            if response.headers_complete and not response.content_length:
                return response  # its end is the end of the connection
            raise ConnectionResetError("the connection was closed before the answer")
        response.feed(data)
    return response
