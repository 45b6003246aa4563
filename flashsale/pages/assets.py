"""The files of the pages, read once: what a browser or a CDN gets for each path, to the byte.

`Site.load(settings)` reads them; nothing of it asks the store. A changed file is served from the next start on.
"""

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, Self

import orjson

from flashsale.pages.policy import NOSNIFF, console_headers, shop_headers
from flashsale.settings import Settings

MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
PACKED_ALREADY: Final = frozenset({".png", ".woff2"})
SHORT: Final = "public, max-age=60"
FOR_EVER: Final = "public, max-age=31536000, immutable"
CHART: Final = "vendor/chart.js"
_MARK: Final = b"{{digest}}"
_DIGEST_CHARACTERS: Final = 16


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent, plain and, where that is shorter, packed."""

    body: bytes
    media_type: str
    cache: str
    headers: Mapping[str, str] = field(default_factory=lambda: NOSNIFF)
    packed: bytes | None = None
    tag: str = ""

    @classmethod
    def of(
        cls, name: str, body: bytes, cache: str, headers: Mapping[str, str] = NOSNIFF, *, pack: bool = True
    ) -> Self:
        """The file of this name.

        Raises:
            ValueError: nobody knows what kind of file it is.
        """
        suffix = _suffix(name)
        if suffix not in MEDIA_TYPES:
            raise ValueError(f"{name}: a page has no files of this kind; known are {', '.join(MEDIA_TYPES)}")
        # The instant of packing is left out, so that every worker and every machine makes the same bytes.
        packed = gzip.compress(body, 9, mtime=0) if pack and suffix not in PACKED_ALREADY else None
        if packed is not None and len(packed) >= len(body):
            packed = None
        return cls(body, MEDIA_TYPES[suffix], cache, headers, packed, _digest([body]))


@dataclass(frozen=True, slots=True)
class Site:
    """Both pages and all of their files.

    `files` are by their path below /pages/<digest>/; `digest` changes with any of them, so each may be kept for ever.
    `loose` are by their path below /pages/: what may change while the files stay as they are.
    """

    shop: Asset
    console: Asset
    digest: str
    files: Mapping[str, Asset]
    loose: Mapping[str, Asset]

    @classmethod
    def load(cls, settings: Settings) -> Self:
        """Read everything; `settings` say what the pages are told of the shop.

        Raises:
            OSError: a file cannot be read.
            ValueError: there is a file of an unknown kind.
        """
        static = dict(_walk(files("flashsale.pages").joinpath("static")))
        pages = {name: static.pop(name) for name in ("shop.html", "console.html")}
        languages = _languages(static)
        assets = {name: Asset.of(name, body, FOR_EVER) for name, body in static.items()} | {CHART: _chart()}
        digest = _digest([part.encode() for name in sorted(assets) for part in (name, assets[name].tag)])
        brand = settings.pages_brand_css.read_bytes() if settings.pages_brand_css is not None else b""
        config = orjson.dumps(config_of(settings, languages))

        def page(name: str, cache: str, headers: Mapping[str, str]) -> Asset:
            return Asset.of(name, pages[name].replace(_MARK, digest.encode()), cache, headers)

        return cls(
            shop=page("shop.html", SHORT, shop_headers(settings)),
            console=page("console.html", "no-cache", console_headers(settings)),
            digest=digest,
            files=assets,
            loose={
                "config.json": Asset.of("config.json", config, SHORT),
                "brand.css": Asset.of("brand.css", brand, SHORT),
            },
        )


def config_of(settings: Settings, languages: list[dict[str, str]]) -> dict[str, object]:
    """What the pages are told; there is no secret in it."""
    return {
        "api": settings.pages_api_url or "",
        "guests": settings.guests,
        "token_url": settings.pages_token_url,
        "login_url": settings.pages_login_url,
        "brand": settings.pages_brand,
        "stripe": settings.stripe_elements,
        "poll_seconds": settings.pages_poll_seconds,
        "languages": languages,
    }


def _walk(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        elif not entry.name.startswith("."):
            yield prefix + entry.name, entry.read_bytes()


@cache
def _chart() -> Asset:
    """The charting library of the console, as the package chartkick ships it: one file, without imports.

    It is so large that packing it takes longer than all the rest, so a process does it once.
    """
    body = files("chartkick").joinpath("django/static/chartkick/Chart.bundle.js").read_bytes()
    return Asset.of(CHART, body, FOR_EVER)


def _languages(static: Mapping[str, bytes]) -> list[dict[str, str]]:
    """Code and name of each language there is a file of, English first, as it is what stands in for others."""
    names = {
        name.removeprefix("locales/").removesuffix(".json"): str(orjson.loads(body)["name"])
        for name, body in static.items()
        if name.startswith("locales/")
    }
    return [
        {"code": code, "name": names[code]} for code in sorted(names, key=lambda code: (code != "en", code))
    ]


def _digest(parts: list[bytes]) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big"))
        total.update(part)
    return total.hexdigest()[:_DIGEST_CHARACTERS]


def _suffix(name: str) -> str:
    return "." + name.rpartition(".")[2]
