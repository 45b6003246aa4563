"""The schemas of what the API says of webhooks."""

from typing import Final

from flashsale.api.openapi.problems import Schema
from flashsale.api.openapi.shapes import COUNT, TEXT, answer, described, optional, reference, request
from flashsale.model.events import EVENT_TYPES

MAX_URL_CHARACTERS: Final = 2000
MAX_NUMBER: Final = 10**15 - 1
MAX_LIMIT: Final = 1000
WEBHOOK_ID: Final = "^wh_[0-9a-f]{16}$"
SIGNING_KEY: Final = "^whsec_[A-Za-z0-9+/]{43}=$"

_URL: Final[Schema] = {"type": "string", "maxLength": MAX_URL_CHARACTERS, "pattern": "^https?://"}
_INSTANT: Final = reference("Instant")
_NAMES: Final = [*EVENT_TYPES, *EVENT_TYPES.values()]


def all_schemas() -> dict[str, Schema]:
    """The schemas, by name."""
    return {**_requests(), **_webhooks(), **_deliveries()}


def _requests() -> dict[str, Schema]:
    return {
        "NewWebhook": request(
            "A webhook to register.",
            ("url",),
            {
                "url": described(
                    _URL,
                    (
                        "Where events go: an address of the public internet, reached by https (or http), without user, "
                        "password and fragment. A server may be set up to let them go to private networks too."
                    ),
                ),
                "types": optional(
                    {
                        "type": "array",
                        "items": {"type": "string", "enum": _NAMES},
                        "minItems": 1,
                        "maxItems": len(_NAMES),
                        "uniqueItems": True,
                    },
                    (
                        "Types of events, by their whole names or those of their facts. Null, or left out: "
                        "orders made and undone."
                    ),
                ),
                "sale": optional(reference("SaleId"), "The only sale whose events go there; null for all."),
            },
        ),
        "Replay": request(
            "From where a sale's events are delivered again.",
            ("sale", "after"),
            {
                "sale": reference("SaleId"),
                "after": {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": MAX_NUMBER,
                    "description": "The number of the last event that is not wanted; 0 for all.",
                },
            },
        ),
    }


def _webhooks() -> dict[str, Schema]:
    webhook: dict[str, Schema] = {
        "id": {"type": "string", "pattern": WEBHOOK_ID},
        "url": described(_URL, "Where events go."),
        "types": {
            "type": "array",
            "items": {"type": "string", "enum": list(EVENT_TYPES)},
            "description": "The types of events that go there.",
        },
        "sale": optional(reference("SaleId"), "The only sale whose events go there; null for all."),
        "state": {"type": "string", "enum": ["on", "off"]},
        "reason": optional(
            {"type": "string", "enum": ["gone", "failing"]},
            "Why it is off. `gone`: the receiver answered 410. `failing`: it has failed for days.",
        ),
        "off_at": optional(_INSTANT, "When it was switched off."),
        "created_at": _INSTANT,
        "old_secret_until": optional(
            _INSTANT, "Until when the secret before the present one signs too, or did."
        ),
        "sales": {
            "type": "array",
            "items": reference("WebhookSale"),
            "description": (
                "How far it is in each sale, those that have trouble first: at most 1000, or 20 where webhooks are listed."
            ),
        },
        "sales_count": described(COUNT, "How many sales there are."),
    }
    secret: Schema = {
        "type": "string",
        "pattern": SIGNING_KEY,
        "description": "The secret that signs, in the form of Standard Webhooks. It is shown only now.",
    }
    return {
        "Webhook": answer("A webhook.", webhook),
        "WebhookWithSecret": answer("A webhook with a new secret.", {**webhook, "secret": secret}),
        "Webhooks": answer("All webhooks.", {"webhooks": {"type": "array", "items": reference("Webhook")}}),
        "WebhookSale": answer(
            "How far a webhook is in one sale. Numbers are `sequence` of order events, or `factseq` for a webhook that also "
            "gets other types.",
            {
                "sale": reference("SaleId"),
                "position": described(COUNT, "Number of the last event that is done."),
                "last": described(COUNT, "Number of the last event that there is."),
                "tries": described(COUNT, "How often the next event has failed; 0 when all is well."),
                "error": optional(TEXT, "Why it failed last."),
                "next_at": optional(_INSTANT, "When it is tried again."),
            },
        ),
    }


def _deliveries() -> dict[str, Schema]:
    return {
        "Delivery": answer(
            "One try to deliver one event.",
            {
                "event": described(TEXT, "Its id, which is also the header `webhook-id`."),
                "type": {"type": "string", "enum": list(EVENT_TYPES)},
                "sale": reference("SaleId"),
                "number": described(COUNT, "The position once it has arrived."),
                "at": _INSTANT,
                "duration_ms": described(COUNT, "How long it took."),
                "try": {"type": "integer", "minimum": 1, "description": "Which try it was."},
                "delivered": {"type": "boolean", "description": "Whether the receiver took it."},
                "status": optional(
                    {"type": "integer"}, "Of the receiver's answer; null when there was none."
                ),
                "error": optional(TEXT, "Why it failed; null when it did not."),
                "next_at": optional(_INSTANT, "When it was to be tried again."),
            },
        ),
        "Deliveries": answer(
            "Tries to deliver, the newest first.",
            {"deliveries": {"type": "array", "items": reference("Delivery")}},
        ),
    }
