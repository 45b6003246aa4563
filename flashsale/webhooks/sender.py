"""Sends one event to one receiver, once, within a time limit, and says what came of it."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

from flashsale import __version__
from flashsale.model.events import MEDIA_TYPE
from flashsale.webhooks.addresses import REFUSED, Guard, TargetRefusedError
from flashsale.webhooks.schedule import retry_after_s
from flashsale.webhooks.signing import signature

MOST_READ_BYTES: Final = 64 * 1024
"""Of an answer's body; with more, its connection is closed. Nothing of it is kept."""
MOST_READ_S: Final = 1.0
_CHUNK_BYTES: Final = 16 * 1024
_KEEP_ALIVE_S: Final = 4.0  # less than most servers keep a connection open
_GOOD: Final = range(200, 300)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What came of one try."""

    status: int | None
    """Of the answer; None when there was none."""
    error: str | None
    """Why it was no success, in words that hold no part of the address; None for a success."""
    retry_after_s: float | None
    at_ms: int
    """When it was begun, in milliseconds since the Unix epoch."""
    duration_ms: int

    @property
    def is_good(self) -> bool:
        """Whether the receiver has taken it."""
        return self.error is None


@dataclass(slots=True)
class _Heard:
    """What an answer has said so far."""

    status: int | None = None
    retry_after_s: float | None = None


class Sender:
    """Sends webhooks. It is made where it runs, in the loop, and closed there.

    `timeout_s` is for all of a try: name, connection, TLS, request and answer. Redirects are not followed, proxies of the
    environment not used.
    """

    def __init__(self, guard: Guard, *, timeout_s: float, clock: Callable[[], float] = time.time) -> None:
        self._timeout_s = timeout_s
        self._clock = clock
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,  # who sends bounds how much is under way, for each receiver by itself
                keepalive_timeout=_KEEP_ALIVE_S,
                resolver=guard.resolver(),
                socket_factory=guard.open_socket,
            ),
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=_CHUNK_BYTES,
        )

    async def close(self) -> None:
        """Closes all connections."""
        await self._session.close()

    async def send(self, url: str, secrets: Sequence[str], event_id: str, body: bytes) -> Receipt:
        """Sends an event, signed with each of the secrets. Whatever goes wrong is in what it answers."""
        now_s, began_s = self._clock(), time.monotonic()
        headers = {
            "Content-Type": MEDIA_TYPE,
            "User-Agent": f"flashsale/{__version__}",
            "Accept-Encoding": "identity",
            "webhook-id": event_id,
            "webhook-timestamp": str(int(now_s)),
            "webhook-signature": signature(secrets, event_id, int(now_s), body),
        }
        heard, error = _Heard(), None
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._post_again(url, headers, body, heard)
        except TimeoutError:
            error = f"no answer within {self._timeout_s:g} seconds"
        except (aiohttp.ClientError, OSError, ValueError) as failed:
            error = reason(failed)
        if heard.status is not None:  # whatever went wrong later
            error = None if heard.status in _GOOD else f"answered {heard.status}"
        duration_ms = round((time.monotonic() - began_s) * 1000)
        return Receipt(heard.status, error, heard.retry_after_s, round(now_s * 1000), duration_ms)

    async def _post_again(self, url: str, headers: dict[str, str], body: bytes, heard: "_Heard") -> None:
        """Posts it; once more when a connection turns out to have been closed at the other end while it was kept."""
        try:
            await self._post(url, headers, body, heard)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if isinstance(error, aiohttp.ClientConnectorError):
                raise  # there never was one
            await self._post(url, headers, body, heard)

    async def _post(self, url: str, headers: dict[str, str], body: bytes, heard: "_Heard") -> None:
        async with self._session.post(
            URL(url), data=body, headers=headers, allow_redirects=False
        ) as response:
            heard.status = response.status
            heard.retry_after_s = retry_after_s(response.headers.get("Retry-After"), self._clock())
            # The status has said it all; the rest is read only so that the connection can be used again.
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with asyncio.timeout(min(MOST_READ_S, self._timeout_s)):
                    await _read(response.content)


async def _read(content: aiohttp.StreamReader) -> None:
    left = MOST_READ_BYTES
    while left > 0 and (chunk := await content.read(min(left, _CHUNK_BYTES))):
        left -= len(chunk)


_REASONS: Final[tuple[tuple[tuple[type[Exception], ...], str], ...]] = (
    ((aiohttp.ClientConnectorDNSError,), "the host's name cannot be looked up"),
    ((aiohttp.ClientConnectorCertificateError,), "its certificate is not valid for this host"),
    ((aiohttp.ClientSSLError,), "TLS could not be agreed upon"),
    ((aiohttp.ServerDisconnectedError,), "the connection was closed without an answer"),
    ((aiohttp.ClientResponseError, aiohttp.ClientPayloadError), "what it answered is not HTTP"),
    ((aiohttp.InvalidURL,), "the address cannot be used"),
)


def reason(error: Exception) -> str:
    """Why there was no answer. The library's own words are left out: they may repeat the address."""
    for kinds, words in _REASONS:
        if isinstance(error, kinds):
            return words
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, TargetRefusedError):
        return REFUSED
    if isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:
        return f"no connection: {os.strerror(cause.errno)}"
    return "the connection was lost" if isinstance(cause, OSError) else f"fault: {type(cause).__name__}"
