"""When a delivery that failed is tried again."""

import random
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

PAUSES_S: Final = (5, 30, 120, 600, 1800, 3600, 7200, 14_400, 21_600)
"""After the first failure, the second and so on; after those, the last one each time."""
JITTER: Final = 0.2
"""Every pause is longer by up to this part of it, so that what failed together is not tried together."""
LEAST_WAIT_S: Final = 1.0
MOST_WAIT_S: Final = 86_400.0
"""What a receiver may ask for with Retry-After."""
LEAST_TRIES: Final = 5
"""So often a delivery is tried before a webhook is switched off, also when nobody tried for days in between."""
_DIGITS: Final = 12


def pause_s(
    tries: int, retry_after_s: float | None = None, chance: Callable[[], float] = random.random
) -> float:
    """Seconds until the next try after `tries` failed ones; a receiver's own wish comes first, within bounds."""
    if retry_after_s is not None:
        return min(max(retry_after_s, LEAST_WAIT_S), MOST_WAIT_S)
    return PAUSES_S[min(tries, len(PAUSES_S)) - 1] * (1 + JITTER * chance())


def retry_after_s(header: str | None, now_s: float) -> float | None:
    """Seconds that a Retry-After header asks for, by their number or by a date; None when it cannot be read."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) <= _DIGITS else MOST_WAIT_S
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(until.timestamp() - now_s, 0.0)
