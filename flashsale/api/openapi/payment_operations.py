"""The operations about payments."""

from typing import Final

from flashsale.api.openapi import examples
from flashsale.api.openapi.operations import BODY, CALLER, UNAVAILABLE, Answer, Operation
from flashsale.api.openapi.shapes import reference

SUPPORT_KEY: Final = (("apiKey", ("support",)),)
SHOPPER: Final = (("shopperToken", ()),)

PAYMENTS: Final = (
    Operation(
        method="post",
        path="/v1/reservations/{reservation}/payment",
        name="startPayment",
        tag="Payments",
        summary="Pay a reservation",
        description=(
            "Queues a payment of `amount_due` with one of the methods that the sale offers, and extends the hold once, by "
            "the sale's `hold_extension_seconds` and by the wait that is to be expected. Read the reservation until its "
            "`payment` has an `action` for the customer to take. The same method again while the payment is under way "
            "changes nothing; another method is a new attempt, and the one before is called off at the provider. The "
            "reservation is `confirmed` when the provider has the money."
        ),
        security=SHOPPER,
        parameters=("Reservation",),
        body="NewPayment",
        body_example={"method": "card"},
        answers={
            202: Answer(
                "The payment is under way.",
                reference("Reservation"),
                examples.RESERVATION | {"payment": examples.RESERVATION_PAYMENT},
            )
        },
        problems=(
            *BODY,
            *CALLER,
            "unknown_reservation",
            "already_confirmed",
            "already_cancelled",
            "already_expired",
            "already_refunded",
            "too_many_attempts",
            "busy",
            "payments_unavailable",
            *UNAVAILABLE,
        ),
    ),
    Operation(
        method="post",
        path="/v1/reservations/{reservation}/refund",
        name="refundReservation",
        tag="Payments",
        summary="Refund an order",
        description=(
            "Undoes a confirmed reservation: its money is given back, and with `restock` its units are on sale again at "
            "once; without, they stay sold. Refunding again answers the same."
        ),
        security=SUPPORT_KEY,
        parameters=("Reservation",),
        body="Refund",
        body_example={"restock": True, "reason": "the customer has changed their mind"},
        answers={
            200: Answer(
                "It is refunded; the money is on its way, or back already.",
                reference("Reservation"),
                examples.RESERVATION
                | {
                    "status": "refunded",
                    "payment": examples.RESERVATION_PAYMENT
                    | {
                        "status": "refunding",
                        "provider": "stripe",
                        "reference": "pi_3MtwBwLkdIwHu7ix28a3tqPa",
                        "wait_seconds": None,
                    },
                },
            )
        },
        problems=(*BODY, *CALLER, "unknown_reservation", "not_confirmed", *UNAVAILABLE),
    ),
    Operation(
        method="get",
        path="/v1/reservations/{reservation}/code",
        name="getReservationCode",
        tag="Reservations",
        summary="Get the code of an order, to show at the hand-over",
        description=(
            "A QR code of the reservation's id, as a picture. For the customer whose it is, and for support; whoever hands "
            "over scans it and reads the reservation with an API key."
        ),
        security=(("shopperToken", ()), ("apiKey", ("support",))),
        parameters=("Reservation",),
        answers={200: Answer("The picture.", {"type": "string"}, media_type="image/svg+xml")},
        problems=(*CALLER, "unknown_reservation", "not_confirmed", *UNAVAILABLE),
    ),
    Operation(
        method="post",
        path="/v1/payments/{provider}/events",
        name="receivePaymentEvent",
        tag="Payments",
        summary="Tell of a payment (for providers)",
        description=(
            "The webhook to name at the provider. What the provider has not signed is refused. A message is answered as "
            "soon as it is safely queued, and the same message again does no harm."
        ),
        parameters=("Provider",),
        body="ProviderEvent",
        body_example={"id": "evt_1NG8Du2eZvKYlo2CUI79vXWy", "type": "payment_intent.succeeded"},
        answers={202: Answer("It is queued.", reference("Received"), {"received": True})},
        problems=("malformed", "bad_signature", "unknown_provider", "too_large", "busy", *UNAVAILABLE),
    ),
    Operation(
        method="get",
        path="/v1/sales/{sale}/payments/dead",
        name="listDeadPayments",
        tag="Payments",
        summary="List the payment jobs that were given up",
        description=(
            "Jobs that failed as often as the server tries them. Each waits for somebody to look at it and to try it again; "
            "the sale `_stray` has those of charges whose sale nobody knows."
        ),
        security=SUPPORT_KEY,
        parameters=("Sale",),
        answers={200: Answer("The jobs.", reference("DeadJobs"), {"jobs": [examples.DEAD_JOB]})},
        problems=(*CALLER, "unknown_sale", *UNAVAILABLE),
    ),
    Operation(
        method="post",
        path="/v1/sales/{sale}/payments/dead/retry",
        name="retryDeadPayments",
        tag="Payments",
        summary="Try payment jobs again that were given up",
        description="Queues the job with this id, or all of them, as if they were new.",
        security=SUPPORT_KEY,
        parameters=("Sale",),
        body="RetryDeadJobs",
        body_example={"id": None},
        answers={200: Answer("They are queued.", reference("Retried"), {"retried": 1})},
        problems=(*BODY, *CALLER, "unknown_sale", "not_found", *UNAVAILABLE),
    ),
    Operation(
        method="post",
        path="/v1/payments/reconcile",
        name="reconcilePayments",
        tag="Payments",
        summary="Compare the providers' books with ours",
        description=(
            "Walks every charge and refund that the providers have, and every one in the journals: each is an order, a "
            "refund, or open. What is open is seen to: a message that was lost is made up for. Takes as long as the books "
            "are long."
        ),
        security=SUPPORT_KEY,
        body="Reconcile",
        body_example={"sale": "giulia-milano"},
        answers={200: Answer("What was found.", reference("Reconciliation"), examples.RECONCILIATION)},
        problems=(*BODY, *CALLER, "unknown_sale", "payments_unavailable", *UNAVAILABLE),
    ),
)
