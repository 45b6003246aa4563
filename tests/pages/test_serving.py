"""How the pages are handed out: whole, packed, to caches for as long as is right, under a strict policy, without a store."""

import gzip
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from yarl import URL

from flashsale.pages.assets import CHART, Site
from flashsale.settings import load_settings
from tests.support_http.server import app_on

pytestmark = pytest.mark.asyncio(loop_scope="module")

NO_STORE = "redis://127.0.0.1:1"
"""Nobody answers there: whatever is served all the same does not ask the store."""
BRAND = "body { --fs-accent: #c00; }\n"
SITE = Site.load(load_settings({}))
SCRIPT = "common/icon.svg"
FILES = "/pages/DIGEST"
"""Stands for the folder of this version, which may not be part of a test's name: it is another one with every change."""


@dataclass
class Seen:
    """One answer, its body as it was sent."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Browser:
    """Asks as it is told, and unpacks nothing."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url, self._session = url, session

    async def get(self, path: str, *, method: str = "GET", **headers: str) -> Seen:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        url = URL(self._url + path.replace(FILES, f"/pages/{SITE.digest}"), encoded=True)
        async with self._session.request(method, url, headers=sent) as answer:
            return Seen(answer.status, answer.headers, await answer.read())


@asynccontextmanager
async def browsing(**env: str) -> AsyncIterator[Browser]:
    """A browser of a server with these settings."""
    options: dict[str, Any] = {"auto_decompress": False, "skip_auto_headers": ["Accept-Encoding"]}
    settings = {f"FLASHSALE_{name}": value for name, value in env.items()}
    async with app_on(NO_STORE, settings) as url, aiohttp.ClientSession(**options) as session:
        yield Browser(url, session)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A browser of a server as it is unless told otherwise; nothing that it asks changes anything there."""
    async with browsing() as browser:
        yield browser


def problem(seen: Seen) -> str:
    assert seen.headers["Content-Type"] == "application/problem+json", seen
    return str(json.loads(seen.body)["code"])


async def test_the_store_is_not_asked(browser: Browser) -> None:
    assert (await browser.get("/v1/sales/giulia")).status == 503
    for path in ("/s/giulia", "/console", f"{FILES}/{SCRIPT}", "/pages/config.json"):
        assert (await browser.get(path)).status == 200


async def test_every_sale_has_the_same_page(browser: Browser) -> None:
    seen = [
        await browser.get(f"/s/{sale}") for sale in ("giulia", "another-1", "%FF", "%3Cscript%3E", "x" * 500)
    ]
    assert {each.body for each in seen} == {SITE.shop.body}
    for each in seen:
        assert each.headers["Content-Type"] == "text/html; charset=utf-8"
        assert each.headers["Cache-Control"] == "public, max-age=60"
        assert each.headers["Vary"] == "Accept-Encoding"
    assert b"{{" not in SITE.shop.body + SITE.console.body


async def test_the_console(browser: Browser) -> None:
    seen = await browser.get("/console")
    assert (seen.status, seen.body) == (200, SITE.console.body)
    assert seen.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("name", sorted(SITE.files))
async def test_each_file_can_be_kept_for_ever(browser: Browser, name: str) -> None:
    path = f"{FILES}/{name}"
    plain, packed = await browser.get(path), await browser.get(path, Accept_Encoding="br, gzip")
    assert plain.status == packed.status == 200
    assert plain.body == SITE.files[name].body
    unpacked = (
        gzip.decompress(packed.body) if packed.headers.get("Content-Encoding") == "gzip" else packed.body
    )
    assert unpacked == plain.body
    assert "Content-Encoding" not in plain.headers
    assert (packed.headers["ETag"] != plain.headers["ETag"]) == (packed.body != plain.body)
    for each in (plain, packed):
        assert each.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert each.headers["X-Content-Type-Options"] == "nosniff"
        assert each.headers["Content-Length"] == str(len(each.body))


async def test_a_page_of_another_version_gets_the_file_of_this_one_and_nobody_keeps_it(
    browser: Browser,
) -> None:
    seen = await browser.get(f"/pages/0123456789abcdef/{SCRIPT}")
    assert (seen.status, seen.body) == (200, SITE.files[SCRIPT].body)
    assert seen.headers["Cache-Control"] == "no-store"


async def test_the_charting_library_comes_from_its_package(browser: Browser) -> None:
    seen = await browser.get(f"{FILES}/{CHART}")
    assert seen.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert b"Chart.js" in seen.body


@pytest.mark.parametrize("path", ["/s/giulia", "/console", f"{FILES}/{SCRIPT}", "/pages/brand.css"])
@pytest.mark.parametrize("coding", ["identity", "gzip"])
async def test_what_a_browser_has_is_not_sent_again(browser: Browser, path: str, coding: str) -> None:
    first = await browser.get(path, Accept_Encoding=coding)
    tag = first.headers["ETag"]
    for named in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = await browser.get(path, Accept_Encoding=coding, If_None_Match=named)
        assert (again.status, again.body) == (304, b"")
        for header in ("ETag", "Cache-Control", "Vary", "Content-Security-Policy"):
            assert again.headers.get(header) == first.headers.get(header)
        assert "Content-Type" not in again.headers
    for other in ('"other"', tag.strip('"'), ""):
        again = await browser.get(path, Accept_Encoding=coding, If_None_Match=other)
        assert (again.status, again.body) == (200, first.body)


@pytest.mark.parametrize("path", ["/s/giulia", "/console", f"{FILES}/{SCRIPT}", "/pages/config.json"])
async def test_head_says_the_same_without_the_body(browser: Browser, path: str) -> None:
    for coding in ("identity", "gzip"):
        whole = await browser.get(path, Accept_Encoding=coding)
        head = await browser.get(path, method="HEAD", Accept_Encoding=coding)
        assert (head.status, head.body) == (200, b"")
        names = set(whole.headers) - {"Date"}
        assert {name: head.headers.get(name) for name in names} == {
            name: whole.headers[name] for name in names
        }


@pytest.mark.parametrize(
    "path",
    [
        "/s", "/s/", "/s/a/b", "/console/", "/console/x", "/pages", "/pages/", "/pages/x", "/pages/x/",
        f"{FILES}", f"{FILES}/", f"{FILES}/nothing.js", f"{FILES}/shop.html", f"{FILES}/../assets.py",
        f"{FILES}/..%2Fassets.py", f"{FILES}/%2e%2e/policy.py", f"{FILES}//etc/passwd",
        "/pages/../../etc/passwd", f"{FILES}/common/../../assets.py", f"{FILES}/%00", f"{FILES}/%FF",
        f"{FILES}/{SCRIPT}/", f"{FILES}/common", "/pages/config.json/", "/", "/favicon.ico",
    ],
)  # fmt: skip
async def test_there_is_nothing_else(browser: Browser, path: str) -> None:
    seen = await browser.get(path)
    assert (seen.status, problem(seen)) == (404, "not_found")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_pages_are_only_read(browser: Browser, method: str) -> None:
    for path in ("/s/giulia", "/console", f"{FILES}/{SCRIPT}", "/pages/config.json"):
        seen = await browser.get(path, method=method)
        assert (seen.status, problem(seen)) == (405, "method_not_allowed")


async def test_pages_can_be_turned_off() -> None:
    async with browsing(PAGES="0") as browser:
        for path in (
            "/s/giulia",
            "/console",
            f"{FILES}/{SCRIPT}",
            "/pages/config.json",
            "/pages/brand.css",
        ):
            seen = await browser.get(path)
            assert (seen.status, problem(seen)) == (404, "not_found")


async def test_what_the_pages_are_told(browser: Browser) -> None:
    seen = await browser.get("/pages/config.json")
    assert seen.headers["Cache-Control"] == "public, max-age=60"
    told = json.loads(seen.body)
    languages = told.pop("languages")
    assert told == {
        "api": "", "guests": False, "token_url": None, "login_url": None, "brand": "", "stripe": False, "poll_seconds": 5,
    }  # fmt: skip
    assert [each["code"] for each in languages] == sorted(
        [
            name.removeprefix("locales/").removesuffix(".json")
            for name in SITE.files
            if name.startswith("locales/")
        ],
        key=lambda code: (code != "en", code),
    )


ALL_TOLD = {
    "GUESTS": "1",
    "PAGES_BRAND": "Milano </script> Motors",
    "PAGES_API_URL": "https://api.example.com/",
    "PAGES_TOKEN_URL": "https://login.example.com:8443/token/",
    "PAGES_LOGIN_URL": "/login",
    "PAGES_POLL_SECONDS": "9",
}


async def test_what_the_settings_say_is_told() -> None:
    async with browsing(**ALL_TOLD) as browser:
        told = json.loads((await browser.get("/pages/config.json")).body)
        told.pop("languages")
        assert told == {
            "api": "https://api.example.com",
            "guests": True,
            "token_url": "https://login.example.com:8443/token/",
            "login_url": "/login",
            "brand": "Milano </script> Motors",
            "stripe": False,
            "poll_seconds": 9,
        }
        for path, origins in (
            ("/s/x", "https://api.example.com https://login.example.com:8443"),
            ("/console", "https://api.example.com"),
        ):
            assert policy(await browser.get(path))["connect-src"] == f"'self' {origins}"


async def test_the_brands_style_sheet(tmp_path: Path) -> None:
    css = tmp_path / "brand.css"
    css.write_text(BRAND)
    async with browsing(PAGES_BRAND_CSS=str(css)) as browser:
        seen = await browser.get("/pages/brand.css")
    assert seen.body.decode() == BRAND
    assert (seen.headers["Content-Type"], seen.headers["Cache-Control"]) == (
        "text/css; charset=utf-8",
        "public, max-age=60",
    )


async def test_without_a_brand_the_style_sheet_is_empty(browser: Browser) -> None:
    seen = await browser.get("/pages/brand.css", Accept_Encoding="gzip")
    assert (seen.status, seen.body) == (200, b"")
    assert "Content-Encoding" not in seen.headers


def policy(seen: Seen) -> dict[str, str]:
    directives = [each.strip().partition(" ") for each in seen.headers["Content-Security-Policy"].split(";")]
    return {name: values for name, _, values in directives}


STRICT = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob: data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}


@pytest.mark.parametrize("path", ["/s/giulia", "/console"])
async def test_a_page_may_do_what_it_needs_and_nothing_else(browser: Browser, path: str) -> None:
    seen = await browser.get(path)
    assert policy(seen) == STRICT
    assert seen.headers["X-Content-Type-Options"] == "nosniff"
    assert seen.headers["Referrer-Policy"] == "same-origin"
    assert seen.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in seen.headers["Permissions-Policy"]
    assert "payment=()" in seen.headers["Permissions-Policy"]
    assert "Set-Cookie" not in seen.headers


STRIPE = {"STRIPE_ELEMENTS": "1", "STRIPE_PUBLISHABLE_KEY": "pk_test_x"}


async def test_stripe_is_let_into_the_shop_page_alone() -> None:
    async with browsing(**STRIPE) as browser:
        seen = await browser.get("/s/giulia")
        let_in = policy(seen)
        assert let_in["script-src"] == "'self' https://js.stripe.com https://*.js.stripe.com"
        assert "https://api.stripe.com" in let_in["connect-src"]
        assert "https://hooks.stripe.com" in let_in["frame-src"]
        assert "unsafe" not in seen.headers["Content-Security-Policy"]
        assert {
            name: let_in[name] for name in ("default-src", "style-src", "base-uri", "frame-ancestors")
        } == {name: STRICT[name] for name in ("default-src", "style-src", "base-uri", "frame-ancestors")}
        assert seen.headers["Cross-Origin-Opener-Policy"] == "same-origin-allow-popups"
        assert policy(await browser.get("/console")) == STRICT
        assert json.loads((await browser.get("/pages/config.json")).body)["stripe"] is True


EMBED = {"PAGES_EMBED_ORIGINS": "https://www.example.com, https://shop.example.com:8443/"}


async def test_named_sites_may_show_the_shop_page_in_a_frame() -> None:
    async with browsing(**EMBED) as browser:
        wanted = "https://www.example.com https://shop.example.com:8443"
        assert policy(await browser.get("/s/giulia"))["frame-ancestors"] == wanted
        assert policy(await browser.get("/console"))["frame-ancestors"] == "'none'"
