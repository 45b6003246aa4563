"""A brand's own login for the shop page: people log in here, and the page gets their tokens at /token.

    pip install aiohttp pyjwt
    export SHOP_ORIGIN=http://127.0.0.1:8080 FLASHSALE_SHOPPER_SECRET=...      # the secret is the server's
    python token_endpoint.py 8090

    flashsale serve --embedded --pages-token-url http://127.0.0.1:8090/token --pages-login-url http://127.0.0.1:8090/login

Who is logged in is known by a cookie of this host, which the shop's page cannot see and has no need of. For the browser
to send it along, both hosts must be of one site: shop.example.com and login.example.com are.
"""

import os
import sys
import time
from urllib.parse import urlsplit

import jwt
from aiohttp import web

SECRET = os.environ["FLASHSALE_SHOPPER_SECRET"]
SHOP = os.environ["SHOP_ORIGIN"]
SESSION_SECONDS, TOKEN_SECONDS = 86_400, 900

FORM = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Log in</title>
<form method="post"><label>Name <input name="name" autocomplete="username" required></label><button>Log in</button></form>"""


def signed(customer: str, audience: str, seconds: int) -> str:
    """A text that says who it is, for so long, and to whom."""
    claims = {"sub": customer, "aud": audience, "exp": int(time.time()) + seconds}
    return jwt.encode(claims, SECRET, algorithm="HS256")


async def token(request: web.Request) -> web.Response:
    """GET /token: `{"token": ...}` for the shop's page, or 401, upon which it offers to log in."""
    # Only the shop's page may read the answer: any other page that asks with the visitor's cookie gets nothing to see.
    headers = {
        "Access-Control-Allow-Origin": SHOP,
        "Access-Control-Allow-Credentials": "true",
        "Cache-Control": "no-store",
        "Vary": "Origin",
    }
    try:
        session = jwt.decode(
            request.cookies.get("session", ""), SECRET, algorithms=["HS256"], audience="login"
        )
    except jwt.InvalidTokenError:
        return web.json_response({"error": "log in first"}, status=401, headers=headers)
    return web.json_response({"token": signed(session["sub"], "flashsale", TOKEN_SECONDS)}, headers=headers)


async def form(_request: web.Request) -> web.Response:
    """GET /login?return_to=..."""
    return web.Response(text=FORM, content_type="text/html")


async def log_in(request: web.Request) -> web.Response:
    """POST /login: a real one asks for more than a name, and makes sure that it is that person's."""
    name = str((await request.post()).get("name", "")).strip()
    if not 1 <= len(name.encode()) <= 256:
        return web.Response(text=FORM, content_type="text/html", status=400)
    back = request.query.get("return_to", "")
    parts = urlsplit(back)
    # Nowhere but to the shop: otherwise a link to this login could lead to a copy of it.
    answer = web.Response(
        status=303, headers={"Location": back if f"{parts.scheme}://{parts.netloc}" == SHOP else SHOP}
    )
    secure = request.headers.get("X-Forwarded-Proto", request.scheme) == "https"
    answer.set_cookie(
        "session",
        signed(name, "login", SESSION_SECONDS),
        httponly=True,
        samesite="Lax",
        secure=secure,
        path="/",
    )
    return answer


app = web.Application()
app.add_routes([web.get("/token", token), web.get("/login", form), web.post("/login", log_in)])

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
