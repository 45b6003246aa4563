"""The stream of a sale's refused tries. It may be lost, and is cut where it gets too long: nothing is decided by it."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from redis.exceptions import ResponseError

from flashsale import keys
from flashsale.store.client import Store, explain_reply
from flashsale.store.lane import Lane
from flashsale.store.streams import entries_of

KEPT_MS: Final = 30 * 24 * 3600 * 1000
"""How long the notes of a sale stay after the last one."""
MOST_BYTES: Final = 32 * 1024 * 1024
"""Of one sale, about: half a million customers who were refused. The oldest notes make room."""
MOST_ENTRIES: Final = 50_000
_TO: Final = 0.75
"""What is too long is cut to this share, so that it need not be cut again at once."""
_PAGE: Final = 64
_MEMORY_UNKNOWN: Final = ("unknown command", "NOPERM", "unknown subcommand")


class AttemptStore:
    """Every method may raise `StoreUnavailableError`."""

    def __init__(self, store: Store, *, timeout_s: float = 2.0) -> None:
        # A connection of its own: nobody who buys waits behind it.
        self._lane = Lane(store.redis, timeout_s=timeout_s)
        self._store = store

    async def add(self, sale: str, batches: Sequence[bytes]) -> None:
        """Adds packed batches."""
        key = keys.refused(sale)
        added: list[tuple[str | bytes | int, ...]] = [
            ("XADD", key, "MAXLEN", "~", MOST_ENTRIES, "*", "notes", batch) for batch in batches
        ]
        await self._lane.commands([*added, ("PEXPIRE", key, KEPT_MS)])

    async def cut(self, sale: str) -> int:
        """Removes the oldest batches while they take more than `MOST_BYTES`; how many."""
        key = keys.refused(sale)
        async with self._store.guard() as redis:
            try:
                size: Any = await redis.memory_usage(key)
            except ResponseError as error:
                if any(word in str(error) for word in _MEMORY_UNKNOWN):
                    return 0  # then there is the limit of `add`
                raise explain_reply(str(error)) from error
            if not size or size <= MOST_BYTES:
                return 0
            left = int(await redis.xlen(key) * _TO * MOST_BYTES / size)
            return int(await redis.xtrim(key, maxlen=left, approximate=False))

    async def all(self, sale: str) -> AsyncIterator[list[tuple[int, bytes]]]:
        """All batches, each with the store's clock when it came, a page at a time, the oldest first."""
        after = "-"
        while True:
            reply = await self._lane.command("XRANGE", keys.refused(sale), after, "+", "COUNT", _PAGE)
            page = list(entries_of(reply))
            if page:
                yield [(int(entry.partition(b"-")[0]), fields.get(b"notes", b"")) for entry, fields in page]
            if len(page) < _PAGE:
                return
            after = f"({page[-1][0].decode()}"

    async def was_cut(self, sale: str) -> bool:
        """Whether there were more batches than there are."""
        async with self._store.guard() as redis:
            try:
                info: Any = await redis.xinfo_stream(keys.refused(sale))
            except ResponseError as error:
                if "no such key" in str(error):
                    return False
                raise
        return int(info.get("entries-added", info["length"])) > int(info["length"])

    async def close(self) -> None:
        """Closes its connection."""
        await self._lane.close()
