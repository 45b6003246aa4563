"""What the API answers to shoppers, and what it says of a sale's orders, as types of the decoded JSON objects.

A server may tell more than this. Money is in minor units of the currency, instants are RFC 3339 in UTC.
"""

from typing import Literal, NotRequired, TypedDict

ReservationStatus = Literal["held", "confirmed", "cancelled", "expired", "refunded"]
PaymentStatus = Literal[
    "queued",
    "requires_action",
    "processing",
    "failed",
    "cancelled",
    "paid",
    "refunding",
    "refunded",
]


class Line(TypedDict):
    """Units of one item."""

    sku: str
    quantity: int


class PaymentAction(TypedDict):
    """What the shopper's page has to do next: go to `url`, or give `client_secret` to the provider's own script."""

    type: Literal["redirect", "client_secret"]
    url: NotRequired[str]
    client_secret: NotRequired[str]


class PaymentView(TypedDict):
    """The payment of a reservation; docs/payments.md says what each status means."""

    status: PaymentStatus
    method: str
    attempt: int
    amount: int
    currency: str
    provider: str | None
    reference: str | None
    action: PaymentAction | None
    error: str | None
    wait_seconds: int | None


class ScheduleView(TypedDict):
    """What is paid when; all of it is the amount of the reservation."""

    deposit: int
    balance: int
    instalments: list[int]


class ReservationView(TypedDict):
    """A customer's claim on units of a sale. `place` is the order in which holds were granted, from 1."""

    id: str
    sale: str
    status: ReservationStatus
    customer: str
    items: list[Line]
    place: int
    amount: int
    amount_due: int
    currency: str
    held_until: str
    late: bool
    payment_schedule: ScheduleView
    payment: PaymentView | None


class Guest(TypedDict):
    """A shopper made up for the occasion; `token` is what the shop's calls are made with."""

    token: str
    customer: str
    expires_at: str


class OrderSums(TypedDict):
    """How many orders, and how much was paid for them at once."""

    count: int
    amount: int


class OrdersSummary(TypedDict):
    """The shop's own books of a sale's orders; see `Books` for how to compare them with one's own."""

    sale: str
    sequence: int
    """The last order made or undone that the feed has."""
    decided: int
    """The last one that there is; the feed is `behind` by so many."""
    behind: int
    orders: int
    """Those that stand: confirmed and not refunded."""
    confirmed: OrderSums
    refunded: OrderSums
    currency: str
    digest: str
    last_event: str | None
