"""Scripts with a fault put in are found out by the state machine: a test that cannot fail proves nothing."""

from pathlib import Path

import pytest

from tests.support import runs
from tests.support.tamper import tampered, use

FAULTS = {
    "oversells by one": (
        "includes/claiming",
        "while item.available < units do",
        "while item.available < units - 1 do",
    ),
    "oversells the last unit": (
        "reserve",
        "if item and item.available > 0 then",
        "if item and item.available >= 0 then",
    ),
    "strands a unit when a hold ends": (
        "includes/release",
        "item.available = item.available + body[i + 1]",
        "item.available = item.available + body[i + 1] - (kind == 'reservation.expired' and 1 or 0)",
    ),
    "ignores the limit of the sale": ("includes/claiming", "return limit > 0 and", "return limit > 1000 and"),
    "ignores the limit of an item": ("includes/claiming", "if most > 0 and", "if most > 1000 and"),
    "never frees the limit": (
        "includes/release",
        "count(body[1], id, NO_UNITS)",
        "if kind ~= 'reservation.cancelled' then count(body[1], id, NO_UNITS) end",
    ),
    "skips a seq": (
        "includes/book",
        "seq = seq + 1\n  facts[",
        "seq = seq + (kind == 'reservation.cancelled' and 2 or 1)\n  facts[",
    ),
    "gives a place twice": ("reserve", "place = place + 1", "place = math.max(place, 2)"),
    "forgets a replay": ("reserve", "results[i] = sub(known", "results[i] = '' == sub(known"),
    "opens late": ("reserve", "now < opens_ms", "now <= opens_ms"),
    "expires early": ("includes/release", "'-inf', now_text", "'-inf', string.format('%.0f', now + 1)"),
    "leaves the hold when it is cancelled": ("includes/release", "removals[#removals + 1] = id", ""),
    "extends for ever": ("extend", "string.char(HELD, EXTENDED)", "string.char(HELD, 0)"),
    "restocks twice": ("restock", "redis.call('HSET', SALE, 'restock:' .. key, payload)", ""),
    "resumes what is closed": ("set_state", "elseif state == 'closed' then", "elseif state == 'shut' then"),
    "redefines what is open": ("open_sale", "if opened or now >= opens_ms or over then", "if over then"),
}


def walks(url: str) -> None:
    for seed in range(60):
        runs.walk(url, seed, steps=30)


@pytest.mark.breaks_the_books("that is what the tampered scripts do")
@pytest.mark.parametrize("fault", FAULTS)
def test_the_state_machine_finds(fault: str, valkey: str, tmp_path: Path) -> None:
    with use(tampered(tmp_path, *FAULTS[fault])), pytest.raises(AssertionError):
        walks(valkey)


def test_without_a_fault_the_same_walks_find_nothing(valkey: str) -> None:
    for seed in range(10):
        runs.walk(valkey, seed, steps=30)
