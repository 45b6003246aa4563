"""Following streams: what XRANGE and XREAD answer, and a connection that waits for more."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from flashsale.store.client import Store
from flashsale.store.lane import Lane

Entry = tuple[bytes, dict[bytes, bytes]]
"""Id and fields."""


def entries_of(reply: Any) -> Iterator[Entry]:
    """The entries of a stream as a server answers them."""
    for entry_id, flat in reply or ():
        yield entry_id, dict(zip(flat[::2], flat[1::2], strict=True))


class Tail:
    """A connection of its own on which somebody waits for new entries of many streams."""

    def __init__(self, store: Store, *, timeout_s: float) -> None:
        self._lane = Lane(store.redis, timeout_s=timeout_s)
        self._one_at_a_time = asyncio.Lock()

    async def read(
        self, after: Mapping[str, str], *, block_ms: int, limit: int
    ) -> list[tuple[str, list[Entry]]]:
        """Entries of these streams behind these ids, at most `limit` each; waits up to `block_ms` for the first.

        Raises:
            StoreUnavailableError: no answer; `block_ms` has to be less than the timeout.
        """
        async with self._one_at_a_time:
            reply = await self._lane.command(
                "XREAD", "COUNT", limit, "BLOCK", block_ms, "STREAMS", *after, *after.values()
            )
        # RESP3 answers a map, RESP2 pairs.
        pairs = reply.items() if isinstance(reply, dict) else reply or ()
        return [(key.decode(), list(entries_of(entries))) for key, entries in pairs]

    async def close(self) -> None:
        """Closes the connection: whoever waits on it gets an error."""
        await self._lane.close()
