from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flashsale.model.instants import from_datetime, to_rfc3339

LAST_MS = 253_402_300_799_999  # the last millisecond of the year 9999


def test_an_instant_as_text() -> None:
    assert to_rfc3339(1_763_805_600_123) == "2025-11-22T10:00:00.123Z"
    assert to_rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert to_rfc3339(LAST_MS) == "9999-12-31T23:59:59.999Z"


@given(st.integers(0, LAST_MS))
def test_text_and_back(instant_ms: int) -> None:
    assert from_datetime(datetime.fromisoformat(to_rfc3339(instant_ms))) == instant_ms


def test_a_zone_is_taken_into_account_and_fractions_are_cut_off() -> None:
    shanghai = timezone(timedelta(hours=8))
    assert from_datetime(datetime(2025, 11, 22, 18, 0, 0, 123_999, shanghai)) == 1_763_805_600_123
    assert from_datetime(datetime(1969, 12, 31, 23, 59, 59, 999_500, UTC)) == -1


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a time zone"):
        from_datetime(datetime(2025, 11, 22))  # noqa: DTZ001 (that is the point)
