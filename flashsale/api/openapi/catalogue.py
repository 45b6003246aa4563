"""Every operation of the API."""

from typing import Final

from flashsale.api.openapi import examples
from flashsale.api.openapi.console_operations import CONSOLE
from flashsale.api.openapi.operations import BODY, CALLER, UNAVAILABLE, Answer, Operation
from flashsale.api.openapi.order_operations import ORDERS, SCHEMAS
from flashsale.api.openapi.payment_operations import PAYMENTS
from flashsale.api.openapi.shapes import reference
from flashsale.api.openapi.webhook_operations import WEBHOOKS

SALES_KEY: Final = (("apiKey", ("sales",)),)
ROOT_KEY: Final = (("apiKey", ()),)
SHOPPER: Final = (("shopperToken", ()),)
SHOPPER_OR_SUPPORT: Final = (("shopperToken", ()), ("apiKey", ("support",)))

_SALE: Final = Answer("The sale.", reference("Sale"), examples.SALE)
_RESERVATION: Final = Answer("The reservation.", reference("Reservation"), examples.RESERVATION)
_LOCATION: Final = {"Location": {"$ref": "#/components/headers/Location"}}


def _steering(action: str, summary: str, description: str, problems: tuple[str, ...] = ()) -> Operation:
    return Operation(
        method="post",
        path=f"/v1/sales/{{sale}}/{action}",
        name=f"{action}Sale",
        tag="Sales",
        summary=summary,
        description=description,
        security=SALES_KEY,
        parameters=("Sale",),
        answers={200: _SALE},
        problems=(*CALLER, "unknown_sale", *problems, *UNAVAILABLE),
    )


SALES: Final = (
    Operation(
        method="put",
        path="/v1/sales/{sale}",
        name="putSale",
        tag="Sales",
        summary="Define a sale",
        description=(
            "The same definition again changes nothing. Another one replaces it until the sale opens, and is "
            "refused from then on. Every fault of a definition is named at once."
        ),
        security=SALES_KEY,
        parameters=("Sale",),
        body="SaleDefinition",
        body_example=examples.DEFINITION,
        answers={
            200: Answer("The sale was there, and is now as defined.", reference("Sale"), examples.SALE),
            201: Answer("The sale is new.", reference("Sale"), examples.SALE | {"state": "scheduled"}),
        },
        problems=(*BODY, *CALLER, "already_opened", *UNAVAILABLE),
    ),
    Operation(
        method="get",
        path="/v1/sales",
        name="listSales",
        tag="Sales",
        summary="List all sales",
        description="The public views of all sales.",
        answers={200: Answer("All sales.", reference("Sales"), {"sales": [examples.SALE]})},
        problems=UNAVAILABLE,
    ),
    Operation(
        method="get",
        path="/v1/sales/{sale}",
        name="getSale",
        tag="Sales",
        summary="Look at a sale",
        description="The public view: state, the server's clock, and what is available of each item.",
        parameters=("Sale",),
        answers={200: _SALE},
        problems=("unknown_sale", *UNAVAILABLE),
    ),
    Operation(
        method="get",
        path="/v1/sales/{sale}/live",
        name="watchSale",
        tag="Sales",
        summary="Watch a sale live",
        description=(
            "Server-sent events: the data of each event is the public view of the sale as JSON. One comes at once, then one "
            "for each change, at most four a second, and less often where thousands watch: what is newest is sent, and "
            "nothing is sent late. A comment comes every 15 seconds when nothing else does. Whoever comes back with "
            "`Last-Event-ID` and has the latest event is not sent it again; whoever takes nothing for a minute is cut off."
        ),
        parameters=("Sale", "LastFrameId"),
        answers={
            200: Answer("A stream of events.", reference("SaleEvent"), media_type="text/event-stream"),
        },
        problems=("unknown_sale", "busy", *UNAVAILABLE),
    ),
    _steering(
        "pause",
        "Pause a sale",
        "Takes no reservations from now on. Holds run on. Repeating it changes nothing.",
        ("closed",),
    ),
    _steering(
        "resume", "Resume a sale", "Takes reservations again. Repeating it changes nothing.", ("closed",)
    ),
    _steering("close", "Close a sale", "Ends the sale for good. Repeating it changes nothing."),
    Operation(
        method="post",
        path="/v1/sales/{sale}/items/{sku}/restock",
        name="restockItem",
        tag="Sales",
        summary="Add units to an item",
        description=(
            "The units are on sale at once. With an `Idempotency-Key`, a repeated request adds them once."
        ),
        security=SALES_KEY,
        parameters=("Sale", "Sku", "IdempotencyKey"),
        body="Restock",
        body_example={"units": 20, "reason": "a dealer returned 20"},
        answers={200: _SALE},
        problems=(
            *BODY,
            "idempotency_mismatch",
            *CALLER,
            "unknown_sale",
            "unknown_item",
            "closed",
            *UNAVAILABLE,
        ),
    ),
    Operation(
        method="get",
        path="/v1/sales/{sale}/stats",
        name="getStats",
        tag="Sales",
        summary="Read the counters of a sale",
        description="For every item: available + held + sold = stock.",
        security=SALES_KEY,
        parameters=("Sale",),
        answers={200: Answer("The counters.", reference("Stats"), examples.STATS)},
        problems=(*CALLER, "unknown_sale", *UNAVAILABLE),
    ),
    Operation(
        method="get",
        path="/v1/sales/{sale}/audit",
        name="auditSale",
        tag="Sales",
        summary="Audit a sale",
        description=(
            "Replays the journal from its first fact and compares every counter, hold and limit with it. `ok` is "
            "true only if all of it adds up; the first finding is the first fact that does not."
        ),
        security=SALES_KEY,
        parameters=("Sale",),
        answers={200: Answer("The verdict.", reference("Audit"), examples.AUDIT)},
        problems=(*CALLER, "unknown_sale", *UNAVAILABLE),
    ),
)

RESERVATIONS: Final = (
    Operation(
        method="post",
        path="/v1/sales/{sale}/reservations",
        name="reserve",
        tag="Reservations",
        summary="Reserve units",
        description=(
            "Holds all units of all lines for this customer for `hold_seconds`, or none of them. Send an "
            "`Idempotency-Key`: then the request may be repeated after a lost answer, and answers the same "
            "reservation."
        ),
        security=SHOPPER,
        parameters=("Sale", "IdempotencyKey"),
        body="NewReservation",
        body_example={"items": [{"sku": "giulia", "quantity": 1}]},
        answers={
            200: Answer(
                "The same request came before with this Idempotency-Key: its reservation, as it is now.",
                reference("Reservation"),
                examples.RESERVATION,
                headers=_LOCATION,
            ),
            201: Answer(
                "The units are held.", reference("Reservation"), examples.RESERVATION, headers=_LOCATION
            ),
        },
        problems=(
            *BODY,
            "idempotency_mismatch",
            "unauthenticated",
            "unknown_sale",
            "unknown_item",
            "not_open",
            "paused",
            "closed",
            "limit_reached",
            "sold_out",
            "busy",
            *UNAVAILABLE,
        ),
    ),
    Operation(
        method="get",
        path="/v1/sales/{sale}/reservations/mine",
        name="listMyReservations",
        tag="Reservations",
        summary="List one's own reservations",
        description="The reservations of the token's customer in this sale, to go on with on any device.",
        security=SHOPPER,
        parameters=("Sale",),
        answers={
            200: Answer(
                "The reservations.", reference("Reservations"), {"reservations": [examples.RESERVATION]}
            ),
        },
        problems=("unauthenticated", "unknown_sale", *UNAVAILABLE),
    ),
    Operation(
        method="get",
        path="/v1/reservations/{reservation}",
        name="getReservation",
        tag="Reservations",
        summary="Read a reservation",
        description="For the customer whose it is, and for support.",
        security=SHOPPER_OR_SUPPORT,
        parameters=("Reservation",),
        answers={200: _RESERVATION},
        problems=(*CALLER, "unknown_reservation", *UNAVAILABLE),
    ),
    Operation(
        method="delete",
        path="/v1/reservations/{reservation}",
        name="cancelReservation",
        tag="Reservations",
        summary="Cancel a hold",
        description=(
            "Gives the units back at once. For the customer whose it is, and for support. Cancelling again "
            "answers the same; a reservation that ended otherwise is refused."
        ),
        security=SHOPPER_OR_SUPPORT,
        parameters=("Reservation",),
        answers={
            200: Answer(
                "It is cancelled.", reference("Reservation"), examples.RESERVATION | {"status": "cancelled"}
            )
        },
        problems=(
            *CALLER,
            "unknown_reservation",
            "already_confirmed",
            "already_expired",
            "already_refunded",
            *UNAVAILABLE,
        ),
    ),
)

CALLERS: Final = (
    Operation(
        method="post",
        path="/v1/guests",
        name="createGuest",
        tag="Callers",
        summary="Get a guest's token",
        description="A token for a new customer, where the server hands them out; for demonstrations.",
        answers={201: Answer("A new guest.", reference("Guest"), examples.GUEST)},
        problems=("forbidden",),
    ),
    Operation(
        method="post",
        path="/v1/keys",
        name="createKey",
        tag="Callers",
        summary="Create an API key",
        description="With the root key only. The secret is shown this once, and is stored nowhere.",
        security=ROOT_KEY,
        body="NewKey",
        body_example={"name": "Order system", "scopes": ["orders"]},
        answers={
            201: Answer(
                "The key, with its secret.",
                reference("CreatedKey"),
                examples.KEY | {"key": "fsk_3f9a0c51d2e8_Zk3yT0mV8bq1cXwR5uLd7hJ2pNs9aGfE4iKo6vYtB0Q"},
            )
        },
        problems=(*BODY, *CALLER, *UNAVAILABLE),
    ),
    Operation(
        method="get",
        path="/v1/keys",
        name="listKeys",
        tag="Callers",
        summary="List the API keys",
        description="With the root key only. Without their secrets, which nobody has but their owners.",
        security=ROOT_KEY,
        answers={200: Answer("All API keys.", reference("Keys"), {"keys": [examples.KEY]})},
        problems=(*CALLER, *UNAVAILABLE),
    ),
    Operation(
        method="delete",
        path="/v1/keys/{key}",
        name="revokeKey",
        tag="Callers",
        summary="Revoke an API key",
        description="With the root key only. Every server refuses the key within 5 seconds.",
        security=ROOT_KEY,
        parameters=("Key",),
        answers={204: Answer("It is revoked.")},
        problems=(*CALLER, "not_found", *UNAVAILABLE),
    ),
)

SERVER: Final = (
    Operation(
        method="get",
        path="/healthz",
        name="health",
        tag="Server",
        summary="Is the process alive?",
        description="Answers as long as the process does, whatever the store is doing.",
        answers={200: Answer("It is.", reference("Health"), {"status": "ok"})},
    ),
    Operation(
        method="get",
        path="/readyz",
        name="readiness",
        tag="Server",
        summary="Should it get requests?",
        description="Ready when the store answers and has the scripts, and the server is not shutting down.",
        answers={200: Answer("It should.", reference("Health"), {"status": "ok"})},
        problems=UNAVAILABLE,
    ),
    Operation(
        method="get",
        path="/metrics",
        name="metrics",
        tag="Server",
        summary="Metrics",
        description="Of all workers together, in the text format of Prometheus.",
        answers={200: Answer("Metrics.", {"type": "string"}, media_type="text/plain")},
    ),
    Operation(
        method="get",
        path="/openapi.json",
        name="openapi",
        tag="Server",
        summary="This description",
        description="This document.",
        answers={200: Answer("An OpenAPI 3.1 document.", {"type": "object"})},
    ),
    Operation(
        method="get",
        path="/docs",
        name="docs",
        tag="Server",
        summary="This description, for people",
        description="A page without scripts, of this document.",
        answers={200: Answer("A page.", {"type": "string"}, media_type="text/html")},
    ),
)

OPERATIONS: Final = (
    *SALES,
    *CONSOLE,
    *RESERVATIONS,
    *PAYMENTS,
    *ORDERS,
    *SCHEMAS,
    *WEBHOOKS,
    *CALLERS,
    *SERVER,
)
"""Every operation, in the order of the documentation."""
