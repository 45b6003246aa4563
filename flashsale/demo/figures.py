"""The figures of a demo: counts apart by kind, latencies, and the instants at which units were held."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from flashsale.demo.case import Case, Finding, Sold
from flashsale.demo.definitions import DemoSale
from flashsale.demo.messages import Answer, Clock, Done
from flashsale.demo.ranks import percentile
from flashsale.demo.received import OrderSystemFigures, received_of
from flashsale.demo.server import Trouble
from flashsale.demo.takings import Takings, first_holds, takings_of

HOW_MEASURED = (
    "T0 is opens_at and a unit is held at held_until less the hold length, both by the clock of Valkey, "
    "which decides; latencies are of the rush, by the crowd's clock, from the moment a shopper meant to press (T0 "
    "for all who did not press early or twice), so waiting for a free connection, a busy server or a retry is "
    "counted in full; charges and refunds are read from the provider's own books, and what the order system has from its own"
)


class Latency(msgspec.Struct, frozen=True):
    """From the intended press to the answer received, in milliseconds; percentiles by nearest rank."""

    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float


class RecordRatio(msgspec.Struct, frozen=True):
    """The real sale beside this one. `ratio` is None unless this run sold out and had as many units."""

    units: int
    seconds: float
    source: str
    ratio: float | None


class Item(msgspec.Struct, frozen=True):
    """The server's counters of one item afterwards, in units."""

    sku: str
    stock: int
    available: int
    held: int
    sold: int


class Moment(msgspec.Struct, frozen=True, array_like=True):
    """Where all units were, `at_ms` after T0 by the server's clock: available, held, paid for."""

    at_ms: float
    available: int
    held: int
    paid: int


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one demo run showed, as `--json` prints it. Instants are text, or milliseconds from T0."""

    ok: bool
    findings: list[dict[str, str]]
    sale: str
    title: str
    units: int
    shoppers: int
    connections: int
    workers: int
    seed: int
    opens_at: str
    sold_out: bool
    began_ms: float
    last_unit_held_ms: float | None
    last_sale_told_ms: float | None
    last_answer_ms: float
    ended_ms: float
    measured: str
    clock_late_ms_max: float
    record: RecordRatio | None
    requests_answered: int
    sales: int
    sold_out_answers: int
    replays: int
    not_open_answers: int
    errors: dict[str, int]
    latency_ms: dict[str, Latency]
    items: list[Item]
    places: int
    reservations_checked: int
    audit_ok: bool
    audit_facts: int
    next_release_at: str | None
    payments: Takings
    order_system: OrderSystemFigures
    curve: list[tuple[float, int]]
    history: list[Moment]
    machine: str
    files: list[str]


def latencies(answers: Iterable[Answer]) -> dict[str, Latency]:
    """The latency of each kind of answer."""
    by_kind: dict[str, list[float]] = {}
    for answer in answers:
        by_kind.setdefault(answer.kind, []).append(answer.received_ms - answer.intended_ms)
    return {kind: _latency(sorted(values)) for kind, values in sorted(by_kind.items())}


def _latency(ordered: list[float]) -> Latency:
    at50, at99 = percentile(ordered, 50), percentile(ordered, 99)
    return Latency(len(ordered), round(at50, 2), round(at99, 2), round(ordered[-1], 2))


def staircase(instants: Sequence[float]) -> list[tuple[float, int]]:
    """The sell-out curve: at each instant, the units held so far, one point for each different instant."""
    held = 0
    steps: list[tuple[float, int]] = []
    for instant, count in sorted(Counter(instants).items()):
        held += count
        steps.append((instant, held))
    return steps


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What the run was, beside the sale."""

    name: str
    connections: int
    workers: int
    seed: int
    trouble: Trouble
    opens_at_ms: int
    opens_at: str
    clock: Clock


def result_of(
    sale: DemoSale,
    setting: Setting,
    done: Done,
    case: Case,
    findings: list[Finding],
    history: list[Moment],
) -> Result:
    """Put the figures of a run together."""
    rush = [answer for answer in case.answers if not answer.visit]
    counts = Counter(answer.kind for answer in rush)
    units = sum(sale.stock.values())
    first = first_holds(case)
    instants = sorted(sold.begin_ms for sold in first)
    last_held_ms = instants[-1] if instants else None
    sold_out = _is_sold_out(case, first)
    books = case.books
    releases = [answer.next_release_at for answer in rush if answer.next_release_at]
    return Result(
        ok=not findings,
        findings=[{"fault": finding.fault, "detail": finding.detail} for finding in findings],
        sale=setting.name,
        title=sale.title,
        units=units,
        shoppers=len(done.crowd),
        connections=setting.connections,
        workers=setting.workers,
        seed=setting.seed,
        opens_at=setting.opens_at,
        sold_out=sold_out,
        began_ms=round(done.began_ms, 2),
        last_unit_held_ms=last_held_ms,
        last_sale_told_ms=_last_told_ms(rush),
        last_answer_ms=round(max((answer.received_ms for answer in rush), default=0.0), 2),
        ended_ms=round(done.ended_ms, 2),
        measured=HOW_MEASURED,
        clock_late_ms_max=round(setting.clock.late_ms, 3),
        record=_record(sale, units, last_held_ms if sold_out else None),
        requests_answered=sum(count for kind, count in counts.items() if kind != "cut"),
        sales=counts["sale"],
        sold_out_answers=counts["sold_out"],
        replays=counts["replay"],
        not_open_answers=counts["not_open"],
        errors={"busy": counts["busy"], "cut": counts["cut"], "other": counts["error"]},
        latency_ms=latencies(rush),
        items=[Item(sku, one.stock, one.available, one.held, one.sold) for sku, one in books.items.items()],
        places=books.place,
        reservations_checked=len(books.kept),
        audit_ok=books.audit_ok,
        audit_facts=books.audit_facts,
        next_release_at=min(releases, default=None),
        payments=takings_of(sale, setting.trouble, case),
        order_system=received_of(books.delivered, setting.opens_at_ms),
        curve=staircase(instants),
        history=history,
        machine=_machine(),
        files=[],
    )


def _last_told_ms(rush: list[Answer]) -> float | None:
    told_ms = [
        answer.received_ms for answer in rush if answer.kind in ("sale", "replay") and not answer.double
    ]
    return round(max(told_ms), 2) if told_ms else None


def _is_sold_out(case: Case, first: list[Sold]) -> bool:
    """Whether every unit was held before the first hold had ended: then all were held at one time."""
    if len(first) < sum(case.stock.values()):
        return False
    instants = [sold.begin_ms for sold in first]
    return max(instants) < min(instants) + case.hold_ms


def _machine() -> str:
    system = f"{platform.system()} {platform.machine()}"
    return f"{os.cpu_count()} CPUs, {system}, Python {platform.python_version()}"


def _record(sale: DemoSale, units: int, sold_out_ms: float | None) -> RecordRatio | None:
    if sale.record is None:
        return None
    record = sale.record
    comparable = sold_out_ms is not None and record.units == units
    # The clock of the facts ticks in milliseconds: a sell-out within the first one is not infinitely fast.
    ratio = round(record.seconds * 1000 / max(1.0, sold_out_ms or 0.0), 1) if comparable else None
    return RecordRatio(record.units, record.seconds, record.source, ratio)
