"""Keeps the embedded Valkey running while a server runs: one that dies is started again where it was."""

import time

import structlog

from flashsale.process.embedded import EmbeddedError, EmbeddedValkey
from flashsale.process.managed import STEADY_SECONDS, restart_delay
from flashsale.process.valkey_config import Health

logger = structlog.get_logger(__name__)


class ValkeyWatch:
    """Looks after a running server: `tick` starts it again, with growing delays, if it has ended.

    It comes back on the same port with the same password and data, so its clients find it by themselves.
    """

    def __init__(self, valkey: EmbeddedValkey) -> None:
        self._valkey = valkey
        self._started = time.monotonic()
        self._quick_deaths = 0
        self._start_at: float | None = None
        self._answering = True

    def tick(self) -> None:
        """Look once; to be called several times a second. Waits for no start, and a second for an answer."""
        if self._start_at is None and not self._valkey.is_running():
            lived = time.monotonic() - self._started
            self._quick_deaths = self._quick_deaths + 1 if lived < STEADY_SECONDS else 1
            self._start_at = time.monotonic() + restart_delay(self._quick_deaths)
            logger.error("valkey.ended", **self._valkey.exit_report())
        if self._start_at is not None and time.monotonic() >= self._start_at:
            self._start()
        if not self._answering and self._start_at is None and self._valkey.health() is Health.READY:
            self._answering = True
            logger.info("valkey.back", valkey_pid=self._valkey.pid, port=self._valkey.port)

    def _start(self) -> None:
        self._answering = False
        self._started = time.monotonic()
        self._start_at = None
        try:
            self._valkey.launch()
        except (OSError, EmbeddedError):
            self._quick_deaths += 1
            self._start_at = time.monotonic() + restart_delay(self._quick_deaths)
            logger.exception("valkey.cannot_start")
