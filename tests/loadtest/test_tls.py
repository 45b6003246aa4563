"""A load test of a server behind TLS."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.loadtest.conftest import Serve
from tests.loadtest.runs import KEYS, SMALL, Run, arguments
from tests.support.certificate import write_certificate

pytestmark = pytest.mark.long


@asynccontextmanager
async def behind_tls(port: int, certificate: Path, key: Path) -> AsyncIterator[str]:
    """Speaks TLS in front of a server of this machine; the URL."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(2**16):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pass_on(reader, inner_writer), pass_on(inner_reader, writer))

    server = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_server_behind_tls_is_loaded_and_judged(serve: Serve, tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    port = int(serve(None).url.rpartition(":")[2])
    async with behind_tls(port, certificate, key) as url:
        env = {**KEYS, "REQUESTS_CA_BUNDLE": os.fspath(certificate)}
        run = Run(tmp_path / "load", ["--headless", "-H", url, *arguments(SMALL)], env)
        try:
            outcome = await asyncio.to_thread(run.outcome)
        finally:
            run.program.end()
    assert outcome.exit_code == 0, outcome.said + outcome.log
    assert outcome.evidence["told"]["pressed"] == SMALL["users"]
