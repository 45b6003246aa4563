"""From facts and their events to the rows of the archive, and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from flashsale.model.events import Event
from flashsale.model.facts import ORDER_FACTS, Fact, FactType
from flashsale.model.instants import from_datetime

Row = dict[str, Any]
ArchivedFact = tuple[Fact, Event]
"""A fact, and the event made of it."""

REFUND: Final = ("status", "refunded_at", "refund_reason", "restocked", "refunded_seq")
"""The columns of an order that change when it is undone."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a sale has been archived."""

    sale: str
    shard: int
    seq: int
    """The last fact."""
    at_ms: int
    """When it was decided."""
    sequence: int = 0
    """The last order made or undone."""


@dataclass(frozen=True, slots=True)
class ArchivedEvent:
    """An event that made or undid an order."""

    sale: str
    sequence: int
    """Which one of the sale's orders made and undone it is, gapless from 1."""
    seq: int
    """Of its fact in the journal."""
    body: bytes
    """The CloudEvent as JSON."""


@dataclass(frozen=True, slots=True)
class Books:
    """The sums of a sale in the archive. Amounts are what was paid at once, in minor units, as in `events.Tally`."""

    sale: str
    facts: int = 0
    """Facts that are there; as many as `seq` says, if nobody has deleted any."""
    seq: int = 0
    """The last fact that the position says is there."""
    sequence: int = 0
    """The last order made or undone that the position says is there."""
    confirmed: int = 0
    """Orders made, those that were undone later included."""
    confirmed_amount: int = 0
    refunded: int = 0
    """Orders undone."""
    refunded_amount: int = 0
    currency: str | None = None
    """None as long as there is no order."""


def check_order(after: int, facts: Sequence[ArchivedFact]) -> None:
    """Whether these facts are those that follow fact `after`, each with the event made of it.

    Raises:
        ValueError: they are not.
    """
    for seq, (fact, event) in enumerate(facts, start=after + 1):
        if fact.seq != seq:
            raise ValueError(f"fact {fact.seq} cannot follow fact {seq - 1} into the archive")
        if event.seq != seq:
            raise ValueError(f"the event of fact {event.seq} came with fact {seq}")


def fact_row(fact: Fact, event: Event) -> Row:
    """The row of a fact."""
    return {
        "sale": event.sale,
        "shard": event.shard,
        "seq": fact.seq,
        "at": fact.at_ms,
        "type": fact.type,
        "reservation": f"{event.sale}.{event.shard}.{event.reservation}" if event.reservation else None,
        "sequence": event.sequence or None,
        "data": event.data,
        "event": event.body.decode(),
        "raw": fact.data,
    }


def order_rows(facts: Sequence[ArchivedFact]) -> tuple[list[Row], list[Row]]:
    """The orders made by these facts, and the changes to those that were made before and are undone by them."""
    made: dict[str, Row] = {}
    undone: list[Row] = []
    for fact, event in facts:
        if fact.type not in ORDER_FACTS:
            continue
        if fact.type == FactType.CONFIRMED:
            made[event.data["reservation"]] = _made(event)
            continue
        refund = _undone(event)
        known = made.get(event.data["reservation"])
        if known is not None:
            known.update(refund)
        else:
            undone.append({**_key(event), **refund})
    return list(made.values()), undone


def _key(event: Event) -> Row:
    """Names that are no columns: in an UPDATE, columns of these names may be set too."""
    return {"of_sale": event.sale, "of_shard": event.shard, "of_reservation": event.data["reservation"]}


def _made(event: Event) -> Row:
    order = event.data
    charge, parts = order["payment"] or {}, order["payment_schedule"]
    return {
        "sale": event.sale,
        "shard": event.shard,
        "reservation": order["reservation"],
        "sequence": event.sequence,
        "status": order["status"],
        "customer": _text(order["customer"]),
        "place": order["place"],
        "late": order["late"],
        "items": order["items"],
        "amount": order["amount"],
        "amount_due": order["amount_due"],
        "currency": order["currency"],
        "method": charge.get("method"),
        "provider": charge.get("provider"),
        "reference": charge.get("reference"),
        "deposit": parts["deposit"],
        "balance": parts["balance"],
        "instalments": parts["instalments"],
        "held_at": from_datetime(datetime.fromisoformat(order["held_at"])),
        "confirmed_at": event.at_ms,
        "confirmed_seq": event.seq,
        **dict.fromkeys(REFUND[1:]),
    }


def _undone(event: Event) -> Row:
    refund = event.data["refund"]
    values = (event.data["status"], event.at_ms, _text(refund["reason"]), refund["restocked"], event.seq)
    return dict(zip(REFUND, values, strict=True))


def _text(text: str) -> str:
    """PostgreSQL has no text with a NUL in it; nobody who comes by the API can write one."""
    return text.replace("\0", "\ufffd")
