"""The schemas of the API's bodies: that of a sale definition comes from its model, the rest is written here."""

from typing import Any, Final

from flashsale.api.openapi import (
    console_schemas,
    order_schemas,
    payment_schemas,
    sale_schemas,
    webhook_schemas,
)
from flashsale.api.openapi.problems import KINDS, Schema
from flashsale.api.openapi.shapes import (
    COUNT,
    TEXT,
    answer,
    described,
    optional,
    reference,
    request,
)
from flashsale.identity.api_keys import MAX_NAME_CHARACTERS, SCOPES
from flashsale.model.currency import DECIMALS
from flashsale.model.ids import SALE_ID
from flashsale.model.sale import EARLIEST, LATEST, MAX_AMOUNT, SaleDefinition

MAX_LINES: Final = 10
"""Lines of one reservation."""
MAX_QUANTITY: Final = 100_000
"""Units of one line."""

STATES: Final = ("scheduled", "open", "paused", "sold_out", "closed")
STATUSES: Final = ("held", "confirmed", "cancelled", "expired", "refunded")


def all_schemas() -> dict[str, Schema]:
    """All schemas of the document, by name."""
    return {
        **_scalars(),
        **_definition(),
        **sale_schemas.all_schemas(),
        **_audit(),
        **_reservations(),
        **payment_schemas.all_schemas(),
        **order_schemas.all_schemas(),
        **webhook_schemas.all_schemas(),
        **console_schemas.all_schemas(),
        **_callers(),
        **_problems(),
    }


def _scalars() -> dict[str, Schema]:
    return {
        "SaleId": {
            "type": "string",
            "pattern": f"^{SALE_ID.pattern}$",
            "description": "Id of a sale, chosen by the brand: 1 to 63 of a-z, 0-9 and -, the first no -.",
            "examples": ["giulia-milano"],
        },
        "ReservationId": {
            "type": "string",
            "pattern": f"^{SALE_ID.pattern}\\.[0-9]{{1,4}}\\.[A-Za-z0-9_-]{{16}}$",
            "description": "Id of a reservation. It cannot be guessed, and tells which sale it belongs to.",
            "examples": ["giulia-milano.0.q83vEjRWeJASNFZ4"],
        },
        "Sku": {
            "type": "string",
            "minLength": 1,
            "maxLength": 64,
            "description": "The brand's own name of an item, unique within the sale.",
            "examples": ["giulia"],
        },
        "Instant": {
            "type": "string",
            "format": "date-time",
            "description": "An instant of RFC 3339 in UTC, to the millisecond.",
            "examples": ["2026-12-01T10:00:00.000Z"],
        },
        "SaleState": {"type": "string", "enum": list(STATES), "description": "State of a sale."},
    }


def _definition() -> dict[str, Schema]:
    """The sale definition and its parts, from the model that checks them."""
    schema = SaleDefinition.model_json_schema(ref_template="#/components/schemas/{model}")
    parts = schema.pop("$defs")
    parts["SaleDefinition"] = schema
    parts["SaleDefinition"]["properties"]["currency"]["enum"] = sorted(DECIMALS)
    reach = f" In the years {EARLIEST.year} to {LATEST.year - 1}."
    for name in ("opens_at", "closes_at"):
        parts["SaleDefinition"]["properties"][name]["description"] += reach
    parts["Payment"]["properties"]["methods"]["uniqueItems"] = True
    parts["Payment"]["anyOf"] = [
        {"properties": {"instalments": {"const": 0}}},
        {"properties": {"deposit_percent": {"maximum": 99}}, "required": ["deposit_percent"]},
    ]
    parts["SaleDefinition"]["description"] = "What a brand announces: when, what, how many, for how much."
    named = {"Item": "SaleDefinitionItem"}
    return {named.get(name, name): _tidy(part, named) for name, part in parts.items()}


def _tidy(value: Any, named: dict[str, str]) -> Any:
    """A generated schema without the titles that only repeat the names, and with our names of its parts."""
    if isinstance(value, list):
        return [_tidy(item, named) for item in value]
    if not isinstance(value, dict):
        return value
    tidy = {}
    for key, item in value.items():
        if key == "title" and isinstance(item, str):
            continue
        if key == "$ref":
            name = item.rpartition("/")[2]
            tidy[key] = f"#/components/schemas/{named.get(name, name)}"
        else:
            tidy[key] = _tidy(item, named)
    return tidy


def _audit() -> dict[str, Schema]:
    """What an audit finds."""
    return {
        "Finding": answer(
            "One thing that does not add up.",
            {
                "seq": optional(COUNT, "The fact it was found at; null when it was found at the end."),
                "detail": TEXT,
            },
        ),
        "Audit": answer(
            "The journal replayed from its first fact, compared with every counter, hold and limit.",
            {
                "sale": reference("SaleId"),
                "ok": {"type": "boolean", "description": "Whether everything adds up."},
                "facts": described(COUNT, "Facts replayed."),
                "last_seq": described(COUNT, "Sequence number of the latest of them."),
                "findings": {"type": "array", "items": reference("Finding")},
                "items": {"type": "array", "items": reference("ItemCounters")},
                "reservations": {
                    "type": "object",
                    "propertyNames": {"enum": list(STATUSES)},
                    "additionalProperties": COUNT,
                    "description": "How many reservations are in each status.",
                },
                "customers": described(COUNT, "Customers who have, or had, a reservation."),
                "last_place": described(COUNT, "The place of the latest hold."),
                "money": {
                    "type": "array",
                    "items": reference("Money"),
                    "description": "The charges of the sale, by currency: every one is an order or a refund.",
                },
                "archive": optional(
                    reference("AuditOfArchive"), "The archive; null when this server was not told of one."
                ),
                "orders": optional(reference("AuditOfOrders"), "What order systems can read."),
            },
        ),
        "AuditOfArchive": answer(
            "How far the archive is. A few facts behind are no fault while the sale goes on.",
            {
                "seq": described(COUNT, "The last fact that it has."),
                "behind": described({"type": "integer"}, "Facts of the journal that it does not have yet."),
                "orders": described(reference("MoneySum"), "Orders made, those refunded later included."),
                "refunds": described(reference("MoneySum"), "Orders undone."),
            },
        ),
        "AuditOfOrders": answer(
            "How far order systems can read. A few orders behind are no fault while the sale goes on.",
            {
                "sequence": described(COUNT, "Orders made and undone, by the facts."),
                "published": described(COUNT, "The last of them that can be read."),
                "behind": described(COUNT, "Those that cannot be read yet."),
            },
        ),
    }


def _reservations() -> dict[str, Schema]:
    line = {"sku": reference("Sku"), "quantity": {"type": "integer", "minimum": 1, "maximum": MAX_QUANTITY}}
    held = {"sku": reference("Sku"), "quantity": {"type": "integer", "minimum": 1}}
    money = {"type": "integer", "minimum": 1, "maximum": MAX_AMOUNT}
    return {
        "Line": request("Units of one item.", ("sku", "quantity"), line),
        "NewReservation": request(
            "What a shopper wants. All of it is reserved, or nothing.",
            ("items",),
            {
                "items": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": MAX_LINES,
                    "items": reference("Line"),
                    "description": "Lines of one sku are added up.",
                }
            },
        ),
        "ReservedLine": answer("Units of one item in a reservation.", held),
        "Reservation": answer(
            "A customer's claim on units of a sale.",
            {
                "id": reference("ReservationId"),
                "sale": reference("SaleId"),
                "status": {"type": "string", "enum": list(STATUSES)},
                "customer": described(TEXT, "The `sub` of the shopper's token."),
                "items": {"type": "array", "minItems": 1, "items": reference("ReservedLine")},
                "place": {
                    "type": "integer",
                    "minimum": 1,
                    "description": "The order in which holds were granted in the sale, from 1.",
                },
                "amount": described(money, "The price of all units, in minor units of the currency."),
                "amount_due": described(money, "What is due at once, in minor units of the currency."),
                "currency": described(TEXT, "Code of ISO 4217."),
                "held_until": described(reference("Instant"), "The instant at which the hold ends."),
                "late": described(
                    {"type": "boolean"},
                    "It was paid after its hold had ended, and its units were still there.",
                ),
                "payment_schedule": reference("PaymentSchedule"),
                "payment": optional(reference("ReservationPayment"), "Null until a payment was started."),
            },
        ),
        "Reservations": answer(
            "Reservations of one customer in a sale, the oldest first.",
            {"reservations": {"type": "array", "items": reference("Reservation")}},
        ),
    }


def _callers() -> dict[str, Schema]:
    scope: Schema = {"type": "string", "enum": list(SCOPES)}
    name: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARACTERS}
    key = {
        "id": {"type": "string", "pattern": "^[0-9a-f]{12}$", "examples": ["3f9a0c51d2e8"]},
        "name": name,
        "scopes": {"type": "array", "items": scope, "minItems": 1, "uniqueItems": True},
        "created_at": reference("Instant"),
    }
    secret = {"type": "string", "pattern": "^fsk_[0-9a-f]{12}_[A-Za-z0-9_-]{43}$"}
    return {
        "Guest": answer(
            "A token for somebody without a login.",
            {
                "token": described(TEXT, "A shopper's token, to be sent as a bearer token."),
                "customer": described(TEXT, "The customer it stands for."),
                "expires_at": reference("Instant"),
            },
        ),
        "Scope": scope,
        "NewKey": request(
            "An API key to make.",
            ("name", "scopes"),
            {"name": name, "scopes": {"type": "array", "items": scope, "minItems": 1, "uniqueItems": True}},
        ),
        "Key": answer("An API key, without its secret.", key),
        "CreatedKey": answer(
            "A new API key. Its secret is shown this once.", {**key, "key": described(secret, "The secret.")}
        ),
        "Keys": answer(
            "All API keys, the oldest first.", {"keys": {"type": "array", "items": reference("Key")}}
        ),
        "Health": answer("Alive.", {"status": {"type": "string"}}),
    }


def _problems() -> dict[str, Schema]:
    return {
        "FieldError": answer(
            "One wrong field.",
            {
                "pointer": described(TEXT, "Where, as a JSON pointer (RFC 6901) in a URI fragment."),
                "field": described(TEXT, "Where, for people; empty for the body itself."),
                "detail": described(TEXT, "What is wrong with it."),
            },
        ),
        "Problem": answer(
            "What every refusal looks like (RFC 9457).",
            {
                "type": {
                    "type": "string",
                    "format": "uri-reference",
                    "description": "Where the code is explained.",
                },
                "title": described(TEXT, "The kind of problem, for people."),
                "status": {"type": "integer", "minimum": 400, "maximum": 599},
                "code": described(TEXT, "The kind of problem, for programs: it never changes."),
                "detail": described(TEXT, "What was wrong this time, and what to do."),
            },
        ),
        **{kind.schema_name: kind.schema() for kind in KINDS},
    }
