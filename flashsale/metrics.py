"""What a process counts, in the format of Prometheus.

With PROMETHEUS_MULTIPROC_DIR set, as the supervisor does, every process keeps its counts in files of that folder, and any
worker answers /metrics for all of them together. A counter there costs microseconds, so what happens with every request is
counted in a plain dictionary first and handed over ten times a second, and before each /metrics.
"""

import os
from collections import Counter as Tally
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
HAND_OVER_S: Final = 0.1
RESERVE_ROUTE: Final = ("POST", "/v1/sales/{sale}/reservations")

HTTP_REQUESTS = Counter(
    "flashsale_http_requests", "Requests answered, by route and status.", ["method", "route", "status"]
)
LANE_REQUESTS = Counter("flashsale_lane_requests", "Requests answered, by lane: fast or aiohttp.", ["lane"])
RESERVE_OUTCOMES = Counter(
    "flashsale_reserve_outcomes",
    "Answers to reserve: holds granted, refusals by kind, failures.",
    ["outcome"],
)
SOLD_OUT_FROM_MEMORY = Counter(
    "flashsale_sold_out_from_memory", "Sold-out answers given without asking the store."
)
HOLDS_EXPIRED = Counter("flashsale_holds_expired", "Holds ended by this sweeper.")
BATCH_SIZE = Histogram(
    "flashsale_batch_size",
    "Reservations in one script call.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
)
STORE_SECONDS = Histogram(
    "flashsale_store_seconds",
    "Time of one batched script call, fsync included.",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
QUEUE_LENGTH = Gauge(
    "flashsale_queue_length", "Reservations waiting to be sent to the store.", multiprocess_mode="livesum"
)
PAYMENTS_STARTED = Counter("flashsale_payments_started", "Wishes to pay, by outcome.", ["outcome"])
PAYMENT_EVENTS = Counter(
    "flashsale_payment_events",
    "Webhooks of payment providers, by what was done with them.",
    ["provider", "outcome"],
)
PAYMENT_JOBS = Counter(
    "flashsale_payment_jobs", "Payment jobs, by kind and by how they ended.", ["kind", "outcome"]
)
CHARGES = Counter("flashsale_charges", "Charges decided, by what became of them.", ["outcome"])
UNDECIDED_CHARGES = Gauge(
    "flashsale_undecided_charges",
    "Charges without a fate when the books were last compared.",
    multiprocess_mode="max",
)
ORDERS_PUBLISHED = Counter("flashsale_orders_published", "Order events that order systems can read.")
WEBHOOK_DELIVERIES = Counter(
    "flashsale_webhook_deliveries", "Tries to deliver an event to a webhook, by outcome.", ["outcome"]
)
WEBHOOKS_SWITCHED_OFF = Counter(
    "flashsale_webhooks_switched_off", "Webhooks that were switched off, by reason.", ["reason"]
)
FACTS_ARCHIVED = Counter("flashsale_facts_archived", "Facts copied into the archive.")
ARCHIVE_LAG = Gauge(
    "flashsale_archive_lag",
    "Facts of all sales that the archive does not have yet.",
    multiprocess_mode="livemax",
)
ATTEMPTS_DROPPED = Counter(
    "flashsale_attempts_dropped",
    "Refused tries to reserve that nobody can be told of any more: too many at once.",
)
WATCHERS = Gauge("flashsale_live_watchers", "Who watches a sale live now.", multiprocess_mode="livesum")
WORKERS_ALIVE = Gauge("flashsale_http_workers", "HTTP workers running.", multiprocess_mode="livesum")


class Requests:
    """The counts of one HTTP worker since they were last handed over."""

    def __init__(self) -> None:
        self.http: Tally[tuple[str, str, int]] = Tally()
        """(method, route, status) -> requests"""
        self.reserve: Tally[str] = Tally()
        """outcome -> answers"""
        self.from_memory = 0
        self.fast: Tally[int] = Tally()
        """status -> requests to reserve that the fast lane answered; not among `http`"""

    def batch_done(self, size: int, seconds: float) -> None:
        """One script call decided `size` reservations."""
        BATCH_SIZE.observe(size)
        STORE_SECONDS.observe(seconds)

    def answered_from_memory(self) -> None:
        """One sold-out answer was given without asking the store."""
        self.from_memory += 1

    def hand_over(self, queue_length: int) -> None:
        """Adds the counts to the metrics and starts again from nothing."""
        http, self.http = self.http, Tally()
        fast, self.fast = self.fast, Tally()
        LANE_REQUESTS.labels("fast").inc(fast.total())
        LANE_REQUESTS.labels("aiohttp").inc(http.total())
        for status, count in fast.items():
            HTTP_REQUESTS.labels(*RESERVE_ROUTE, str(status)).inc(count)
        for (method, route, status), count in http.items():
            HTTP_REQUESTS.labels(method, route, str(status)).inc(count)
        reserve, self.reserve = self.reserve, Tally()
        for outcome, count in reserve.items():
            RESERVE_OUTCOMES.labels(outcome).inc(count)
        SOLD_OUT_FROM_MEMORY.inc(self.from_memory)
        self.from_memory = 0
        QUEUE_LENGTH.set(queue_length)


def render() -> bytes:
    """The metrics of all processes that share PROMETHEUS_MULTIPROC_DIR, or of this one."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        return generate_latest(registry)
    return generate_latest()


@dataclass(slots=True)
class Totals:
    """What all processes together have counted so far, and how many they are."""

    reserve: dict[str, int] = field(default_factory=dict)
    """outcome -> answers to reserve, of all sales"""
    waiting: int = 0
    """Reservations that wait to be sent to the store."""
    workers: int = 0
    attempts_dropped: int = 0


def totals() -> Totals:
    """The same numbers as `render` shows, some of them, at a tenth of its cost."""
    found = Totals()
    for metric in _few():
        for sample in metric.samples:
            if sample.name == "flashsale_reserve_outcomes_total":
                outcome = sample.labels["outcome"]
                found.reserve[outcome] = found.reserve.get(outcome, 0) + int(sample.value)
            elif sample.name == "flashsale_queue_length":
                found.waiting += int(sample.value)
            elif sample.name == "flashsale_http_workers":
                found.workers += int(sample.value)
            elif sample.name == "flashsale_attempts_dropped_total":
                found.attempts_dropped += int(sample.value)
    return found


def _few() -> Iterable[Any]:
    """Counters and the gauges that are summed up: without the histograms, which are most of it."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder is None:
        return REGISTRY.collect()
    files = [str(each) for kind in ("counter", "gauge_livesum") for each in Path(folder).glob(f"{kind}_*.db")]
    merged: Iterable[Any] = multiprocess.MultiProcessCollector.merge(files)
    return merged
