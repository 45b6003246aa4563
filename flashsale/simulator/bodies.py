"""What the simulator is sent: read and checked as a whole, or refused with the reason."""

from typing import Annotated, Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

import msgspec
from msgspec import Meta

from flashsale.providers.protocol import Capture
from flashsale.simulator.records import Order, Outcome

MAX_BODY_BYTES: Final = 65_536
MAX_KEY_CHARACTERS: Final = 255
MAX_FIELDS: Final = 16
MAX_RETURN_CHARACTERS: Final = 2_000

Amount = Annotated[int, Meta(ge=1, lt=1 << 48)]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$")]
Name = Annotated[str, Meta(min_length=1, max_length=255)]
Short = Annotated[str, Meta(max_length=500)]

Body = TypeVar("Body")


class BodyError(Exception):
    """What was sent cannot be read; the message says where and why."""


class NewPayment(msgspec.Struct, frozen=True):
    """The body of POST /v1/payments."""

    amount: Amount
    currency: Currency
    method: Annotated[str, Meta(min_length=1, max_length=64)]
    capture: Capture = Capture.AUTOMATIC
    description: Short = ""
    metadata: Annotated[dict[Annotated[str, Meta(max_length=64)], Short], Meta(max_length=16)] = {}

    def order(self) -> Order:
        """As the ledger takes it."""
        return Order(self.amount, self.currency, self.method, self.capture, self.description, self.metadata)


class NewRefund(msgspec.Struct, frozen=True):
    """The body of POST /v1/refunds."""

    payment: Name
    amount: Amount


class Key(msgspec.Struct, frozen=True, rename={"back": "return"}):
    """The query of GET /pay/{id}: what only the payment's shopper knows, and where they came from."""

    k: Annotated[str, Meta(max_length=255)] = ""
    back: str = ""


class Try(msgspec.Struct, frozen=True, rename={"back": "return"}):
    """The body of POST /pay/{id}. Without an outcome chance decides."""

    k: Annotated[str, Meta(max_length=255)]
    outcome: Outcome | None = None
    amount: Amount | None = None
    """What the shopper sends, where that is another amount than was asked for."""
    currency: Currency | None = None
    back: str = ""
    """Where the page leads back to, for a form."""


class Listing(msgspec.Struct, frozen=True):
    """The query of a list."""

    after: Annotated[str, Meta(max_length=255)] = ""
    since_ms: Annotated[int, Meta(ge=0)] = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


def read_key(value: str | None) -> str:
    """The idempotency key, without which nothing is made. Raises `BodyError`."""
    if not value or len(value) > MAX_KEY_CHARACTERS or not value.isprintable():
        raise BodyError(f"Idempotency-Key must be given: printable, {MAX_KEY_CHARACTERS} characters at most")
    return value


def return_address(text: str) -> str:
    """Where a page may lead back to: an address of HTTP. Anything else is none, so that no link runs a script."""
    if len(text) > MAX_RETURN_CHARACTERS or not text.isascii() or not text.isprintable() or " " in text:
        return ""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return ""
    return text if parts.scheme in {"http", "https"} and parts.hostname and not parts.username else ""


def decode(raw: bytes, kind: type[Body]) -> Body:
    """JSON as a struct of this kind. Raises `BodyError`."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BodyError(str(error)) from error


def decode_fields(raw: str, kind: type[Body]) -> Body:
    """A query, or a form, as a struct of this kind. Raises `BodyError`."""
    try:
        fields = dict(parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS))
        return msgspec.convert(fields, kind, strict=False)
    except (ValueError, msgspec.MsgspecError) as error:
        raise BodyError(str(error)) from error
