"""A program: localstripe on a free port of 127.0.0.1, its books in memory and empty; it prints its port and runs.

Around localstripe itself, which stays as it is:
- Of a PaymentIntent it knows neither `description` nor `allowed_payment_method_types` (Stripe's since 2026-07-29), and
  refuses what it does not know; here it keeps both.
- `GET /_config/calls` tells what was called, and with which idempotency key, of which localstripe takes no notice.
- `POST /_config/faults` prepares answers that localstripe never gives, of a call carried out or not.
- `POST /_config/offers` says which payment methods the account has switched on, `POST /_config/refunds/{id}` what has
  become of a refund.
- `DELETE /_config/everything` empties it, webhooks included.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from localstripe import resources, webhooks
from localstripe.server import app

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

calls: list[dict[str, Any]] = []
faults: list[dict[str, Any]] = []
offered: set[str] = set()
make_intent = resources.PaymentIntent.__init__


def make_newer_intent(
    self: Any, description: Any = None, allowed_payment_method_types: Any = None, **known: Any
) -> None:
    make_intent(self, **known)
    self.description = description
    # Stripe leaves out those that the account or the purchase does not allow.
    self.payment_method_types = [
        kind for kind in allowed_payment_method_types or ["card"] if not offered or kind in offered
    ]


def fault_of(request: web.Request) -> dict[str, Any] | None:
    for fault in faults:
        if fault["method"] == request.method and request.path.startswith(fault["path"]):
            faults.remove(fault)
            return fault
    return None


@web.middleware
async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.path.startswith("/_config/"):
        return await handler(request)
    form = await request.post() if request.method == "POST" else request.query
    calls.append(
        {
            "method": request.method,
            "path": request.path,
            "idempotency_key": request.headers.get("Idempotency-Key"),
            "version": request.headers.get("Stripe-Version"),
            "telemetry": request.headers.get("X-Stripe-Client-Telemetry"),
            "form": dict(form),
        }
    )
    fault = fault_of(request)
    if fault is not None and fault["captured_before"]:
        resources.PaymentIntent._api_capture(fault["captured_before"])
    answer = await handler(request) if fault is None or fault["carried_out"] else None
    if fault is None:
        assert answer is not None
        return answer
    if fault["status"] is None:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()
    return web.json_response({"error": fault["error"]}, status=fault["status"])


async def tell_calls(_request: web.Request) -> web.Response:
    return web.json_response(calls)


async def add_fault(request: web.Request) -> web.Response:
    faults.append(await request.json())
    return web.Response()


async def set_offers(request: web.Request) -> web.Response:
    offered.update(await request.json())
    return web.Response()


async def set_refund(request: web.Request) -> web.Response:
    resources.Refund._api_retrieve(request.match_info["id"]).status = (await request.json())["status"]
    return web.Response()


async def empty(_request: web.Request) -> web.Response:
    resources.store.clear()
    webhooks._webhooks.clear()
    for task in asyncio.all_tasks():
        if getattr(task.get_coro(), "__name__", "") == "_send_webhook":
            task.cancel()  # about what is no more
    calls.clear()
    faults.clear()
    offered.clear()
    return web.Response()


async def run() -> None:
    resources.PaymentIntent.__init__ = make_newer_intent
    # It would write its books to a file that every user of the machine shares, at each change.
    resources.Store.dump_to_disk = lambda _self: None
    app.middlewares.insert(0, watch)
    app.router.add_get("/_config/calls", tell_calls)
    app.router.add_post("/_config/faults", add_fault)
    app.router.add_post("/_config/offers", set_offers)
    app.router.add_post("/_config/refunds/{id}", set_refund)
    app.router.add_delete("/_config/everything", empty)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(run())
