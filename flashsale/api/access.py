"""Handlers: guests' tokens and API keys."""

import secrets
import time
from typing import Final

from aiohttp import web

from flashsale.api import bodies, callers, render
from flashsale.api.problems import Problem
from flashsale.api.state import SHOP
from flashsale.model.instants import to_rfc3339
from flashsale.store.api_keys import TooManyKeysError

GUEST_SECONDS: Final = 24 * 3600


async def guest(request: web.Request) -> web.Response:
    """POST /v1/guests."""
    shop = request.app[SHOP]
    if not shop.settings.guests:
        raise Problem("forbidden", "This shop has no guests: log in with the brand to get a token.")
    customer = f"guest-{secrets.token_hex(8)}"
    expires_ms = int((time.time() + GUEST_SECONDS) * 1000)
    token = shop.tokens.issue(customer, GUEST_SECONDS)
    answer = {"token": token, "customer": customer, "expires_at": to_rfc3339(expires_ms)}
    return render.json_response(answer, 201, {"Cache-Control": "no-store"})


async def create_key(request: web.Request) -> web.Response:
    """POST /v1/keys."""
    shop = request.app[SHOP]
    name, scopes = bodies.new_key(await bodies.read_object(request))
    await callers.require_root(request, shop)
    try:
        key, secret = await shop.api_keys.create(name, scopes)
    except TooManyKeysError:
        raise Problem("forbidden", "There are too many API keys; revoke those that nobody uses.") from None
    return render.json_response({**key.public(), "key": secret}, 201, {"Cache-Control": "no-store"})


async def list_keys(request: web.Request) -> web.Response:
    """GET /v1/keys."""
    shop = request.app[SHOP]
    await callers.require_root(request, shop)
    return render.json_response({"keys": [key.public() for key in await shop.api_keys.list()]})


async def revoke_key(request: web.Request) -> web.Response:
    """DELETE /v1/keys/{key}."""
    shop = request.app[SHOP]
    await callers.require_root(request, shop)
    if not await shop.api_keys.revoke(request.match_info["key"]):
        raise Problem("not_found", "There is no such API key.")
    return web.Response(status=204)
