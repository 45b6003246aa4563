"""Settings of the pages: what they are told of the shop, and where they may be shown."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field

from flashsale.settings.checks import check_http_url


def check_link(url: str) -> str:
    """Accept an address of HTTP, or a path on the host of the pages."""
    if not (url.startswith("/") and not url.startswith("//")):
        check_http_url(url)
    if not url.isascii() or not url.isprintable() or set(url) & set(" \"'<>;,\\"):
        raise ValueError("must be written as a browser would send it, with %-escapes")
    return url


def check_origin(url: str) -> str:
    """Accept scheme, host and port, and nothing behind them."""
    url = check_http_url(url)
    parts = urlsplit(url)
    if parts.path or parts.query or parts.fragment or parts.username is not None:
        raise ValueError("must be an origin, such as https://shop.example.com, with nothing behind the host")
    return check_link(url)


def check_origins(text: str) -> str:
    """Accept origins with commas between them."""
    return ",".join(check_origin(origin.strip()) for origin in text.split(",") if origin.strip())


def check_css(path: Path) -> Path:
    """Accept a file that can be read as text."""
    try:
        path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ValueError(f"is not a style sheet that can be read ({reason})") from None
    return path.resolve()  # the processes of a server need not stand in the same folder


class PageSettings(BaseModel):
    """The part of `flashsale.settings.Settings` that is about the shop page and the console."""

    pages: bool = Field(default=True, description="Serve the shop page and the console.")
    pages_brand: str = Field(
        default="", max_length=100, description="Name of the shop, as the page shows it above a sale."
    )
    pages_brand_css: Annotated[Path, AfterValidator(check_css)] | None = Field(
        default=None, description="Style sheet of the brand, loaded behind that of the pages."
    )
    pages_api_url: Annotated[str, AfterValidator(check_origin)] | None = Field(
        default=None, description="Origin of the API, for pages that another host serves."
    )
    pages_token_url: Annotated[str, AfterValidator(check_link)] | None = Field(
        default=None, description="Where the page asks the brand's login for the shopper's token."
    )
    pages_login_url: Annotated[str, AfterValidator(check_link)] | None = Field(
        default=None, description="Where the page sends a shopper who has to log in."
    )
    pages_poll_seconds: int = Field(
        default=5,
        ge=1,
        le=600,
        description="Seconds between two looks of a page that cannot be sent events.",
    )
    pages_embed_origins: Annotated[str, AfterValidator(check_origins)] = Field(
        default="", description="Origins, with commas, whose sites may show the shop page in a frame."
    )

    @property
    def embedding_origins(self) -> tuple[str, ...]:
        """The origins whose sites may show the shop page in a frame."""
        return tuple(filter(None, self.pages_embed_origins.split(",")))
