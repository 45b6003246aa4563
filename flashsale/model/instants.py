"""Instants: integer milliseconds since the Unix epoch inside, RFC 3339 in UTC outside."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_rfc3339(instant_ms: int) -> str:
    """`1763805600123` -> `2025-11-22T10:00:00.123Z`."""
    seconds, milliseconds = divmod(instant_ms, 1000)
    return f"{_to_the_second(seconds)}.{milliseconds:03d}Z"


@lru_cache(maxsize=1024)
def _to_the_second(seconds: int) -> str:
    """Remembered: thousands of answers name instants of the same second."""
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def from_datetime(instant: datetime) -> int:
    """Milliseconds of an aware datetime, fractions cut off.

    Raises:
        ValueError: the datetime has no time zone.
    """
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone, such as 2026-11-22T10:00:00Z")
    return (instant - _EPOCH) // _MILLISECOND
