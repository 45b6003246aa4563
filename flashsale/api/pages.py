"""Serves the shop page, the console and their files from memory: the crowd's first request asks no store."""

from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from flashsale.pages.assets import Asset, Site
from flashsale.settings import Settings

SHOP_PAGE: Final = "/s/"
CONSOLE: Final = "/console"
_NO_STORE: Final = "no-store"


def add_pages(app: web.Application, settings: Settings) -> None:
    """Adds the routes of the pages, unless the settings turn them off."""
    if not settings.pages:
        return
    site = Site.load(settings)
    # The same bytes for every sale: the page reads the sale from its own address, so that a CDN need not know of sales.
    app.router.add_get(SHOP_PAGE + "{sale:[^/]+}", _serve(site.shop))
    app.router.add_get(CONSOLE, _serve(site.console))
    for name, asset in site.loose.items():
        app.router.add_get(f"/pages/{name}", _serve(asset))

    async def file(request: web.Request) -> web.Response:
        asset = site.files.get(request.match_info["file"])
        if asset is None:
            raise web.HTTPNotFound
        # A page of another version asks here while servers are being replaced: nobody may keep what it gets.
        known = request.match_info["digest"] == site.digest
        return answer(request, asset, asset.cache if known else _NO_STORE)

    app.router.add_get("/pages/{digest:[^/]+}/{file:.+}", file)


def answer(request: web.Request, asset: Asset, cache: str) -> web.Response:
    """The file as this client takes it, or 304 when it has it already."""
    packed = asset.packed if takes_gzip(request.headers.getall("Accept-Encoding", [])) else None
    tag = f'"{asset.tag}-gzip"' if packed is not None else f'"{asset.tag}"'
    headers = {**asset.headers, "Cache-Control": cache, "ETag": tag}
    if asset.packed is not None:
        headers["Vary"] = "Accept-Encoding"
    if _has(request.headers.getall("If-None-Match", []), tag):
        return web.Response(status=304, headers=headers)
    headers["Content-Type"] = asset.media_type
    if packed is not None:
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=packed if packed is not None else asset.body, headers=headers)


def takes_gzip(fields: list[str]) -> bool:
    """Whether a client asks for gzip (RFC 9110, section 12.5.3); one that says nothing gets the plain file."""
    weights = {}
    for choice in ",".join(fields).split(","):
        coding, _, parameter = choice.partition(";")
        name, _, value = parameter.partition("=")
        try:
            weight = float(value) if name.strip().lower() == "q" else 1.0
        except ValueError:
            weight = 0.0
        weights[coding.strip().lower()] = weight
    wanted = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return 0 < wanted <= 1


def _has(fields: list[str], tag: str) -> bool:
    """Whether If-None-Match names this version, compared weakly (RFC 9110, section 13.1.2)."""
    named = [one.strip().removeprefix("W/") for one in ",".join(fields).split(",")]
    return tag in named or "*" in named


def _serve(asset: Asset) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        return answer(request, asset, asset.cache)

    return handler
