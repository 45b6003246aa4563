"""The OpenAPI 3.1 document of everything the API serves."""

from typing import Any, Final

from flashsale import __version__
from flashsale.api.openapi import console_operations, order_operations, webhook_operations
from flashsale.api.openapi.catalogue import OPERATIONS
from flashsale.api.openapi.operations import component_responses
from flashsale.api.openapi.problems import Schema
from flashsale.api.openapi.schemas import all_schemas
from flashsale.api.openapi.shapes import reference

DESCRIPTION: Final = """\
Sells limited stock to everyone at once, each unit exactly once. A shopper *reserves* units, which are held for
a while; a hold ends as an order when it is paid, or gives its units back.

Bodies are JSON. Money is an integer in minor units of a currency of ISO 4217, instants are RFC 3339 in UTC. A
refusal is a problem document (RFC 9457) whose `code` never changes.

What is checked comes in this order: the body, the caller, then the sale.
"""

TAGS: Final = (
    {"name": "Sales", "description": "Define a sale, look at it, run it, and check its books."},
    {"name": "Reservations", "description": "What shoppers do."},
    {
        "name": "Payments",
        "description": "From a hold to an order, or back: what shoppers, support and providers do.",
    },
    {
        "name": "Orders",
        "description": "What was sold, for order systems: read in order, from any point, as often as it takes.",
    },
    {
        "name": "Webhooks",
        "description": "Orders, and whatever else happens, sent to an address as they come.",
    },
    {"name": "Callers", "description": "Who may call, and how they come by it."},
    {"name": "Server", "description": "What the operator of a server needs."},
)


def document() -> dict[str, Any]:
    """A fresh copy of the document."""
    paths: dict[str, Schema] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = operation.render()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Flash sale",
            "version": __version__,
            "summary": "Limited stock, sold exactly once.",
            "description": DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "The server that serves this document."}],
        "tags": [dict(tag) for tag in TAGS],
        "paths": paths,
        "components": {
            "securitySchemes": _security_schemes(),
            "parameters": _parameters(),
            "headers": _headers(),
            "responses": component_responses(OPERATIONS),
            "schemas": all_schemas(),
        },
    }


def _security_schemes() -> dict[str, Schema]:
    return {
        "apiKey": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "fsk_<id>_<random>",
            "description": (
                "An API key of a brand or an order system, with scopes: `sales` defines and runs sales, "
                "`orders` reads orders, `support` acts for customers. The root key has all of them and makes "
                "the others."
            ),
        },
        "shopperToken": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": (
                "A JSON Web Token that the brand's login issues to a customer, signed with HS256 or EdDSA: "
                "`sub` is the customer (1 to 256 bytes), `aud` is `flashsale`, and `exp` is required."
            ),
        },
    }


def _parameters() -> dict[str, Schema]:
    def in_path(name: str, schema: Schema, description: str, example: str) -> Schema:
        return {
            "name": name,
            "in": "path",
            "required": True,
            "schema": schema,
            "description": description,
            "example": example,
        }

    return {
        "Sale": in_path("sale", reference("SaleId"), "Id of the sale.", "giulia-milano"),
        "Sku": in_path("sku", reference("Sku"), "The item.", "giulia"),
        "Reservation": in_path(
            "reservation",
            reference("ReservationId"),
            "Id of the reservation.",
            "giulia-milano.0.q83vEjRWeJASNFZ4",
        ),
        "Provider": in_path(
            "provider",
            {"type": "string", "minLength": 1, "maxLength": 64},
            "Name of the payment provider.",
            "stripe",
        ),
        "Key": in_path(
            "key", {"type": "string", "pattern": "^[0-9a-f]{12}$"}, "Id of the API key.", "3f9a0c51d2e8"
        ),
        "LastFrameId": {
            "name": "Last-Event-ID",
            "in": "header",
            "required": False,
            "schema": {"type": "string"},
            "description": "The id of the last event received. Browsers send it by themselves.",
            "example": "159.1796119200000.open",
        },
        **order_operations.parameters(),
        **webhook_operations.parameters(),
        **console_operations.parameters(),
        "IdempotencyKey": {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
            "description": (
                "Names this one request of this caller, so that it is carried out once however often it is "
                "sent. Printable text of up to 255 characters, such as a UUID."
            ),
            "example": "6f1c0a52-5d6b-4d0e-9f6e-6f1a4d6b1f7a",
        },
    }


def _headers() -> dict[str, Schema]:
    def header(description: str, schema: Schema, *, required: bool = True) -> Schema:
        return {"description": description, "required": required, "schema": schema}

    wait = {"type": "integer", "minimum": 0}

    return {
        "Location": header("Path of what was made.", {"type": "string", "format": "uri-reference"}),
        "Retry-After": header("Seconds to wait before the next try.", wait),
        "Retry-After-Sometimes": header("Seconds to wait, where it helps to.", wait, required=False),
        "WWW-Authenticate": header("The way to authenticate: Bearer.", {"type": "string"}),
        "Allow": header("The methods that are possible here.", {"type": "string"}),
    }
