"""flashsale's own server without batching: each request sends an EVALSHA of its own through redis-py, as people write it.

    python bench/apps/one_call_each.py PORT

Takes its settings from the environment, like `flashsale serve`. Everything but the way to the script is the same.
"""

import os
import sys
from collections.abc import Sequence
from unittest.mock import patch

import uvloop
from aiohttp import web

from flashsale.api.app import build_app
from flashsale.keys import SaleKeys
from flashsale.scripts import calls
from flashsale.scripts.reserve import Batch, Claim, decode, encode
from flashsale.settings import load_settings
from flashsale.store.lane import Lane
from flashsale.store.sales import SaleStore


class OneCallEach(SaleStore):
    """The one difference."""

    async def reserve(self, _lane: Lane, sale: str, claims: Sequence[Claim], *, now_ms: int = 0) -> Batch:
        """One ordinary call of the library."""
        async with self._store.guard() as redis:
            reply = await calls.run(redis, "reserve", SaleKeys.of(sale).book(), *encode(claims, now_ms))
        return decode(claims, reply)


def main(port: int) -> None:
    env = os.environ | {"FLASHSALE_BATCH_LIMIT": "1", "FLASHSALE_BATCHES_IN_FLIGHT": "64"}
    loop = uvloop.new_event_loop()
    with patch("flashsale.api.app.SaleStore", OneCallEach):
        app = build_app(load_settings(env))
        web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, loop=loop)


if __name__ == "__main__":
    main(int(sys.argv[1]))
