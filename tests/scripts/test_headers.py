"""The comment at the top of each script is its contract: it is held against the script and against its wrapper."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import pytest
from redis.asyncio import Redis

from flashsale.keys import PER_SALE, SaleKeys
from flashsale.model import outcomes
from flashsale.model.reservation import ENTRY_BYTES, HEADER_BYTES, State
from flashsale.scripts import calls, loader
from flashsale.scripts import reserve as reserving
from tests.support.sales import SALE, claim, definition

KEYS = SaleKeys.of(SALE)
ENUMS: dict[str, type[IntEnum]] = {
    "open_sale": outcomes.OpenSale,
    "reserve": outcomes.Reserve,
    "extend": outcomes.Resolve,
    "cancel": outcomes.Resolve,
    "restock": outcomes.Restock,
    "set_state": outcomes.SetState,
}
FLAGS = {"inspect": "no-writes", "cancel": "allow-oom", "expire": "allow-oom", "set_state": "allow-oom"}
"""Scripts not named here have none: they write, and they refuse to when memory is full."""
WRITES = re.compile(r"'(HSET|HDEL|HINCRBY|DEL|UNLINK|ZADD|ZREM|ZREMRANGEBY\w+|XADD|XTRIM|XDEL|SET|EXPIRE)'")


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
    patterns = (key.replace(f"{{{SALE}.0}}", "{S}") for key in KEYS.all())
    expected = list(zip(range(1, 7), patterns, PER_SALE.values(), strict=True))
    assert header(name).keys == expected


@pytest.mark.parametrize("name", calls.NAMES)
def test_the_flags_are_the_least_that_will_do(name: str) -> None:
    shebang = text(name).split("\n", 1)[0]
    assert shebang == ("#!lua" + (f" flags={FLAGS[name]}" if name in FLAGS else ""))
    assert bool(WRITES.search(loader.load(name).source)) == (FLAGS.get(name) != "no-writes")


@pytest.mark.parametrize("name", calls.NAMES)
def test_no_key_is_built_inside(name: str) -> None:
    code = "\n".join(line.split("--")[0] for line in loader.load(name).source.splitlines())
    assert "fs:" not in code
    named = {"SALE", "STOCK", "CUSTOMERS", "RESERVATIONS", "HOLDS", "JOURNAL", "key"}
    for call, key in re.findall(r"redis\.call\(\s*([^,()]+?)\s*[,)]\s*([\w\[\]]*)", code):
        assert call == "'TIME'" or key in named or re.fullmatch(r"KEYS\[[1-6]\]", key), f"{call} of {key}"


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
    source = loader.load(name).source
    in_code = {word: n for word, n in constants(source).items() if word in members and word not in states}
    assert in_code == said


@pytest.mark.parametrize("name", sorted(ENUMS))
def test_the_outcomes_are_listed_in_order_of_precedence(name: str) -> None:
    numbers = [abs(int(n)) for n, _ in re.findall(r"(-?\d+) ([A-Z][A-Z_]{3,})", header(name).returns)]
    assert numbers == [*sorted(n for n in numbers if n > 1), *[n for n in numbers if n == 1]]


def test_the_layout_of_records_is_the_same_on_both_sides() -> None:
    book = (loader.directory() / "includes" / "book.lua").read_text(encoding="utf-8")
    found = constants(book)
    assert {name: found[name] for name in State.__members__} == {state.name: state for state in State}
    assert (found["HEADER_BYTES"], found["ENTRY_BYTES"]) == (HEADER_BYTES, ENTRY_BYTES)


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
    each = re.search(r"^-- ARGV\[\.\.\] of each reservation: ([\w ,]+) \(", text("reserve"), re.MULTILINE)
    assert each is not None
    skus = ["car", "a"]  # those of claims for one unit of one item
    assert args[3:6] == [len(skus), *skus]
    check_arguments("reserve", args, len(skus) + len(each[1].split(", ")) * len(claims))


def check_arguments(name: str, args: Any, repeated: int) -> None:
    said = header(name).argv
    fixed = [number for number in said if not number.endswith("..")]
    assert fixed == [str(n) for n in range(1, len(fixed) + 1)]
    assert len(args) == len(fixed) + repeated
    assert args[0] == 7
    assert said[len(fixed) :] in ([], [f"{len(fixed) + 1}.."], [".."])


def test_all_scripts_have_been_looked_at() -> None:
    assert {*CALLS, "reserve"} == set(calls.NAMES)
