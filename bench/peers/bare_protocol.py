"""The limit of an asyncio protocol: uvloop, one small class that parses the request and answers JSON; no store, no rule.

`python -m bench.peers.bare_protocol PORT`. It does the work on the socket that flashsale's fast lane does, and reads the
body; so it is what the fast lane would be if deciding cost nothing.
"""

import asyncio
import re
import signal
import sys
from typing import cast

import orjson
import uvloop

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
ANSWER = {
    "id": "giulia-milano.0.q83vEjRWeJASNFZ4",
    "sale": "giulia-milano",
    "status": "held",
    "customer": "customer-0000001",
    "place": 17,
    "amount": 33_000_000,
    "amount_due": 33_000_000,
    "currency": "CNY",
    "held_until": "2026-11-22T10:05:00.123Z",
}


class Echo(asyncio.Protocol):
    """Answers every request that is complete, in order, with the items it named."""

    def __init__(self) -> None:
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        answers = []
        while (end := data.find(b"\r\n\r\n")) >= 0:
            length = LENGTH.search(data, 0, end)
            after = end + 4 + (int(length[1]) if length else 0)
            if len(data) < after:
                break
            body = orjson.dumps(ANSWER | {"items": orjson.loads(data[end + 4 : after])["items"]})
            answers.append(
                b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (len(body), body)
            )
            data = data[after:]
        self._rest = data
        if answers:
            self._transport.write(b"".join(answers))


async def main(port: int) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    server = await loop.create_server(Echo, "127.0.0.1", port, backlog=4096)
    await ended.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
