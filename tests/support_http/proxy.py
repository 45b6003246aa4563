"""A way between the server and its store on which replies can be lost at the worst moment."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class Proxy:
    """Passes bytes on in both directions, except for what it was told to lose.

    `lose_reply(word)`: the next command that holds `word` is carried out by the store, and its connection ends instead of
    bringing the reply. `lose_command(word)`: it ends before the command reaches the store. `lost` is set when it happened.
    """

    def __init__(self, store_url: str) -> None:
        self._target = urlsplit(store_url)
        self._word = b""
        self._keep_command = True
        self._writers: list[asyncio.StreamWriter] = []
        self.lost = asyncio.Event()
        self.port = 0

    @property
    def url(self) -> str:
        """The address of the store by this way."""
        return self._target._replace(netloc=f":{self._target.password}@127.0.0.1:{self.port}").geturl()

    def lose_reply(self, word: str) -> None:
        self._word, self._keep_command = word.encode(), True
        self.lost.clear()

    def lose_command(self, word: str) -> None:
        self._word, self._keep_command = word.encode(), False
        self.lost.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        store_reader, store_writer = await asyncio.open_connection("127.0.0.1", self._target.port)
        self._writers += [writer, store_writer]
        doomed = asyncio.Event()
        with contextlib.suppress(OSError):
            await asyncio.gather(
                self._commands(reader, store_writer, writer, doomed),
                self._replies(store_reader, writer, doomed),
            )
        for end in (writer, store_writer):
            end.close()

    async def _commands(
        self,
        reader: asyncio.StreamReader,
        store_writer: asyncio.StreamWriter,
        writer: asyncio.StreamWriter,
        doomed: asyncio.Event,
    ) -> None:
        while data := await reader.read(1 << 16):
            if self._word and self._word in data:
                self._word = b""
                if not self._keep_command:
                    self.lost.set()
                    writer.transport.abort()
                    break
                doomed.set()
            store_writer.write(data)
            await store_writer.drain()
        store_writer.close()

    async def _replies(
        self, store_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, doomed: asyncio.Event
    ) -> None:
        while data := await store_reader.read(1 << 16):
            if doomed.is_set():
                self.lost.set()
                writer.transport.abort()
                return
            writer.write(data)
            await writer.drain()
        writer.close()

    async def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


@asynccontextmanager
async def proxy_to(store_url: str) -> AsyncIterator[Proxy]:
    """A proxy before the store at `redis://:password@127.0.0.1:port/0`."""
    proxy = Proxy(store_url)
    listener = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()
        await proxy.close()
