"""Order systems: they read what was sold, and see that nothing is missing."""

from typing import Any
from urllib.parse import urlencode

import gevent
from _books import feed_query, order_of
from _caller import Caller
from _clock import monotonic_ms
from _run import RUN
from locust import constant, tag, task

from flashsale.verdict.evidence import Consumer

WAIT_SECONDS = 5
LIMIT = 500
TROUBLES_MAX = 20


class OrderSystem(Caller):
    """One that follows the feed of the sale by long poll and checks the sequence."""

    parts = frozenset({"orders"})
    fixed_count = 1
    wait_time = constant(0)

    def on_start(self) -> None:
        """Begins at the beginning of the feed."""
        RUN.planned.wait()
        self.customer = f"order system {len(RUN.consumers) + 1} of {RUN.process_name}"
        self._cursor = ""
        self._received = 0
        self._last = 0
        self._troubles: list[str] = []
        self._delays_ms: list[float] = []
        self._say()
        self.view()  # the clock

    @tag("orders")
    @task
    def poll(self) -> None:
        """Takes what there is, or waits for it."""
        assert RUN.plan is not None
        query: dict[str, Any] = feed_query(RUN.plan.terms.sale, rehearsal=RUN.options.rehearsal)
        query |= {"limit": LIMIT, "wait": WAIT_SECONDS} | ({"after": self._cursor} if self._cursor else {})
        text = self.line.render(
            "GET", f"/v1/orders?{urlencode(query)}", Authorization=f"Bearer {RUN.options.api_key}"
        )
        answer = self.ask("orders", text)
        if answer.status != 200:
            if answer.status not in {0, 503}:
                self._trouble(f"the feed answered {answer.said()}")
            gevent.sleep(answer.retry_after_s() or 0.5)
            return
        page = answer.fields()
        for event in page["events"]:
            self._take(event)
        self._cursor = page["cursor"]
        self._say()

    def _take(self, event: dict[str, Any]) -> None:
        try:
            order = order_of(event)
        except (LookupError, TypeError, ValueError) as fault:
            self._trouble(f"an event that cannot be read: {fault!r}")
            return
        if order.sequence != self._last + 1:
            self._trouble(f"{order.reservation} is number {order.sequence}, and {self._last} came before it")
        self._last = order.sequence
        self._received += 1
        self._delays_ms.append(RUN.clock.at(monotonic_ms()) - order.at_ms)

    def _trouble(self, said: str) -> None:
        if len(self._troubles) < TROUBLES_MAX:
            self._troubles.append(said)

    def _say(self) -> None:
        """What this order system has, for the verdict."""
        delays = sorted(self._delays_ms)
        RUN.consumers[self.customer] = Consumer(
            name=self.customer,
            received=self._received,
            last_sequence=self._last,
            troubles=list(self._troubles),
            delay_p50_ms=delays[len(delays) // 2] if delays else None,
            delay_p99_ms=delays[min(len(delays) - 1, len(delays) * 99 // 100)] if delays else None,
        )
