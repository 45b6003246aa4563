"""HTTP clients that tell a refused connection from a cut-off answer, which others hide by retrying."""

import asyncio
import select
import socket
from dataclasses import dataclass, field


class CutOffError(Exception):
    """A connection that was let in ended before the request that was sent on it was answered in full."""


class Connection:
    """One blocking connection to a server on this machine."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._file = self._socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (names in lower case) and body. Raises `CutOffError`."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self._file.readline()
            if not line:
                raise CutOffError(head)
            head += line
        first, *lines = head.decode("latin-1").splitlines()[:-1]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        body = self._file.read(length)
        if len(body) != length:
            raise CutOffError(head + body)
        return int(first.split()[1]), headers, body

    def ended(self) -> bool:
        """Waits for the end of the connection; whether nothing came before it."""
        return self._file.read() == b""

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def post(body: bytes, path: str = "/echo") -> bytes:
    """The bytes of a POST request."""
    return f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def get(path: str) -> bytes:
    """The bytes of a GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode()


@dataclass
class Tally:
    """What a crowd of clients saw; `reached` is set once `enough` requests were answered."""

    enough: int
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    answered: int = 0
    closed_politely: int = 0
    cut_off: list[str] = field(default_factory=list)


async def hammer(port: int, clients: int, tally: Tally, request: bytes) -> None:
    """Let clients ask as fast as they can, on connections they keep, until no connection can be had."""
    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(_hammer_one(port, number, tally, request))


async def _hammer_one(port: int, number: int, tally: Tally, request: bytes) -> None:
    for _ in range(1_000_000):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        try:
            await _ask_until_closed(reader, writer, tally, request)
        except (OSError, asyncio.IncompleteReadError) as error:
            tally.cut_off.append(f"client {number}: {error!r}")
        finally:
            writer.close()


async def _ask_until_closed(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tally: Tally, request: bytes
) -> None:
    for _ in range(1_000_000):
        # A server may end a connection on which nothing was asked; what follows was never let in.
        if reader.at_eof() or has_been_ended(writer):
            return
        writer.write(request)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        assert head.split()[1] == b"200", head
        tally.answered += 1
        if tally.answered >= tally.enough:
            tally.reached.set()
        if b"connection: close" in head:
            tally.closed_politely += 1
            return


def has_been_ended(writer: asyncio.StreamWriter) -> bool:
    """Whether the other side has ended the connection, though this process, which was busy, has not read of it yet."""
    poll = select.poll()
    poll.register(writer.get_extra_info("socket").fileno(), select.POLLRDHUP)
    return bool(poll.poll(0))
