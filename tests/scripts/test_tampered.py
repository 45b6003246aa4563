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
        "if item and left > 0 then",
        "if item and left >= 0 then",
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
    "forgets a replay": ("reserve", "if first[j] ~= lines[j] then", "if true then"),
    "mistakes one key's claims": ("reserve", "if first[j] ~= lines[j] then", "if false then"),
    "forgets what it has just granted": ("reserve", "remembered + 1, record_count, 2", "1, 0"),
    "opens late": ("reserve", "now < opens_ms", "now <= opens_ms"),
    "expires early": ("includes/release", "'-inf', now_text", "'-inf', string.format('%.0f', now + 1)"),
    "leaves the hold when it is cancelled": ("includes/release", "removals[#removals + 1] = id", ""),
    "extends for ever": ("extend", "if string.byte(record, 2) == EXTENDED then", "if false then"),
    "restocks twice": ("restock", "redis.call('HSET', SALE, 'restock:' .. key, payload)", ""),
    "resumes what is closed": ("set_state", "elseif state == 'closed' then", "elseif state == 'shut' then"),
    "redefines what is open": ("open_sale", "if opened or now >= opens_ms or over then", "if over then"),
}
MONEY_FAULTS = {
    "confirms twice": ("confirm", "elseif status == CONFIRMED then", "elseif status == 9 then"),
    "leaves what is paid among the held": ("confirm", "item.held = item.held - lines[i + 1]", ""),
    "leaves what is paid among the holds": (
        "confirm",
        "removals[#removals + 1] = id\n    record_writes",
        "record_writes",
    ),
    "leaves what is paid by another attempt among the holds": (
        "confirm",
        "removals[#removals + 1] = id\n    else",
        "else",
    ),
    "leaves the usual among the held": ("confirm", "line[1].held = line[1].held - units", ""),
    "forgets what was usually sold": ("confirm", "(sold[line[3]] or 0) + units", "units"),
    "takes one that is over for the usual": ("confirm", "struct.unpack('>I6', record, 9) > now", "true"),
    "takes a doubled one for the usual": (
        "confirm",
        "sub(payment, HEAD_BYTES + 2, PAYMENT_BYTES) == '\\0\\0'",
        "true",
    ),
    "takes a strange one for the usual": (
        "confirm",
        "sub(payment, PAYMENT_BYTES + 1, PAYMENT_BYTES + byte(payment, HEAD_BYTES + 1)) == reference",
        "true",
    ),
    "confirms the usual without a fact": (
        "confirm",
        "order_fact('reservation.confirmed', id, '\\0'",
        "local _ = (''",
    ),
    "numbers two orders alike": ("includes/book", "orders = orders + 1", "orders = 1"),
    "forgets what was sold": ("confirm", "(sold[lines[i]] or 0) + lines[i + 1]", "lines[i + 1]"),
    "oversells to a late one": ("confirm", "      return short == SHORT and SOLD_OUT or RECLAIMING", ""),
    "sells late without taking": ("confirm", "item.available = item.available - lines[i + 1]", ""),
    "confirms late as in time": ("confirm", "(late and '\\1' or '\\0')", "'\\0'"),
    "confirms without expiring first": (
        "confirm",
        "release_one(id, record, EXPIRED, 'reservation.expired', id)",
        "",
    ),
    "accepts any amount": (
        "confirm",
        "sub(payment, 4, HEAD_BYTES) ~= money",
        "sub(payment, 11, HEAD_BYTES) ~= sub(money, 8)",
    ),
    "accepts any currency": (
        "confirm",
        "sub(payment, 4, HEAD_BYTES) ~= money",
        "sub(payment, 4, 10) ~= sub(money, 1, 7)",
    ),
    "ignores the limit of a late one": ("confirm", "if broken_limit(customer, lines) then", "if false then"),
    "loses the limit of a late one": ("confirm", "count(customer, id, struct.pack('>I4', units))", ""),
    "confirms what was cancelled": ("confirm", "elseif status == CANCELLED then", "elseif status == 9 then"),
    "confirms what was refunded": ("confirm", "elseif status == REFUNDED then", "elseif status == 9 then"),
    "confirms what nobody asked for": (
        "confirm",
        "elseif not payment or byte(payment, 2) == 0 then",
        "elseif not payment then",
    ),
    "decides a charge anew": ("confirm", "    if fate then", "    if fate == GIVEN_BACK then"),
    "refuses without a refund": ("confirm", "job('refund', id .. charge)", ""),
    "refuses without a fact": ("confirm", "fact('charge.refused', id", "local _ = (id"),
    "confirms without a fact": (
        "confirm",
        "order_fact('reservation.confirmed', id, (late",
        "local _ = ((late",
    ),
    "forgets earlier charges": ("confirm", "charges .. char(ORDER)", "char(ORDER)"),
    "lets the other attempt live": (
        "confirm",
        "    if known ~= reference then",
        "    if known == reference then",
    ),
    "keeps the job that is done": ("confirm", "redis.call('XDEL', PAYMENTS, unpack(done))", ""),
    "refunds without a job": ("refund", "job('refund', id .. sub(undone, 2))", ""),
    "refunds without a fact": (
        "refund",
        "order_fact('reservation.refunded', id, ARGV[3] .. undone .. ARGV[4])",
        "",
    ),
    "refunds and keeps the order": ("refund", "fate = GIVING_BACK", "fate = ORDER"),
    "refunds and keeps the limit": ("refund", "count(lines[1], id, NO_UNITS)", ""),
    "restocks what is gone": (
        "refund",
        "if restock then\n  for i = 2, #lines, 2 do\n    local",
        "if true then\n  for i = 2, #lines, 2 do\n    local",
    ),
    "restocks and leaves it sold": ("refund", "'sold:' .. lines[i], -lines[i + 1]", "'sold:' .. lines[i], 0"),
    "refunds what is held": ("refund", "if status ~= CONFIRMED then", "if status > CONFIRMED then"),
    "settles an order": ("settle", "fate == ORDER and IS_ORDER or ", ""),
    "settles twice": ("settle", "fate == GIVEN_BACK and ALREADY_SETTLED or DONE", "DONE"),
    "settles without a fact": ("settle", "fact('charge.refunded', id", "local _ = (id"),
    "settles half as all": ("settle", "left == 0", "left >= 0"),
    "settles and keeps the job": ("settle", "redis.call('XDEL', PAYMENTS, ARGV[6])", ""),
    "pays past the turn": ("dispatch", "'ZPOPMIN'", "'ZPOPMAX'"),
    "tries again too soon": ("dispatch", "'-inf', string.format('%d', now)", "'-inf', '+inf'"),
    "forgets what it put off": (
        "dispatch",
        "redis.call('XADD', PAYMENTS, '*', kind, payload, 'tries', string.format('%d', tries))",
        "",
    ),
    "puts off what is done": (
        "defer",
        "if redis.call('XDEL', PAYMENTS, entry) == 0 then",
        "if redis.call('XDEL', PAYMENTS, entry) < 0 then",
    ),
    "keeps the dead": ("revive", "redis.call('HDEL', DEAD, ARGV[i])", ""),
    "queues without a limit": ("pay", "if room <= 0 then", "if room < -100000 then"),
    "never waits for a turn": ("pay", "write('ZADD', TURNS, turns)", ""),
    "pays twice at once": (
        "pay",
        "if status <= PROCESSING and sub(payment, 3, 3) == method then",
        "if false then",
    ),
    "extends for nothing": ("pay", "if extension_ms > 0 and", "if extension_ms >= 0 and"),
    "extends at every attempt": ("includes/lengthen", "string.char(HELD, EXTENDED)", "string.char(HELD, 0)"),
    "keeps the other method alive": ("pay", "    abandon(id, payment)", ""),
    "listens to an older attempt": (
        "attempt",
        "if byte(payment, 2) ~= number then",
        "if false then",
    ),
    "fails what is paid": ("attempt", "if byte(payment) > FAILED then", "if byte(payment) > PAID then"),
    "asks to pay for an ended hold": ("attempt", "or is_overdue(record)", ""),
    "cancels and lets them pay": ("cancel", "    abandon(id, payment)", ""),
}


def walks(url: str) -> None:
    for seed in range(60):
        runs.walk(url, seed, steps=30)


@pytest.mark.long
@pytest.mark.breaks_the_books("that is what the tampered scripts do")
@pytest.mark.parametrize("fault", [*FAULTS, *MONEY_FAULTS])
def test_the_state_machine_finds(fault: str, valkey: str, tmp_path: Path) -> None:
    with use(tampered(tmp_path, *{**FAULTS, **MONEY_FAULTS}[fault])), pytest.raises(AssertionError):
        walks(valkey)


def test_without_a_fault_the_same_walks_find_nothing(valkey: str) -> None:
    for seed in range(10):
        runs.walk(valkey, seed, steps=30)
