"""Request bodies: read, bounded, decoded and checked before anything else happens."""

import re
from typing import Any, Final

import orjson
from aiohttp import web

from flashsale.api.problems import Problem, invalid
from flashsale.identity.api_keys import MAX_NAME_CHARACTERS, SCOPES
from flashsale.keys import STRAY
from flashsale.model.faults import Fault
from flashsale.model.ids import SALE_ID
from flashsale.model.payment import METHODS
from flashsale.model.reservation import Line
from flashsale.model.sale import MAX_UNITS

MAX_BODY_BYTES: Final = 64 * 1024
MAX_LINES: Final = 10
MAX_QUANTITY: Final = 100_000
MAX_SKU: Final = 64
MAX_REASON: Final = 200
MAX_KEY: Final = 255
JOB_ID: Final = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
"""Of a payment job: the entry of the stream that it came from."""
_RESERVATION_FIELDS = frozenset({"items"})
_LINE_FIELDS = frozenset({"sku", "quantity"})
_SALE_OR_STRAY = re.compile(rf"{SALE_ID.pattern}|{STRAY}")


async def read(request: web.Request) -> bytes:
    """The body as it came.

    Raises:
        Problem: 413 over 64 KiB, 400 unreadable.
    """
    try:
        return await request.read()
    except (web.RequestPayloadError, ConnectionError):
        # Not packed as Content-Encoding says, or cut off; in the latter case nobody reads the answer.
        raise Problem("malformed", "The body cannot be read.") from None


async def read_object(request: web.Request) -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        Problem: 413 over 64 KiB, 415 another media type, 400 not JSON, 422 JSON but no object.
    """
    body = await read(request)
    if "Content-Type" in request.headers and request.content_type != "application/json":
        raise Problem("unsupported_media_type", "The body must be application/json.")
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem("malformed", f"The body is not JSON: {error}.") from None
    if not isinstance(data, dict):
        raise invalid([Fault((), "must be a JSON object")])
    return data


def _unknown(data: dict[str, Any], known: frozenset[str], path: tuple[str | int, ...] = ()) -> list[Fault]:
    return [Fault((*path, name[:100]), "is not a known field") for name in data if name not in known]


def reservation_lines(data: dict[str, Any]) -> tuple[Line, ...]:
    """The lines a shopper wants, those of one sku added up, in the order of their first mention.

    Raises:
        Problem: 422 with every fault.
    """
    items = data.get("items")
    if len(data) == 1 and type(items) is list and len(items) == 1:
        # The usual request: one line.
        item = items[0]
        if type(item) is dict and len(item) == 2:
            sku, quantity = item.get("sku"), item.get("quantity")
            if (
                type(sku) is str
                and type(quantity) is int
                and 1 <= quantity <= MAX_QUANTITY
                and 1 <= len(sku) <= MAX_SKU
                and sku.isprintable()
            ):
                return ((sku, quantity),)
    faults = _unknown(data, _RESERVATION_FIELDS)
    if not isinstance(items, list) or not 1 <= len(items) <= MAX_LINES:
        raise invalid([*faults, Fault(("items",), f"must be a list of 1 to {MAX_LINES} lines")])
    lines: dict[str, int] = {}
    for index, item in enumerate(items):
        found = _line_faults(item, ("items", index))
        if found:
            faults += found
        else:
            lines[item["sku"]] = lines.get(item["sku"], 0) + item["quantity"]
    if faults:
        raise invalid(faults)
    return tuple(lines.items())


def _line_faults(item: Any, path: tuple[str | int, ...]) -> list[Fault]:
    if not isinstance(item, dict):
        return [Fault(path, "must be an object with sku and quantity")]
    faults = _unknown(item, _LINE_FIELDS, path)
    sku, quantity = item.get("sku"), item.get("quantity")
    if not isinstance(sku, str) or not 1 <= len(sku) <= MAX_SKU or not sku.isprintable():
        faults.append(Fault((*path, "sku"), f"must be printable text of 1 to {MAX_SKU} characters"))
    if type(quantity) is not int or not 1 <= quantity <= MAX_QUANTITY:
        faults.append(Fault((*path, "quantity"), f"must be a whole number from 1 to {MAX_QUANTITY}"))
    return faults


def idempotency_key(request: web.Request) -> str | None:
    """The Idempotency-Key of a request, None when it has none.

    Raises:
        Problem: 422 for an empty, long or unprintable one.
    """
    key: str | None = request.headers.get("Idempotency-Key")
    if key is not None and (not 1 <= len(key) <= MAX_KEY or not key.isprintable()):
        raise invalid([Fault(("Idempotency-Key",), f"must be printable text of 1 to {MAX_KEY} characters")])
    return key


def restock(data: dict[str, Any]) -> tuple[int, str]:
    """Units and reason of a restock.

    Raises:
        Problem: 422 with every fault.
    """
    faults = _unknown(data, frozenset({"units", "reason"}))
    units, reason = data.get("units"), data.get("reason")
    if type(units) is not int or not 1 <= units <= MAX_UNITS:
        faults.append(Fault(("units",), f"must be a whole number from 1 to {MAX_UNITS}"))
    faults += _reason_faults(reason)
    if faults:
        raise invalid(faults)
    return int(units or 0), reason or ""


def _reason_faults(reason: Any) -> list[Fault]:
    if reason is None or (isinstance(reason, str) and len(reason) <= MAX_REASON and reason.isprintable()):
        return []
    return [Fault(("reason",), f"must be printable text of at most {MAX_REASON} characters")]


def payment_method(data: dict[str, Any]) -> str:
    """The method a customer wants to pay with.

    Raises:
        Problem: 422 with every fault.
    """
    faults = _unknown(data, frozenset({"method"}))
    method = data.get("method")
    if method not in METHODS:
        faults.append(Fault(("method",), f"must be one of {', '.join(METHODS)}"))
    if faults:
        raise invalid(faults)
    return str(method)


def refund(data: dict[str, Any]) -> tuple[bool, str]:
    """Whether the units of an order go back on sale, and the reason why it is undone.

    Raises:
        Problem: 422 with every fault.
    """
    faults = _unknown(data, frozenset({"restock", "reason"}))
    restock, reason = data.get("restock"), data.get("reason")
    if not isinstance(restock, bool):
        faults.append(Fault(("restock",), "must be true or false: whether the units go back on sale"))
    faults += _reason_faults(reason)
    if faults:
        raise invalid(faults)
    return bool(restock), reason or ""


def retry(data: dict[str, Any]) -> str | None:
    """The job that is to be tried again, None for all.

    Raises:
        Problem: 422 with every fault.
    """
    return _one_or_all(data, "id", JOB_ID, "must be the id of a job, or null for all")


def reconcile(data: dict[str, Any]) -> str | None:
    """The sale whose payments are to be compared with the providers' books, None for all sales.

    Raises:
        Problem: 422 with every fault.
    """
    return _one_or_all(data, "sale", _SALE_OR_STRAY, "must be the id of a sale, or null for all")


def _one_or_all(data: dict[str, Any], field: str, form: re.Pattern[str], rule: str) -> str | None:
    faults = _unknown(data, frozenset({field}))
    value = data.get(field)
    if value is not None and not (isinstance(value, str) and form.fullmatch(value)):
        faults.append(Fault((field,), rule))
    if faults:
        raise invalid(faults)
    return value


def new_key(data: dict[str, Any]) -> tuple[str, list[str]]:
    """Name and scopes of an API key to make.

    Raises:
        Problem: 422 with every fault.
    """
    faults = _unknown(data, frozenset({"name", "scopes"}))
    name, scopes = data.get("name"), data.get("scopes")
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME_CHARACTERS or not name.isprintable():
        faults.append(Fault(("name",), f"must be printable text of 1 to {MAX_NAME_CHARACTERS} characters"))
    if not isinstance(scopes, list) or not scopes:
        faults.append(Fault(("scopes",), f"must be a list of one or more of {', '.join(SCOPES)}"))
    else:
        faults += [
            Fault(("scopes", index), f"must be one of {', '.join(SCOPES)}, each once")
            for index, scope in enumerate(scopes)
            if scope not in SCOPES or scope in scopes[:index]
        ]
    if faults:
        raise invalid(faults)
    return str(name), list(scopes or ())
