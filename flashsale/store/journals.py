"""Where the journals of sales end."""

from collections.abc import Sequence
from typing import Any

from redis import exceptions

from flashsale.keys import SaleKeys
from flashsale.store.client import Store, explain


async def journal_ends(store: Store, sales: Sequence[str]) -> list[tuple[int, int] | None]:
    """Seq and instant (ms) of the last fact of each sale, trimmed or not; None where there is no journal.

    Raises:
        StoreUnavailableError: the store failed.
    """
    if not sales:
        return []
    async with store.guard() as redis:
        pipe = redis.pipeline(transaction=False)
        for sale in sales:
            # Of a stream that was trimmed to nothing, too, it knows the last entry.
            pipe.xinfo_stream(SaleKeys.of(sale).journal)
        found = await pipe.execute(raise_on_error=False)
    return [_end(info) for info in found]


def _end(info: Any) -> tuple[int, int] | None:
    if isinstance(info, exceptions.ResponseError) and "no such key" in str(info):
        return None
    if isinstance(info, Exception):
        raise explain(info) from info
    seq, _, at_ms = info["last-generated-id"].decode().partition("-")
    return int(seq), int(at_ms)
