"""The payment provider's own books, read from the provider itself and not from the shop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flashsale.client import Client

PAGE = 1000


@dataclass(frozen=True)
class Entry:
    """One payment in the provider's books. It is a charge when money was taken for it."""

    id: str
    reservation: str
    charged: bool
    amount: int
    """In minor units."""
    currency: str
    refunded: int = 0
    """Minor units given back, by all its refunds together."""


async def read_entries(provider: Client, sale: str) -> list[Entry]:
    """Every payment that the provider has for reservations of one sale."""
    entries: list[Entry] = []
    after = ""
    while True:
        page = await provider.request("GET", f"/v1/payments?limit={PAGE}&after={after}")
        entries += [_entry(payment) for payment in page["payments"]]
        if page["next"] is None:
            return [entry for entry in entries if entry.reservation.startswith(f"{sale}.")]
        after = page["next"]


def _entry(payment: dict[str, Any]) -> Entry:
    return Entry(
        id=payment["id"],
        reservation=payment["metadata"].get("reservation", ""),
        charged=payment["status"] == "paid",
        amount=payment["amount"],
        currency=payment["currency"],
        refunded=payment["refunded"],
    )
