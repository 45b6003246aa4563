"""The operations about webhooks."""

from typing import Any, Final

from flashsale.api.openapi.operations import BODY, CALLER, UNAVAILABLE, Answer, Operation
from flashsale.api.openapi.problems import Schema
from flashsale.api.openapi.shapes import reference
from flashsale.api.openapi.webhook_schemas import MAX_LIMIT, WEBHOOK_ID

ORDERS_KEY: Final = (("apiKey", ("orders",)),)
_CONFIRMED: Final = "io.flashsale.reservation.confirmed.v1"
_REFUNDED: Final = "io.flashsale.reservation.refunded.v1"
_EXAMPLE: Final[dict[str, Any]] = {
    "id": "wh_5b0c9a7e41d2f386",
    "url": "https://orders.example.com/flashsale",
    "types": [_CONFIRMED, _REFUNDED],
    "sale": None,
    "state": "on",
    "reason": None,
    "off_at": None,
    "created_at": "2026-12-01T09:30:00.000Z",
    "old_secret_until": None,
    "sales": [
        {
            "sale": "giulia-milano",
            "position": 16,
            "last": 17,
            "tries": 2,
            "error": "answered 503",
            "next_at": "2026-12-01T10:01:12.900Z",
        }
    ],
    "sales_count": 1,
}
_WITH_SECRET: Final = {
    **_EXAMPLE,
    "sales": [],
    "sales_count": 0,
    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=",
}
_DELIVERY: Final[dict[str, Any]] = {
    "event": "giulia-milano.0.482",
    "type": _CONFIRMED,
    "sale": "giulia-milano",
    "number": 17,
    "at": "2026-12-01T10:00:39.181Z",
    "duration_ms": 48,
    "try": 2,
    "delivered": False,
    "status": 503,
    "error": "answered 503",
    "next_at": "2026-12-01T10:01:12.900Z",
}
_SHOWN: Final = Answer("The webhook.", reference("Webhook"), _EXAMPLE)
_NEVER_CACHED: Final = "The secret is shown this once."


def parameters() -> dict[str, Schema]:
    """The parameters of these operations, by name."""
    return {
        "Webhook": {
            "name": "webhook",
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": WEBHOOK_ID},
            "description": "Id of the webhook.",
            "example": "wh_5b0c9a7e41d2f386",
        },
        "DeliveriesOfSale": {
            "name": "sale",
            "in": "query",
            "required": False,
            "schema": reference("SaleId"),
            "description": "Only deliveries of this sale.",
            "example": "giulia-milano",
        },
        "DeliveriesLimit": {
            "name": "limit",
            "in": "query",
            "required": False,
            "schema": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": 100},
            "description": "So many at most.",
            "example": 20,
        },
    }


WEBHOOKS: Final = (
    Operation(
        method="post",
        path="/v1/webhooks",
        name="createWebhook",
        tag="Webhooks",
        summary="Register a webhook",
        description=(
            "Sends events to an address as they come, each sale's in order: CloudEvents, signed by Standard Webhooks 1.0. "
            "In sales that exist it begins with what happens from now on; `replay` with `after` 0 brings the past. "
            f"{_NEVER_CACHED}"
        ),
        security=ORDERS_KEY,
        body="NewWebhook",
        body_example={"url": "https://orders.example.com/flashsale", "types": ["reservation.confirmed"]},
        answers={
            201: Answer(
                "The webhook, with its secret.",
                reference("WebhookWithSecret"),
                _WITH_SECRET,
                headers={"Location": {"$ref": "#/components/headers/Location"}},
            )
        },
        problems=(*BODY, *CALLER, *UNAVAILABLE),
    ),
    Operation(
        method="get",
        path="/v1/webhooks",
        name="listWebhooks",
        tag="Webhooks",
        summary="List the webhooks",
        description="All of them, without their secrets; at most 100 can exist.",
        security=ORDERS_KEY,
        answers={200: Answer("All webhooks.", reference("Webhooks"), {"webhooks": [_EXAMPLE]})},
        problems=(*CALLER, *UNAVAILABLE),
    ),
    Operation(
        method="get",
        path="/v1/webhooks/{webhook}",
        name="getWebhook",
        tag="Webhooks",
        summary="Look at a webhook",
        description="Whether it is on, how far it is in each sale, and what fails.",
        security=ORDERS_KEY,
        parameters=("Webhook",),
        answers={200: _SHOWN},
        problems=(*CALLER, "not_found", *UNAVAILABLE),
    ),
    Operation(
        method="delete",
        path="/v1/webhooks/{webhook}",
        name="deleteWebhook",
        tag="Webhooks",
        summary="Remove a webhook",
        description="What is on its way at this moment may still arrive.",
        security=ORDERS_KEY,
        parameters=("Webhook",),
        answers={204: Answer("It is removed.")},
        problems=(*CALLER, "not_found", *UNAVAILABLE),
    ),
    Operation(
        method="post",
        path="/v1/webhooks/{webhook}/rotate",
        name="rotateWebhook",
        tag="Webhooks",
        summary="Give a webhook a new secret",
        description=(
            f"{_NEVER_CACHED} For 24 hours the old secret signs too: `webhook-signature` then has two signatures, and a "
            "receiver that knows either secret accepts the message."
        ),
        security=ORDERS_KEY,
        parameters=("Webhook",),
        answers={200: Answer("The webhook, with its secret.", reference("WebhookWithSecret"), _WITH_SECRET)},
        problems=(*CALLER, "not_found", *UNAVAILABLE),
    ),
    Operation(
        method="post",
        path="/v1/webhooks/{webhook}/enable",
        name="enableWebhook",
        tag="Webhooks",
        summary="Switch a webhook on",
        description="It goes on with the event that failed, at once; nothing was left out while it was off.",
        security=ORDERS_KEY,
        parameters=("Webhook",),
        answers={200: _SHOWN},
        problems=(*CALLER, "not_found", *UNAVAILABLE),
    ),
    Operation(
        method="get",
        path="/v1/webhooks/{webhook}/deliveries",
        name="listDeliveries",
        tag="Webhooks",
        summary="List the tries to deliver",
        description="The newest first. About a thousand of a webhook are kept.",
        security=ORDERS_KEY,
        parameters=("Webhook", "DeliveriesOfSale", "DeliveriesLimit"),
        answers={200: Answer("The tries.", reference("Deliveries"), {"deliveries": [_DELIVERY]})},
        problems=("invalid", *CALLER, "not_found", *UNAVAILABLE),
    ),
    Operation(
        method="post",
        path="/v1/webhooks/{webhook}/replay",
        name="replayWebhook",
        tag="Webhooks",
        summary="Deliver events again",
        description=(
            "Delivers everything of a sale again that comes after a number, with the same ids, and switches the webhook on."
        ),
        security=ORDERS_KEY,
        parameters=("Webhook",),
        body="Replay",
        body_example={"sale": "giulia-milano", "after": 0},
        answers={200: _SHOWN},
        problems=(*BODY, *CALLER, "not_found", "unknown_sale", *UNAVAILABLE),
    ),
)
