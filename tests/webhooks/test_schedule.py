"""When a delivery is tried again."""

from email.utils import formatdate

import pytest

from flashsale.webhooks.schedule import JITTER, MOST_WAIT_S, PAUSES_S, pause_s, retry_after_s

NOW_S = 1_796_119_207.5


def test_pauses_grow_up_to_six_hours_and_are_spread() -> None:
    assert list(PAUSES_S) == sorted(PAUSES_S)
    assert (PAUSES_S[:3], PAUSES_S[-1]) == ((5, 30, 120), 6 * 3600)
    for tries in range(1, 40):
        shortest = PAUSES_S[min(tries, len(PAUSES_S)) - 1]
        assert pause_s(tries, chance=lambda: 0.0) == shortest
        assert pause_s(tries, chance=lambda: 1.0) == pytest.approx(shortest * (1 + JITTER))
    assert len({pause_s(3) for _ in range(50)}) > 40


@pytest.mark.parametrize(
    ("wanted", "pause"), [(0.0, 1.0), (1.0, 1.0), (17.0, 17.0), (90_000.0, MOST_WAIT_S), (1e300, MOST_WAIT_S)]
)
def test_a_receiver_is_heeded_within_bounds(wanted: float, pause: float) -> None:
    assert pause_s(1, wanted) == pause_s(30, wanted) == pause


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("9" * 400, MOST_WAIT_S),
        (formatdate(NOW_S + 60.5, usegmt=True), 60.5),
        (formatdate(NOW_S - 3600, usegmt=True), 0.0),
        ("Wed, 21 Oct 2015 07:28:00", 0.0),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    found = retry_after_s(header, NOW_S)
    assert found == (None if seconds is None else pytest.approx(seconds, abs=1))
