"""The schemas of what the API says of payments."""

from typing import Final

from flashsale.api.openapi.problems import Schema
from flashsale.api.openapi.shapes import COUNT, TEXT, answer, described, optional, reference
from flashsale.model.payment import METHODS, PaymentStatus
from flashsale.model.sale import MAX_AMOUNT

_MONEY: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": MAX_AMOUNT}


def all_schemas() -> dict[str, Schema]:
    """The schemas, by name."""
    return {**_of_a_reservation()}


def _of_a_reservation() -> dict[str, Schema]:
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
