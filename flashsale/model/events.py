"""Facts as events: CloudEvents 1.0 in their JSON format, for order systems and whoever else listens.

An event is made of one fact and of what never changes about its reservation and its sale, so it is the same, byte for byte,
whenever and by whomever it is made. `flashsale/schemas` describes the data of every type.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import msgspec
import orjson

from flashsale.model.facts import ORDER_FACTS, Confirmed, Fact, FactType, Refunded
from flashsale.model.instants import to_rfc3339
from flashsale.model.payment import Money
from flashsale.model.reservation import Line, Reservation
from flashsale.model.schedule import schedule
from flashsale.model.terms import Terms

TYPE_PREFIX: Final = "io.flashsale."
VERSION: Final = 1
"""Of the data of every type. Fields may be added to a version; whatever would break a reader makes a new one."""
MEDIA_TYPE: Final = "application/cloudevents+json"
_DIGITS: Final = 15
_FACTS_OF_RESERVATIONS: Final = frozenset(
    {FactType.EXTENDED, FactType.EXPIRED, FactType.CANCELLED, *ORDER_FACTS}
)


def event_type(fact_type: str) -> str:
    """The type of the events of a type of fact, such as `io.flashsale.reservation.confirmed.v1`."""
    return f"{TYPE_PREFIX}{fact_type}.v{VERSION}"


EVENT_TYPES: Final = {event_type(each): each for each in FactType}
"""Every type of event -> the type of its fact."""
ORDER_EVENTS: Final = frozenset(event_type(each) for each in ORDER_FACTS)
"""Those that make or undo an order: what an order system reads when it asks for nothing else."""


_TYPE: Final = b'"type":"'


def type_of(body: bytes) -> bytes:
    """The type of a CloudEvent of ours, without decoding it: it comes before anything that could look like it."""
    start = body.index(_TYPE) + len(_TYPE)
    return body[start : body.index(b'"', start)]


def schema_id(fact_type: str) -> str:
    """The `dataschema` of the events of a type of fact, and the `$id` of that schema."""
    return f"urn:flashsale:schemas:{fact_type}.v{VERSION}"


_NAMES: Final = {each.value: (event_type(each), schema_id(each)) for each in FactType}
"""Type of fact -> type and schema of its events: made once, as there are thousands of events a second."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event, ready to be sent."""

    sale: str
    shard: int
    seq: int
    """Of its fact."""
    sequence: int
    """Which one of the sale's orders made and undone it is, gapless from 1; 0 for all other facts."""
    type: str
    reservation: str | None
    """The token of the reservation that it is about."""
    at_ms: int
    data: dict[str, Any]
    body: bytes
    """The event as JSON."""

    @property
    def id(self) -> str:
        """The same for the same fact, for ever."""
        return f"{self.sale}.{self.shard}.{self.seq}"


def needs_reservation(fact: Fact) -> bool:
    """Whether `make_event` has to be given the reservation that the fact is about."""
    return fact.type in _FACTS_OF_RESERVATIONS


def make_event(
    shop: str, sale: str, fact: Fact, terms: Terms | None, reservation: Reservation | None, *, shard: int = 0
) -> Event:
    """The event of a fact. `terms` are None only before the sale has opened.

    `reservation` is the one that the fact is about, where `needs_reservation` asks for it; only what never changes about it
    is told.

    Raises:
        ValueError, LookupError: the fact, or what it is about, cannot be read.
    """
    data, token = _data(f"{sale}.{shard}", fact, terms, reservation)
    (kind, schema), sequence = _NAMES[fact.type], fact.sequence if fact.type in ORDER_FACTS else 0
    envelope: dict[str, Any] = {
        "specversion": "1.0",
        "id": f"{sale}.{shard}.{fact.seq}",
        "source": f"urn:flashsale:{shop}:{sale}",
        "type": kind,
        "subject": f"{sale}.{shard}.{token}" if token else sale,
        "time": to_rfc3339(fact.at_ms),
        "datacontenttype": "application/json",
        "dataschema": schema,
        "factseq": _ordered(fact.seq),
    }
    if sequence:
        envelope["sequence"] = _ordered(sequence)
    envelope["data"] = {"sale": sale, **data}
    body = orjson.dumps(envelope)
    return Event(sale, shard, fact.seq, sequence, kind, token, fact.at_ms, envelope["data"], body)


def _ordered(number: int) -> str:
    """A number whose order as a text is that of the numbers, as the CloudEvents extension `sequence` wants it."""
    return f"{number:0{_DIGITS}d}"


def _data(
    shard: str, fact: Fact, terms: Terms | None, reservation: Reservation | None
) -> tuple[dict[str, Any], str | None]:
    """The data of an event, and the token of its reservation."""
    match fact.type:
        case FactType.CONFIRMED | FactType.REFUNDED:
            return _order(shard, fact, _known(terms), _known(reservation)), fact.token
        case FactType.HELD:
            held = fact.held()
            return {**_claim(shard, held), "held_until": to_rfc3339(held.held_until_ms)}, held.token
        case FactType.EXTENDED:
            until = to_rfc3339(fact.extended_until_ms())
            return {**_claim(shard, _known(reservation)), "held_until": until}, fact.token
        case FactType.EXPIRED:
            return _claim(shard, _known(reservation)), fact.token
        case FactType.CANCELLED:
            return {**_claim(shard, _known(reservation)), "reason": fact.data[16:].decode()}, fact.token
        case FactType.CHARGE_REFUSED:
            refused = fact.charge_refused()
            charge = _charge(refused.method, refused.reference, refused.money)
            about = {"reservation": f"{shard}.{fact.token}", "reason": refused.reason.name.lower()}
            return {**about, "payment": charge}, fact.token
        case FactType.CHARGE_REFUNDED:
            reference, refund_id = fact.charge_refunded()
            about = {"reservation": f"{shard}.{fact.token}", **_reference(reference)}
            return {**about, "refund_id": refund_id}, fact.token
        case _:
            return _of_the_sale(fact), None


def _of_the_sale(fact: Fact) -> dict[str, Any]:
    match fact.type:
        case FactType.SALE_OPENED:
            return {"definition": orjson.loads(fact.data)}
        case FactType.SALE_PAUSED | FactType.SALE_RESUMED | FactType.SALE_CLOSED:
            return {"by": fact.data.decode()}
        case FactType.ITEM_RESTOCKED:
            sku, units, reason = fact.restocked()
            return {"sku": sku, "units": units, "reason": reason}
        case _:
            raise ValueError(f"{fact.type} is not a type of fact this version knows")


def _known(what: Any) -> Any:
    if what is None:
        raise ValueError("what the fact is about is not known")
    return what


def _claim(shard: str, reservation: Reservation) -> dict[str, Any]:
    """What never changes about a reservation."""
    return {
        "reservation": f"{shard}.{reservation.token}",
        "customer": reservation.customer,
        "items": [{"sku": sku, "quantity": units} for sku, units in reservation.lines],
        "place": reservation.place,
    }


def _order(shard: str, fact: Fact, terms: Terms, reservation: Reservation) -> dict[str, Any]:
    told = fact.confirmed() if fact.type == FactType.CONFIRMED else fact.refunded()
    amount = sum(terms.prices[sku] * units for sku, units in reservation.lines)
    parts = schedule(amount, terms.deposit_percent, terms.instalments)
    order = {
        **_claim(shard, reservation),
        "sequence": told.sequence,
        "status": "confirmed" if isinstance(told, Confirmed) else "refunded",
        "items": [_item(line, terms) for line in reservation.lines],
        "late": told.late if isinstance(told, Confirmed) else reservation.late,
        "amount": amount,
        "amount_due": parts.deposit,
        "currency": terms.currency,
        "payment": _charge(told.method, told.reference, told.money) if told.reference else None,
        "payment_schedule": {
            "deposit": parts.deposit,
            "balance": parts.balance,
            "instalments": parts.instalments,
        },
        "held_at": to_rfc3339(reservation.held_ms),
    }
    if isinstance(told, Refunded):
        order["refund"] = {"restocked": told.restocked, "reason": told.reason}
    return order


def _item(line: Line, terms: Terms) -> dict[str, Any]:
    sku, units = line
    return {"sku": sku, "quantity": units, "price": terms.prices[sku]}


def _charge(method: str | None, reference: str, money: Money) -> dict[str, Any]:
    return {"method": method, **_reference(reference), "amount": money.amount, "currency": money.currency}


def _reference(reference: str) -> dict[str, str]:
    """A charge's reference, as the provider that has it knows it."""
    provider, _, own = reference.partition(":")
    return {"provider": provider, "reference": own}


class Tally(msgspec.Struct, frozen=True):
    """The sums of a sale's orders up to one of them: what an order system compares its own books with."""

    sequence: int = 0
    """The last one counted."""
    confirmed: int = 0
    confirmed_amount: int = 0
    """Paid for them at once, in minor units."""
    refunded: int = 0
    refunded_amount: int = 0
    currency: str | None = None
    digest: str = ""
    """SHA-256 (hex) of the digest before (empty at first), followed by the line of this one; see `line_of`."""

    def plus(self, order: Mapping[str, Any]) -> "Tally":
        """The sums with the next order made or undone, as the data of its event tell of it.

        Raises:
            ValueError: it is not the next one.
        """
        if order["sequence"] != self.sequence + 1:
            raise ValueError(
                f"{order['reservation']} is number {order['sequence']}, and number {self.sequence} was the last"
            )
        paid, undone = int(order["amount_due"]), order["status"] == "refunded"
        return Tally(
            sequence=order["sequence"],
            confirmed=self.confirmed + (not undone),
            confirmed_amount=self.confirmed_amount + (0 if undone else paid),
            refunded=self.refunded + undone,
            refunded_amount=self.refunded_amount + (paid if undone else 0),
            currency=order["currency"],
            digest=next_digest(self.digest, order),
        )


def line_of(order: Mapping[str, Any]) -> str:
    """What the digest says of an order: sequence, status, reservation and the amount due, with spaces between them."""
    return f"{order['sequence']} {order['status']} {order['reservation']} {order['amount_due']}"


def next_digest(digest: str, order: Mapping[str, Any]) -> str:
    """The digest that follows another one when this order has been made or undone."""
    return sha256(f"{digest}\n{line_of(order)}".encode()).hexdigest()
