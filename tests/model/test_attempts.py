"""Refused tries, packed and told again by the clock of the store."""

import pytest

from flashsale.model.attempts import (
    BUSY,
    NAMES,
    TOGETHER_MS,
    UNAVAILABLE,
    Attempt,
    dropped_of,
    of_customer,
    pack,
    together,
)
from flashsale.model.outcomes import Reserve

SOLD_OUT = int(Reserve.SOLD_OUT)
PAUSED = int(Reserve.PAUSED)


def test_a_batch_comes_back_by_the_clock_of_the_store() -> None:
    packed = pack(
        1_000_000,
        3,
        [
            ("ann", SOLD_OUT, 999_100, 999_900, 12),
            ("Ünï", BUSY, 999_500, 999_500, 1),
            ("ann", PAUSED, 1, 2, 1),
        ],
    )
    assert dropped_of(packed) == 3
    stored_ms = 5_000_000  # the worker's clock is far behind
    assert list(of_customer(packed, "ann", stored_ms)) == [
        Attempt(SOLD_OUT, stored_ms - 900, stored_ms - 100, 12),
        Attempt(PAUSED, stored_ms - 999_999, stored_ms - 999_998, 1),
    ]
    assert [each.name for each in of_customer(packed, "Ünï", stored_ms)] == ["busy"]
    assert not list(of_customer(packed, "an", stored_ms))


@pytest.mark.parametrize("packed", [b"", b"\xc1", b"\x93\x01\x02\xa1c", b"\x90", b"\xa3abc"])
def test_what_is_no_batch_is_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="not a batch"):
        dropped_of(packed)
    with pytest.raises(ValueError, match="not a batch"):
        list(of_customer(packed, "c", 0))


def test_tries_that_follow_each_other_are_told_as_one() -> None:
    first = Attempt(SOLD_OUT, 1000, 1900, 5)
    next_second = Attempt(SOLD_OUT, 2000, 2900, 7)
    other = Attempt(PAUSED, 2500, 2500, 1)
    later = Attempt(SOLD_OUT, 2901 + TOGETHER_MS, 2901 + TOGETHER_MS, 1)
    assert together([later, next_second, other, first]) == [Attempt(SOLD_OUT, 1000, 2900, 12), other, later]
    # Two workers may have told the same customer the same at the same time.
    assert together([first, first]) == [Attempt(SOLD_OUT, 1000, 1900, 10)]
    assert together([]) == []


def test_every_refusal_of_a_sale_has_a_name() -> None:
    refusals = {Reserve.NOT_OPEN, Reserve.PAUSED, Reserve.CLOSED, Reserve.LIMIT_REACHED, Reserve.SOLD_OUT}
    assert {int(each) for each in refusals} | {BUSY, UNAVAILABLE} == set(NAMES)
    assert UNAVAILABLE not in set(Reserve)
    assert NAMES[SOLD_OUT] == Reserve.SOLD_OUT.name.lower()
