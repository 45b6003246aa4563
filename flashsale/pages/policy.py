"""What a page may do in a browser: the security headers it is served with."""

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from flashsale.settings import Settings

# https://docs.stripe.com/security/guide, "Content security policy": what Stripe.js and Link ask for.
_STRIPE: Final[Mapping[str, tuple[str, ...]]] = {
    "script-src": ("https://js.stripe.com", "https://*.js.stripe.com"),
    "connect-src": ("https://api.stripe.com", "https://link.com", "https://*.link.com"),
    "frame-src": (
        "https://js.stripe.com",
        "https://*.js.stripe.com",
        "https://hooks.stripe.com",
        "https://link.com",
        "https://*.link.com",
    ),
    "img-src": ("https://*.stripe.com", "https://*.link.com"),
}

NOSNIFF: Final = {"X-Content-Type-Options": "nosniff"}


def shop_headers(settings: Settings) -> dict[str, str]:
    """The headers of the shop page."""
    sources = _own(_origins(settings.pages_api_url, settings.pages_token_url))
    if settings.stripe_elements:
        for directive, hosts in _STRIPE.items():
            sources[directive] = [*sources.get(directive, ()), *hosts]
    sources["frame-ancestors"] = list(settings.embedding_origins) or ["'none'"]
    payment = 'payment=(self "https://js.stripe.com")' if settings.stripe_elements else "payment=()"
    # Some ways to pay open a window of their own, and tell this one how it went.
    opener = "same-origin-allow-popups" if settings.stripe_elements else "same-origin"
    return _headers(sources, payment, opener)


def console_headers(settings: Settings) -> dict[str, str]:
    """The headers of the console, which is never shown in a frame and loads nothing of a payment provider."""
    return _headers(_own(_origins(settings.pages_api_url)), "payment=()", "same-origin")


def _own(origins: Iterable[str]) -> dict[str, list[str]]:
    return {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'", *origins],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }


def _headers(sources: Mapping[str, Iterable[str]], payment: str, opener: str) -> dict[str, str]:
    policy = "; ".join(f"{directive} {' '.join(values)}" for directive, values in sources.items())
    return {
        "Content-Security-Policy": policy,
        "Cross-Origin-Opener-Policy": opener,
        "Permissions-Policy": f"camera=(), geolocation=(), microphone=(), {payment}, usb=()",
        # The address of a page is told to no other host: not to the payment provider that the page leads to either.
        "Referrer-Policy": "same-origin",
        **NOSNIFF,
    }


def _origins(*urls: str | None) -> list[str]:
    """The origins of these addresses, each once; a path has the page's own."""
    found = (urlsplit(url) for url in urls if url is not None and not url.startswith("/"))
    return list(dict.fromkeys(f"{parts.scheme}://{parts.netloc}" for parts in found))
