"""The setting that lets pages of other hosts call the API."""

from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field

from flashsale.settings.pages import check_origin

ANY_ORIGIN: Final = "*"
_PORTS: Final = {"http": 80, "https": 443}


def check_cors_origins(text: str) -> str:
    """Accept `*`, or origins with commas between them; the answer has each of them once, as a browser writes it."""
    origins = [origin.strip() for origin in text.split(",") if origin.strip()]
    if ANY_ORIGIN in origins:
        if len(origins) > 1:
            raise ValueError("must be * alone, or origins without it")
        return ANY_ORIGIN
    return ",".join(dict.fromkeys(_as_sent(check_origin(origin)) for origin in origins))


def _as_sent(origin: str) -> str:
    """The form in which a browser sends it: in lower case, without the port that is the usual one."""
    parts = urlsplit(origin.lower())
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = "" if parts.port in {None, _PORTS[parts.scheme]} else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


class CorsSettings(BaseModel):
    """The part of `flashsale.settings.Settings` that is about callers from other origins."""

    cors_origins: Annotated[str, AfterValidator(check_cors_origins)] = Field(
        default="", description="Origins, with commas, whose pages may call the API, or *; none by default."
    )

    @property
    def calling_origins(self) -> tuple[str, ...]:
        """The origins whose pages may call the API; `*` is one of its own."""
        return tuple(filter(None, self.cors_origins.split(",")))
