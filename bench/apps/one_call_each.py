"""flashsale's own server without batching: each request sends an EVALSHA of its own through redis-py, as people write it.

    python bench/apps/one_call_each.py PORT

Takes its settings from the environment, like `flashsale serve`. Everything but the way to the script is the same.
"""

import os
import sys
from collections.abc import Sequence

import uvloop
from aiohttp import web

from flashsale.api.app import build_app
from flashsale.keys import SaleKeys
from flashsale.scripts import calls
from flashsale.scripts.reserve import Batch, Claim, decode, encode
from flashsale.settings import load_settings
from flashsale.store.lane import Lane
from flashsale.store.sales import SaleStore


async def reserve(
    store: SaleStore, _lane: Lane, sale: str, claims: Sequence[Claim], *, now_ms: int = 0
) -> Batch:
    """`SaleStore.reserve` as one ordinary call of the library."""
    async with store._store.guard() as redis:  # noqa: SLF001 - this stands in for a method of it
        reply = await calls.run(redis, "reserve", SaleKeys.of(sale).book(), *encode(claims, now_ms))
    return decode(claims, reply)


def main(port: int) -> None:
    setattr(SaleStore, "reserve", reserve)  # noqa: B010 - the one difference; a plain assignment has another type
    env = os.environ | {"FLASHSALE_BATCH_LIMIT": "1", "FLASHSALE_BATCHES_IN_FLIGHT": "64"}
    app = build_app(load_settings(env))
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, loop=uvloop.new_event_loop())


if __name__ == "__main__":
    main(int(sys.argv[1]))
