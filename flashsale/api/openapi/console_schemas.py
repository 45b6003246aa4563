"""The schemas of what the console is answered."""

from typing import Final

from flashsale.api.openapi.problems import Schema
from flashsale.api.openapi.shapes import COUNT, TEXT, UNITS, answer, described, optional, reference

REFUSED: Final = ("sold_out", "limit_reached", "not_open", "paused", "closed", "busy", "unavailable")
FINDINGS: Final = (
    "held",
    "extended",
    "expired",
    "cancelled",
    "confirmed",
    "confirmed_late",
    "refunded",
    "charge_refused",
    "charge_refunded",
    "payment_failed",
    "payment_waiting",
    *(f"refused_{outcome}" for outcome in REFUSED),
    "never_seen",
    "attempts_dropped",
    "attempts_not_kept",
)
_FLAG: Final[Schema] = {"type": "boolean"}
_SECONDS: Final[Schema] = {"type": "number", "minimum": 0}


def all_schemas() -> dict[str, Schema]:
    """All of them, by name."""
    return {**_definition(), **_activity(), **_curve(), **_story(), **_parts_of_story()}


def _definition() -> dict[str, Schema]:
    return {
        "DefinedSale": answer(
            "How a sale was defined.",
            {
                "sale": reference("SaleId"),
                "editable": described(
                    _FLAG, "It has not opened yet, so that another definition may replace it."
                ),
                "definition": reference("SaleDefinition"),
            },
        ),
    }


def _activity() -> dict[str, Schema]:
    instant = reference("Instant")
    return {
        "Activity": answer(
            "What goes on around a sale; `reserve`, `waiting`, `workers` and `attempts_dropped` are of all sales.",
            {
                "sale": reference("SaleId"),
                "server_time": instant,
                "reserve": {
                    "type": "object",
                    "additionalProperties": COUNT,
                    "description": (
                        "Answers to reserve since the server started, by outcome: `held`, `sold_out`, ... An "
                        "outcome that never came is not there."
                    ),
                },
                "waiting": described(COUNT, "Reservations that wait to be decided."),
                "workers": described(reference("ActivityOfWorkers"), "Processes."),
                "payments": reference("ActivityOfPayments"),
                "sweeper": reference("ActivityOfSweeper"),
                "background": reference("ActivityOfBackground"),
                "orders": reference("AuditOfOrders"),
                "webhooks": {
                    "type": "array",
                    "items": reference("ActivityOfWebhook"),
                    "description": "Those that listen to this sale, the oldest first; none listens to a rehearsal.",
                },
                "attempts_dropped": described(
                    COUNT,
                    "Refused tries that came too fast to be noted for support, since the server started.",
                ),
            },
        ),
        **_parts_of_activity(),
    }


def _parts_of_activity() -> dict[str, Schema]:
    instant = reference("Instant")
    return {
        "ActivityOfWorkers": answer("Processes at work.", {"api": described(COUNT, "HTTP workers.")}),
        "ActivityOfPayments": answer(
            "Payment jobs of the sale.",
            {
                "queued": described(
                    COUNT, "Those that nobody has taken yet, or that wait for the provider's rate."
                ),
                "under_way": described(COUNT, "Those that a worker has taken."),
                "retrying": described(COUNT, "Those that failed and are tried again."),
                "dead": described(COUNT, "Those that were given up."),
                "oldest_seconds": optional(_SECONDS, "How long ago the oldest of the first two was queued."),
            },
        ),
        "ActivityOfSweeper": answer(
            "Holds that are over, and have not given back their units yet.",
            {
                "overdue": described(COUNT, "How many."),
                "overdue_seconds": optional(_SECONDS, "How long the first of them has been over."),
            },
        ),
        "ActivityOfBackground": answer(
            "Whether somebody takes payments and ends holds.",
            {
                "alive": optional(_FLAG, "Null: nobody has looked at this sale yet."),
                "seen_seconds": optional(_SECONDS, "How long ago somebody last asked for work."),
            },
        ),
        "ActivityOfWebhook": answer(
            "How a webhook is doing in the sale.",
            {
                "id": TEXT,
                "url": described(TEXT, "Scheme and host of its address: the rest may hold a secret."),
                "state": {"type": "string", "enum": ["on", "off"]},
                "reason": optional({"type": "string", "enum": ["gone", "failing"]}, "Why it is off."),
                "tries": described(COUNT, "How often the present event was tried without success."),
                "error": optional(TEXT, "What the last try came to."),
                "failing_since": optional(instant, "When that event was tried first."),
                "next_at": optional(instant, "When it is tried again."),
                "behind": described(COUNT, "Events that it has still to be told."),
            },
        ),
    }


def _curve() -> dict[str, Schema]:
    instant = reference("Instant")
    return {
        "Curve": answer(
            "How the units of a sale moved since it opened. A value holds until the next point.",
            {
                "sale": reference("SaleId"),
                "from": optional(instant, "The first point; null before the sale has opened."),
                "to": optional(instant, "The last point."),
                "facts": described(COUNT, "The last fact that was read."),
                "complete": described(_FLAG, "False: the journal is being read, ask again in a moment."),
                "exact": described(
                    _FLAG, "The last point is what the counters of the sale said when it was looked at."
                ),
                "points": {"type": "array", "items": reference("CurvePoint")},
            },
        ),
        "CurvePoint": answer(
            "Where the units were at one instant.",
            {
                "at": instant,
                "items": {
                    "type": "object",
                    "additionalProperties": reference("CurveItem"),
                    "description": "By sku.",
                },
            },
        ),
        "CurveItem": answer(
            "Where the units of one item were.", dict.fromkeys(("available", "held", "sold"), UNITS)
        ),
    }


def _story() -> dict[str, Schema]:
    instant = reference("Instant")
    return {
        "Story": answer(
            "What is known of one customer, or of one reservation, in one sale.",
            {
                "sale": reference("SaleId"),
                "server_time": instant,
                "customer": optional(TEXT, "Null: nobody knows whose reservation it is."),
                "reservation": optional(reference("ReservationId"), "Null where a customer was asked about."),
                "sale_history": reference("SaleHistory"),
                "reservations": {"type": "array", "items": reference("StoryReservation")},
                "facts": {
                    "type": "array",
                    "items": reference("StoryFact"),
                    "description": "What the journal says, in order; at most 1000.",
                },
                "attempts": {
                    "type": "array",
                    "items": reference("StoryAttempt"),
                    "description": "Tries to reserve that were refused, in order.",
                },
                "attempts_kept": described(_FLAG, "Whether this server notes refused tries."),
                "attempts_dropped": described(
                    COUNT, "Refused tries of anybody that came too fast to be noted."
                ),
                "complete": described(
                    _FLAG, "False: there is more than this, or a part of the journal is nowhere."
                ),
                "summary": {
                    "type": "array",
                    "items": reference("StoryFinding"),
                    "description": "The same in short, in order of time.",
                },
            },
        ),
        "StoryFinding": answer(
            "One thing that can be said. What does not belong to its code is null.",
            {
                "code": {"type": "string", "enum": list(FINDINGS)},
                "at": optional(instant, "When; of tries, when first."),
                "last_at": optional(instant, "When last."),
                "count": optional(COUNT, "How often."),
                "place": optional(COUNT, "Place of the hold."),
                "reservation": optional(reference("ReservationId"), "Which one."),
                "detail": optional(TEXT, "Why: what the journal, or the payment, says."),
            },
        ),
        "StoryAttempt": answer(
            "Tries with the same outcome, none more than a minute after the one before.",
            {
                "outcome": {"type": "string", "enum": list(REFUSED)},
                "first_at": instant,
                "last_at": instant,
                "count": COUNT,
            },
        ),
    }


def _parts_of_story() -> dict[str, Schema]:
    instant = reference("Instant")
    return {
        "SaleHistory": answer(
            "What happened to the sale as a whole.",
            {
                "opens_at": instant,
                "opened_at": optional(instant, "When the journal begins to sell."),
                "sold_out_at": optional(instant, "When nothing was available for the first time."),
                "closed_at": optional(instant, "By the brand or by the clock."),
                "changes": {"type": "array", "items": reference("SaleChange")},
            },
        ),
        "SaleChange": answer(
            "Something that was done to the sale.",
            {
                "at": instant,
                "type": {"type": "string", "enum": ["paused", "resumed", "closed", "restocked"]},
                "sku": optional(reference("Sku"), "The item that was restocked."),
                "units": optional(UNITS, "How many of it."),
                "detail": optional(TEXT, "Who or what did it, or why."),
            },
        ),
        "StoryReservation": answer(
            "A reservation, and the money that was taken for it.",
            {
                "held_at": instant,
                "reservation": reference("Reservation"),
                "charges": {"type": "array", "items": reference("StoryCharge")},
            },
        ),
        "StoryCharge": answer(
            "Money that a provider took, and what became of it.",
            {
                "reference": described(TEXT, "`<provider>:<id there>`."),
                "amount": described(COUNT, "Minor units."),
                "currency": TEXT,
                "fate": {"type": "string", "enum": ["order", "refunding", "refunded"]},
            },
        ),
        "StoryFact": answer(
            "One fact of the journal.",
            {
                "seq": COUNT,
                "at": instant,
                "type": TEXT,
                "reservation": reference("ReservationId"),
                "detail": {"type": "object", "description": "What it says, by its type."},
            },
        ),
    }
