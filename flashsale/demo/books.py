"""The brand's side of the demo: a name for the sale, and its books when everything is over."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

from flashsale.client import ApiError, Client
from flashsale.demo.verdict import Books, Counters, Kept

READERS = 32
"""Reservations are read back this many at a time."""


async def free_name(brand: Client, wanted: str) -> str:
    """`wanted`, or `wanted-2`, `-3`, ... when the data directory already has a sale of that name."""
    taken = {sale["id"] for sale in await brand.sales()}
    names = (wanted if number == 1 else f"{wanted}-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


async def read_books(brand: Client, sale: str, reservations: list[str]) -> Books:
    """The counters, the audit of the journal, and each of these reservations as the server has it."""
    stats = await brand.stats(sale)
    audit = await brand.audit(sale)
    gate = asyncio.Semaphore(READERS)
    kept = await asyncio.gather(*(_kept(brand, gate, reservation) for reservation in reservations))
    return Books(
        items={
            item["sku"]: Counters(item["stock"], item["available"], item["held"], item["sold"])
            for item in stats["items"]
        },
        place=stats["place"],
        kept=dict(zip(reservations, kept, strict=True)),
        audit_ok=audit["ok"] is True,
        audit_facts=audit["facts"],
        audit_findings=[_finding(finding) for finding in audit["findings"]],
    )


async def _kept(brand: Client, gate: asyncio.Semaphore, reservation: str) -> Kept | None:
    async with gate:
        try:
            answer = await brand.request("GET", f"/v1/reservations/{quote(reservation, safe='')}")
        except ApiError as refusal:
            # A wrong id may be told as unknown or as none at all; either way nobody has such a reservation.
            if refusal.status in (404, 422):
                return None
            raise
    units: dict[str, int] = {}
    for item in answer["items"]:
        units[item["sku"]] = units.get(item["sku"], 0) + item["quantity"]
    return Kept(answer["customer"], answer["status"], answer["place"], units)


def _finding(finding: dict[str, Any]) -> str:
    seq = finding.get("seq")
    return f"fact {seq}: {finding['detail']}" if seq is not None else str(finding["detail"])
