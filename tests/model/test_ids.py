from hypothesis import given
from hypothesis import strategies as st

from flashsale.model.ids import (
    ReservationId,
    derived_token,
    is_sale_id,
    new_tokens,
    parse_reservation_id,
)

text = st.text(max_size=20)


def test_sale_ids_are_small_letters_digits_and_hyphens() -> None:
    for good in ("a", "0", "giulia-milano", "a" * 63, "2026-11-22", "a-"):
        assert is_sale_id(good), good
    for bad in ("", "-a", "A", "a" * 64, "a.b", "a}", "{a", "*", "a b", "a\n", "\na", "é", "a\0", "a_b", "٣"):
        assert not is_sale_id(bad), bad


def test_a_reservation_id_tells_its_sale_shard_and_token() -> None:
    found = parse_reservation_id("giulia-milano.0.AbCdEfGh_-012345")
    assert found == ReservationId("giulia-milano", 0, "AbCdEfGh_-012345")
    assert str(found) == "giulia-milano.0.AbCdEfGh_-012345"


def test_what_cannot_be_a_reservation_id_is_none() -> None:
    token = "A" * 16
    for bad in (
        "",
        token,
        f"giulia.{token}",
        f"giulia.00.{token}",
        f"giulia.-1.{token}",
        f"giulia.10000.{token}",
        f"giulia.0.{token}A",
        f"giulia.0.{token[1:]}",
        f"giulia.0.{token}\n",
        f"Giulia.0.{token}",
        f"a}}b.0.{token}",
        f"giulia.0.{'é' * 16}",
        f"giulia.0.{'A' * 15}=",
        f"giulia.0.{token}.{token}",
        f"giulia.٣.{token}",
        "x" * 10_240,
    ):
        assert parse_reservation_id(bad) is None, bad


def test_new_tokens_fit_into_ids_and_differ() -> None:
    tokens = {*new_tokens(500), *new_tokens(500)}
    assert len(tokens) == 1000
    assert all(parse_reservation_id(f"s.0.{token}") for token in tokens)


@given(text, text, text)
def test_a_derived_token_is_always_the_same_and_fits_into_ids(sale: str, customer: str, key: str) -> None:
    token = derived_token(sale, customer, key)
    assert token == derived_token(sale, customer, key)
    assert parse_reservation_id(f"s.0.{token}") == ReservationId("s", 0, token)


@given(st.lists(st.tuples(text, text, text), min_size=2, max_size=2, unique=True))
def test_no_two_triples_share_a_token(triples: list[tuple[str, str, str]]) -> None:
    assert len({derived_token(*triple) for triple in triples}) == 2


def test_moving_a_letter_from_one_part_to_the_next_makes_another_token() -> None:
    triples = [("ab", "c", "d"), ("a", "bc", "d"), ("a", "b", "cd"), ("abcd", "", ""), ("", "abcd", "")]
    assert len({derived_token(*triple) for triple in triples}) == len(triples)
