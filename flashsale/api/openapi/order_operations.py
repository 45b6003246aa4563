"""The operations by which order systems read what a shop has sold."""

from typing import Any, Final

from flashsale.api.openapi import order_schemas
from flashsale.api.openapi.operations import CALLER, UNAVAILABLE, Answer, Operation
from flashsale.api.openapi.problems import Schema
from flashsale.api.openapi.shapes import reference

ORDERS_KEY: Final = (("apiKey", ("orders",)),)
MAX_LIMIT: Final = 1000
MAX_WAIT: Final = 60
TYPES: Final = ("confirmed", "refunded")
SCHEMA_NAME: Final = "^[a-z]+\\.[a-z]+\\.v[0-9]+$"

_GUARANTEE: Final = (
    "All orders that were made or undone in all sales, each sale's in order and numbered without a gap from 1 (`sequence`). "
    "Whoever keeps the cursor together with what they have made of the orders gets each once; an order comes again only "
    "when an older cursor is used again. "
)


def parameters() -> dict[str, Schema]:
    """The parameters of these operations, by name."""
    return {**_places(), **_amounts(), **_choices()}


def _in_query(name: str, schema: Schema, description: str, example: Any, **more: Any) -> Schema:
    about = {"schema": schema, "description": description, "example": example}
    return {"name": name, "in": "query", "required": False, **about, **more}


def _places() -> dict[str, Schema]:
    """Where to begin."""
    return {
        "After": _in_query(
            "after",
            order_schemas.CURSOR,
            (
                "A cursor that was answered before. Without one, or with an empty one, it begins with the first order ever; "
                "`now` begins behind the newest."
            ),
            order_schemas.EXAMPLE_CURSOR,
        ),
        "AfterFact": _in_query(
            "after",
            {"type": "integer", "minimum": 0, "maximum": 10**15 - 1, "default": 0},
            "Number of the last fact that was read.",
            159,
        ),
        "LastEventId": {
            "name": "Last-Event-ID",
            "in": "header",
            "required": False,
            "schema": order_schemas.CURSOR,
            "description": "The id of the last event received: goes before `after`. Browsers send it by themselves.",
            "example": order_schemas.EXAMPLE_CURSOR,
        },
    }


def _amounts() -> dict[str, Schema]:
    """How many, and how long."""
    limit: Schema = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}
    wait: Schema = {"type": "integer", "minimum": 0, "maximum": MAX_WAIT}
    return {
        "Limit": _in_query(
            "limit",
            {**limit, "default": 100},
            "So many at most. An answer has about a megabyte at most, too.",
            500,
        ),
        "StreamLimit": _in_query(
            "limit", limit, "End the stream after so many events; without it, never.", 10
        ),
        "Wait": _in_query(
            "wait", {**wait, "default": 0}, "Seconds to wait for the first one, if there is none already.", 30
        ),
        "StreamWait": _in_query(
            "wait", wait, "End the stream when nothing has come for so many seconds; without it, never.", 10
        ),
    }


def _choices() -> dict[str, Schema]:
    """Of what."""
    return {
        "OfSale": _in_query("sale", reference("SaleId"), "Only this sale.", "giulia-milano"),
        "OfRehearsal": _in_query(
            "rehearsal",
            {"type": "boolean", "default": False},
            "That sale is a rehearsal, whose orders are not given otherwise. Needs `sale`.",
            False,
        ),
        "OrderTypes": _in_query(
            "types",
            {"type": "array", "items": {"type": "string", "enum": list(TYPES)}, "minItems": 1},
            "Only these, with commas between them; without it all. The others are passed over for good.",
            ["confirmed"],
            style="form",
            explode=False,
        ),
        "Schema": {
            "name": "schema",
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": SCHEMA_NAME},
            "description": "Type of fact, and version.",
            "example": "reservation.confirmed.v1",
        },
    }


ORDERS: Final = (
    Operation(
        method="get",
        path="/v1/orders",
        name="readOrders",
        tag="Orders",
        summary="Read orders",
        description=(
            f"{_GUARANTEE}With `wait` it is answered as soon as there is one, or empty when the time is over. Nothing is "
            "taken away by reading: any number of systems read, each with a cursor of its own."
        ),
        security=ORDERS_KEY,
        parameters=("After", "Limit", "Wait", "OfSale", "OfRehearsal", "OrderTypes"),
        answers={
            200: Answer(
                "Orders, and the cursor behind them.",
                reference("Orders"),
                {
                    "events": [order_schemas.EXAMPLE_EVENT],
                    "cursor": order_schemas.EXAMPLE_CURSOR,
                    "more": False,
                },
            )
        },
        problems=("invalid", *CALLER, "unknown_sale", "cursor_ahead", "cursor_expired", "busy", *UNAVAILABLE),
    ),
    Operation(
        method="get",
        path="/v1/orders/stream",
        name="streamOrders",
        tag="Orders",
        summary="Follow orders live",
        description=(
            f"{_GUARANTEE}Server-sent events: the id of each is the cursor behind it, its data the CloudEvent. A comment "
            "comes every 15 seconds when nothing else does. Whoever takes nothing for a minute is cut off, and goes on "
            "where they were with `Last-Event-ID`."
        ),
        security=ORDERS_KEY,
        parameters=(
            "After",
            "StreamLimit",
            "StreamWait",
            "OfSale",
            "OfRehearsal",
            "OrderTypes",
            "LastEventId",
        ),
        answers={
            200: Answer("A stream of events.", reference("OrderStreamEvent"), media_type="text/event-stream")
        },
        problems=("invalid", *CALLER, "unknown_sale", "cursor_ahead", "cursor_expired", "busy", *UNAVAILABLE),
    ),
    Operation(
        method="get",
        path="/v1/sales/{sale}/orders/summary",
        name="getOrderSummary",
        tag="Orders",
        summary="Compare books",
        description=(
            "The sums of a sale's orders, as they were told, to compare one's own books with in one call. `digest` proves "
            "that both have the same orders in the same order: begin with the empty text; for each event, in the order of "
            "`sequence`, make the line `<sequence> <status> <reservation> <amount_due>` of its `data`, its four values with "
            "one space between them, and replace the digest by the SHA-256, in small hexadecimal digits, of the digest, a "
            "newline (U+000A) and the line, in UTF-8."
        ),
        security=ORDERS_KEY,
        parameters=("Sale",),
        answers={200: Answer("The sums.", reference("OrderSummary"), order_schemas.EXAMPLE_SUMMARY)},
        problems=("invalid", *CALLER, "unknown_sale", *UNAVAILABLE),
    ),
    Operation(
        method="get",
        path="/v1/sales/{sale}/events",
        name="readEvents",
        tag="Orders",
        summary="Read everything that has happened in a sale",
        description=(
            "Every fact of the sale's journal, in order and numbered without a gap from 1 (`factseq`): openings and "
            "closings, restocks, holds and their ends, charges, orders. For analysts and for those who check for themselves."
        ),
        security=ORDERS_KEY,
        parameters=("Sale", "AfterFact", "Limit", "Wait"),
        answers={
            200: Answer(
                "Events, and the number of the last.",
                reference("FactEvents"),
                {"events": [order_schemas.EXAMPLE_FACT], "last_seq": 160, "more": False},
            )
        },
        problems=("invalid", *CALLER, "unknown_sale", "cursor_expired", "busy", *UNAVAILABLE),
    ),
)

SCHEMAS: Final = (
    Operation(
        method="get",
        path="/schemas",
        name="listSchemas",
        tag="Orders",
        summary="List the schemas of events",
        description=(
            "One for each type of event. A version only ever gains members; what would break a reader is a new version."
        ),
        answers={200: Answer("The schemas.", reference("SchemaIndex"), order_schemas.EXAMPLE_INDEX)},
    ),
    Operation(
        method="get",
        path="/schemas/{schema}.json",
        name="getSchema",
        tag="Orders",
        summary="Read the schema of an event",
        description="A JSON Schema (draft 2020-12) of the `data` of the events of one type.",
        parameters=("Schema",),
        answers={
            200: Answer("A JSON Schema.", {"type": "object"}, media_type="application/schema+json"),
        },
        problems=("not_found",),
    ),
)
