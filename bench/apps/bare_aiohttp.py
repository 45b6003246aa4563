"""The framework's own limit: an aiohttp handler that parses the same request and answers JSON of the same size.

python bench/apps/bare_aiohttp.py PORT
"""

import sys

import orjson
import uvloop
from aiohttp import web

ANSWER = {
    "id": "giulia-milano.0.q83vEjRWeJASNFZ4",
    "sale": "giulia-milano",
    "status": "held",
    "customer": "customer-0000001",
    "items": [{"sku": "giulia", "quantity": 1}],
    "place": 17,
    "amount": 33_000_000,
    "amount_due": 3_300_000,
    "currency": "CNY",
    "held_until": "2026-11-22T10:05:00.123Z",
}


async def reserve(request: web.Request) -> web.Response:
    body = orjson.loads(await request.read())
    answer = ANSWER | {"items": body["items"]}
    return web.Response(body=orjson.dumps(answer), status=201, content_type="application/json")


def main(port: int) -> None:
    app = web.Application()
    app.router.add_post("/v1/sales/{sale}/reservations", reserve)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, loop=uvloop.new_event_loop())


if __name__ == "__main__":
    main(int(sys.argv[1]))
