"""The operations that the console is made of, besides those that are for everybody."""

from typing import Any, Final

from flashsale.api.openapi import examples
from flashsale.api.openapi.operations import CALLER, UNAVAILABLE, Answer, Operation
from flashsale.api.openapi.problems import Schema
from flashsale.api.openapi.shapes import reference

SALES_KEY: Final = (("apiKey", ("sales",)),)
SALES_OR_SUPPORT: Final = (("apiKey", ("sales",)), ("apiKey", ("support",)))
_ACTIVITY: Final[dict[str, Any]] = {
    "sale": "giulia-milano",
    "server_time": "2026-12-01T10:00:07.482Z",
    "reserve": {"held": 138, "sold_out": 0, "limit_reached": 3, "not_open": 51822},
    "waiting": 0,
    "workers": {"api": 2},
    "payments": {"queued": 4, "under_way": 2, "retrying": 0, "dead": 0, "oldest_seconds": 0.31},
    "sweeper": {"overdue": 0, "overdue_seconds": None},
    "background": {"alive": True, "seen_seconds": 0.142},
    "orders": {"sequence": 17, "published": 17, "behind": 0},
    "webhooks": [
        {
            "id": "wh_5b0c9a7e41d2f386",
            "url": "https://orders.example.com",
            "state": "on",
            "reason": None,
            "tries": 2,
            "error": "answered 503",
            "failing_since": "2026-12-01T10:00:04.181Z",
            "next_at": "2026-12-01T10:00:12.900Z",
            "behind": 1,
        }
    ],
    "attempts_dropped": 0,
}
_CURVE: Final[dict[str, Any]] = {
    "sale": "giulia-milano",
    "from": "2026-12-01T10:00:00.012Z",
    "to": "2026-12-01T10:00:03.733Z",
    "facts": 702,
    "complete": True,
    "exact": True,
    "points": [
        {
            "at": "2026-12-01T10:00:00.012Z",
            "items": {"giulia": {"available": 350, "held": 0, "sold": 0}},
        },
        {
            "at": "2026-12-01T10:00:03.733Z",
            "items": {"giulia": {"available": 0, "held": 349, "sold": 1}},
        },
    ],
}


def parameters() -> dict[str, Schema]:
    """The parameters of these operations, by name."""
    return {
        "CurvePoints": {
            "name": "points",
            "in": "query",
            "required": False,
            "schema": {"type": "integer", "minimum": 2, "maximum": 1000, "default": 200},
            "description": "So many points at most.",
            "example": 200,
        },
        "StoryCustomer": {
            "name": "customer",
            "in": "query",
            "required": False,
            "schema": {"type": "string", "minLength": 1, "maxLength": 256},
            "description": "The `sub` of the customer's token, 1 to 256 bytes. Either this or `reservation`.",
            "example": "c-17",
        },
        "StoryReservationId": {
            "name": "reservation",
            "in": "query",
            "required": False,
            "schema": reference("ReservationId"),
            "description": "A reservation of this sale. Either this or `customer`.",
        },
    }


_AT: Final = "2026-12-01T10:00:00.123Z"
_NOTHING: Final = dict.fromkeys(("at", "last_at", "count", "place", "reservation", "detail"))
_STORY: Final[dict[str, Any]] = {
    "sale": "giulia-milano",
    "server_time": "2026-12-01T10:00:07.482Z",
    "customer": "c-17",
    "reservation": None,
    "sale_history": {
        "opens_at": "2026-12-01T10:00:00.000Z",
        "opened_at": "2026-12-01T10:00:00.012Z",
        "sold_out_at": None,
        "closed_at": None,
        "changes": [],
    },
    "reservations": [{"held_at": _AT, "reservation": examples.RESERVATION, "charges": []}],
    "facts": [
        {
            "seq": 19,
            "at": _AT,
            "type": "reservation.held",
            "reservation": examples.RESERVATION["id"],
            "detail": {
                "place": 17,
                "held_until": "2026-12-01T10:05:00.123Z",
                "items": [{"sku": "giulia", "quantity": 1}],
            },
        }
    ],
    "attempts": [
        {
            "outcome": "not_open",
            "first_at": "2026-12-01T09:59:58.871Z",
            "last_at": "2026-12-01T09:59:59.903Z",
            "count": 4,
        }
    ],
    "attempts_kept": True,
    "attempts_dropped": 0,
    "complete": True,
    "summary": [
        {
            **_NOTHING,
            "code": "refused_not_open",
            "at": "2026-12-01T09:59:58.871Z",
            "last_at": "2026-12-01T09:59:59.903Z",
            "count": 4,
        },
        {**_NOTHING, "code": "held", "at": _AT, "place": 17, "reservation": examples.RESERVATION["id"]},
    ],
}

CONSOLE: Final = (
    Operation(
        method="get",
        path="/v1/sales/{sale}/definition",
        name="getDefinition",
        tag="Sales",
        summary="Read how a sale was defined",
        description="What `PUT` was given, with its defaults filled in: to be changed and sent again.",
        security=SALES_KEY,
        parameters=("Sale",),
        answers={
            200: Answer(
                "The definition.",
                reference("DefinedSale"),
                {"sale": "giulia-milano", "editable": True, "definition": examples.DEFINITION},
            )
        },
        problems=(*CALLER, "unknown_sale", *UNAVAILABLE),
    ),
    Operation(
        method="get",
        path="/v1/sales/{sale}/activity",
        name="getActivity",
        tag="Sales",
        summary="See what goes on around a sale",
        description=(
            "Answers by outcome, queues, workers, orders on their way out. An answer is up to a second old: ask again "
            "every one or two seconds."
        ),
        security=SALES_KEY,
        parameters=("Sale",),
        answers={200: Answer("What goes on.", reference("Activity"), _ACTIVITY)},
        problems=(*CALLER, "unknown_sale", *UNAVAILABLE),
    ),
    Operation(
        method="get",
        path="/v1/sales/{sale}/curve",
        name="getCurve",
        tag="Sales",
        summary="Draw how a sale sold out",
        description=(
            "Out of the journal, since the sale opened. The points are thinned by how much has changed and not by the "
            "clock, so that the seconds that matter keep theirs; the first and the last are exact. Of a long journal "
            "the first answer may be a part."
        ),
        security=SALES_KEY,
        parameters=("Sale", "CurvePoints"),
        answers={200: Answer("The curve.", reference("Curve"), _CURVE)},
        problems=("invalid", *CALLER, "unknown_sale", *UNAVAILABLE),
    ),
    Operation(
        method="get",
        path="/v1/sales/{sale}/story",
        name="tellStory",
        tag="Sales",
        summary="Tell what happened to somebody",
        description=(
            "For support: the reservations of one customer, or one reservation, with every fact about them, payments, "
            "refused tries, and when the sale opened, was paused and sold out. Refused tries are noted for a while, "
            "not more often than a server can; they are no part of the books."
        ),
        security=SALES_OR_SUPPORT,
        parameters=("Sale", "StoryCustomer", "StoryReservationId"),
        answers={200: Answer("The story.", reference("Story"), _STORY)},
        problems=("invalid", *CALLER, "unknown_sale", "busy", *UNAVAILABLE),
    ),
)
