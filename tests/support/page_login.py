"""A brand's own login on an origin of its own: a page to log in on, and the endpoint where the shop's page gets its tokens.

The brand knows its customers by a cookie named `session`. The shop's page never sees it: it asks `/token` with credentials,
and gets a token of the customer, or 401.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape
from typing import Final

from aiohttp import web

from tests.support_http.client import token

COOKIE: Final = "session"


class Login:
    """The brand's side. `lasts_s` is how long a token is good; `asked` counts how often one was asked for."""

    def __init__(self) -> None:
        self.url = ""
        self.lasts_s = 3600
        self.asked = 0

    @property
    def env(self) -> dict[str, str]:
        """The settings of a shop that uses it."""
        return {
            "FLASHSALE_GUESTS": "0",
            "FLASHSALE_PAGES_TOKEN_URL": f"{self.url}/token",
            "FLASHSALE_PAGES_LOGIN_URL": f"{self.url}/login",
        }

    def cookie(self, customer: str) -> dict[str, str]:
        """What the browser of a customer who has logged in keeps, in Playwright's words."""
        return {"name": COOKIE, "value": customer, "url": self.url}

    async def _token(self, request: web.Request) -> web.Response:
        self.asked += 1
        allowed = {
            "Access-Control-Allow-Origin": request.headers.get("Origin", ""),
            "Access-Control-Allow-Credentials": "true",
            "Vary": "Origin",
            "Cache-Control": "no-store",
        }
        customer = request.cookies.get(COOKIE)
        if not customer:
            return web.json_response({"error": "log in"}, status=401, headers=allowed)
        claims = token(customer, exp=int(time.time()) + self.lasts_s)
        return web.json_response({"token": claims}, headers=allowed)

    async def _form(self, request: web.Request) -> web.Response:
        back = escape(request.query.get("return_to", ""))
        text = (
            '<!doctype html><html lang="en"><title>Log in</title><link rel="icon" href="data:,">'
            f'<form method="post"><input type="hidden" name="return_to" value="{back}">'
            '<label>Name <input name="customer"></label><button>Log in</button></form></html>'
        )
        return web.Response(text=text, content_type="text/html")

    async def _log_in(self, request: web.Request) -> web.Response:
        form = await request.post()
        answer = web.Response(status=303, headers={"Location": str(form["return_to"])})
        answer.set_cookie(COOKIE, str(form["customer"]), httponly=True, samesite="Lax")
        return answer


@asynccontextmanager
async def login_page() -> AsyncIterator[Login]:
    """A brand's login on a port of its own."""
    login = Login()
    app = web.Application()
    app.router.add_get("/token", login._token)
    app.router.add_get("/login", login._form)
    app.router.add_post("/login", login._log_in)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        login.url = "http://{}:{}".format(*runner.addresses[0][:2])
        yield login
    finally:
        await runner.cleanup()
