"""The schemas of what the API says of payments."""

from typing import Final

from flashsale.api.openapi.problems import Schema
from flashsale.api.openapi.shapes import (
    COUNT,
    MAX_REASON_CHARACTERS,
    TEXT,
    answer,
    described,
    optional,
    reference,
    request,
)
from flashsale.model.payment import METHODS, Fate, PaymentStatus
from flashsale.model.sale import MAX_AMOUNT

JOB_ID: Final = "^[0-9]{1,20}-[0-9]{1,20}$"
"""The form of the id of a payment job."""

_MONEY: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": MAX_AMOUNT}

_TOTAL: Final[dict[str, Schema]] = {
    "count": described(COUNT, "How many charges."),
    "amount": described(_MONEY, "Their sum in minor units."),
}


def all_schemas() -> dict[str, Schema]:
    """The schemas, by name."""
    return {**_terms(), **_of_a_reservation(), **_requests(), **_jobs(), **_books(), **_comparison()}


def _terms() -> dict[str, Schema]:
    rates: Schema = {"type": "array", "items": {**_MONEY, "minimum": 1}, "maxItems": 120}
    return {
        "PaymentMethod": {
            "type": "string",
            "enum": list(METHODS),
            "description": "A way to pay. A sale offers those that its definition names.",
        },
        "PaymentSchedule": answer(
            (
                "What is paid when, in minor units of the currency. The parts add up to the reservation's `amount` "
                "exactly, whatever decimals the currency has."
            ),
            {
                "deposit": described(
                    {**_MONEY, "minimum": 1},
                    (
                        "Due at once: `deposit_percent` of the amount, rounded half up to a minor unit, and at least "
                        "one. The same as `amount_due`."
                    ),
                ),
                "balance": described(_MONEY, "Due on hand-over; 0 when the rest is paid in rates."),
                "instalments": described(
                    rates,
                    (
                        "The monthly rates, the first one first. They differ by one at most: where the rest cannot be "
                        "divided, the first rates have one more each until it adds up. None is 0, so a small rest "
                        "has fewer of them."
                    ),
                ),
            },
        ),
    }


def _of_a_reservation() -> dict[str, Schema]:
    return {
        "PaymentAction": answer(
            "What the customer's page does next. A provider may add members of its own.",
            {
                "type": {
                    "type": "string",
                    "enum": ["redirect", "client_secret"],
                    "description": (
                        "`redirect`: send the customer to `url`. `client_secret`: give the secret to the provider's "
                        "own element on the page."
                    ),
                },
                "url": described({"type": "string", "format": "uri"}, "Where the customer goes to pay."),
                "client_secret": described(TEXT, "For this payment only; not a secret of the shop."),
                "publishable_key": described(TEXT, "The shop's public name at the provider."),
            },
            may_miss=("url", "client_secret", "publishable_key"),
        ),
        "ReservationPayment": answer(
            "How the payment of a reservation stands.",
            {
                "status": {
                    "type": "string",
                    "enum": [status.name.lower() for status in PaymentStatus],
                    "description": (
                        "`queued`: it waits for its turn at the provider. `requires_action`: the customer has to do "
                        "what `action` says. `processing`: the provider is at it. `failed`: it was declined; while the "
                        "hold lasts, another may be started. `cancelled`: given up. `paid`. `refunding`: the money is "
                        "on its way back. `refunded`."
                    ),
                },
                "method": optional(reference("PaymentMethod"), "Null: the money came unasked for."),
                "attempt": described(COUNT, "Which try this is, from 1."),
                "amount": described(_MONEY, "What is to be paid at once, in minor units of `currency`."),
                "currency": described(TEXT, "Code of ISO 4217."),
                "provider": optional(TEXT, "Who takes the money; null until they have it."),
                "reference": optional(TEXT, "The provider's own id of the payment; null until there is one."),
                "action": optional(reference("PaymentAction"), "Set while the customer has to act."),
                "error": optional(TEXT, "Why it failed, for the customer to read."),
                "wait_seconds": optional(COUNT, "How long it still waits for its turn, while it is queued."),
            },
        ),
    }


def _requests() -> dict[str, Schema]:
    reason: Schema = {"type": "string", "maxLength": MAX_REASON_CHARACTERS}
    return {
        "NewPayment": request(
            "How a customer wants to pay.", ("method",), {"method": reference("PaymentMethod")}
        ),
        "Refund": request(
            "An order to undo.",
            ("restock",),
            {
                "restock": {"type": "boolean", "description": "Whether the units go back on sale."},
                "reason": optional(reason, "Why, for the journal."),
            },
        ),
        "ProviderEvent": {
            "type": "object",
            "description": "What the provider has to say, in its own words. Its signature is in a header.",
        },
        "Received": answer("It is safely queued.", {"received": {"const": True}}),
    }


def _jobs() -> dict[str, Schema]:
    job_id: Schema = {"type": "string", "pattern": JOB_ID, "examples": ["1796119207482-0"]}
    return {
        "DeadJob": answer(
            "A payment job that failed as often as the server tries it.",
            {
                "id": described(job_id, "Id of the job in this sale."),
                "kind": described(
                    TEXT,
                    (
                        "`start`: take a payment to the provider. `void`: see that it takes no money any more. `refund`: "
                        "give a charge back. `event`: act on what the provider has told."
                    ),
                ),
                "reservation": optional(TEXT, "The reservation it is about, as far as that is known."),
                "reference": optional(TEXT, "The payment it is about: `<provider>:<id there>`."),
                "tries": described(COUNT, "How often it was tried."),
                "error": described(TEXT, "Why it failed the last time."),
                "at": described(reference("Instant"), "When it was given up."),
            },
        ),
        "DeadJobs": answer(
            "Jobs that were given up, the oldest first; at most 1000.",
            {"jobs": {"type": "array", "items": reference("DeadJob")}},
        ),
        "RetryDeadJobs": request(
            "Jobs to try again.", (), {"id": optional(job_id, "The job; null, or left out: all of them.")}
        ),
        "Retried": answer(
            "Jobs that are queued again.", {"retried": described(COUNT, "How many there were.")}
        ),
    }


def _books() -> dict[str, Schema]:
    sums = ("charges", "orders", "refunding", "refunds")
    return {
        "MoneySum": answer("So many charges, and how much they are together.", _TOTAL),
        "Money": answer(
            "The charges of a sale in one currency: charges = orders + refunding + refunds.",
            {"currency": described(TEXT, "Code of ISO 4217."), **dict.fromkeys(sums, reference("MoneySum"))},
        ),
    }


def _comparison() -> dict[str, Schema]:
    fates = [fate.name.lower() for fate in Fate]
    return {
        "Reconcile": request(
            "Whose payments to compare.",
            (),
            {"sale": optional(reference("SaleId"), "The sale; null, or left out: all of them.")},
        ),
        "FateTotal": answer(
            "Charges of one fate in one currency.",
            {
                "currency": described(TEXT, "Code of ISO 4217."),
                "fate": {
                    "type": "string",
                    "enum": fates,
                    "description": (
                        "`order`: it pays for an order. `refunding`: it is on its way back. `refunded`: it was given back."
                    ),
                },
                **_TOTAL,
            },
        ),
        "OpenCharge": answer(
            "A charge without a fate, or one whose fate the provider's books contradict.",
            {
                "reference": described(TEXT, "`<provider>:<id there>`"),
                "reservation": described(TEXT, "The reservation it names; empty when it names none."),
                "amount": described(COUNT, "In minor units of `currency`."),
                "currency": described(TEXT, "Code of ISO 4217."),
                "problem": described(TEXT, "What is wrong with it."),
                "action": described(TEXT, "What is done, or to be done, about it."),
            },
        ),
        "Reconciliation": answer(
            "The providers' books compared with ours.",
            {
                "sale": optional(reference("SaleId"), "The sale that was asked for; null for all."),
                "ok": {"type": "boolean", "description": "Whether every charge has its fate."},
                "charges": described(COUNT, "Charges of this shop in the providers' books."),
                "totals": {"type": "array", "items": reference("FateTotal")},
                "open": {
                    "type": "array",
                    "items": reference("OpenCharge"),
                    "description": "Charges that need somebody; at most 1000.",
                },
                "open_count": described(COUNT, "How many there are."),
                "applied": described(
                    COUNT, "Charges nobody had told us of, and that have been acted upon now."
                ),
                "settled": described(COUNT, "Refunds that had not been recorded, and are now."),
                "foreign": described(COUNT, "Payments of other shops on the same accounts, left alone."),
            },
        ),
    }
