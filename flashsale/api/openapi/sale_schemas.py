"""The schemas of what the API shows of sales, and of what is done to their stock."""

from flashsale.api.openapi.problems import Schema
from flashsale.api.openapi.shapes import (
    COUNT,
    MAX_REASON_CHARACTERS,
    TEXT,
    UNITS,
    answer,
    described,
    optional,
    reference,
    request,
)
from flashsale.model.sale import MAX_UNITS


def all_schemas() -> dict[str, Schema]:
    """The schemas, by name."""
    return {**_sales(), **_restock(), **_books()}


def _sale_event() -> dict[str, Schema]:
    """What those who watch are sent."""
    return {
        "SaleEvent": answer(
            "One event of the live view.",
            {
                "id": described(
                    TEXT, "Names what is shown: equal ids show the same. It has no other meaning."
                ),
                "data": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": reference("Sale"),
                    "description": "The public view of the sale as JSON.",
                },
            },
        ),
    }


def _sales() -> dict[str, Schema]:
    """What anyone may see of a sale."""
    return {
        "SaleItem": answer(
            "One item of a sale, as anyone may see it.",
            {
                "sku": reference("Sku"),
                "title": described(TEXT, "What shoppers read."),
                "price": {
                    "type": "integer",
                    "minimum": 1,
                    "description": "One unit, in minor units of the currency.",
                },
                "stock": described(UNITS, "Units for sale, restocks included."),
                "available": described(UNITS, "Units that can be reserved now."),
                "held": described(UNITS, "Units in holds: they come back unless they are paid for."),
                "limit_per_customer": optional(UNITS, "Units of this item that one customer may have."),
            },
        ),
        "Sale": answer(
            "The public view of a sale.",
            {
                "id": reference("SaleId"),
                "title": TEXT,
                "state": reference("SaleState"),
                "server_time": described(
                    reference("Instant"), "The clock by which the sale opens and closes."
                ),
                "opens_at": reference("Instant"),
                "closes_at": optional(reference("Instant"), "Null: the sale is open until it is closed."),
                "currency": described(TEXT, "Code of ISO 4217."),
                "limit_per_customer": optional(
                    UNITS, "Units that one customer may have, all items together."
                ),
                "hold_seconds": described(COUNT, "How long a reservation is held."),
                "items": {"type": "array", "items": reference("SaleItem")},
                "next_release_at": optional(
                    reference("Instant"), "When the next hold ends, of whatever item; null without holds."
                ),
                "payment": reference("Payment"),
                "rehearsal": described(
                    {"type": "boolean"},
                    "It sells pretend stock: nobody is charged, and order systems never see its orders.",
                ),
            },
        ),
        **_sale_event(),
        "Sales": answer("All sales.", {"sales": {"type": "array", "items": reference("Sale")}}),
    }


def _restock() -> dict[str, Schema]:
    return {
        "Restock": request(
            "Units to add to an item.",
            ("units",),
            {
                "units": {"type": "integer", "minimum": 1, "maximum": MAX_UNITS},
                "reason": optional(
                    {"type": "string", "maxLength": MAX_REASON_CHARACTERS}, "Why, for the journal."
                ),
            },
        ),
    }


def _books() -> dict[str, Schema]:
    """The counters of a sale."""
    counters = {"sku": reference("Sku"), **dict.fromkeys(("stock", "available", "held", "sold"), UNITS)}
    return {
        "ItemCounters": answer("Where the units of one item are: available + held + sold = stock.", counters),
        "Stats": answer(
            "The counters of a sale.",
            {
                "sale": reference("SaleId"),
                "state": reference("SaleState"),
                "server_time": reference("Instant"),
                "items": {"type": "array", "items": reference("ItemCounters")},
                "place": described(COUNT, "Holds granted so far: the place of the latest one."),
                "seq": described(COUNT, "Facts in the journal: the sequence number of the latest one."),
                "live_holds": described(COUNT, "Holds that are running now."),
                "customers": described(COUNT, "Customers who have, or had, a reservation."),
                "reservations": described(COUNT, "Reservations made so far."),
                "next_release_at": optional(
                    reference("Instant"), "When the next hold ends; null without holds."
                ),
            },
        ),
    }
