"""Orders as the feed gives them: what an event says, typed.

Fields that are not known here are left alone, in `Order.event`: a server may tell more than this version reads.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from flashsale.client.errors import Json, UnreadableOrderError
from flashsale.model.cursor import Cursor
from flashsale.model.events import ORDER_EVENTS

_SHOWN: Final = 80


class Item(msgspec.Struct, frozen=True):
    """One line of an order. `price` is that of one unit, in minor units of the order's currency."""

    sku: str
    quantity: int
    price: int


class Charge(msgspec.Struct, frozen=True):
    """The charge that has paid for an order, by its reference at the payment provider."""

    provider: str
    reference: str
    amount: int
    currency: str
    method: str | None = None


class PaymentSchedule(msgspec.Struct, frozen=True):
    """What is paid when: `deposit + balance + instalments` is the amount of the order, in minor units."""

    deposit: int
    balance: int
    instalments: list[int]


class Refund(msgspec.Struct, frozen=True):
    """How an order was undone. `restocked`: its units went back on sale."""

    restocked: bool
    reason: str


class _Data(msgspec.Struct, frozen=True):
    sale: str
    reservation: str
    sequence: int
    status: Literal["confirmed", "refunded"]
    customer: str
    items: list[Item]
    place: int
    late: bool
    amount: int
    amount_due: int
    currency: str
    held_at: datetime
    payment_schedule: PaymentSchedule
    payment: Charge | None = None
    refund: Refund | None = None


class _Envelope(msgspec.Struct, frozen=True):
    id: str
    type: str
    time: datetime
    data: _Data


class Track:
    """The cursor behind each of the orders of a page: what was known when the page came, and the orders one by one."""

    __slots__ = ("_at", "_before", "_cursor", "moves")

    def __init__(self, before: Cursor) -> None:
        self.moves: list[tuple[str, int]] = []
        """Sale and sequence of the orders of the page."""
        self._before = before
        self._cursor = before.copy()
        self._at = 0

    def cursor(self, moves: int) -> str:
        """The cursor behind so many orders of the page. Asked for one after the other, each costs little."""
        if moves < self._at:
            self._cursor, self._at = self._before.copy(), 0
        for sale, sequence in self.moves[self._at : moves]:
            self._cursor.move(sale, sequence)
        self._at = moves
        return self._cursor.encode()


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a feed an order came."""

    number: int
    """Of the order among all that the feed has given, from 1."""
    track: Track
    moves: int
    """Orders of the track up to this one."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order that was made (`status` is `confirmed`) or undone (`refunded`). Money is in minor units of `currency`."""

    id: str
    """Of the event, the same whenever it is told: what to know doubles by, if there can be any."""
    type: str
    sale: str
    sequence: int
    """Which one of the sale's orders made and undone it is, gapless from 1."""
    status: Literal["confirmed", "refunded"]
    time: datetime
    reservation: str
    """The order's own id; the refund of an order has the same."""
    customer: str
    items: tuple[Item, ...]
    place: int
    """The order in which holds were granted in the sale, from 1."""
    late: bool
    """Its payment came after its hold had ended, and there was still stock."""
    amount: int
    amount_due: int
    """What was paid at once; the rest is in the payment schedule."""
    currency: str
    payment: Charge | None
    payment_schedule: PaymentSchedule
    held_at: datetime
    refund: Refund | None
    event: Json = field(repr=False)
    """The CloudEvent as it came."""
    _place: Place = field(repr=False, compare=False)

    @property
    def cursor(self) -> str:
        """The position behind this order: store it with what you make of the order, and begin there the next time.

        It is what `OrderFeed(after=...)`, `GET /v1/orders?after=` and `Last-Event-ID` take.
        """
        return self._place.track.cursor(self._place.moves)

    @property
    def number(self) -> int:
        """Of the order among all that its feed has given, from 1."""
        return self._place.number


def sequence_of(event: Any) -> tuple[str, int] | None:
    """Sale and sequence of an event; None when it is not about an order, and so has no number.

    Raises:
        UnreadableOrderError: it is no event of an order, nor one of anything else.
    """
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise UnreadableOrderError(str(event)[:_SHOWN], "it is no CloudEvent")
    if "sequence" not in event and event["type"] not in ORDER_EVENTS:
        return None
    data = event.get("data")
    sale = data.get("sale") if isinstance(data, dict) else None
    try:
        sequence = int(event["sequence"])
    except (KeyError, TypeError, ValueError):
        sequence = 0
    if not isinstance(sale, str) or sequence < 1:
        raise UnreadableOrderError(str(event.get("id")), "it does not say of which sale it is, or its number")
    return sale, sequence


def read_order(event: Json, place: Place) -> Order:
    """The order that an event tells.

    Raises:
        UnreadableOrderError: the event is of a type that this version does not know, or does not say what its type promises.
    """
    if event["type"] not in ORDER_EVENTS:
        raise UnreadableOrderError(
            str(event.get("id")),
            f"this version of the client does not know {event['type']}, which makes or undoes orders: "
            "install a newer one, or pass by such events with ignore={...}",
        )
    try:
        said = msgspec.convert(event, _Envelope)
    except msgspec.ValidationError as error:
        raise UnreadableOrderError(str(event.get("id")), str(error)) from error
    data = said.data
    if int(event["sequence"]) != data.sequence:
        raise UnreadableOrderError(said.id, "it says two different numbers of itself")
    return Order(
        id=said.id,
        type=said.type,
        sale=data.sale,
        sequence=data.sequence,
        status=data.status,
        time=said.time,
        reservation=data.reservation,
        customer=data.customer,
        items=tuple(data.items),
        place=data.place,
        late=data.late,
        amount=data.amount,
        amount_due=data.amount_due,
        currency=data.currency,
        payment=data.payment,
        payment_schedule=data.payment_schedule,
        held_at=data.held_at,
        refund=data.refund,
        event=event,
        _place=place,
    )
