"""Packed records: whatever text goes in comes out, and what is not a record is refused."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flashsale.model.reservation import (
    COUNTED,
    Entry,
    Line,
    Reservation,
    State,
    pack_body,
    pack_record,
    unpack_body,
    unpack_entries,
    unpack_record,
)

TOKEN = "AbCdEfGhIjKlMn_-"
texts = st.text(max_size=40) | st.sampled_from(["", "\0", "🏎️", "}", "{x}", "*", "é" * 100, "x" * 10_240])
all_lines = st.lists(st.tuples(texts, st.integers(1, 10**9)), min_size=1, max_size=10).map(tuple)
six_bytes = st.integers(0, 2**48 - 1)


@st.composite
def reservations(draw: st.DrawFn) -> Reservation:
    return Reservation(
        token=TOKEN,
        state=draw(st.sampled_from(State)),
        extended=draw(st.booleans()),
        held_ms=draw(six_bytes),
        held_until_ms=draw(six_bytes),
        place=draw(six_bytes),
        customer=draw(texts),
        lines=draw(all_lines),
        late=draw(st.booleans()),
    )


@given(reservations())
def test_a_record_and_back(reservation: Reservation) -> None:
    assert unpack_record(TOKEN, pack_record(reservation)) == reservation


@given(texts, all_lines)
@example("x" * 10_240, (("\0" * 64, 1),))
@example("🏎️\0}", (("🏎️", 10**9),))
def test_a_body_and_back(customer: str, lines: tuple[Line, ...]) -> None:
    assert unpack_body(pack_body(customer, lines)) == (customer, lines)


@given(texts, texts, all_lines, all_lines)
def test_different_payloads_are_different_bytes(
    one: str, two: str, lines: tuple[Line, ...], others: tuple[Line, ...]
) -> None:
    assert (pack_body(one, lines) == pack_body(two, others)) == ((one, lines) == (two, others))


def test_the_layout_is_the_one_documented() -> None:
    record = pack_record(Reservation(TOKEN, State.HELD, True, 1, 2, 3, "c", (("a", 1), ("b", 2))))
    assert record[:20] == bytes([1, 1]) + b"\0\0\0\0\0\1" + b"\0\0\0\0\0\2" + b"\0\0\0\0\0\3"
    assert record[20:] == b"\x95\xa1c\xa1a\x01\xa1b\x02"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x90",  # no customer
        b"\x92\xa1c\xa1a",  # a sku without units
        b"\x91\x01",  # a customer that is a number
        b"\x93\xa1c\x01\x01",  # a sku that is a number
        b"\x93\xa1c\xa1a\xa1b",  # units that are text
        b"\x93\xa1c\xa1a\xcb\0\0\0\0\0\0\0\0",  # units that are a float
        b"\x93\xa1c\xa1a\x01\x01",  # more than one value
        b"\x80",  # a map
        b"\xff\xff",
    ],
)
def test_what_is_no_body_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        unpack_body(body)
    with pytest.raises(ValueError, match=r"\w"):
        unpack_record(TOKEN, b"\1" + b"\0" * 19 + body)


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_a_record_or_a_value_error(data: bytes) -> None:
    try:
        reservation = unpack_record(TOKEN, data)
    except ValueError:
        return
    assert unpack_record(TOKEN, pack_record(reservation)) == reservation


def test_an_unknown_state_is_refused() -> None:
    record = pack_record(Reservation(TOKEN, State.HELD, False, 1, 2, 3, "c", (("a", 1),)))
    for state in (0, 6, 255):
        with pytest.raises(ValueError, match="is not a valid State"):
            unpack_record(TOKEN, bytes([state]) + record[1:])


@given(
    st.lists(st.tuples(st.text("abc-_09", min_size=16, max_size=16), st.integers(0, 2**32 - 1)), max_size=5)
)
def test_entries_and_back(entries: list[tuple[str, int]]) -> None:
    value = b"".join(token.encode() + units.to_bytes(4, "big") for token, units in entries)
    assert unpack_entries(value) == tuple(Entry(token, units) for token, units in entries)


@pytest.mark.parametrize("length", [1, 19, 21, 39])
def test_half_an_entry_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"of {length} bytes"):
        unpack_entries(b"a" * length)


def test_what_a_reader_should_see_of_an_overdue_hold() -> None:
    held = Reservation(TOKEN, State.HELD, False, 0, 1000, 1, "c", (("a", 2), ("b", 3)))
    assert held.units == 5
    assert [held.state_at(now) for now in (999, 1000, 1001)] == [State.HELD, State.EXPIRED, State.EXPIRED]
    confirmed = Reservation(TOKEN, State.CONFIRMED, False, 0, 1000, 1, "c", (("a", 2),))
    assert confirmed.state_at(5000) is State.CONFIRMED


def test_held_and_confirmed_count_against_the_limit() -> None:
    assert {State.HELD, State.CONFIRMED} == COUNTED
