"""The brand's side of the demo: a name for the sale, and all books when everything is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any
from urllib.parse import quote

from flashsale.client import ApiError, Client, UnreachableError
from flashsale.demo.case import Books, Counters, Kept, Reconciled, Sum, Sums
from flashsale.demo.order_books import Delivered
from flashsale.demo.order_process import OrderSystem
from flashsale.demo.provider import read_entries
from flashsale.model.events import Tally

READERS = 32
"""Reservations are read back this many at a time."""

LOOK_SECONDS = 0.25
SETTLE_SECONDS = 20.0
"""How long what is under way may take after the last hold: a refund that is tried again, a webhook that is late, a machine
that stalls."""


async def free_name(brand: Client, wanted: str) -> str:
    """`wanted`, or `wanted-2`, `-3`, ... when the data directory already has a sale of that name."""
    taken = {sale["id"] for sale in await brand.sales()}
    names = (wanted if number == 1 else f"{wanted}-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


@asynccontextmanager
async def order_key(brand: Client) -> AsyncIterator[str]:
    """An API key that may read orders and nothing else; it is revoked afterwards."""
    made = await brand.create_key("demo: order system", ["orders"])
    try:
        yield str(made["key"])
    finally:
        # A server that has ended has no use for it either.
        with suppress(ApiError, UnreachableError):
            await brand.revoke_key(made["id"])


async def settle(brand: Client, sale: str, hold_seconds: float) -> Reconciled:
    """Wait for the last holds to end and for the last refunds to be made; then what the shop's comparison finds.

    It waits for that long and no longer: what is not done by then is for the verdict to name.
    """
    deadline = monotonic() + hold_seconds + SETTLE_SECONDS
    holds = True
    while True:
        late = monotonic() > deadline
        if holds and not late:
            holds = bool((await brand.stats(sale))["live_holds"])
        else:
            report = await brand.reconcile(sale)
            refunding = sum(total["count"] for total in report["totals"] if total["fate"] == "refunding")
            if late or (report["ok"] and not refunding):
                return _reconciled(report)
        await asyncio.sleep(LOOK_SECONDS)


async def deliver(brand: Client, sale: str, system: OrderSystem) -> tuple[Tally, Delivered]:
    """Wait until the order system has been told of everything; then the shop's sums of its orders, and its own books.

    It waits no longer than `SETTLE_SECONDS`, as `settle` does.
    """
    deadline = monotonic() + SETTLE_SECONDS
    await system.killed(deadline)
    while True:
        summary = await brand.request("GET", f"/v1/sales/{quote(sale, safe='')}/orders/summary")
        if not summary["behind"] or monotonic() > deadline:
            break
        await asyncio.sleep(LOOK_SECONDS)
    await system.caught_up(summary["sequence"], deadline)
    return _tally(summary), await system.end()


async def read_books(
    brand: Client,
    provider: Client,
    sale: str,
    reservations: list[str],
    reconciled: Reconciled,
    delivered: tuple[Tally, Delivered],
) -> Books:
    """The counters, the audit of the journal, each of these reservations, and the provider's books."""
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
        money={sums["currency"]: _sums(sums) for sums in audit["money"]},
        reconciled=reconciled,
        entries=await read_entries(provider, sale),
        orders=delivered[0],
        delivered=delivered[1],
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
    return Kept(
        customer=answer["customer"],
        status=answer["status"],
        place=answer["place"],
        units=units,
        held_until=answer["held_until"],
        due=answer["amount_due"],
        currency=answer["currency"],
        reference=(answer["payment"] or {}).get("reference") or "",
    )


def _reconciled(report: dict[str, Any]) -> Reconciled:
    charges = [f"{charge['reference']}: {charge['problem']}" for charge in report["open"]]
    return Reconciled(ok=report["ok"] is True, charges=report["charges"], open=charges)


def _tally(summary: dict[str, Any]) -> Tally:
    confirmed, refunded = summary["confirmed"], summary["refunded"]
    return Tally(
        sequence=summary["sequence"],
        confirmed=confirmed["count"],
        confirmed_amount=confirmed["amount"],
        refunded=refunded["count"],
        refunded_amount=refunded["amount"],
        currency=summary["currency"],
        digest=summary["digest"],
    )


def _sums(sums: dict[str, Any]) -> Sums:
    return Sums(
        *(
            Sum(sums[what]["count"], sums[what]["amount"])
            for what in ("charges", "orders", "refunding", "refunds")
        )
    )


def _finding(finding: dict[str, Any]) -> str:
    seq = finding.get("seq")
    return f"fact {seq}: {finding['detail']}" if seq is not None else str(finding["detail"])
