"""The crowd's process, as the parent sees it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from flashsale.demo.messages import FromCrowd, ToCrowd, decode_from_crowd, encode

LINE_BYTES_MAX = 64 * 1024 * 1024


class CrowdError(Exception):
    """The crowd ended before it had said everything, or said something else than was expected."""


class CrowdProcess:
    """A crowd that is running: lines to it, lines from it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def tell(self, message: ToCrowd) -> None:
        """Send the crowd one message."""
        if self._process.stdin is None:
            raise CrowdError("the crowd has no standard input")
        self._process.stdin.write(encode(message))
        await self._process.stdin.drain()

    async def hear(self) -> FromCrowd:
        """The next message of the crowd. Raises CrowdError when there is none to come."""
        if self._process.stdout is None:
            raise CrowdError("the crowd has no standard output")
        line = await self._process.stdout.readline()
        if not line:
            raise CrowdError(
                f"the crowd ended with exit code {await self._process.wait()} before it was done"
            )
        try:
            return decode_from_crowd(line)
        except msgspec.DecodeError as fault:
            raise CrowdError(f"the crowd said {line[:200]!r}: {fault}") from fault


@asynccontextmanager
async def crowd_process(environment: dict[str, str]) -> AsyncIterator[CrowdProcess]:
    """Start a crowd; it is ended afterwards, in any case."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "flashsale.demo.crowd"),
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_BYTES_MAX,
        start_new_session=True,
    )
    try:
        yield CrowdProcess(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
