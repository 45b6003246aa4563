"""Handlers: what the operator of a server needs."""

import orjson
from aiohttp import web

from flashsale import metrics
from flashsale.api import problems, render
from flashsale.api.docs_page import CONTENT_SECURITY_POLICY
from flashsale.api.docs_page import render as render_docs
from flashsale.api.openapi import document
from flashsale.api.state import DRAIN, SHOP


async def healthz(_request: web.Request) -> web.Response:
    """GET /healthz: the process is alive, whatever the store is doing."""
    return render.json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """GET /readyz: the store answers and has the scripts, and this worker is not on its way out.

    503 `recovering` while the store as a whole is yet to be compared with the archive. A single sale that waits for its
    recovery changes nothing here: the others are served.
    """
    if request.app[DRAIN].active:
        raise problems.Problem(
            "unavailable",
            "The server is shutting down.",
            headers={"Retry-After": str(problems.RETRY_AFTER_S)},
        )
    await request.app[SHOP].store.ping()
    return render.json_response({"status": "ok"})


async def show_metrics(request: web.Request) -> web.Response:
    """GET /metrics: of all workers together."""
    shop = request.app[SHOP]
    shop.requests.hand_over(shop.reservations.waiting)
    return web.Response(body=metrics.render(), headers={"Content-Type": metrics.CONTENT_TYPE})


def add_description(app: web.Application) -> None:
    """Adds /openapi.json and /docs, which are made once: they do not change while the process runs."""
    openapi = document()
    as_json, page = orjson.dumps(openapi), render_docs(openapi).encode()

    async def openapi_json(_request: web.Request) -> web.Response:
        return web.Response(body=as_json, content_type="application/json")

    async def docs(_request: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
        return web.Response(body=page, content_type="text/html", charset="utf-8", headers=headers)

    app.router.add_get("/openapi.json", openapi_json)
    app.router.add_get("/docs", docs)
