"""The comment at the top of each script is its contract: it is held against the script and against its wrapper."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from flashsale.keys import GLOBAL, PACE, PER_SALE, PER_WEBHOOK, SaleKeys, WebhookKeys
from flashsale.model import outcomes
from flashsale.model.events import Event, Tally
from flashsale.model.facts import Fact
from flashsale.model.jobs import Job
from flashsale.model.payment import HEADER_BYTES as PAYMENT_BYTES
from flashsale.model.payment import MONEY_BYTES, Fate, Money, PaymentStatus
from flashsale.model.reservation import ENTRY_BYTES, HEADER_BYTES, State, pack_body
from flashsale.scripts import calls, guarding, loader, payments, webhooks
from flashsale.scripts import reserve as reserving
from flashsale.scripts.payments import ChargeClaim
from flashsale.store.orders import publish_args
from tests.support.sales import SALE, claim, definition

KEYS = SaleKeys.of(SALE)
WEBHOOK = WebhookKeys.of("wh")
GROUPS = {
    "book": KEYS.book(),
    "paid_book": KEYS.paid_book(),
    "queue": KEYS.queue(),
    "pace": (PACE,),
    "orders": (KEYS.orders,),
    "compared": KEYS.compared(),
    "lease": (WEBHOOK.lease,),
    "webhook": WEBHOOK.all(),
}
"""Every script takes the keys of one of these groups, in this order."""
GROUP_OF = {
    **dict.fromkeys(("open_sale", "reserve", "extend", "expire", "restock", "set_state"), "book"),
    **dict.fromkeys(
        ("inspect", "find", "cancel", "pay", "attempt", "confirm", "refund", "settle"), "paid_book"
    ),
    **dict.fromkeys(("dispatch", "defer", "revive"), "queue"),
    "pace": "pace",
    "publish": "orders",
    "compare": "compared",
    "lease": "lease",
    "advance": "webhook",
}
ENUMS: dict[str, type[IntEnum]] = {
    "open_sale": outcomes.OpenSale,
    "reserve": outcomes.Reserve,
    "extend": outcomes.Resolve,
    "cancel": outcomes.Resolve,
    "restock": outcomes.Restock,
    "set_state": outcomes.SetState,
    "pay": outcomes.Pay,
    "attempt": outcomes.Attempt,
    "confirm": outcomes.Confirm,
    "refund": outcomes.Refund,
    "settle": outcomes.Settle,
    "advance": outcomes.Advance,
    "compare": outcomes.Compare,
}
CODE_NAMES = {"CONFIRMED": "CONFIRMED_IN_TIME", "CANCELLED": "IS_CANCELLED", "REFUNDED": "IS_REFUNDED"}
"""What an outcome is called in the code where a state has its name."""
FLAGS = {
    "inspect": "no-writes",
    "find": "no-writes",
    "cancel": "allow-oom",
    "expire": "allow-oom",
    "set_state": "allow-oom",
    "compare": "allow-oom",
    "lease": "allow-oom",
    "advance": "allow-oom",
}
"""Scripts not named here have none: they write, and they refuse to when memory is full."""
WRITES = re.compile(
    r"'(HSET|HDEL|HINCRBY|DEL|UNLINK|ZADD|ZREM|ZREMRANGEBY\w+|ZPOPMIN|XADD|XACK|XTRIM|XDEL|SET|EXPIRE)'"
)


def text(name: str) -> str:
    return (loader.directory() / f"{name}.lua").read_text(encoding="utf-8")


@dataclass
class Header:
    """What the comment says."""

    purpose: str
    keys: list[tuple[int, str, str]]
    argv: list[str]
    """Numbers of the arguments, in order: "1", "2", then "4.." or ".." for those that repeat."""
    returns: str


def header(name: str) -> Header:
    comment = "\n".join(
        line[2:].strip()
        for line in text(name).splitlines()
        if line.startswith("--") and not line.startswith("-- @")
    )
    before, _, returns = comment.partition("Returns ")
    return Header(
        purpose=before.split("KEYS[1]")[0].strip(),
        keys=[
            (int(n), p, kind)
            for n, p, kind in re.findall(r"^KEYS\[(\d)\] (\S+) +(\S+)$", before, re.MULTILINE)
        ],
        argv=re.findall(r"^ARGV\[(\d*(?:\.\.)?)\] \S", before, re.MULTILINE),
        returns=returns,
    )


def constants(source: str) -> dict[str, int]:
    """Every `local NAME, NAME = 1, 2` of a script."""
    found: dict[str, int] = {}
    for names, values in re.findall(r"^local ([A-Z_, ]+) = (-?\d+(?:, -?\d+)*)", source, re.MULTILINE):
        found.update(zip(names.split(", "), map(int, values.split(", ")), strict=True))
    return found


def test_every_script_has_a_wrapper_and_every_wrapper_a_script() -> None:
    assert {path.stem for path in loader.directory().glob("*.lua")} == set(calls.NAMES)


@pytest.mark.parametrize("name", calls.NAMES)
def test_the_purpose_comes_first(name: str) -> None:
    assert re.match(rf"{name}: \w.*\.", header(name).purpose, re.DOTALL)


@pytest.mark.parametrize("name", calls.NAMES)
def test_the_keys_are_those_of_the_keyspace_table(name: str) -> None:
    types = dict(zip(KEYS.all(), PER_SALE.values(), strict=True)) | GLOBAL
    types |= zip(WEBHOOK.all(), PER_WEBHOOK.values(), strict=True)
    expected = [
        (number, key.replace(f"{{{SALE}.0}}", "{S}").replace("{webhook.wh}", "{W}"), types[key])
        for number, key in enumerate(GROUPS[GROUP_OF[name]], start=1)
    ]
    assert header(name).keys == expected


@pytest.mark.parametrize("name", calls.NAMES)
def test_the_flags_are_the_least_that_will_do(name: str) -> None:
    shebang = text(name).split("\n", 1)[0]
    assert shebang == ("#!lua" + (f" flags={FLAGS[name]}" if name in FLAGS else ""))
    assert bool(WRITES.search(loader.load(name).source)) == (FLAGS.get(name) != "no-writes")


@pytest.mark.parametrize("name", calls.NAMES)
def test_no_key_is_built_inside(name: str) -> None:
    source = loader.load(name).source
    code = "\n".join(line.split("--")[0] for line in source.splitlines())
    assert "fs:" not in code
    last = len(GROUPS[GROUP_OF[name]])
    named = {"key"}  # of write(): it is handed one of those below
    for names, values in re.findall(
        r"^local ([A-Z_, ]+) = (KEYS\[\d\](?:, KEYS\[\d\])*)$", code, re.MULTILINE
    ):
        assert len(names.split(", ")) == len(values.split(", "))
        assert all(0 < int(number) <= last for number in re.findall(r"\d", values))
        named |= set(names.split(", "))
    for call, key in re.findall(r"redis[._]call\(\s*([^,()]+?)\s*[,)]\s*([\w\[\]]*)", code):
        known = key in named or re.fullmatch(rf"KEYS\[[1-{last}]\]", key)
        assert call == "'TIME'" or known, f"{call} of {key}"


@pytest.mark.parametrize("name", sorted(ENUMS))
def test_the_outcomes_are_numbered_as_in_the_enum(name: str) -> None:
    sign = -1 if name == "reserve" else 1
    members = {member.name: sign * member for member in ENUMS[name]}
    said = {
        word: int(number) for number, word in re.findall(r"(-?\d+) ([A-Z][A-Z_]{3,})", header(name).returns)
    }
    left_out = {"reserve": {"HELD"}, "cancel": {"ALREADY_EXTENDED"}}.get(
        name, set()
    )  # HELD is a place instead
    assert said == {word: number for word, number in members.items() if word not in left_out}
    states = {state.name for state in State}
    codes = constants(loader.load(name).source)
    renamed = {word: CODE_NAMES.get(word) for word in said}
    for word, number in said.items():
        if renamed[word] or word not in states:
            assert codes[renamed[word] or word] == number, word


@pytest.mark.parametrize("name", sorted(ENUMS))
def test_the_outcomes_are_listed_in_order_of_precedence(name: str) -> None:
    numbers = [abs(int(n)) for n, _ in re.findall(r"(-?\d+) ([A-Z][A-Z_]{3,})", header(name).returns)]
    granted = (
        2 if name == "confirm" else 1
    )  # the outcomes up to this one are what remains when nothing refuses
    order = [int(outcome) for outcome in ENUMS[name]]
    assert numbers == sorted(numbers, key=lambda number: (number <= granted, order.index(number)))


def test_the_layout_of_records_is_the_same_on_both_sides() -> None:
    book = (loader.directory() / "includes" / "book.lua").read_text(encoding="utf-8")
    found = constants(book)
    assert {name: found[name] for name in State.__members__} == {state.name: state for state in State}
    assert (found["HEADER_BYTES"], found["ENTRY_BYTES"]) == (HEADER_BYTES, ENTRY_BYTES)


def test_the_layout_of_payments_is_the_same_on_both_sides() -> None:
    found = constants((loader.directory() / "includes" / "paying.lua").read_text(encoding="utf-8"))
    codes = {"CANCELLED": "GIVEN_UP", "REFUNDED": "RETURNED"}  # where a state of a reservation has the name
    for status in PaymentStatus:
        assert found[codes.get(status.name, status.name)] == status
    assert (found["ORDER"], found["GIVING_BACK"], found["GIVEN_BACK"]) == tuple(Fate)
    assert (found["PAYMENT_BYTES"], found["CHARGE_BYTES"]) == (PAYMENT_BYTES, 1 + MONEY_BYTES + 1)
    (queued,) = {constants(text("find"))["QUEUED"]}
    assert queued == PaymentStatus.QUEUED


class Recording(Redis):
    """The real client, which remembers the arguments of the last script call."""

    script_args: tuple[Any, ...] = ()

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        if args[0] in {"EVALSHA", "EVAL"}:
            self.script_args = args[3 + args[2] :]
        return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]  # redis-py's


@pytest.fixture
async def recording(valkey: str) -> AsyncIterator[Recording]:
    client = Recording.from_url(valkey)
    assert isinstance(client, Recording)
    yield client
    await client.aclose()


# Each call, and how many arguments belong to the part that repeats.
CALLS: dict[str, tuple[Callable[[Redis], Awaitable[Any]], int]] = {
    "open_sale": (
        lambda r: calls.open_sale(r, SaleKeys.of("never"), definition({"a": 1, "b": 2}), now_ms=7),
        6,
    ),
    "extend": (lambda r: calls.extend(r, KEYS, "t" * 16, extension_ms=5, now_ms=7), 0),
    "cancel": (lambda r: calls.cancel(r, KEYS, "t" * 16, reason="why", now_ms=7), 0),
    "expire": (lambda r: calls.expire(r, KEYS, limit=5, now_ms=7), 0),
    "restock": (lambda r: calls.restock(r, KEYS, sku="a", units=1, reason="", now_ms=7), 0),
    "set_state": (lambda r: calls.set_state(r, KEYS, "pause", now_ms=7), 0),
    "inspect": (lambda r: calls.inspect(r, KEYS, customers=["c"], tokens=["t" * 16], now_ms=7), 2),
    "pay": (
        lambda r: payments.pay(
            r,
            KEYS,
            [payments.Wish("t" * 16, "card", Money(1, "EUR"))],
            extension_ms=0,
            rate=0,
            queue_limit=1,
            now_ms=7,
        ),
        3,
    ),
    "attempt": (
        lambda r: payments.attempt(
            r, KEYS, [payments.Try("t" * 16, 1, PaymentStatus.FAILED, details={"error": "no"})], now_ms=7
        ),
        6,
    ),
    "refund": (lambda r: payments.refund(r, KEYS, "t" * 16, restock=True, reason="", now_ms=7), 0),
    "settle": (
        lambda r: payments.settle(r, KEYS, "t" * 16, reference="sim:1", refund_id="b", now_ms=7),
        0,
    ),
    "dispatch": (lambda r: payments.dispatch(r, KEYS, starts=1, retries=1, now_ms=7), 0),
    "defer": (
        lambda r: payments.defer(r, KEYS, Job("0-1", "start", b""), delay_ms=1, error="", now_ms=7),
        0,
    ),
    "revive": (lambda r: payments.revive(r, KEYS, ["0-1"], now_ms=7), 1),
    "pace": (lambda r: payments.pace(r, "sim", rate=5, wanted=0, now_ms=7), 0),
    "compare": (lambda r: guarding.compare(r, KEYS, Fact(7, 1, "sale.opened", b"")), 0),
    "lease": (lambda r: webhooks.lease(r, WEBHOOK, "me", ttl_ms=7, take=False), 0),
    "advance": (
        lambda r: webhooks.advance(r, WEBHOOK, "me", SALE, before=7, after=8, retry=None, attempt=None),
        0,
    ),
}


@pytest.mark.breaks_the_books("a sale is defined behind the index's back")
@pytest.mark.parametrize("name", sorted(CALLS))
async def test_the_wrapper_sends_the_arguments_that_the_header_names(name: str, recording: Recording) -> None:
    call, repeated = CALLS[name]
    await call(recording)
    check_arguments(name, recording.script_args, repeated)


def test_reserve_sends_the_arguments_that_the_header_names() -> None:
    claims = [claim("ann"), claim("bob", ("a", 1), ("b", 2), key="k"), claim("cem", ("a", 1))]
    args = reserving.encode(claims, now_ms=7)
    skus = ["car", "a"]  # those of claims for one unit of one item
    assert args[3:] == [len(skus), *skus, pack_body(claims[1].customer, claims[1].lines)]
    parts = ([claim.token for claim in claims], ["ann", "bob", "cem"], [1, 0, 2], "-r-")
    assert args[2] == b"".join(map(msgspec.msgpack.encode, parts))
    check_arguments("reserve", args, len(skus) + 1)


def test_confirm_sends_the_arguments_that_the_header_names() -> None:
    money = Money(1, "EUR")
    claims = [
        ChargeClaim("t" * 16, 1, "card", money, "sim:1"),
        ChargeClaim("u" * 16, 2, "x", money, "b", "0-1"),
    ]
    args = payments.confirm_args(claims, now_ms=7)
    assert args[9:] == ["u" * 16, b"\2\0", money.pack(), "b", "0-1"]
    check_arguments("confirm", args, constants(text("confirm"))["LINE"] * len(claims))


async def test_find_sends_the_arguments_that_the_header_names(recording: Recording) -> None:
    tokens = ["t" * 16, "u" * 16]
    await calls.run(recording, "find", KEYS.paid_book(), 7, *tokens)
    check_arguments("find", recording.script_args, len(tokens))


def test_publish_sends_the_arguments_that_the_header_names() -> None:
    events = [
        (Event(SALE, 0, 20 + number, 8 + number, "t", None, 1, {}, b"{}"), Tally(8 + number))
        for number in range(2)
    ]
    check_arguments("publish", publish_args(events), constants(text("publish"))["EVENT"] * len(events))


def check_arguments(name: str, args: Any, repeated: int) -> None:
    said = header(name).argv
    fixed = [number for number in said if not number.endswith("..")]
    assert fixed == [str(n) for n in range(1, len(fixed) + 1)]
    assert len(args) == len(fixed) + repeated
    assert args[0] == 7
    assert said[len(fixed) :] in ([], [f"{len(fixed) + 1}.."], [".."])


def test_all_scripts_have_been_looked_at() -> None:
    assert {*CALLS, "reserve", "confirm", "find", "publish"} == set(calls.NAMES) == set(GROUP_OF)
