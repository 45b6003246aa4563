"""How long to wait before the next try: longer each time, never the same for two, and as long as the server asks for."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

MOST_RETRY_AFTER_SECONDS: Final = 3600.0
"""More than this is taken for a mistake: a feed must not sleep for days because a proxy said so."""

_chance: Final = random.SystemRandom()


@dataclass(slots=True)
class Backoff:
    """Exponential, with jitter: consumers that were cut off together do not come back together."""

    first_seconds: float = 0.1
    most_seconds: float = 30.0
    failures: int = 0
    """One after the other, so far."""

    def reset(self) -> None:
        """It worked again."""
        self.failures = 0

    def next(self, asked_seconds: float | None = None) -> float:
        """Seconds to wait after one more failure, at least those that the server has asked for."""
        whole = min(self.first_seconds * 2.0 ** min(self.failures, 60), self.most_seconds)
        self.failures += 1
        waited = whole * _chance.uniform(0.5, 1.0)
        if asked_seconds is None:
            return waited
        # Never earlier than asked, and not all at that very instant.
        return min(asked_seconds, MOST_RETRY_AFTER_SECONDS) + waited


def seconds_of(retry_after: str | None) -> float | None:
    """Seconds from now of a Retry-After header, which is a number or a date; None when it says nothing that can be read."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        instant = parsedate_to_datetime(text)
    except ValueError:
        return None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return max((instant - datetime.now(UTC)).total_seconds(), 0.0)
