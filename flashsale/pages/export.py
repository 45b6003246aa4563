"""The pages as a folder of files, for a CDN or any other host of static files.

    shop.html                 the page of every sale: the host answers /s/* with it
    console/index.html        only where it is wanted
    pages/<digest>/...        its files, to be kept for ever
    pages/config.json, pages/brand.css
    _headers, _redirects      written by the rules of Netlify and Cloudflare Pages; others are told the same in their own way

A folder that holds an earlier version keeps its files, as pages that are open still ask for them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from flashsale.pages.assets import CHART, FOR_EVER, Asset, Site

SHOP_FILE: Final = "shop.html"
"""Not s/index.html: Cloudflare Pages takes a rule that leads from /s/* to it for a loop, and ignores it."""
SHOP_PATH: Final = "/shop"
"""Under this name both hosts serve that file; Cloudflare Pages leads whoever names it with .html there, away from /s/*."""
CONSOLE_FILE: Final = "console/index.html"


def export(site: Site, folder: Path, *, console: bool = False) -> list[str]:
    """Write the site below `folder`; answers the paths of all files.

    The pages come last: one that somebody gets while this runs finds the files it asks for.

    Raises:
        OSError: something cannot be written.
    """
    left_out = () if console else ("console/", CHART)
    whole = {
        f"pages/{site.digest}/{name}": asset.body
        for name, asset in sorted(site.files.items())
        if not name.startswith(left_out)
    }
    whole |= {f"pages/{name}": asset.body for name, asset in sorted(site.loose.items())}
    whole["_headers"] = headers_file(site, console=console).encode()
    whole["_redirects"] = f"/s/*  {SHOP_PATH}  200\n".encode()
    if console:
        whole[CONSOLE_FILE] = site.console.body
    else:
        (folder / CONSOLE_FILE).unlink(
            missing_ok=True
        )  # of an earlier export: it would be served without its headers
    whole[SHOP_FILE] = site.shop.body
    for name, body in whole.items():
        _write(folder / name, body)
    return list(whole)


def headers_file(site: Site, *, console: bool) -> str:
    """The headers of each path in the form of Netlify and Cloudflare Pages."""
    rules: list[tuple[str, Mapping[str, str]]] = [
        (path, _page(site.shop)) for path in ("/s/*", SHOP_PATH, f"/{SHOP_FILE}")
    ]
    if console:
        rules += [(path, _page(site.console)) for path in ("/console", "/console/*")]
    kept = next(iter(site.files.values())).headers
    rules.append((f"/pages/{site.digest}/*", {**kept, "Cache-Control": FOR_EVER}))
    rules += [(f"/pages/{name}", _page(asset)) for name, asset in sorted(site.loose.items())]
    return "\n".join(
        f"{path}\n" + "".join(f"  {name}: {value}\n" for name, value in headers.items())
        for path, headers in rules
    )


def _page(asset: Asset) -> Mapping[str, str]:
    return {**asset.headers, "Cache-Control": asset.cache}


def _write(path: Path, body: bytes) -> None:
    """Replaces a file at once, so that nobody is served half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.new")
    beside.write_bytes(body)
    beside.replace(path)
