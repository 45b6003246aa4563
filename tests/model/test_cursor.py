"""Cursors: what they keep, and what is not one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flashsale.model.cursor import Cursor, CursorError

SALES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True)
PLACES = st.dictionaries(SALES, st.integers(1, (1 << 63) - 1), max_size=30)


@given(PLACES)
def test_a_cursor_keeps_every_sequence(sequences: dict[str, int]) -> None:
    cursor = Cursor.decode(Cursor.at(sequences).encode())
    assert {sale: cursor.of(sale) for sale in sequences} == sequences


@given(PLACES, SALES)
def test_an_unknown_sale_is_at_its_beginning(sequences: dict[str, int], sale: str) -> None:
    assert sale in sequences or Cursor.at(sequences).of(sale) == 0


def test_a_copy_moves_by_itself() -> None:
    cursor = Cursor.at({"a": 1})
    other = cursor.copy()
    other.move("a", 2)
    assert (cursor.of("a"), other.of("a")) == (1, 2)


def test_the_text_is_short_and_fits_an_address() -> None:
    text = Cursor.at({f"sale-number-{number}": 20_000 for number in range(100)}).encode()
    assert len(text) < 1_300
    assert text.isascii()
    assert text.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize(
    "text", ["", "0", "17", "now", "AA", "Ag", "*", "ä", "AQ==", "AQAA", "AQ" + "_" * 40, "A" * 100_000]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(CursorError):
        Cursor.decode(text)


@given(PLACES, st.data())
def test_what_was_cut_is_refused(sequences: dict[str, int], data: st.DataObject) -> None:
    text = Cursor.at(sequences).encode()
    with pytest.raises(CursorError):
        Cursor.decode(text[: data.draw(st.integers(0, len(text) - 1))])


@given(PLACES, st.data())
def test_what_was_changed_is_refused(sequences: dict[str, int], data: st.DataObject) -> None:
    text = Cursor.at(sequences).encode()
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("ABCxyz019-_").filter(lambda character: character != text[at]))
    with pytest.raises(CursorError):
        Cursor.decode(text[:at] + other + text[at + 1 :])
