"""A receiver of webhooks: checks who has sent them, keeps each once, and only then says that it has it.

    WEBHOOK_SECRET=whsec_... python webhook_receiver.py 8090    # then POST /v1/webhooks {"url": "http://.../orders"}

The check is that of the official library, `pip install standardwebhooks aiohttp`. A webhook that was not answered with 2xx
comes again, so the same one may come twice: by its `webhook-id` it is known.
"""

import json
import os
import sqlite3
import sys

from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

routes = web.RouteTableDef()
signed = Webhook(os.environ["WEBHOOK_SECRET"])
path = os.environ.get("WEBHOOK_DATABASE", "webhooks.sqlite")
database = sqlite3.connect(path, timeout=60, isolation_level=None)  # others may read it, and take their time
database.execute("PRAGMA synchronous = FULL")
database.execute("CREATE TABLE IF NOT EXISTS received (id TEXT PRIMARY KEY, event TEXT NOT NULL)")


@routes.post("/orders")
async def receive(request: web.Request) -> web.Response:
    body = await request.read()
    try:
        signed.verify(body, dict(request.headers))
    except WebhookVerificationError as error:
        return web.Response(status=401, text=f"{error}\n")
    kept = database.execute(
        "INSERT OR IGNORE INTO received VALUES (?, ?)", (request.headers["webhook-id"], body.decode())
    )
    if kept.rowcount:
        event = json.loads(body)
        print(event["type"], event["subject"], flush=True)
    return web.Response(status=204)


if __name__ == "__main__":
    app = web.Application(client_max_size=1024 * 1024)
    app.add_routes(routes)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]))
