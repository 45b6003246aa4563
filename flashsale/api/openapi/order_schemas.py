"""The schemas of orders on their way out. What is in the data of each event is told by flashsale/schemas."""

from typing import Any, Final

from flashsale.api.openapi.problems import Schema
from flashsale.api.openapi.shapes import COUNT, TEXT, answer, described, optional, reference
from flashsale.model.events import EVENT_TYPES, ORDER_EVENTS

Json = dict[str, Any]

CURSOR: Final[Schema] = {"type": "string", "pattern": "^[A-Za-z0-9_-]*$"}
_ORDERED: Final[Schema] = {"type": "string", "pattern": "^[0-9]{15}$"}
_AMOUNT: Final[Schema] = {"type": "integer", "minimum": 0}

EXAMPLE_CURSOR: Final = "AYnlGseckxH3kBvE"
EXAMPLE_EVENT: Final[Json] = {
    "specversion": "1.0",
    "id": "giulia-milano.0.482",
    "source": "urn:flashsale:flashsale:giulia-milano",
    "type": "io.flashsale.reservation.confirmed.v1",
    "subject": "giulia-milano.0.q83vEjRWeJASNFZ4",
    "time": "2026-12-01T10:00:31.207Z",
    "datacontenttype": "application/json",
    "dataschema": "urn:flashsale:schemas:reservation.confirmed.v1",
    "factseq": "000000000000482",
    "sequence": "000000000000017",
    "data": {
        "sale": "giulia-milano",
        "reservation": "giulia-milano.0.q83vEjRWeJASNFZ4",
        "customer": "c-17",
        "items": [{"sku": "giulia", "quantity": 1, "price": 33000000}],
        "place": 17,
        "sequence": 17,
        "status": "confirmed",
        "late": False,
        "amount": 33000000,
        "amount_due": 3300000,
        "currency": "CNY",
        "payment": {
            "method": "card",
            "provider": "stripe",
            "reference": "pi_3MtwBwLkdIwHu7ix28a3tqPa",
            "amount": 3300000,
            "currency": "CNY",
        },
        "payment_schedule": {"deposit": 3300000, "balance": 0, "instalments": [825000] * 36},
        "held_at": "2026-12-01T10:00:00.123Z",
    },
}
EXAMPLE_FACT: Final[Json] = {
    "specversion": "1.0",
    "id": "giulia-milano.0.160",
    "source": "urn:flashsale:flashsale:giulia-milano",
    "type": "io.flashsale.item.restocked.v1",
    "subject": "giulia-milano",
    "time": "2026-12-01T10:00:09.004Z",
    "datacontenttype": "application/json",
    "dataschema": "urn:flashsale:schemas:item.restocked.v1",
    "factseq": "000000000000160",
    "data": {"sale": "giulia-milano", "sku": "giulia", "units": 20, "reason": "a dealer returned 20"},
}
EXAMPLE_SUMMARY: Final[Json] = {
    "sale": "giulia-milano",
    "sequence": 19,
    "decided": 19,
    "behind": 0,
    "orders": 17,
    "confirmed": {"count": 18, "amount": 59400000},
    "refunded": {"count": 1, "amount": 3300000},
    "currency": "CNY",
    "digest": "8f14e45fceea167a5a36dedd4bea2543a1d5d9a4e1b0c3f8a2b7c6d5e4f3a2b1",
    "last_event": "giulia-milano.0.489",
}
EXAMPLE_INDEX: Final[Json] = {
    "schemas": [
        {
            "type": "io.flashsale.reservation.confirmed.v1",
            "id": "urn:flashsale:schemas:reservation.confirmed.v1",
            "path": "/schemas/reservation.confirmed.v1.json",
        }
    ]
}


def all_schemas() -> dict[str, Schema]:
    """The schemas, by name."""
    return {**_events(), **_answers(), **_books(), **_index()}


def _events() -> dict[str, Schema]:
    event = {
        "specversion": {"const": "1.0"},
        "id": described(TEXT, "The same for the same event, for ever: sale, shard and number of its fact."),
        "source": described({"type": "string", "format": "uri-reference"}, "The shop and the sale."),
        "type": {"type": "string", "enum": sorted(EVENT_TYPES), "description": "What has happened."},
        "subject": described(TEXT, "The reservation it is about, or else the sale."),
        "time": described(reference("Instant"), "When it was decided, by the store's clock."),
        "datacontenttype": {"const": "application/json"},
        "dataschema": described(
            {"type": "string", "format": "uri"}, "The `$id` of the schema of `data`; see `GET /schemas`."
        ),
        "factseq": described(_ORDERED, "Number of the fact in the sale, gapless from 1."),
        "data": {"type": "object", "description": "As `dataschema` describes it. Members may be added."},
    }
    numbered = described(
        _ORDERED,
        "Which one of the sale's orders made and undone it is: gapless from 1. By it a reader knows that none is missing.",
    )
    order = {**event, "type": {**event["type"], "enum": sorted(ORDER_EVENTS)}, "sequence": numbered}
    return {
        "OrderEvent": answer("An order that was made or undone, as a CloudEvent 1.0.", order),
        "FactEvent": answer(
            "Anything that has happened in a sale, as a CloudEvent 1.0.",
            {**event, "sequence": numbered},
            may_miss=("sequence",),
        ),
    }


def _answers() -> dict[str, Schema]:
    cursor = described(CURSOR, "Where to go on: the `after` of the next request. Its form may change.")
    return {
        "Orders": answer(
            "Some orders: those of one sale in order, sales among each other as they come.",
            {
                "events": {"type": "array", "items": reference("OrderEvent")},
                "cursor": cursor,
                "more": {"type": "boolean", "description": "There is more already: ask again at once."},
            },
        ),
        "OrderStreamEvent": answer(
            "One event of the stream.",
            {
                "id": described(cursor, "The cursor behind it."),
                "event": described(TEXT, "The type of the CloudEvent."),
                "data": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": reference("OrderEvent"),
                    "description": "The CloudEvent as JSON.",
                },
                "retry": described(COUNT, "Milliseconds to wait before connecting again."),
            },
            may_miss=("id", "event", "data", "retry"),
        ),
        "FactEvents": answer(
            "Some facts of a sale, in order.",
            {
                "events": {"type": "array", "items": reference("FactEvent")},
                "last_seq": described(COUNT, "Where to go on: the `after` of the next request."),
                "more": {"type": "boolean", "description": "There is perhaps more: ask again at once."},
            },
        ),
    }


def _books() -> dict[str, Schema]:
    return {
        "OrderSum": answer(
            "So many, and how much was paid for them at once.",
            {"count": COUNT, "amount": described(_AMOUNT, "In minor units of the currency.")},
        ),
        "OrderSummary": answer(
            "A sale's orders up to number `sequence`, to compare one's own books with.",
            {
                "sale": reference("SaleId"),
                "sequence": described(COUNT, "Number of the last one that was told; the sums are up to it."),
                "decided": described(COUNT, "Number of the last one that was made or undone."),
                "behind": described(
                    COUNT, "How many of them are still to be told: usually none, or those of a moment."
                ),
                "orders": described(COUNT, "Orders that stand: those confirmed without those refunded."),
                "confirmed": reference("OrderSum"),
                "refunded": reference("OrderSum"),
                "currency": described(TEXT, "Code of ISO 4217."),
                "digest": {
                    "type": "string",
                    "pattern": "^([0-9a-f]{64})?$",
                    "description": "SHA-256 over all orders, one after the other; empty when there is none.",
                },
                "last_event": optional(TEXT, "Id of the last event told; null when there is none."),
            },
        ),
    }


def _index() -> dict[str, Schema]:
    entry = {
        "type": described(TEXT, "Of the events whose `data` it describes."),
        "id": described(
            {"type": "string", "format": "uri"}, "Its `$id`, and the `dataschema` of these events."
        ),
        "path": described({"type": "string", "format": "uri-reference"}, "Where it is."),
    }
    return {
        "SchemaEntry": answer("One schema.", entry),
        "SchemaIndex": answer(
            "All schemas of events.", {"schemas": {"type": "array", "items": reference("SchemaEntry")}}
        ),
    }
