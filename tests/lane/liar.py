"""A server that is not quite like the other one: a way to it on which its answers are changed."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from tests.lane.transcript import next_answer

Lie = Callable[[int, bytes], bytes | None]
"""What becomes of an answer, given its number on the connection (from 0) and its bytes; None ends the connection instead."""


def swap(old: bytes, new: bytes) -> Lie:
    """The first place where something stands."""
    return lambda _, raw: raw.replace(old, new, 1)


def without(header: bytes) -> Lie:
    """An answer lacks a header."""
    return lambda _, raw: re.sub(rb"\r\n%b: [^\r]*" % header, b"", raw, count=1, flags=re.IGNORECASE)


def longer(old: bytes, new: bytes) -> Lie:
    """A body with something else in it, and the length it has then."""

    def told(_: int, raw: bytes) -> bytes:
        head, body = raw.split(b"\r\n\r\n", 1)
        changed = body.replace(old, new, 1)
        length = b"Content-Length: %d" % len(changed)
        return re.sub(rb"Content-Length: \d+", length, head, count=1) + b"\r\n\r\n" + changed

    return told


LIES: Final[dict[str, Lie]] = {
    "another status": swap(b" 201 ", b" 200 "),
    "another reason": swap(b"Created", b"OK"),
    "another version": swap(b"HTTP/1.1", b"HTTP/1.0"),
    "no Date": without(b"Date"),
    "no Server": without(b"Server"),
    "another Server": swap(b"aiohttp", b"httpaio"),
    "no Location": without(b"Location"),
    "another reservation in Location": swap(b"Location: /v1/reservations/", b"Location: /v1/reservations/x"),
    "another type": swap(b"Content-Type: application/json", b"Content-Type: text/json"),
    "a charset": swap(b"application/json", b"application/json; charset=utf-8"),
    "no type": without(b"Content-Type"),
    "no challenge": without(b"WWW-Authenticate"),
    "a header more": swap(b"\r\nDate", b"\r\nX-Lane: fast\r\nDate"),
    "a header twice": swap(b"\r\nServer", b"\r\nServer: x\r\nServer"),
    "keep-alive said": swap(b"\r\nDate", b"\r\nConnection: keep-alive\r\nDate"),
    "close said": swap(b"\r\nDate", b"\r\nConnection: close\r\nDate"),
    "another amount": swap(b'"amount":33000000', b'"amount":33000001'),
    "another customer": swap(b'"customer":"', b'"customer":"x'),
    "fields in another order": swap(
        b'"late":false,"payment_schedule"', b'"payment_schedule":null,"late":false'
    ),
    "a space in the JSON": longer(b":", b": "),
    "a field less": longer(b',"payment":null', b""),
    "a number as text": longer(b'"place":', b'"place":"x",'),
    "an instant without milliseconds": swap(b'Z"', b'+"'),
    "another code": swap(b'"code":"unauthenticated"', b'"code":"forbidden______"'),
    "another detail": longer(b"detail", b"details"),
    "each answer twice": lambda _, raw: raw + raw,
    "no answer to the first": lambda number, raw: b"" if number == 0 else raw,
    "no answer to the second": lambda number, raw: b"" if number == 1 else raw,
    "closed instead of the first answer": lambda number, raw: None if number == 0 else raw,
    "closed instead of the second answer": lambda number, raw: None if number == 1 else raw,
    "something behind the answer": lambda _, raw: raw + b"\r\n",
    "an answer cut short": lambda _, raw: raw[:-1],
    "bare line ends": lambda _, raw: raw.replace(b"\r\n", b"\n"),
    "100 Continue first": lambda _, raw: b"HTTP/1.1 100 Continue\r\n\r\n" + raw,
}


class Liar:
    """Passes requests on as they are; `lie` is told on connections that begin with a POST, so that others can be trusted.

    `twice`: whatever is sent on such a connection is sent twice, and the answers to the second time are kept back.
    """

    def __init__(self, port: int, lie: Lie, *, twice: bool = False) -> None:
        self._target = port
        self._lie = lie
        self._twice = twice
        self._ends: list[asyncio.StreamWriter] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        there, onward = await asyncio.open_connection("127.0.0.1", self._target)
        self._ends += [writer, onward]
        with suppress(OSError):
            first = await reader.read(1 << 20)
            liar = first.startswith(b"POST")
            if liar and self._twice:
                first += first
            onward.write(first)
            lie = self._lie if liar else (lambda _, raw: raw)
            await asyncio.gather(
                _pass_on(reader, onward), self._answers(there, writer, lie, twice=liar and self._twice)
            )
        for end in (writer, onward):
            end.close()

    async def _answers(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lie: Lie, *, twice: bool
    ) -> None:
        waiting, number = b"", 0
        while data := await reader.read(1 << 20):
            waiting += data
            while (found := next_answer(waiting)) is not None:
                raw, waiting = waiting[: found[1]], waiting[found[1] :]
                told = b"" if twice and number == 1 else lie(number, raw)
                number += 1
                if told is None:
                    writer.transport.abort()
                    return
                writer.write(told)
        writer.close()

    def close(self) -> None:
        """Ends every connection."""
        for end in self._ends:
            end.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 20):
        writer.write(data)
    writer.close()


@asynccontextmanager
async def liar_before(port: int, lie: Lie, *, twice: bool = False) -> AsyncIterator[Liar]:
    """A server at a port that tells a lie."""
    liar = Liar(port, lie, twice=twice)
    listener = await asyncio.start_server(liar.serve, "127.0.0.1", 0)
    liar.port = listener.sockets[0].getsockname()[1]
    try:
        yield liar
    finally:
        listener.close()
        liar.close()
