"""Refreshers: they only look."""

from typing import Any

import gevent
from _caller import Caller
from _run import RUN
from locust import between, tag, task


class Refresher(Caller):
    """One who reloads the page of the sale again and again, and checks that it makes sense."""

    parts = frozenset({"refresh"})
    fixed_count = 0
    wait_time = between(0.5, 2.0)

    def on_start(self) -> None:
        """Waits until it is known which sale it is."""
        RUN.planned.wait()
        self._server_time = ""

    @tag("refresh")
    @task
    def reload(self) -> None:
        """Reads state and availability."""
        asked_ms = RUN.clock.now_ms()
        view = self.view()
        if view is None:
            gevent.sleep(0.5)
            return
        said = self._wrong(view, asked_ms)
        if said:
            RUN.ledger.odd("view", "a refresher", RUN.clock.now_ms(), said)

    def _wrong(self, view: dict[str, Any], asked_ms: int) -> str:
        """What of a view cannot be that was asked for at this instant: the answer may have been long on its way."""
        before, self._server_time = self._server_time, view["server_time"]
        if view["server_time"] < before:
            return f"the server's time went back from {before} to {view['server_time']}"
        for item in view["items"]:
            if not 0 <= item["available"] <= item["stock"]:
                return f"{item['available']} of {item['stock']} {item['sku']} are available"
        assert RUN.plan is not None
        if view["state"] == "scheduled" and RUN.t0_known.is_set() and asked_ms > RUN.t0_ms + 2000:
            return f"the sale is still scheduled at {view['server_time']}, and T0 was {view['opens_at']}"
        return ""
