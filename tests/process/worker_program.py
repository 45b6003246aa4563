"""A small application behind the real HTTP worker, with handlers as slow as a test wants them.

python worker_program.py SOCKET_FD READY_FD PARENT_FD DRAIN_SECONDS
"""

import asyncio
import os
import socket
import sys

from aiohttp import web
from aiohttp.typedefs import Handler

from flashsale.logs import configure_logs
from flashsale.process.child import ParentWatch
from flashsale.process.http_worker import run_http_worker
from flashsale.settings import Settings

DRAINING: web.AppKey[list[bool]] = web.AppKey("draining", list)


@web.middleware
async def say_goodbye(request: web.Request, handler: Handler) -> web.StreamResponse:
    response = await handler(request)
    if request.app[DRAINING]:
        response.force_close()
    return response


async def echo(request: web.Request) -> web.Response:
    """Answers the body, after `ms` milliseconds."""
    body = await request.read()
    await asyncio.sleep(int(request.query.get("ms", "0")) / 1000)
    return web.Response(body=body)


async def stuck(_request: web.Request) -> web.Response:
    await asyncio.sleep(3600)
    return web.Response()


async def draining(request: web.Request) -> web.Response:
    return web.Response(text="yes" if request.app[DRAINING] else "no")


def make_app() -> web.Application:
    app = web.Application(middlewares=[say_goodbye])
    app[DRAINING] = []
    app.router.add_post("/echo", echo)
    app.router.add_get("/stuck", stuck)
    app.router.add_get("/draining", draining)
    return app


def main() -> None:
    socket_fd, ready_fd, parent_fd = map(int, sys.argv[1:4])
    configure_logs(Settings(log_format="json"), "worker")

    def tell_ready() -> None:
        os.write(ready_fd, b"+")
        os.close(ready_fd)

    run_http_worker(
        make_app,
        socket.socket(fileno=socket_fd),
        drain_seconds=float(sys.argv[4]),
        on_ready=tell_ready,
        on_drain=lambda app: app[DRAINING].append(True),
        parent=ParentWatch(parent_fd),
    )


if __name__ == "__main__":
    main()
